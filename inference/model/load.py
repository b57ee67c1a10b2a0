"""The base model and its processor, from a folder or from the hub, on the device that this machine has.

Loads dense Qwen3-VL models alone, from safetensors alone, and never runs code that comes with a model. Knows no
adapter, no request and no page; that the miniature is small it does not know either.
"""

import json
import logging
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoProcessor, Qwen3VLForConditionalGeneration
from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

from inference.errors import ModelError
from inference.trace.session import ModelFacts

MODEL_TYPE = "qwen3_vl"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LIBRARIES = ("torch", "transformers", "peft")
# The first that is installed and that the GPU can run: by name, its check, and the least compute capability.
_FLASH = (("flash_attention_3", is_flash_attn_3_available, 9), ("flash_attention_2", is_flash_attn_2_available, 8))

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with its processor; `name` is the one for people."""

    name: str
    model: Any
    processor: Any
    device: torch.device
    dtype: torch.dtype

    @property
    def text_config(self) -> Any:
        return self.model.config.text_config

    @property
    def vision_config(self) -> Any:
        return self.model.config.vision_config


def load_model(
    name_or_folder: str, *, name: str = "", device: str = "", dtype: str = "", revision: str | None = None
) -> LoadedModel:
    """The model of a folder or a hub name (`owner/name` or `owner/name#revision`), ready to answer.

    `device` and `dtype` empty: CUDA with bfloat16 where there is one, else the CPU with float32. It runs on flash
    attention where that is installed and can run, else on sdpa. Which of these is logged.

    Raises:
        ModelError: nothing there, another kind of model, weights missing, or a device that this machine lacks.
    """
    place = _choose_device(device)
    precision = _choose_dtype(dtype, place)
    source, revision = _split_revision(name_or_folder, revision)
    is_folder = _check_source(source)
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": is_folder}
    if revision and not is_folder:
        options["revision"] = revision
    shown = name or model_name(name_or_folder)
    attention = _choose_attention(place, precision)
    _log.info("Loading %s on %s in %s with %s.", shown, place, _dtype_name(precision), attention)
    _check_kind(source, shown, options)
    model = _load_weights(source, shown, options, dtype=precision, attn_implementation=attention)
    processor = _load_processor(source, shown, options)
    return LoadedModel(shown, model.to(place).eval(), processor, place, precision)


def model_name(name_or_folder: str) -> str:
    """The name for people: a hub name as it is, of a folder its last part."""
    return Path(name_or_folder).name if Path(name_or_folder).is_dir() else name_or_folder


def read_facts(loaded: LoadedModel) -> ModelFacts:
    """What the config says of the model, with the versions of the libraries that run it."""
    text, vision = loaded.text_config, loaded.vision_config
    return ModelFacts(
        name=loaded.name,
        layers=text.num_hidden_layers,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        patch_px=vision.patch_size,
        merge=vision.spatial_merge_size,
        dtype=_dtype_name(loaded.dtype),
        device=str(loaded.device),
        versions=tuple((library, version(library)) for library in LIBRARIES),
    )


def _choose_device(wanted: str) -> torch.device:
    if not wanted:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError("a device such as cpu or cuda:1", repr(wanted), "correct the device setting") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            "a device that this machine has", f"{wanted!r} with {torch.cuda.device_count()} GPUs", "choose cpu"
        )
    return device


def _choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    if not wanted:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if wanted not in DTYPES:
        raise ModelError(f"a dtype among {', '.join(DTYPES)}", repr(wanted), "correct the dtype setting")
    return DTYPES[wanted]


def _choose_attention(device: torch.device, dtype: torch.dtype) -> str:
    if device.type == "cuda" and dtype in (torch.float16, torch.bfloat16):
        capability, _ = torch.cuda.get_device_capability(device)
        for name, is_installed, least in _FLASH:
            if capability >= least and is_installed():
                return name
    return "sdpa"


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _split_revision(name_or_folder: str, revision: str | None) -> tuple[str, str | None]:
    if Path(name_or_folder).exists():
        return name_or_folder, None
    source, _, written = name_or_folder.partition("#")
    return source, revision or written or None


def _check_source(source: str) -> bool:
    """True for a folder, False for a hub name; anything else is refused."""
    folder = Path(source)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(
                "a model folder with a config.json", f"{source!r} without one", "give the folder of save_pretrained"
            )
        return True
    if folder.exists() or not _HUB_NAME.fullmatch(source):
        raise ModelError(
            "a model folder that exists, or a hub name such as Qwen/Qwen3-VL-2B-Instruct",
            repr(source),
            "check the spelling of the path or the name",
        )
    return False


def _check_kind(source: str, shown: str, options: dict[str, Any]) -> None:
    kind = _folder_kind(source) if options["local_files_only"] else _hub_kind(source, shown, options)
    if kind != MODEL_TYPE:
        raise ModelError(
            f"a dense Qwen3-VL model (model_type {MODEL_TYPE})",
            f"model_type {kind!r} in {shown}",
            "choose a model such as Qwen/Qwen3-VL-2B-Instruct",
        )


def _folder_kind(folder: str) -> str:
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError("a readable config.json", f"{error}", "copy the model again") from error
    return str(config.get("model_type")) if isinstance(config, dict) else "none"


def _hub_kind(source: str, shown: str, options: dict[str, Any]) -> str:
    try:
        return str(AutoConfig.from_pretrained(source, **options).model_type)
    except (OSError, ValueError) as error:
        raise ModelError(
            "a model that the Hugging Face hub gives to this machine",
            f"{shown}, which could not be fetched",
            "check the name, the network and the access token, or give a local folder",
        ) from error


def _load_weights(source: str, shown: str, options: dict[str, Any], **choices: Any) -> Any:
    try:
        model, report = Qwen3VLForConditionalGeneration.from_pretrained(
            source, use_safetensors=True, output_loading_info=True, **choices, **options
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            "weights in safetensors that fit the config",
            f"{shown}, whose weights could not be loaded ({_first_line(error)})",
            "copy or download the model again",
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            "weights for every part of the model",
            f"{shown} without {len(missing)} of them, such as {missing[0]}",
            "copy or download the model again",
        )
    return model


def _load_processor(source: str, shown: str, options: dict[str, Any]) -> Any:
    try:
        processor = AutoProcessor.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        raise ModelError(
            "processor files beside the weights",
            f"{shown}, whose processor could not be loaded ({_first_line(error)})",
            "copy the tokenizer and preprocessor files too",
        ) from error
    if not getattr(processor, "chat_template", None) or not hasattr(processor, "image_processor"):
        raise ModelError(
            "a processor with pictures and a chat template", f"{shown} without", "copy the processor's files too"
        )
    return processor


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200].rstrip(".")
