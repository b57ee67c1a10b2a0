"""The base model's weights as they lie in its folder: their names and shapes, and the norm of one at a time.

Reads safetensors alone, one tensor in blocks; no model is built.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import ModelError
from inference.tensors import Entry, Shape, UnusableError, read_blocks, read_header

_SINGLE, _INDEX, _CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
_INDEX_BYTES = 64_000_000
_HEAD, _WORDS = "lm_head", "embed_tokens"


class BaseWeights:
    """The weights of one folder; only their headers are kept.

    Raises:
        ModelError: no safetensors there, or damaged ones.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            entries = [entry for path in _files(folder) for entry in read_header(path).values()]
            tied = bool(_read_json(folder / _CONFIG).get("tie_word_embeddings"))
        except (OSError, UnusableError) as error:
            raise _unreadable(folder, error) from error
        self._entries = _matrices(entries, tied=tied)
        self._norms: dict[str, float] = {}

    @property
    def linears(self) -> dict[str, Shape]:
        """Shape (out, in) of each matrix by its module's name; a head tied to the word embeddings is one."""
        return {module: entry.shape for module, entry in self._entries.items()}

    def norm(self, module: str) -> float:
        """The Frobenius norm of this module's weight, read when it is first asked for.

        Raises:
            ModelError: the weight holds no floating-point numbers (a quantised base), or none that are finite.
        """
        if module not in self._norms:
            self._norms[module] = self._measure(module)
        return self._norms[module]

    def _measure(self, module: str) -> float:
        try:
            with np.errstate(over="ignore"):  # told below
                squares = sum(float(np.square(block).sum()) for block in read_blocks(self._entries[module]))
        except UnusableError as error:
            raise _unreadable(self.folder, error) from error
        if not math.isfinite(squares):
            raise ModelError(
                "weights that are finite numbers", f"others in {module} of {self.folder.name}", "save it again"
            )
        return math.sqrt(squares)


def _files(folder: Path) -> list[Path]:
    """The files that hold the weights: the one, or those that the index names."""
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if not (folder / _INDEX).is_file():
        raise UnusableError(f"there is neither {_SINGLE} nor {_INDEX}")
    told = _read_json(folder / _INDEX).get("weight_map")
    names = list(told.values()) if isinstance(told, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name and name != ".." for name in names):
        raise UnusableError(f"{_INDEX} names no files of this folder")
    return [folder / name for name in sorted(set(names))]


def _read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty if there is no file.

    Raises:
        UnusableError: it holds no JSON object, or a huge one.
    """
    if not path.is_file():
        return {}
    if path.stat().st_size > _INDEX_BYTES:
        raise UnusableError(f"{path.name} is larger than {_INDEX_BYTES:,} bytes")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"{path.name} is not readable JSON") from error
    if not isinstance(told, dict):
        raise UnusableError(f"{path.name} holds no JSON object")
    return told


def _matrices(entries: list[Entry], *, tied: bool) -> dict[str, Entry]:
    found = {
        entry.key.removesuffix(".weight"): entry
        for entry in entries
        if entry.key.endswith(".weight") and len(entry.shape) == 2
    }
    words = [entry for module, entry in found.items() if module.rpartition(".")[2] == _WORDS]
    if tied and words:
        found.setdefault(_HEAD, words[0])
    return found


def _unreadable(folder: Path, error: Exception) -> ModelError:
    why = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
    return ModelError(
        "a base model's folder with safetensors in floating-point numbers",
        f"{folder.name}: {why}",
        "name the folder that the base was loaded from, or leave it out",
    )
