"""Adapters opened for their numbers: scaled as the library scales them, and refused in a sentence if broken."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

from inference.catalog import find_adapters
from inference.errors import AdapterError
from inference.mini import ADAPTERS_DIR, BASE_DIR
from inference.weights.adapter import OpenAdapter, open_adapter
from inference.weights.base import BaseWeights
from inference.weights.places import Place, place_of
from tests.inference.weights.made import LAYERS, PREFIX, pair, write_adapter, write_base

QUERY = LAYERS + "2.self_attn.q_proj"


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(7, 11)
        self.v_proj = nn.Linear(7, 5)


class Model(nn.Module):
    """As few layers as patterns need to be told apart by."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"layers": nn.ModuleList(Layer() for _ in range(3))})


def saved_by_peft(folder: Path, **options: Any) -> dict[Place, torch.Tensor]:
    """Saves a random adapter as any user does; the changes that the library makes when it loads it again, by place."""
    torch.manual_seed(4)
    settings: dict[str, Any] = {"r": 3, "lora_alpha": 5, "target_modules": ["q_proj", "v_proj"]}
    model = get_peft_model(Model(), LoraConfig(**{**settings, **options}))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    model.save_pretrained(folder)
    # Loaded, not as it was trained: the library sorts the patterns when it saves them, and the first that fits counts.
    loaded = PeftModel.from_pretrained(Model(), folder)
    return {
        place_of(name.removeprefix(PREFIX)): layer.get_delta_weight("default").detach()
        for name, layer in loaded.named_modules()
        if isinstance(layer, LoraLayer)
    }


def formed(opened: OpenAdapter, place: Place) -> np.ndarray:
    factors = opened.factors(place)
    return np.asarray(factors.scaling * factors.up @ factors.down)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.v_proj": 11}},
        {"rank_pattern": {r"layers\.[01]\.q_proj": 5, "q_proj": 2}, "use_rslora": True},
        {"alpha_pattern": {"^model.layers.0.q_proj": 1, "v_proj": 13}},
        {"alpha_pattern": {"^model.layers.0.q_proj": 1, ".*": 13}},
        {"layers_to_transform": [1]},
        {"r": 13},
    ],
    ids=str,
)
def test_changes_are_those_that_the_library_adds(tmp_path: Path, options: dict[str, Any]) -> None:
    expected = saved_by_peft(tmp_path / "a", **options)
    opened = open_adapter(tmp_path / "a")
    assert set(opened.modules) == set(expected)
    for place, change in expected.items():
        np.testing.assert_allclose(formed(opened, place), change.numpy(), atol=1e-5)


def test_a_dora_keeps_its_low_rank_part_and_tells_of_its_magnitudes(tmp_path: Path) -> None:
    expected = saved_by_peft(tmp_path / "a", use_dora=True)
    opened = open_adapter(tmp_path / "a")
    assert opened.extras == ("magnitudes",)
    for place, change in expected.items():
        np.testing.assert_allclose(formed(opened, place), change.numpy(), atol=1e-5)


@pytest.mark.parametrize(("bias", "extras"), [(0.0, ()), (0.5, ("biases",))])
def test_biases_are_told_if_they_do_anything(tmp_path: Path, bias: float, extras: tuple[str, ...]) -> None:
    extra = {f"{QUERY}.lora_B.bias": np.full(11, bias)}
    folder = write_adapter(tmp_path / "a", {QUERY: pair(np.random.default_rng(0))}, extra=extra, lora_bias=True)
    assert open_adapter(folder).extras == extras


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_factors_of_any_precision_are_read_as_they_are(tmp_path: Path, dtype: torch.dtype) -> None:
    up, down = pair(np.random.default_rng(0))
    factors = open_adapter(write_adapter(tmp_path / "a", {QUERY: (up, down)}, dtype=dtype)).factors(place_of(QUERY))
    assert np.array_equal(factors.up, torch.tensor(up).to(dtype).double().numpy())
    assert np.array_equal(factors.down, torch.tensor(down).to(dtype).double().numpy())
    assert factors.scaling == 2


def test_old_names_are_placed_and_told_where_the_base_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = write_adapter(tmp_path / "old", {QUERY.replace("model.language_model.", "model."): pair(rng)})
    base = BaseWeights(write_base(tmp_path / "base", {QUERY: np.ones((11, 7))}))
    placed, free = open_adapter(folder, base), open_adapter(folder)
    assert placed.modules == {place_of(QUERY): QUERY}
    assert placed.renamed.startswith("old: its keys are named as in a model without pictures")
    assert list(free.modules) == [place_of(QUERY)]
    assert np.array_equal(formed(placed, place_of(QUERY)), formed(free, place_of(QUERY)))


def test_the_built_in_adapters_fit_the_built_in_base() -> None:
    base = BaseWeights(BASE_DIR)
    for facts in find_adapters(ADAPTERS_DIR):
        opened = open_adapter(Path(facts.folder), base)
        assert opened.modules == open_adapter(Path(facts.folder)).modules
        assert {place.layer for place in opened.modules} == set(range(6))


