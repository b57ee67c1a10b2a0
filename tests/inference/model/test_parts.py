"""Adapters switched off by parts: against peft's own wrapper with those layers' adapters disabled; all and nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer

from inference.catalog import find_adapters
from inference.evidence.trials import KINDS, Kind, Switch
from inference.model.adapters import AdapterBank, Chosen
from inference.model.load import LoadedModel, load_model
from inference.model.parts import Parts, is_on
from inference.protocol import AdapterFacts
from inference.trace.parse import parse_variant
from inference.weights.places import place_of
from tests.inference.model.conftest import LAYERS, make_picture, save_adapter
from tests.inference.model.reference import Reference, load_reference

LABELS = ("alpha", "alpha@-0.5+beta", "dora", "seeing")
TEXT = r".*language_model.*(q_proj|down_proj|k_proj)"
SWITCHES = {
    "a layer off": Switch(layers=(2,)),
    "layers alone": Switch(layers=(0, 4), keep=True),
    "a kind off": Switch(kinds=("q",)),
    "a kind alone": Switch(kinds=("mlp", "k"), keep=True),
    "a kind of layers off": Switch(layers=(1, 3), kinds=("q", "mlp")),
    "a kind of layers alone": Switch(layers=(1, 3), kinds=("q",), keep=True),
    "eyes off": Switch(kinds=("vision",)),
    "eyes alone": Switch(kinds=("vision",), keep=True),
    "eyes and a kind alone": Switch(kinds=("vision", "q"), keep=True),
}
ENDS: dict[Kind, tuple[str, ...]] = {
    "q": ("q_proj",),
    "k": ("k_proj",),
    "v": ("v_proj",),
    "o": ("o_proj",),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}


@pytest.fixture(scope="module")
def folder(base_folder: Path, adapters_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    for name in ("alpha", "beta"):
        (folder / name).symlink_to(adapters_folder / name)
    save_adapter(base_folder, folder / "dora", seed=8, target_modules=TEXT, use_dora=True)
    save_adapter(base_folder, folder / "seeing", seed=9, target_modules=rf"{TEXT}|.*visual\.(blocks.*qkv|.*linear_fc1)")
    return folder


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, AdapterFacts]:
    return {found.name: found for found in find_adapters(folder)}


@pytest.fixture(scope="module")
def fresh(base_folder: Path) -> LoadedModel:
    return load_model(str(base_folder), device="cpu")


@pytest.fixture(scope="module")
def bank(fresh: LoadedModel, facts: dict[str, AdapterFacts]) -> AdapterBank:
    bank = AdapterBank(fresh.model)
    for one in facts.values():
        bank.load(one)
    return bank


@pytest.fixture(scope="module")
def inputs(base_folder: Path) -> dict[str, Any]:
    return load_reference(base_folder).inputs("What is red?", (make_picture(100, 64),))


@pytest.fixture(scope="module")
def references(base_folder: Path, folder: Path) -> dict[str, Reference]:
    """peft's own wrapper round a model of its own for each label."""
    return {
        label: load_reference(base_folder, [(folder / at.name, at.scale) for at in parse_variant(label).adapters])
        for label in LABELS
    }


def choose(facts: dict[str, AdapterFacts], label: str) -> Chosen:
    return [(facts[at.name], at.scale) for at in parse_variant(label).adapters]


