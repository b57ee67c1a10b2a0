"""Knock-out on an engine to which answers depend on the red square alone: what is asked, and what is told."""

import json
import math
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import pytest

from inference.errors import VisualizerError
from inference.evidence.drops import WAY_WORDS
from inference.evidence.heads import changed_heads, draw_heads
from inference.evidence.knockout import KnockedOut, KnockOut
from inference.evidence.pictured import DependsOnPicture
from inference.evidence.trials import Block, Erase, Fill, Findings, Outcome
from inference.trace.compare import head_change
from inference.trace.session import Session
from tests.fakes import CELL, COLS, HEADS, LAYERS, RED_CELLS, ROWS, FakeEngine, make_session
from tests.inference.evidence.asking import ask

RED_BOX = (3.0 * CELL, 2.0 * CELL, 6.0 * CELL, 4.0 * CELL)
GREY_BOX = (0.0, 5.0 * CELL, 2.0 * CELL, 6.0 * CELL)


@pytest.fixture(scope="module")
def session() -> Session:
    return make_session()


def knock(session: Session, **options: Any) -> KnockedOut:
    return ask(FakeEngine(), session, KnockOut(**options))


def test_the_cause_falls_and_chance_boxes_do_not(session: Session) -> None:
    told = knock(session, box=RED_BOX)
    assert [one.label for one in told.knocked] == ["base", "shortcut", "other@0.5"]
    for one in told.knocked:
        assert one.drops == pytest.approx((6.0, 0.0)) and one.drop == pytest.approx(6.0)
        assert one.random is not None and len(one.random.drops) == 20 and one.random.kind == "boxes"
        assert one.random.most == max(one.random.drops) == 0
        assert one.finding == "more than random"
        assert "6.00 nats" in one.sentence
    assert told.cells == len(RED_CELLS) and told.box == RED_BOX
    assert told.passes == 3


@pytest.mark.parametrize("way", ["surroundings", "mean", "blur"])
def test_the_box_is_painted_over_and_so_are_chance_boxes(session: Session, way: Fill) -> None:
    asked = KnockOut(box=RED_BOX, way=way)
    changes = [trial.change for trial in asked.probe(session).trials[:22]]
    assert changes[0] is None and changes[1] == Erase(RED_BOX, 0, way)
    boxes = {change.box for change in changes[2:] if isinstance(change, Erase) and change.fill == way}
    assert len(boxes) == 20 and RED_BOX not in boxes
    told = ask(FakeEngine(), session, asked)
    assert told.knocked[0].drop == pytest.approx(6.0) and told.knocked[0].finding == "more than random"
    assert told.how.startswith(f"The box is {WAY_WORDS[way]}")


@pytest.mark.parametrize(
    "options",
    [{"targets": ("rest",)}, {"who": "text"}, {"layers": (1,)}, {"heads": ((1, 2),)}, {"way": "eraser"}],
    ids=str,
)
def test_only_the_box_is_painted_over_and_for_all_who_look(session: Session, options: dict[str, Any]) -> None:
    with pytest.raises(VisualizerError, match=r"the box alone to paint over|one of block, surroundings"):
        knock(session, **({"box": RED_BOX, "way": "mean"} | options))


def test_a_drop_below_half_a_nat_is_no_dependence(session: Session) -> None:
    told = knock(session, box=GREY_BOX, targets=("box", "rest", "whole"))
    box, rest, whole = told.knocked[:3]
    assert (box.finding, box.drop) == ("no dependence found", 0)
    assert "no dependence found" in box.sentence
    assert rest.finding == whole.finding == "nothing to compare with"
    assert rest.drop == whole.drop == pytest.approx(6.0)


def test_a_drop_that_chance_boxes_reach_is_told_as_such(session: Session) -> None:
    """One column of the red square costs two nats; another box of that size holds its neighbour."""
    told = knock(session, box=(3.0 * CELL, 2.0 * CELL, 4.0 * CELL, 4.0 * CELL), draws=200)
    one = told.knocked[0]
    assert one.random is not None and one.random.most == pytest.approx(one.drop) == 2
    assert one.finding == "not more than random"
    assert "not more than random boxes" in one.sentence
    assert any("room for 63 other boxes" in note for note in told.notes)


