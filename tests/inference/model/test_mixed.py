"""Variants side by side as the rows of one batch: what each says and where it looks is what it would alone."""

import itertools
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.catalog import find_adapters
from inference.model import plan
from inference.model.decode import Conversation
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.model.plan import plan_batches, rows_that_fit
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Generation, Keep
from inference.trace.session import Run, Session
from inference.trace.size import Extent
from tests.inference.model.asking import finish, make_request
from tests.inference.model.conftest import HEADS, LAYERS, Room, make_picture, save_adapter
from tests.inference.model.reference import ARRAYS
from tests.inference.trace.alike import assert_alike

# The library tells that a LoRA with biases cannot be merged, which is never done here, and doubts its bias' shape.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.lora_bias=True. was passed", "ignore:.*LoRA tensor.s. have invalid shape"
)

TEXT = r".*language_model.*(q_proj|down_proj)"
MIXED = ("base", "alpha", "beta@-1.5", "alpha@0.5", "biased", "alpha@0", "alpha@0+beta@2")
ALONE = ("dora", "seeing", "alpha+beta")


@pytest.fixture(scope="module")
def many_folder(base_folder: Path, adapters_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`alpha` and `beta`, one with biases, a DoRA, and one with a part in the vision tower."""
    folder = tmp_path_factory.mktemp("many")
    for name in ("alpha", "beta"):
        (folder / name).symlink_to(adapters_folder / name)
    save_adapter(base_folder, folder / "biased", seed=7, target_modules=TEXT, lora_bias=True)
    save_adapter(base_folder, folder / "dora", seed=8, target_modules=TEXT, use_dora=True)
    save_adapter(base_folder, folder / "seeing", seed=9, target_modules=rf"{TEXT}|.*visual\.blocks.*qkv")
    return folder


@pytest.fixture(scope="module")
def together(loaded: LoadedModel, many_folder: Path) -> ModelEngine:
    return ModelEngine(loaded, Settings(variants=10), lambda: find_adapters(many_folder))


@pytest.fixture(scope="module")
def apart(loaded: LoadedModel, many_folder: Path) -> ModelEngine:
    return ModelEngine(loaded, Settings(variants=10), lambda: find_adapters(many_folder), most_rows=1)


@pytest.fixture
def rows_of_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many conversations went on side by side, batch by batch."""
    found: list[int] = []
    begin = Conversation.__init__

    def counted(self: Conversation, *given: Any, **named: Any) -> None:
        found.append(named.get("rows", 1))
        begin(self, *given, **named)

    monkeypatch.setattr(Conversation, "__init__", counted)
    return found


def check_close(one: Run, other: Run, *, tolerance: float = 1e-5) -> None:
    """Equal words; scores, rows and what is made of them within the tolerance."""
    assert (one.variant, one.answer, one.thinking, one.finish) == (
        other.variant,
        other.answer,
        other.thinking,
        other.finish,
    )
    assert one.expected_logprob == pytest.approx(other.expected_logprob, abs=10 * tolerance)
    for ours, theirs in zip(one.trace.tokens, other.trace.tokens, strict=True):
        assert replace(ours, scores=None) == replace(theirs, scores=None)
        if ours.scores is None or theirs.scores is None:
            assert ours.scores is theirs.scores
            continue
        assert ours.scores.logprob == pytest.approx(theirs.scores.logprob, abs=tolerance)
        assert ours.scores.entropy == pytest.approx(theirs.scores.entropy, abs=tolerance)
        assert ours.scores.divergence == pytest.approx(theirs.scores.divergence, abs=tolerance)
        assert [runner.id for runner in ours.scores.runners_up] == [runner.id for runner in theirs.scores.runners_up]
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(one.trace, name), getattr(other.trace, name), atol=tolerance, err_msg=name)


def ask(engine: ModelEngine, folder: Path, *labels: str, **fields: Any) -> Session:
    return finish(engine.run(make_request(*labels, **{"keep": Keep(numbers="float32"), **fields}), folder))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"words": "base"},
        {"forced_answer": "the circle is red"},
        {"forced_answer": "red"},
        {"forced_answer": "<think>it is red</think> circle", "keep": Keep(thinking=True, numbers="float32")},
        {"expected_answer": "red circle", "words": "base"},
        {"expected_answer": "red circle"},
        {"keep": Keep(prompt=True, numbers="float32", layers=(1, 4), heads=(5, 0), keys="pictures")},
        {"generation": Generation(6, sample=True, temperature=2.0, seed=3)},
        {"generation": Generation(6, sample=True, temperature=2.0, top_p=0.9, seed=4), "words": "base"},
        {"generation": Generation(1)},
        {"images": ()},
        {"images": (make_picture(64, 96), make_picture(200, 100, seed=1))},
    ],
    ids=lambda fields: ", ".join(f"{key}={str(value)[:30]}" for key, value in fields.items()) or "plain",
)
def test_each_row_is_what_it_is_alone(
    together: ModelEngine, apart: ModelEngine, room: Room, rows_of_runs: list[int], fields: dict[str, Any]
) -> None:
    labels = (*MIXED, *ALONE)
    mixed = ask(together, room(), *labels, **fields)
    assert rows_of_runs == [len(MIXED), *[1] * len(ALONE)]
    single = ask(apart, room(), *labels, **fields)
    assert rows_of_runs[1 + len(ALONE) :] == [1] * len(labels)
    for one, other in zip(mixed.runs, single.runs, strict=True):
        check_close(one, other)
    assert len({run.trace.means.tobytes() for run in single.runs}) == len(labels) - 1  # alpha@0 is the base.


