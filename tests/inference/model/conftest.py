"""A small random Qwen3-VL with axes that cannot be mistaken for each other, saved and loaded as any model is."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from inference.catalog import find_adapters
from inference.mini.architecture import build_processor
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel, load_model
from inference.settings import Settings
from inference.trace.request import Picture
from tests.inference.model.reference import quiet_peft

LAYERS, HEADS, KV_HEADS, HEAD_DIM, WIDTH = 5, 6, 2, 16, 44
IDS, PADDING = 13, 4
Inputs = dict[str, torch.Tensor]
Room = Callable[[], Path]
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """Makes a new empty folder, as whoever asks an engine gives it one."""
    numbers = itertools.count()

    def make() -> Path:
        folder = tmp_path / "room" / f"session-{next(numbers)}"
        folder.mkdir(parents=True)
        return folder

    return make


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of random weights; large enough weights that no two rows are alike."""
    folder = tmp_path_factory.mktemp("models") / "tiny-qwen3-vl"
    processor = build_processor()
    torch.manual_seed(11)
    model = Qwen3VLForConditionalGeneration(_config(processor)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2:
                weight.normal_(std=0.25 if "embed" in name else weight[0].numel() ** -0.5 * 1.5)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adapters_folder(base_folder: Path) -> Path:
    """Two adapters saved by peft: `alpha` on all text modules, `beta` with rank-stabilised scaling on two."""
    folder = base_folder.parent / "adapters"
    save_adapter(base_folder, folder / "alpha", seed=3)
    save_adapter(base_folder, folder / "beta", seed=5, r=2, target_modules=["q_proj", "v_proj"], use_rslora=True)
    return folder


def save_adapter(base_folder: Path, folder: Path, *, seed: int, **options: object) -> Path:
    """A random adapter of this base, saved as any user's is."""
    base = Qwen3VLForConditionalGeneration.from_pretrained(base_folder)
    settings: dict[str, object] = {"r": 3, "lora_alpha": 6, "target_modules": list(TARGETS)}
    torch.manual_seed(seed)
    with quiet_peft():
        model = get_peft_model(base, LoraConfig(**{**settings, **options}))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.add_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def loaded(base_folder: Path) -> LoadedModel:
    return load_model(str(base_folder), device="cpu")


@pytest.fixture(scope="session")
def engine(loaded: LoadedModel, adapters_folder: Path) -> ModelEngine:
    return ModelEngine(loaded, Settings(), lambda: find_adapters(adapters_folder))


@pytest.fixture
def padded() -> Inputs:
    """Two rows of `IDS` ids, the first with `PADDING` of padding on its left."""
    ids = torch.randint(260, 400, (2, IDS), generator=torch.Generator().manual_seed(5))
    mask = torch.ones_like(ids)
    mask[0, :PADDING] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.fixture
def plain(padded: Inputs) -> Inputs:
    """One row of ids without padding, and no mask."""
    return {"input_ids": padded["input_ids"][1:]}


def logits(loaded: LoadedModel, inputs: dict[str, Any]) -> torch.Tensor:
    with torch.inference_mode():
        output: torch.Tensor = loaded.model(**inputs).logits
    return output


def make_picture(width: int, height: int, *, seed: int = 0, name: str = "made.png") -> Picture:
    """A picture of coloured noise in blocks."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, ((height + 15) // 16, (width + 15) // 16, 3), dtype=np.uint8)
    pixels = blocks.repeat(16, 0).repeat(16, 1)[:height, :width]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Picture(buffer.getvalue(), width, height, name)


def _config(processor: object) -> Qwen3VLConfig:
    tokenizer = processor.tokenizer  # type: ignore[attr-defined]
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 67,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "max_position_embeddings": 2048,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [4, 2, 2],
            "mrope_interleaved": True,
        },
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": False,
    }
    vision = {
        "depth": 3,
        "hidden_size": 24,
        "intermediate_size": 37,
        "num_heads": 3,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 144,
        "deepstack_visual_indexes": [0, 2],
    }
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = {name: getattr(processor, name) for name in names}
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **ids)