def poisoned(value: float) -> tuple[np.ndarray, np.ndarray]:
    up, down = pair(np.random.default_rng(0))
    up[10, 2] = value
    return up, down


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_numbers_that_are_none_are_told_by_the_names_of_their_tensors(tmp_path: Path, value: float) -> None:
    good = LAYERS + "1.self_attn.q_proj"
    pairs = {QUERY: poisoned(value), good: pair(np.random.default_rng(1))}
    with pytest.raises(AdapterError) as caught:
        open_adapter(write_adapter(tmp_path / "a", pairs))
    told = str(caught.value)
    assert f"not finite in float32 in {PREFIX}{QUERY}.lora_B.weight: train" in told
    assert good not in told


SQUARE = pair(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("=HYPERLINK(1)", "changes other things than linear layers: base_model.model.=HYPERLINK"),
        ("model.<script>.q_proj", "changes other things than linear layers"),
        ("x" * 301, "changes other things than linear layers"),
    ],
)
def test_names_that_no_model_gives_its_layers_are_refused(tmp_path: Path, module: str, says: str) -> None:
    with pytest.raises(AdapterError, match=says):
        open_adapter(write_adapter(tmp_path / "a", {module: SQUARE}))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({f"{QUERY}.lora_embedding_A": np.ones((3, 7))}, "changes other things than linear layers"),
        ({f"{LAYERS}0.x.lora_A.weight": np.ones((3, 7))}, "lacks the other half of"),
        ({f"{LAYERS}0.x.lora_A.weight": np.ones((3, 7, 2, 2))}, "has no place in this model for"),
        ({f"{LAYERS}0.x.lora_A.weight": np.ones((3, 0))}, "changes other things than linear layers"),
        ({f"{LAYERS}0.x.lora_A.weight": np.array(1.0)}, "has no place in this model for"),
        ({f"{LAYERS}0.x.lora_A.bias": np.ones(3)}, "has no place in this model for"),
        ({f"{QUERY}.lora_B.bias": np.ones(7)}, "is made for layers of other sizes"),
        (
            {
                f"model.layers.2.self_attn.q_proj.lora_{side}.weight": np.ones((3, 7) if side == "A" else (11, 3))
                for side in "AB"
            },
            "has two modules for the place of",
        ),
    ],
)
def test_tensors_that_make_no_change_of_a_linear_layer_are_refused(
    tmp_path: Path, extra: dict[str, np.ndarray], says: str
) -> None:
    with pytest.raises(AdapterError, match=says):
        open_adapter(write_adapter(tmp_path / "a", {QUERY: SQUARE}, extra=extra))


def test_another_rank_than_the_config_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="has another rank than its config says"):
        open_adapter(write_adapter(tmp_path / "a", {QUERY: SQUARE}, r=4))


def test_an_adapter_of_another_base_is_refused_by_name(tmp_path: Path) -> None:
    base = BaseWeights(write_base(tmp_path / "base", {QUERY: np.ones((13, 7))}))
    with pytest.raises(AdapterError, match="is made for layers of other sizes"):
        open_adapter(write_adapter(tmp_path / "a", {QUERY: SQUARE}), base)
    with pytest.raises(AdapterError, match="has no place in this model for"):
        open_adapter(write_adapter(tmp_path / "b", {LAYERS + "9.self_attn.q_proj": SQUARE}), base)


def test_what_the_catalog_refuses_is_refused_in_its_words(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", {QUERY: SQUARE}, init_lora_weights="pissa")
    with pytest.raises(AdapterError, match="without faults, got a: It was started with 'pissa'"):
        open_adapter(folder)
    with pytest.raises(AdapterError, match="got one: It was started"):
        open_adapter(folder, name="one")
    with pytest.raises(AdapterError, match="There is no folder 'gone'"):
        open_adapter(tmp_path / "gone")


def test_whole_numbers_for_weights_are_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", {QUERY: SQUARE}, dtype=torch.int8)
    with pytest.raises(AdapterError, match=r"is stored as I8; only F64, F32, F16, BF16 can be read: save"):
        open_adapter(folder)


def test_a_file_that_is_gone_after_opening_is_told(tmp_path: Path) -> None:
    opened = open_adapter(write_adapter(tmp_path / "a", {QUERY: SQUARE}))
    (tmp_path / "a" / "adapter_model.safetensors").unlink()
    with pytest.raises(AdapterError, match=r"readable weights, got a: adapter_model.safetensors cannot be read"):
        opened.factors(place_of(QUERY))


STRANGE: tuple[Any, ...] = (None, True, -1, 1.5, "", "x", [], [1], [["x"]], {}, {"a": "b"}, {"q_proj": 3}, {"(": 1})


@pytest.mark.parametrize("field", ["r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "target_modules"])
def test_no_value_of_any_field_breaks_the_opening(tmp_path: Path, field: str) -> None:
    folder = write_adapter(tmp_path / "odd", {QUERY: SQUARE})
    config = json.loads((folder / "adapter_config.json").read_text())
    for value in STRANGE:
        (folder / "adapter_config.json").write_text(json.dumps(config | {field: value}))
        try:
            assert np.isfinite(open_adapter(folder).factors(place_of(QUERY)).scaling)
        except AdapterError as error:
            assert str(error).startswith("Expected ")