def logits(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    with torch.inference_mode():
        output: torch.Tensor = model(**inputs).logits
    return output


def is_off(path: str, switch: Switch) -> bool:
    """By the names of the model's parts, spelled out."""
    seeing = ".visual." in path
    kind = "vision" if seeing else next(kind for kind, ends in ENDS.items() if path.endswith(ends))
    layers = range(LAYERS) if switch.layers is None else switch.layers
    in_layers = switch.layers is None if seeing else any(f".layers.{layer}." in path for layer in layers)
    meant = in_layers and (switch.kinds is None or kind in switch.kinds)
    return not meant if switch.keep else meant


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("label", LABELS)
def test_what_is_off_is_as_if_it_were_not_there(
    fresh: LoadedModel,
    bank: AdapterBank,
    facts: dict[str, AdapterFacts],
    references: dict[str, Reference],
    inputs: dict[str, Any],
    label: str,
    name: str,
) -> None:
    model, switch = references[label].model, SWITCHES[name]
    layers = {path: layer for path, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    off = [path for path in layers if is_off(path, switch)]
    pure = logits(fresh.model, inputs)
    with bank.wearing(bank.parts(choose(facts, label), switch)):
        ours = logits(fresh.model, inputs)
    for path in off:
        layers[path].enable_adapters(False)
    theirs = logits(model, inputs)
    for path in off:
        layers[path].enable_adapters(True)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
    assert torch.equal(ours, pure) == (len(off) == len(layers))
    assert torch.equal(logits(fresh.model, inputs), pure)


@pytest.mark.parametrize("label", LABELS)
def test_all_off_is_the_base_and_nothing_off_the_variant(
    fresh: LoadedModel, bank: AdapterBank, facts: dict[str, AdapterFacts], inputs: dict[str, Any], label: str
) -> None:
    chosen = choose(facts, label)
    pure = logits(fresh.model, inputs)
    with bank.active(chosen):
        worn = logits(fresh.model, inputs)
    assert not torch.equal(worn, pure)
    ways: list[tuple[Switch, torch.Tensor]] = [
        (Switch(), pure),
        (Switch(layers=tuple(range(LAYERS)), kinds=("q", "k", "v", "o", "mlp")), pure),
        (Switch(kinds=(), keep=True), pure),
        (Switch(keep=True), worn),
        (Switch(kinds=()), worn),
        (Switch(layers=()), worn),
    ]
    if label == "seeing":  # Its part in the vision tower belongs to no text layer.
        del ways[1]
    for switch, expected in ways:
        with bank.wearing(bank.parts(chosen, switch)):
            assert torch.equal(logits(fresh.model, inputs), expected)


def test_equal_parts_make_the_same_model(bank: AdapterBank, facts: dict[str, AdapterFacts]) -> None:
    def parts(label: str, switch: Switch | None = None) -> Parts:
        return bank.parts(choose(facts, label), switch)

    assert parts("base") == parts("alpha", Switch()) == parts("alpha@0") == parts("seeing", Switch())
    assert parts("alpha", Switch(keep=True)) == parts("alpha") == parts("alpha+beta@0")
    assert parts("beta", Switch(kinds=("k",))) == parts("beta")
    assert parts("alpha", Switch(layers=(1,))) != parts("alpha", Switch(layers=(2,)))
    assert parts("alpha") != parts("alpha@2")
    assert parts("seeing").seeing == parts("seeing", Switch(kinds=("vision",), keep=True))
    assert parts("dora").seeing == parts("base") == Parts()


def test_what_is_no_kind_is_meant_only_with_all() -> None:
    head, layer = place_of("lm_head"), place_of("model.language_model.layers.3.self_attn.o_proj")
    assert not is_on(head, Switch())
    assert is_on(head, Switch(keep=True))
    assert is_on(head, Switch(kinds=("q", "k", "v", "o", "mlp", "vision")))
    assert is_on(head, Switch(layers=(0, 3)))
    assert is_on(layer, Switch(layers=(2,), kinds=("o",)))
    assert not is_on(layer, Switch(layers=(3,), kinds=("o",)))


@pytest.mark.parametrize(("kind", "module"), [(kind, end) for kind, ends in ENDS.items() for end in ends])
def test_every_module_of_a_layer_is_of_one_kind(kind: Kind, module: str) -> None:
    group = "mlp" if kind == "mlp" else "self_attn"
    place = place_of(f"model.language_model.layers.3.{group}.{module}")
    assert [other for other in KINDS if is_on(place, Switch(kinds=(other,), keep=True))] == [kind]
