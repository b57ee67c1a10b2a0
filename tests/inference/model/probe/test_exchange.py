"""Exchanged pieces, against peft's own wrapper round models whose modules are given other outputs by hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.catalog import WEIGHTS_FILE, find_adapters, read_adapter
from inference.evidence.exchange import ExchangePieces
from inference.evidence.trials import Exchange, Findings, Piece, Probe, Trial, Watch
from inference.model.adapters import AdapterBank
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.model.probe.exchange import noting
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace.parse import parse_variant
from inference.trace.request import Request, Variant
from tests.inference.model import asking
from tests.inference.model.conftest import HEADS, LAYERS, Room, make_picture, save_adapter
from tests.inference.model.probe.trying import SAID, attempt, make_request, probe
from tests.inference.model.reference import Reference, load_reference

# The library warns while adapters with a bias, and of the output head, are made and saved.
pytestmark = [
    pytest.mark.filterwarnings("ignore::peft.utils.warning.PeftWarning"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
]
LAYER = 2
PICTURES = Piece("pictures")
LAYERS_WHOLE = [Piece(part, layer) for layer in range(LAYERS) for part in ("attention", "mlp")]
LAYERS_BY_HEAD = [
    piece
    for layer in range(LAYERS)
    for piece in (*(Piece("attention", layer, head) for head in range(HEADS)), Piece("mlp", layer))
]
SEEING = r".*(language_model.*(q_proj|o_proj|up_proj)|visual.*(qkv|linear_fc1))"


@pytest.fixture(scope="module")
def folder(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters of both towers, of the text alone, of the output head, and of o_proj in three other ways."""
    folder = tmp_path_factory.mktemp("exchanged")
    save_adapter(base_folder, folder / "seeing", seed=1, target_modules=SEEING)
    save_adapter(base_folder, folder / "text", seed=2)
    save_adapter(base_folder, folder / "head", seed=3, target_modules=["lm_head"])
    _keep_factors(folder / "head" / WEIGHTS_FILE)
    for seed, option in enumerate(("lora_bias", "use_dora", "use_rslora")):
        save_adapter(base_folder, folder / option, seed=seed, target_modules=["o_proj"], **{option: True})
    return folder


def _keep_factors(path: Path) -> None:
    """Leaves out the base's own weight, which the library saves beside an adapter of the output head."""
    save_file({key: tensor for key, tensor in load_file(path).items() if ".lora_" in key}, path)


@pytest.fixture(scope="module")
def engine(loaded: LoadedModel, folder: Path) -> ModelEngine:
    return ModelEngine(loaded, Settings(), lambda: find_adapters(folder))


@pytest.fixture(scope="module")
def slow(base_folder: Path, folder: Path) -> dict[str, Reference]:
    names = ("seeing", "text")
    return {"base": load_reference(base_folder)} | {
        name: load_reference(base_folder, [(folder / name, 1.0)]) for name in names
    }


def swap(engine: ModelEngine, pieces: Sequence[Sequence[Piece]], receiver: str, donor: str) -> list[tuple[float, ...]]:
    """The words' log-probabilities of each exchange, all in one probe."""
    changes = [Exchange(parse_variant(donor), tuple(some)) for some in pieces]
    return [outcome.logprobs for outcome in attempt(engine, changes, label=receiver)]


def plain(engine: ModelEngine, label: str) -> tuple[float, ...]:
    (outcome,) = attempt(engine, [None], label=label)
    return outcome.logprobs


def text_model(reference: Reference) -> Any:
    model = reference.model
    return (model.base_model.model if hasattr(model, "base_model") and hasattr(model, "peft_config") else model).model


def read(reference: Reference) -> list[float]:
    """The words' log-probabilities by one pass of its own."""
    request = make_request()
    inputs = reference.inputs(request.question, request.images)
    start = inputs["input_ids"].shape[1] - 1
    logprobs = reference.forward(inputs, SAID).logits[0].log_softmax(-1)
    return [float(logprobs[start + number, token]) for number, token in enumerate(SAID)]


