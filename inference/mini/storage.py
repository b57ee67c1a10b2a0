"""Saving and loading the miniature with the libraries' own `save_pretrained` and `from_pretrained`.

Knows no scene and no training: what lies in the folders is what any user's base and adapters look like.
"""

import shutil
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from inference.mini import ADAPTERS_DIR, BASE_DIR, BASE_NAME

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


def load_base(folder: Path = BASE_DIR) -> tuple[Qwen3VLForConditionalGeneration, Qwen3VLProcessor]:
    """The shipped base in float32 and its processor."""
    model = Qwen3VLForConditionalGeneration.from_pretrained(folder, local_files_only=True)
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)


def load_adapter(base: Qwen3VLForConditionalGeneration, name: str, folder: Path = ADAPTERS_DIR) -> PeftModel:
    """The base with one shipped adapter active; `unload()` gives the base back."""
    return PeftModel.from_pretrained(base, str(folder / name), adapter_name=name).eval()


def add_lora(base: Qwen3VLForConditionalGeneration, modules: tuple[str, ...], *, rank: int = 8) -> PeftModel:
    """The base with a fresh trainable LoRA adapter on these modules; all else is frozen.

    The names occur in the text layers alone: the vision tower calls its own otherwise.
    """
    base.name_or_path = BASE_NAME
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=list(modules),
        base_model_name_or_path=BASE_NAME,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config)


def save_base(
    model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor, card: str, folder: Path = BASE_DIR
) -> None:
    """Writes weights, processor files and card, in place of what lay there."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def save_adapter(model: PeftModel, name: str, card: str, folder: Path = ADAPTERS_DIR) -> None:
    """Writes the active adapter into its own folder, as any user would, with our card for the library's."""
    shutil.rmtree(folder / name, ignore_errors=True)
    # with "auto" peft would look the base's name up on the hub to learn whether its vocabulary grew
    model.save_pretrained(str(folder / name), save_embedding_layers=False)
    (folder / name / "README.md").write_text(card, encoding="utf-8")


def megabytes(folder: Path = BASE_DIR.parent) -> float:
    """The size of all files below, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
