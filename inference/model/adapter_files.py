"""An adapter's files as the library takes them: weights that were checked, and a config of numbers alone.

Nothing of a stranger's config reaches the library but numbers: modules, ranks and alphas are named one by one.
"""

import math
from pathlib import Path

import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file

from inference.catalog import WEIGHTS_FILE, AdapterFiles, read_files
from inference.errors import AdapterError
from inference.placement import Fit
from inference.protocol import AdapterFacts
from inference.tensors import UnusableError


def read_adapter_files(facts: AdapterFacts) -> AdapterFiles:
    """What the adapter's config and the names of its weights say.

    Raises:
        AdapterError: they cannot be read.
    """
    try:
        return read_files(Path(facts.folder))
    except UnusableError as error:
        raise AdapterError("a whole adapter", f"{facts.name}: {error}", "save it again") from error


def read_weights(facts: AdapterFacts, fit: Fit) -> dict[str, torch.Tensor]:
    """The weights, by the names of their places.

    Raises:
        AdapterError: the file is damaged, or holds numbers that are not finite.
    """
    try:
        raw = load_file(str(Path(facts.folder) / WEIGHTS_FILE))
    except (OSError, SafetensorError) as error:
        raise AdapterError("readable weights", f"{facts.name}, whose file is damaged", "save it again") from error
    for key, tensor in raw.items():
        if not tensor.is_floating_point() or not math.isfinite(float(tensor.float().abs().sum())):
            raise AdapterError("weights that are finite numbers", f"others in {facts.name}, {key}", "train it again")
    return {fit.keys[key]: tensor for key, tensor in raw.items()}


def make_config(files: AdapterFiles, fit: Fit) -> LoraConfig:
    """A fresh config that holds numbers alone, with every module named in full."""
    return LoraConfig(
        r=max(fit.ranks.values()),
        lora_alpha=1,
        target_modules=sorted(fit.ranks),
        rank_pattern=dict(fit.ranks),
        alpha_pattern=dict(fit.alphas),
        lora_dropout=0.0,
        use_rslora=bool(files.config.get("use_rslora")),
        use_dora=bool(files.config.get("use_dora")),
        lora_bias=bool(files.config.get("lora_bias")),
        inference_mode=True,
    )
