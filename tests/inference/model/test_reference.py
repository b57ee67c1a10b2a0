"""Tokens and rows of the engine against the libraries' own eager attention, for the base and for adapters."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.model.capture import capturing
from inference.model.decode import Conversation, force_answer, own_words, write_answers
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.model.pictures import choose_bounds, prepare_pictures
from inference.model.prompt import build_prompt
from inference.protocol import Progress
from inference.trace.parse import parse_variant
from inference.trace.request import Generation, Keep, Picture, Request
from inference.trace.session import Run, Session
from tests.inference.model.conftest import HEADS, LAYERS, Room, make_picture
from tests.inference.model.reference import Reference, check_trace, load_reference, recorded_rows, stack_rows

TOLERANCE = 1e-5
EXACT = Keep(numbers="float32")
QUESTION = "What shape is the red object?"
CASES: dict[str, tuple[str, tuple[Picture, ...], str]] = {
    "one image": (QUESTION, (make_picture(200, 100),), ""),
    "two images": (
        "Which of these two is more?",
        (make_picture(161, 97, seed=1), make_picture(75, 130, seed=2)),
        "Be brief.",
    ),
    "tall": (QUESTION, (make_picture(61, 433, seed=3),), ""),
    "wide": (QUESTION, (make_picture(611, 83, seed=4),), ""),
    "no image": ("How many objects are there?", (), ""),
}
VARIANTS = ("base", "alpha", "alpha@0.5+beta@-2")


@pytest.fixture(scope="module")
def references(base_folder: Path, adapters_folder: Path) -> dict[str, Reference]:
    alpha, beta = adapters_folder / "alpha", adapters_folder / "beta"
    return {
        "base": load_reference(base_folder),
        "alpha": load_reference(base_folder, [(alpha, 1.0)]),
        "alpha@0.5+beta@-2": load_reference(base_folder, [(alpha, 0.5), (beta, -2.0)]),
    }


def ask(engine: ModelEngine, request: Request, folder: Path) -> Session:
    *steps, session = engine.run(request, folder)
    assert all(isinstance(step, Progress) for step in steps)
    assert isinstance(session, Session)
    return session


def answer_ids(run: Run) -> list[int]:
    return [token.id for token in run.trace.tokens if token.part == "answer"]


def check_rows(run: Run, reference: Reference, request: Request) -> None:
    """Every kept row equals the eager one, and holds nothing past its own position; so do means and sums."""
    inputs = reference.inputs(request.question, request.images, request.system_prompt)
    row_at = [token.row_at for token in run.trace.tokens]
    expected = reference.rows(inputs, answer_ids(run), row_at)
    assert run.trace.rows.shape == expected.shape
    assert run.trace.rows.shape[1:3] == (LAYERS, HEADS)
    check_trace(run.trace, expected, request.keep, tolerance=TOLERANCE)
    np.testing.assert_allclose(run.trace.rows.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("label", VARIANTS)
def test_tokens_and_rows_equal_the_eager_ones(
    room: Room, engine: ModelEngine, references: dict[str, Reference], case: str, label: str
) -> None:
    question, pictures, system = CASES[case]
    request = Request(
        question,
        pictures,
        (parse_variant(label),),
        system_prompt=system,
        generation=Generation(max_new_tokens=5),
        keep=EXACT,
    )
    session = ask(engine, request, room())
    run = session.run(label)
    inputs = references[label].inputs(question, pictures, system)
    assert answer_ids(run) == references[label].generate(inputs, 5)
    assert len(run.trace.images) == len(pictures)
    check_rows(run, references[label], request)
    assert run.trace.rows.max(-1).std() > 0.01  # the rows are no uniform haze, in which nothing could go wrong


def test_more_than_twenty_answer_tokens(room: Room, engine: ModelEngine, references: dict[str, Reference]) -> None:
    request = Request(
        QUESTION,
        (make_picture(200, 100),),
        tuple(parse_variant(label) for label in VARIANTS),
        generation=Generation(max_new_tokens=29),
        keep=EXACT,
    )
    session = ask(engine, request, room())
    for label in VARIANTS:
        run = session.run(label)
        assert answer_ids(run) == references[label].generate(references[label].inputs(QUESTION, request.images), 29)
        check_rows(run, references[label], request)
    assert max(len(answer_ids(run)) for run in session.runs) > 20


@pytest.mark.parametrize("label", VARIANTS)
def test_forced_words(room: Room, engine: ModelEngine, references: dict[str, Reference], label: str) -> None:
    request = Request(
        QUESTION,
        (make_picture(200, 100),),
        (parse_variant(label),),
        forced_answer="the circle is red, not blue",
        keep=EXACT,
    )
    run = ask(engine, request, room()).run(label)
    assert run.finish == "forced"
    assert run.answer == "the circle is red, not blue"
    check_rows(run, references[label], request)
    inputs = references[label].inputs(QUESTION, request.images)
    logits = references[label].forward(inputs, answer_ids(run)).logits[0].log_softmax(-1)
    for token in run.trace.tokens:
        if token.scores:
            assert token.scores.logprob == pytest.approx(float(logits[token.row_at, token.id]), abs=1e-4)


def test_sampling_with_a_seed(room: Room, engine: ModelEngine, references: dict[str, Reference]) -> None:
    def request(seed: int) -> Request:
        settings = Generation(max_new_tokens=9, sample=True, temperature=1.3, top_p=0.9, seed=seed)
        return Request(QUESTION, (make_picture(200, 100),), generation=settings, keep=EXACT)

    first, again, other = (ask(engine, request(seed), room()).runs[0] for seed in (7, 7, 8))
    assert answer_ids(first) == answer_ids(again)
    assert answer_ids(first) != answer_ids(other)
    check_rows(first, references["base"], request(7))


def test_what_another_picture_left_on_the_model_changes_nothing(
    room: Room,
    engine: ModelEngine,
    loaded: LoadedModel,
    references: dict[str, Reference],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library's own generate keeps the shift of its positions on the model."""
    monkeypatch.setattr(loaded.model.model, "rope_deltas", None)
    before = references["base"].inputs("What?", (make_picture(61, 433, seed=3),))
    with torch.inference_mode():
        loaded.model.generate(**before, max_new_tokens=2, do_sample=False)
    left = loaded.model.model.rope_deltas
    assert left is not None and int(left) != 0
    request = Request(QUESTION, (make_picture(200, 100),), generation=Generation(max_new_tokens=6), keep=EXACT)
    run = ask(engine, request, room()).runs[0]
    assert answer_ids(run) == references["base"].generate(references["base"].inputs(QUESTION, request.images), 6)
    check_rows(run, references["base"], request)
    assert loaded.model.model.rope_deltas is left


