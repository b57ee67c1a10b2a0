"""The same words for all: which they are, what is told of them, and how far each variant is from the base there."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.catalog import WEIGHTS_FILE, find_adapters
from inference.model import answer as answer_module
from inference.model.answer import Spoken
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.model.rows import write_rows
from inference.settings import Settings
from inference.trace.request import Generation, Keep
from inference.trace.session import Run
from tests.inference.model.asking import finish, make_request
from tests.inference.model.conftest import Room, save_adapter
from tests.inference.model.reference import Reference, load_reference
from tests.inference.trace.alike import assert_alike


@pytest.fixture(scope="module")
def one_by_one(loaded: LoadedModel, adapters_folder: Path) -> ModelEngine:
    return ModelEngine(loaded, Settings(), lambda: find_adapters(adapters_folder), most_rows=1)


def said(run: Run) -> list[int]:
    return [token.id for token in run.trace.tokens if token.part == "answer"]


def divergences(run: Run) -> list[float | None]:
    return [token.scores.divergence for token in run.trace.tokens if token.scores]


@pytest.mark.parametrize("labels", [("base", "alpha@-2", "beta"), ("beta", "alpha@-2", "base")], ids=str)
def test_all_say_what_the_base_says_alone(engine: ModelEngine, room: Room, labels: tuple[str, ...]) -> None:
    alone = finish(engine.run(make_request("base"), room())).runs[0]
    own = finish(engine.run(make_request(*labels), room()))
    same = finish(engine.run(make_request(*labels, words="base"), room()))
    assert len({tuple(said(run)) for run in own.runs}) == 3
    for run in same.runs:
        assert said(run) == said(alone)
        assert run.answer == alone.answer
        assert run.finish == (alone.finish if run.variant.is_base else "forced")
    cut = [note for note in same.notes if "cut at the limit" in note]
    assert cut == ["base: the answer was cut at the limit of answer tokens."]


def test_a_draw_of_the_base_is_said_by_all(engine: ModelEngine, room: Room) -> None:
    drawn = Generation(8, sample=True, temperature=3.0, seed=12)
    alone = finish(engine.run(make_request("base", generation=drawn), room())).runs[0]
    same = finish(engine.run(make_request("alpha", "base", generation=drawn, words="base"), room()))
    assert [said(run) for run in same.runs] == [said(alone)] * 2
    assert said(alone) != said(finish(engine.run(make_request("base", generation=Generation(8)), room())).runs[0])


def test_a_base_that_says_nothing(
    engine: ModelEngine, loaded: LoadedModel, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = said(finish(engine.run(make_request(), room())).runs[0])[0]
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", first)
    same = finish(engine.run(make_request("alpha@-2", "base", "alpha+beta", words="base"), room()))
    assert [(run.answer, run.finish, said(run)) for run in same.runs] == [
        ("", "forced", []),
        ("", "stop", []),
        ("", "forced", []),
    ]


@pytest.mark.parametrize("forced", [None, "the circle is red"])
@pytest.mark.parametrize("one_after_another", [False, True])
def test_divergence_is_the_librarys(
    engine: ModelEngine,
    one_by_one: ModelEngine,
    base_folder: Path,
    adapters_folder: Path,
    room: Room,
    forced: str | None,
    one_after_another: bool,
) -> None:
    """From the logits of two other models over the same words in one pass, over the whole vocabulary."""
    asked = make_request("base", "alpha@-2", "alpha+beta", words="own" if forced else "base", forced_answer=forced)
    session = finish((one_by_one if one_after_another else engine).run(asked, room()))
    folders = {name: adapters_folder / name for name in ("alpha", "beta")}
    adapters = {
        "base": [],
        "alpha@-2": [(folders["alpha"], -2.0)],
        "alpha+beta": [(folders["alpha"], 1.0), (folders["beta"], 1.0)],
    }
    ids = said(session.runs[0])
    logprobs = {
        label: answer_logprobs(load_reference(base_folder, chosen), asked.images, ids)
        for label, chosen in adapters.items()
    }
    for run in session.runs:
        ours, base = logprobs[run.variant.label], logprobs["base"]
        expected = (ours.exp() * (ours - base)).sum(-1).tolist()
        assert divergences(run) == pytest.approx(expected, abs=1e-5)
    assert divergences(session.runs[0]) == [0.0] * len(ids)
    assert min(value or 0 for value in divergences(session.runs[1])) > 0.01


@pytest.mark.parametrize("one_after_another", [False, True])
def test_own_answers_are_compared_with_the_base_until_they_part(
    engine: ModelEngine, one_by_one: ModelEngine, room: Room, one_after_another: bool
) -> None:
    """Up to and with the first other token, since the same was said before it; never behind it."""
    labels = ("base", "alpha@-2", "alpha+beta")
    chosen = one_by_one if one_after_another else engine
    own, same = (finish(chosen.run(make_request(*labels, words=words), room())).runs for words in ("own", "base"))
    theirs = said(own[0])
    for run, alike in zip(own, same, strict=True):
        ours = said(run)
        parted = next(
            (at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), len(ours)
        )
        told = divergences(run)
        assert [value is None for value in told] == [at > parted for at in range(len(ours))]
        assert told[: parted + 1] == pytest.approx(divergences(alike)[: parted + 1], abs=1e-6)
    assert said(own[1]) != theirs


def answer_logprobs(reference: Reference, pictures: Any, ids: list[int]) -> torch.Tensor:
    inputs = reference.inputs("What shape is the red object?", pictures)
    logits: torch.Tensor = reference.forward(inputs, ids).logits
    start = inputs["input_ids"].shape[1] - 1
    return logits[0, start : start + len(ids)].double().log_softmax(-1)


@pytest.mark.parametrize(
    ("labels", "fields"),
    [
        (("alpha", "beta"), {}),
        (("alpha", "beta"), {"forced_answer": "red"}),
        (("alpha+beta", "beta"), {"forced_answer": "red"}),
    ],
    ids=str,
)
def test_without_a_base_there_is_none(
    engine: ModelEngine, room: Room, labels: tuple[str, ...], fields: dict[str, Any]
) -> None:
    for run in finish(engine.run(make_request(*labels, **fields), room())).runs:
        assert divergences(run) == [None] * len(said(run))


@pytest.mark.parametrize("fields", [{"words": "base"}, {"forced_answer": "the circle is red"}], ids=str)
def test_an_adapter_of_zeros_differs_by_nothing(
    loaded: LoadedModel, base_folder: Path, room: Room, tmp_path: Path, fields: dict[str, Any]
) -> None:
    """One after another, to the last bit: rows, scores and divergence."""
    folder = save_adapter(base_folder, tmp_path / "zero", seed=1)
    tensors = load_file(folder / WEIGHTS_FILE)
    save_file(
        {key: tensor * 0 if "lora_B" in key else tensor for key, tensor in tensors.items()}, folder / WEIGHTS_FILE
    )
    engine = ModelEngine(loaded, Settings(), lambda: find_adapters(tmp_path), most_rows=1)
    session = finish(engine.run(make_request("zero", "base", keep=Keep(numbers="float32"), **fields), room()))
    zero, base = session.runs
    assert_alike(zero.trace, base.trace)
    assert divergences(zero) == [0.0] * len(said(zero))


@pytest.mark.parametrize(
    ("labels", "most_rows", "kept"),
    [
        (("base", "alpha", "beta"), None, 0),
        (("base", "alpha", "beta"), 1, 4),
        (("base", "alpha+beta"), None, 4),
        (("base",), None, 0),
    ],
    ids=str,
)
def test_the_bases_logits_are_held_only_while_others_need_them(
    loaded: LoadedModel,
    adapters_folder: Path,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    labels: tuple[str, ...],
    most_rows: int | None,
    kept: int,
) -> None:
    found: list[weakref.ref[Spoken]] = []
    held: list[int] = []
    make = Spoken.__init__

    def watched(self: Spoken) -> None:
        make(self)
        found.append(weakref.ref(self))

    def written(*given: Any, **named: Any) -> Any:
        held.append(sum(len(spoken.logits) for reference in found if (spoken := reference())))
        return write_rows(*given, **named)

    monkeypatch.setattr(Spoken, "__init__", watched)
    monkeypatch.setattr(answer_module, "write_rows", written)
    engine = ModelEngine(loaded, Settings(), lambda: find_adapters(adapters_folder), most_rows=most_rows)
    session = finish(engine.run(make_request(*labels, words="base"), room()))
    assert held == [kept] * len(labels)
    gc.collect()
    assert [reference() for reference in found] == [None] * len(found)
    assert session.runs