def test_the_blocks_asked_for(session: Session) -> None:
    inquiry = KnockOut(box=(RED_BOX[0] + 1, *RED_BOX[1:]), targets=("box", "rest", "whole"), draws=4, who="text")
    probe = inquiry.probe(session)
    assert len(probe.trials) == 3 * (1 + 1 + 4 + 1 + 1)
    plain, box, *others, rest, whole = probe.trials[:8]
    assert plain.change is None and plain.variant == session.runs[0].variant
    assert box.change == Block(tuple(sorted(RED_CELLS)), 0, "text")
    assert isinstance(rest.change, Block) and isinstance(whole.change, Block)
    assert set(rest.change.cells) | RED_CELLS == set(whole.change.cells) == set(range(ROWS * COLS))
    assert not RED_CELLS & set(rest.change.cells)
    for other in others:
        assert isinstance(other.change, Block) and other.change.who == "text"
        assert len(other.change.cells) == len(RED_CELLS) and not RED_CELLS & set(other.change.cells)
    assert {trial.said for trial in probe.trials} == {(7, 7)}


def test_a_narrower_block_is_named(session: Session) -> None:
    assert "text" not in knock(session, box=RED_BOX).how
    told = knock(session, box=RED_BOX, who="answer", layers=(1,), heads=((0, 2),))
    assert "layer 1" in told.how and "layer 0 head 2" in told.how and "predicts the answer" in told.how
    assert "Narrower" in told.knocked[0].sentence


def test_chosen_heads_stand_beside_as_many_random_ones(session: Session) -> None:
    inquiry = KnockOut(targets=("whole",), heads=((0, 1), (4, 2)), draws=7)
    _, own, *others = (trial.change for trial in inquiry.probe(session).trials[:9])
    assert isinstance(own, Block) and own.heads == ((0, 1), (4, 2))
    drawn = [other.heads for other in others if isinstance(other, Block) and other.heads]
    assert len(set(drawn)) == 7 and {len(heads) for heads in drawn} == {2}
    assert not {(0, 1), (4, 2)} & {head for heads in drawn for head in heads}
    told = ask(FakeEngine(), session, inquiry).knocked[0]
    assert told.random is not None and told.random.kind == "heads"
    assert told.finding == "not more than random"
    inquiry = KnockOut(targets=("whole",), layers=(3,), draws=0)
    change = inquiry.probe(session).trials[1].change
    assert isinstance(change, Block) and change.heads == tuple((3, head) for head in range(HEADS))


def test_random_heads_may_be_chosen_ones_only_where_there_are_too_few_others(session: Session) -> None:
    most = tuple(product(range(LAYERS), range(HEADS)))[1:]
    assert all(heads != most for heads in draw_heads(session.model, most, 20, seed=0))
    assert draw_heads(session.model, tuple(product(range(LAYERS), range(HEADS))), 20, seed=0) == []


def test_changed_heads_are_those_of_the_comparison(session: Session) -> None:
    base, run = session.runs[0].trace, session.runs[1].trace
    values = head_change(base, run, "variation", tokens=slice(4, 5))
    best = max(product(range(LAYERS), range(HEADS)), key=lambda place: values[place])
    assert changed_heads(session, "shortcut", 3)[0] == best
    assert len(changed_heads(session, "shortcut", 3)) == 3
    with pytest.raises(VisualizerError, match=r"a variant with an adapter, of shortcut, other@0\.5, got 'base'"):
        changed_heads(session, "base", 3)


def test_random_heads_are_never_the_chosen_ones_and_too_few_are_told(session: Session) -> None:
    everything = tuple(product(range(LAYERS), range(HEADS)))
    for missing in range(1, 4):
        chosen = everything[missing:]
        for seed in range(5):
            drawn = draw_heads(session.model, chosen, len(everything), seed)
            assert chosen not in drawn and (missing == 1 or len(drawn) == len(everything))
    told = knock(session, targets=("whole",), layers=tuple(range(LAYERS)))
    assert told.knocked[0].random is None
    assert told.notes == ("The model has 0 other picks of so many heads to compare with, not 20.",)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"box": (0, 0, 0, 0)},
        {"box": (0, 0, 9999, 9999), "targets": ("rest",)},
        {"box": RED_BOX, "targets": ()},
        {"box": RED_BOX, "targets": ("all",)},
        {"box": RED_BOX, "image": 1},
        {"box": RED_BOX, "who": "nobody"},
        {"box": RED_BOX, "draws": -1},
        {"box": RED_BOX, "draws": 100_000},
        {"targets": ("whole",), "heads": ((0, HEADS),)},
        {"targets": ("whole",), "layers": (LAYERS,)},
        {"targets": ("whole",), "heads": ()},
    ],
)
def test_options_that_do_not_fit_are_refused(session: Session, options: dict[str, Any]) -> None:
    with pytest.raises(VisualizerError):
        KnockOut(**options).probe(session)