def test_the_whole_prompt_on_request(room: Room, engine: ModelEngine, references: dict[str, Reference]) -> None:
    request = Request(QUESTION, (make_picture(200, 100),), keep=replace(EXACT, prompt=True), generation=Generation(2))
    run = ask(engine, request, room()).runs[0]
    start, stop = run.trace.question_span
    parts = [token.part for token in run.trace.tokens]
    assert parts.index("question") == start
    assert parts.count("question") == stop - start
    check_rows(run, references["base"], request)


def test_left_padding_and_several_prompts_in_one_batch(loaded: LoadedModel, references: dict[str, Reference]) -> None:
    reference = references["base"]
    inputs = [
        reference.inputs("What color is the circle, please?", (make_picture(200, 100),)),
        reference.inputs("What?", (make_picture(61, 233, seed=3),)),
    ]
    batch, pads = pad_left(inputs, reference.processor.tokenizer.pad_token_id)
    length = batch["input_ids"].shape[1]
    assert pads[0] != pads[1]
    wanted = [length - 3, length - 1]
    with torch.inference_mode():
        with capturing(loaded.model, from_position=length - 1, positions=wanted) as recorder:
            output = loaded.model(**batch)
        attentions = reference.model(**batch, output_attentions=True).attentions
        plain = loaded.model(**batch)
    assert torch.equal(output.logits, plain.logits)
    for row in range(2):
        rows = recorded_rows(recorder, wanted, keys=length, batch=row)
        np.testing.assert_allclose(rows, stack_rows(attentions, wanted, batch=row), atol=TOLERANCE)
        assert not rows[..., : pads[row]].any()
        alone = stack_rows(reference.forward(inputs[row], []).attentions, [position - pads[row] for position in wanted])
        np.testing.assert_allclose(rows[..., pads[row] :], alone, atol=TOLERANCE)