@contextmanager
def hooked(module: Any, hook: Callable[..., Any]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def slow_swap(module_of: Callable[[Any], Any], receiver: Reference, donor: Reference) -> list[float]:
    """The receiver with one module's whole output taken from the donor."""
    noted = []
    # A copy, for the model writes into what its vision tower gives.
    with hooked(module_of(text_model(donor)), lambda module, given, output: noted.append(copy(output))):
        read(donor)
    with hooked(module_of(text_model(receiver)), lambda module, given, output: noted[0]):
        return read(receiver)


def merged(o_proj: Any) -> torch.Tensor:
    """The weight with its adapter, as one matrix."""
    if not hasattr(o_proj, "base_layer"):
        return o_proj.weight  # type: ignore[no-any-return]
    return o_proj.base_layer.weight + o_proj.get_delta_weight("a0")  # type: ignore[no-any-return]


def slow_head_swap(head: int, receiver: Reference, donor: Reference) -> list[float]:
    """The receiver with one head's columns of o_proj, and what they are given, taken from the donor."""
    parts = []

    def part(module: Any, given: Any) -> torch.Tensor:
        weight = merged(module)
        width = weight.shape[1] // HEADS
        columns = slice(head * width, (head + 1) * width)
        added: torch.Tensor = given[0][..., columns] @ weight[:, columns].T
        return added

    def o_proj(reference: Reference) -> Any:
        return text_model(reference).language_model.layers[LAYER].self_attn.o_proj

    with hooked(o_proj(donor), lambda module, given, output: parts.append(part(module, given))):
        read(donor)
    with hooked(o_proj(receiver), lambda module, given, output: output - part(module, given) + parts[0]):
        return read(receiver)


def apart(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("receiver", "donor"), [("base", "seeing"), ("seeing", "text")])
def test_single_pieces_are_those_of_models_changed_by_hand(
    engine: ModelEngine, slow: dict[str, Reference], receiver: str, donor: str
) -> None:
    """The pictures' features are taken behind the vision tower: embedded ones and those of DeepStack."""
    pieces = [[], [PICTURES], [Piece("attention", LAYER)], [Piece("mlp", LAYER)], [Piece("attention", LAYER, 3)]]
    none, *found = swap(engine, pieces, receiver, donor)
    pair = slow[receiver], slow[donor]
    expected = [
        slow_swap(lambda model: model.visual, *pair),
        slow_swap(lambda model: model.language_model.layers[LAYER].self_attn, *pair),
        slow_swap(lambda model: model.language_model.layers[LAYER].mlp, *pair),
        slow_head_swap(3, *pair),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert apart(ours, theirs) < 1e-4
        assert apart(ours, none) > 0.02


def test_nothing_exchanged_is_the_receiver_and_everything_the_donor(engine: ModelEngine) -> None:
    variants = {label: plain(engine, label) for label in ("base", "seeing", "text")}
    for receiver, donor in (("base", "seeing"), ("seeing", "base"), ("text", "seeing")):
        assert swap(engine, [[]], receiver, donor) == [variants[receiver]]
        all_but_last = [PICTURES, *LAYERS_WHOLE[:-1]]
        rows = [[PICTURES, *LAYERS_WHOLE], [PICTURES, *LAYERS_BY_HEAD], all_but_last]
        whole, by_head, short = swap(engine, rows, receiver, donor)
        assert apart(whole, variants[donor]) < 1e-4
        assert apart(by_head, variants[donor]) < 1e-3
        assert apart(short, variants[donor]) > 0.1
        assert apart(variants[receiver], variants[donor]) > 0.5


def test_an_adapter_on_the_output_head_is_in_no_piece(engine: ModelEngine) -> None:
    base, (whole,) = plain(engine, "base"), swap(engine, [[PICTURES, *LAYERS_WHOLE]], "base", "head")
    assert apart(whole, base) < 1e-5 < 0.1 < apart(plain(engine, "head"), base)


@pytest.mark.parametrize("name", ["lora_bias", "use_dora", "use_rslora"])
def test_what_the_heads_add_sums_to_what_their_layer_adds(loaded: LoadedModel, folder: Path, name: str) -> None:
    """With the adapter's own bias, of which each head has a part, and with one that scales columns."""
    bank, facts = AdapterBank(loaded.model), read_adapter(folder / name)
    bank.load(facts)
    ids = torch.tensor([[301, 290, 350, 333, 299]])
    whole, heads = Piece("attention", LAYER), [Piece("attention", LAYER, head) for head in range(HEADS)]
    with torch.inference_mode(), bank.active([(facts, 1.5)]), noting(loaded.model, [whole, *heads]) as noted:
        loaded.model(input_ids=ids)
    assert noted.keys() == {whole, *heads}
    torch.testing.assert_close(sum(noted[head] for head in heads), noted[whole], atol=1e-5, rtol=0)


def test_rows_and_groups_do_not_meet_and_come_back_in_order(loaded: LoadedModel, folder: Path) -> None:
    """Against one probe for each, on an engine that puts two rows into a pass."""
    two = ModelEngine(loaded, Settings(), lambda: find_adapters(folder), most_rows=2)
    base, text, seeing = (Variant() if name == "base" else parse_variant(name) for name in ("base", "text", "seeing"))
    mlp, attention, head = [Piece("mlp", 0)], [Piece("attention", 1)], [Piece("attention", 1, 4), PICTURES]
    trials = [
        Trial(SAID, base, Exchange(text, tuple(mlp))),
        Trial(SAID[:2], base, Exchange(text, tuple(attention))),
        Trial(SAID, text, Exchange(base, tuple(mlp))),
        Trial(SAID, text),
        Trial(SAID, base, Exchange(seeing, tuple(head))),
        Trial(SAID, base, Exchange(text, tuple(attention))),
        Trial(SAID, base, Exchange(text, (*attention, *mlp))),
    ]
    watch = Watch(7, layer=3)
    steps = list(two.probe(Probe(make_request(), tuple(trials), watch=watch)))
    findings = steps[-1]
    assert isinstance(findings, Findings)
    # Plain; base from text 3 rows, of fewer words 1; text from base; base from seeing; and four donors.
    assert findings.passes == 1 + 2 + 1 + 1 + 1 + 4
    assert [step.done for step in steps if isinstance(step, Progress)] == list(range(findings.passes + 1))
    for trial, together in zip(trials, findings.outcomes, strict=True):
        (alone,) = probe(two, Probe(make_request(), (trial,), watch=watch)).outcomes
        assert apart(alone.logprobs, together.logprobs) < 1e-5
        assert alone.map is not None and together.map is not None
        assert abs(alone.map - together.map).max() < 1e-6
    assert len({outcome.total for outcome in findings.outcomes}) == len(trials)


def test_nothing_stays_on_the_model_after_a_pass_that_fails(
    engine: ModelEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in loaded.model.modules())

    before, base = hooks(), plain(engine, "base")
    layer = loaded.model.model.language_model.layers[LAYERS - 1]
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(layer.input_layernorm, "forward", lambda _: 1 / 0)
        swap(engine, [LAYERS_WHOLE], "base", "text")
    steps = engine.probe(Probe(make_request(), (Trial(SAID, change=Exchange(parse_variant("text"), (PICTURES,))),)))
    next(steps)
    steps.close()
    assert hooks() == before
    assert plain(engine, "base") == base


def test_without_a_picture_there_is_text_to_exchange(engine: ModelEngine) -> None:
    request = Request("What is red?")
    exchange = Exchange(parse_variant("text"), (PICTURES, *LAYERS_WHOLE))
    changed, _ = attempt(engine, [exchange, None], request=request)
    (donor,) = attempt(engine, [None], label="text", request=request)
    assert apart(changed.logprobs, donor.logprobs) < 1e-4


def test_all_pieces_of_a_session_carry_the_whole_change(engine: ModelEngine, room: Room) -> None:
    request = asking.make_request("base", "seeing", images=(make_picture(100, 70),))
    session = asking.finish(engine.run(request, room()))
    asked = ExchangePieces("seeing")
    found = asked.read(session, probe(engine, asked.probe(session)))
    assert found.runs == asked.runs(session)
    assert abs(found.change) > 0.1
    assert found.cumulative[-1].share == pytest.approx(1, abs=1e-3)