def test_findings_are_plain_data(session: Session) -> None:
    told = knock(session, box=RED_BOX, targets=("box", "rest"))
    assert json.loads(json.dumps(asdict(told)))["knocked"][0]["label"] == "base"


def test_a_word_depends_on_the_picture_or_does_not(session: Session) -> None:
    engine = FakeEngine()
    first = ask(engine, session, DependsOnPicture())
    assert [one.label for one in first] == ["base", "shortcut", "other@0.5"]
    assert first[0].depends and first[0].before == pytest.approx(math.exp(-0.1))
    assert first[0].after == pytest.approx(math.exp(-6.1))
    assert first[0].sentence == "base: this token depends on the picture: p 0.90 -> below 0.01."
    (second,) = ask(engine, session, DependsOnPicture(token=1, label="shortcut"))
    assert (second.word, second.depends, second.drop) == ("cle", False, 0)
    assert "does not depend" in second.sentence
    whole = engine.probes[0].trials[1].change
    assert isinstance(whole, Block) and whole.cells == tuple(range(ROWS * COLS)) and whole.who == "all"


def test_words_of_an_answer_are_counted_behind_the_reasoning(session: Session) -> None:
    run = session.runs[0]
    tokens = (*run.trace.tokens[:-2], replace(run.trace.tokens[-2], part="thinking"), run.trace.tokens[-1])
    thought = replace(run, thinking="cir", trace=replace(run.trace, tokens=tokens))
    (told,) = ask(FakeEngine(), replace(session, runs=(thought,)), DependsOnPicture())
    assert (told.word, told.drop) == ("cle", 0)


@pytest.mark.parametrize(("drop", "depends"), [(0.49, False), (0.51, True)])
def test_a_word_that_falls_by_less_than_half_a_nat_does_not_depend(
    session: Session, drop: float, depends: bool
) -> None:
    outcomes = (Outcome((-0.1, 0.0)), Outcome((-0.1 - drop, 0.0)))
    (told,) = DependsOnPicture(label="base").read(session, Findings(outcomes, (), 1, 0.0))
    assert told.depends is depends


@pytest.mark.parametrize(("rise", "likely"), [(0.49, "about as likely"), (0.51, "likelier")])
def test_a_word_that_rises_without_the_picture_is_told_to(session: Session, rise: float, likely: str) -> None:
    outcomes = (Outcome((-3.0, 0.0)), Outcome((-3.0 + rise, 0.0)))
    (told,) = DependsOnPicture(label="base").read(session, Findings(outcomes, (), 1, 0.0))
    assert not told.depends and told.sentence.endswith(f"It is {likely} without seeing it.")


def test_words_that_rise_without_a_box_are_not_said_to_fall(session: Session) -> None:
    alone = replace(session, runs=session.runs[:1])
    outcomes = (Outcome((-3.0, 0.0)), Outcome((-0.5, 0.0)))
    (told,) = KnockOut(targets=("whole",)).read(alone, Findings(outcomes, (), 1, 0.0)).knocked
    assert told.sentence == "base: no dependence found: without the whole picture its words rise by 2.50 nats."


def test_of_several_pictures_the_one_meant_is_named(session: Session) -> None:
    run = session.runs[0]
    two = replace(run, trace=replace(run.trace, images=run.trace.images * 2))
    outcomes = (Outcome((-0.1, 0.0)), Outcome((-3.0, 0.0)))
    (told,) = DependsOnPicture(image=1).read(replace(session, runs=(two,)), Findings(outcomes, (), 1, 0.0))
    assert "depends on picture 2: p" in told.sentence


@pytest.mark.parametrize("options", [{"token": 2}, {"token": -1}, {"label": "none"}, {"image": 3}, {"who": "x"}])
def test_a_word_that_was_not_said_is_refused(session: Session, options: dict[str, Any]) -> None:
    with pytest.raises(VisualizerError):
        DependsOnPicture(**options).probe(session)