@pytest.mark.parametrize("label", VARIANTS)
def test_a_watched_run_gives_the_plain_runs_logits(engine: ModelEngine, loaded: LoadedModel, label: str) -> None:
    """At every step of reading, writing and forcing, bit for bit."""
    bounds = choose_bounds(loaded, (None, None))
    pixels = prepare_pictures(loaded, (make_picture(200, 100),), bounds)
    assert pixels is not None
    prompt = build_prompt(loaded.processor, question=QUESTION, picture_tokens=pixels.token_counts(2)).ids
    chosen = [
        (facts, at.scale)
        for at in parse_variant(label).adapters
        for facts in engine.adapters()
        if facts.name == at.name
    ]

    def run(watch: AbstractContextManager[object]) -> list[torch.Tensor]:
        conversation = Conversation(loaded, prompt, pixels)
        with engine._bank.active(chosen), watch:
            first = conversation.read_prompt()
            choose = own_words(Generation(), frozenset(), 1)
            steps = [step for _, step in write_answers(conversation, first, choose, limit=6, filler=0)]
            conversation.rewind()
            return [*steps, force_answer(conversation, first, [300, 301, 302])]

    for facts, _ in chosen:
        engine._bank.load(facts)
    plain = run(nullcontext())
    watched = run(capturing(loaded.model, from_position=9, positions=(2, 5)))
    assert len(plain) == 7
    assert all(torch.equal(one, other) for one, other in zip(plain, watched, strict=True))


def test_a_batch_of_variants(base_folder: Path, adapters_folder: Path, references: dict[str, Reference]) -> None:
    mixed = load_reference(base_folder, [(adapters_folder / "alpha", 1.0)], attention="sdpa")
    base = mixed.model.get_base_model()
    inputs = mixed.inputs(QUESTION, (make_picture(200, 100),))
    batch = {key: torch.cat([value] * 2) for key, value in inputs.items()}
    last = inputs["input_ids"].shape[1] - 1
    with torch.inference_mode(), capturing(base, from_position=last - 4) as recorder:
        mixed.model(**batch, adapter_names=["__base__", "a0"])
    wanted = list(range(last - 4, last + 1))
    for row, label in enumerate(("base", "alpha")):
        expected = references[label].rows(inputs, [], wanted)
        rows = recorded_rows(recorder, wanted, keys=last + 1, batch=row)
        np.testing.assert_allclose(rows, expected, atol=TOLERANCE)


def pad_left(inputs: list[dict[str, torch.Tensor]], pad: int) -> tuple[dict[str, torch.Tensor], list[int]]:
    """Several prompts as one batch, and how many padding tokens each was given."""
    length = max(one["input_ids"].shape[1] for one in inputs)
    pads = [length - one["input_ids"].shape[1] for one in inputs]
    fill = {"input_ids": pad, "attention_mask": 0, "mm_token_type_ids": 0}
    batch = {
        key: torch.cat(
            [
                torch.nn.functional.pad(one[key], (count, 0), value=value)
                for one, count in zip(inputs, pads, strict=True)
            ]
        )
        for key, value in fill.items()
    }
    for key in ("pixel_values", "image_grid_thw"):
        batch[key] = torch.cat([one[key] for one in inputs])
    return batch, pads
