"""The base's weights, read from its files: one or several, of any precision, and refused where they are of no use."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from inference import tensors
from inference.errors import ModelError
from inference.mini import BASE_DIR
from inference.weights.base import BaseWeights
from tests.inference.weights.made import LAYERS, write_base

WEIGHTS = {
    LAYERS + f"{layer}.self_attn.{name}": np.random.default_rng(layer).standard_normal((size, 7))
    for layer in (0, 1)
    for name, size in (("q_proj", 11), ("v_proj", 5))
}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_names_shapes_and_norms_of_a_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(tensors, "BLOCK_NUMBERS", 13)
    base = BaseWeights(write_base(tmp_path / "base", WEIGHTS, shards=shards, dtype=dtype))
    assert base.linears == {module: weight.shape for module, weight in WEIGHTS.items()}
    for module, weight in WEIGHTS.items():
        stored = torch.tensor(weight).to(dtype).double()
        assert base.norm(module) == pytest.approx(float(stored.norm()), rel=1e-12)


def test_the_norms_of_the_built_in_base_are_the_librarys() -> None:
    base, weights = BaseWeights(BASE_DIR), load_file(BASE_DIR / "model.safetensors")
    for module in (LAYERS + "3.self_attn.k_proj", "model.visual.blocks.1.attn.qkv"):
        assert base.norm(module) == pytest.approx(float(weights[f"{module}.weight"].double().norm()), rel=1e-12)


def test_a_head_that_is_tied_to_the_words_is_theirs(tmp_path: Path) -> None:
    words = {"model.language_model.embed_tokens": np.full((13, 7), 2.0)}
    tied = BaseWeights(write_base(tmp_path / "tied", words, tie_word_embeddings=True))
    assert tied.linears["lm_head"] == (13, 7)
    assert tied.norm("lm_head") == pytest.approx(2 * 91**0.5)
    assert "lm_head" not in BaseWeights(write_base(tmp_path / "free", words)).linears


def test_a_norm_is_read_once(tmp_path: Path) -> None:
    base = BaseWeights(write_base(tmp_path / "base", WEIGHTS))
    module = next(iter(WEIGHTS))
    first = base.norm(module)
    (tmp_path / "base" / "model.safetensors").unlink()
    assert base.norm(module) == first


def indexed(folder: Path, told: Any) -> Path:
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(told if isinstance(told, str) else json.dumps(told))
    return folder


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"weight_map": {"a": "../secret.safetensors"}}, "names no files of this folder"),
        ({"weight_map": {"a": "/etc/passwd"}}, "names no files of this folder"),
        ({"weight_map": {"a": ["x"]}}, "names no files of this folder"),
        ({"weight_map": {"a": 3}}, "names no files of this folder"),
        ({"weight_map": {"a": ".."}}, "names no files of this folder"),
        ({"weight_map": {}}, "names no files of this folder"),
        ({"weight_map": [1]}, "names no files of this folder"),
        ({}, "names no files of this folder"),
        ([], "holds no JSON object"),
        ("{", "is not readable JSON"),
        ({"weight_map": {"a": "gone.safetensors"}}, "No such file or directory"),
    ],
)
def test_an_index_that_leads_nowhere_is_told(tmp_path: Path, told: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        BaseWeights(indexed(tmp_path / "base", told))
    assert "got base: " in str(caught.value)


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ModelError, match=r"there is neither model.safetensors nor"):
            BaseWeights(folder)


def test_a_quantised_or_broken_base_is_told_when_it_is_measured(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    weights = {"a": torch.ones(2, 3, dtype=torch.uint8), "b": torch.full((2, 3), torch.nan), "c": torch.ones(2, 3)}
    save_file({f"{name}.weight": weight for name, weight in weights.items()}, tmp_path / "base" / "model.safetensors")
    base = BaseWeights(tmp_path / "base")
    assert base.norm("c") == pytest.approx(6**0.5)
    with pytest.raises(ModelError, match=r"'a.weight' is stored as U8"):
        base.norm("a")
    with pytest.raises(ModelError, match="others in b of base"):
        base.norm("b")