@pytest.mark.parametrize("words", ["own", "base"])
def test_answers_of_different_lengths(
    together: ModelEngine,
    apart: ModelEngine,
    loaded: LoadedModel,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    words: Any,
) -> None:
    """Each of three tokens ends an answer; rows that have ended wait for the others."""
    long = ask(apart, room(), *MIXED[:5], generation=Generation(9))
    answers = [[token.id for token in run.trace.tokens if token.part == "answer"] for run in long.runs]
    ends = [answers[0][3], answers[1][6], answers[2][1]]
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", ends)
    fields: dict[str, Any] = {"generation": Generation(9), "words": words, "expected_answer": "red circle"}
    mixed = ask(together, room(), *MIXED[:5], **fields)
    single = ask(apart, room(), *MIXED[:5], **fields)
    for one, other in zip(mixed.runs, single.runs, strict=True):
        check_close(one, other)
    lengths = [run.trace.length for run in mixed.runs]
    assert len(set(lengths)) == (1 if words == "base" else 4)
    assert {run.finish for run in mixed.runs} == ({"stop", "forced"} if words == "base" else {"stop", "length"})


@pytest.mark.parametrize("words", ["own", "base"])
def test_the_order_of_variants_changes_no_bit(together: ModelEngine, room: Room, words: Any) -> None:
    labels = ("base", "alpha", "beta@-1.5", "alpha@0.5", "alpha+beta")
    first = ask(together, room(), *labels, words=words)
    for shuffled in (labels[::-1], labels[2:] + labels[:2]):
        session = ask(together, room(), *shuffled, words=words)
        assert [run.variant.label for run in session.runs] == list(shuffled)
        assert session.request.variants == tuple(map(parse_variant, shuffled))
        for label in labels:
            one, other = session.run(label), first.run(label)
            assert_alike(replace(one, timings=other.timings), other)


def test_eager_attention_finds_each_rows_own(together: ModelEngine, room: Room) -> None:
    session = ask(together, room(), "base", "alpha@-2", "alpha", "seeing", compare_eager=True, words="base")
    assert all(run.eager_error is not None and 0 < run.eager_error < 1e-5 for run in session.runs)


def test_each_step_of_each_row_is_told(together: ModelEngine, room: Room) -> None:
    *steps, session = together.run(make_request("alpha", "base", "dora"), room())
    assert isinstance(session, Session)
    for label in ("base", "alpha", "dora"):
        told = [step for step in steps if isinstance(step, Progress) and step.variant == label]
        tokens = [(step.done, step.total) for step in told if step.stage == "tokens"]
        assert tokens == [(done, 4) for done in range(5)]
        assert told[-1].text.strip() == session.run(label).answer
    assert [step.variant for step in steps if isinstance(step, Progress) and step.stage == "picture"] == ["base"]


def test_time_spent_together_is_parted(together: ModelEngine, room: Room) -> None:
    runs = ask(together, room(), "base", "alpha", "beta").runs
    assert len({run.timings.tokens_s for run in runs}) == 1
    assert runs[0].timings.tokens_s > 0


def test_what_runs_by_itself_is_logged(together: ModelEngine, room: Room, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="inference.model.engine")
    ask(together, room(), "base", *MIXED[:2][1:], *ALONE)
    assert [record.getMessage() for record in caplog.records] == [
        "dora runs by itself, for it is a DoRA",
        "seeing runs by itself, for it has a part in the vision tower",
        "alpha+beta runs by itself, for it has several adapters at once",
    ]
    caplog.clear()
    ask(together, room(), "dora")
    assert not caplog.records


def test_more_rows_than_fit_become_several_batches(
    together: ModelEngine, apart: ModelEngine, room: Room, rows_of_runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second batch the base is not there, and what it said is."""
    labels = ("alpha", "base", "beta", "alpha@0.5", "beta@2")
    alone = ask(apart, room(), *labels, words="base")
    rows_of_runs.clear()
    monkeypatch.setattr("inference.model.engine.rows_that_fit", lambda *_: 2)
    parted = ask(together, room(), *labels, words="base")
    assert rows_of_runs == [2, 2, 1]
    for one, other in zip(parted.runs, alone.runs, strict=True):
        check_close(one, other)


def test_batches_do_not_depend_on_the_order() -> None:
    variants = tuple(map(parse_variant, ("b", "a+b", "a@0.5", "base", "a", "c")))
    mixable = [True, False, True, True, True, False]
    expected = [["base", "a", "a@0.5"], ["b"], ["a+b"], ["c"]]
    for order in itertools.permutations(range(6)):
        listed = [variants[number] for number in order]
        batches = plan_batches(listed, [mixable[number] for number in order], most=3)
        assert [[listed[number].label for number in batch] for batch in batches] == expected
    assert plan_batches((BASE,), [True], most=1) == [[0]]
    assert plan_batches(variants[1:2], [False], most=4) == [[0]]


def test_as_many_rows_as_half_of_the_free_memory_holds(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row: keys and values, queries, features three times (DeepStack twice), and the width of one layer."""
    asked = Extent(tokens=11, length=101, picture_tokens=18, pictures=1, layers=LAYERS, heads=HEADS, variants=7)
    cache, queries, features = 2 * LAYERS * 2 * 16 * 101, LAYERS * HEADS * 16 * 11, 3 * 44 * 18
    row = 4 * (cache + queries + features + (4 * 44 + 5 * 67) * 101)
    for free, rows in ((2 * row - 1, 1), (0, 1), (6 * row, 3), (8 * row - 1, 3), (8 * row, 4)):
        monkeypatch.setattr(plan, "free_bytes", lambda device, free=free: free)
        assert rows_that_fit(loaded, asked) == rows
