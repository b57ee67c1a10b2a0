"""Adapters and bases written by hand for the tests of this room: known factors, in the files that any user has."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

PREFIX = "base_model.model."
LAYERS = "model.language_model.layers."
BLOCKS = "model.visual.blocks."
Pair = tuple[np.ndarray, np.ndarray]
"""up (outputs, rank) and down (rank, inputs), as B and A."""


def pair(rng: np.random.Generator, outputs: int = 11, inputs: int = 7, rank: int = 3) -> Pair:
    return rng.standard_normal((outputs, rank)), rng.standard_normal((rank, inputs))


def write_adapter(
    folder: Path,
    pairs: Mapping[str, Pair],
    *,
    extra: Mapping[str, np.ndarray] | None = None,
    dtype: torch.dtype = torch.float64,
    **config: object,
) -> Path:
    """An adapter with these factors by module, of rank 3 and alpha 6 unless said otherwise."""
    folder.mkdir(parents=True)
    tensors = {
        f"{PREFIX}{module}.lora_{side}.weight": torch.tensor(matrix).to(dtype)
        for module, (up, down) in pairs.items()
        for side, matrix in (("A", down), ("B", up))
    }
    tensors |= {f"{PREFIX}{key}": torch.tensor(value) for key, value in (extra or {}).items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "base_model_name_or_path": "owner/base", "r": 3, "lora_alpha": 6}
    (folder / "adapter_config.json").write_text(json.dumps(told | {"target_modules": "all-linear"} | config))
    return folder


def write_base(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    *,
    shards: int = 1,
    dtype: torch.dtype = torch.float64,
    **config: object,
) -> Path:
    """A base whose modules have these weights, in one file or in several with an index."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {f"{module}.weight": torch.tensor(weight).to(dtype) for module, weight in weights.items()}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return folder
    names = {key: f"model-{number % shards}.safetensors" for number, key in enumerate(tensors)}
    for name in set(names.values()):
        save_file({key: tensors[key] for key in tensors if names[key] == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return folder
