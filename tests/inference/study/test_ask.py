"""One line asked: which questions it is, and what is kept of the sessions."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import GeometryError, PictureError, QuestionError
from inference.evidence.calibration import Calibration
from inference.study.ask import Options, ask_line
from inference.study.condense import Asked, condense, is_right, small_map
from inference.study.lines import Line
from inference.trace.parse import parse_variant
from inference.trace.request import BASE
from tests.fakes import HEADS, LAYERS, make_picture, make_session
from tests.inference.study.engines import APART, RED_BOX, StudyEngine

VARIANTS = (BASE, parse_variant("shortcut"), parse_variant("other@0.5"))


@pytest.fixture
def line(tmp_path: Path) -> Line:
    (tmp_path / "made.png").write_bytes(make_picture().png)
    return Line(4, tmp_path / "made.png", "What is red?", ("a circle", "disc"), RED_BOX)


def ask(engine: StudyEngine, line: Line, options: Options, room: Path) -> Asked:
    """What came of a line; its sessions stay mapped."""
    room.mkdir()
    steps: Generator[object, None, Asked] = ask_line(engine, line, options, room)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            asked: Asked = end.value
            return asked


def test_all_are_asked_over_the_bases_words_and_adapters_for_their_own(line: Line, tmp_path: Path) -> None:
    engine = StudyEngine({"shortcut": "star"})
    asked = ask(engine, line, Options(VARIANTS), tmp_path / "room")
    same, own = engine.requests
    assert (same.words, same.variants, same.expected_answer) == ("base", VARIANTS, "a circle")
    assert (own.words, own.variants, own.expected_answer) == ("own", VARIANTS[1:], None)
    assert (own.keep.layers, own.keep.heads) == ((), ())
    assert [run.answer for run in asked.own.runs] == ["circle", "star", "circle"]
    assert not engine.probes


def test_the_base_alone_is_asked_once(line: Line, tmp_path: Path) -> None:
    engine = StudyEngine()
    record = condense(ask(engine, line, Options(), tmp_path / "room"), key="k", picture="p")
    assert len(engine.requests) == 1
    (look,) = record.item.looks
    assert look.change is None and look.right is True


def test_a_record_tells_what_the_sessions_held(line: Line, tmp_path: Path) -> None:
    asked = ask(StudyEngine({"shortcut": "star"}), line, Options(VARIANTS), tmp_path / "room")
    record = condense(asked, key="k", picture="p")
    item = record.item
    assert (item.number, item.question, item.words) == (4, "What is red?", "circle")
    assert (item.expected, item.box, item.size_wh) == (("a circle", "disc"), RED_BOX, (352, 224))
    assert [look.right for look in item.looks] == [True, False, True]
    base, shortcut = (np.asarray(run.trace.rows, np.float64)[4:] for run in asked.same.runs[:2])  # four of the question
    means = [rows.mean((0, 1, 2)) for rows in (base, shortcut)]
    look = item.looks[1]
    assert look.share == pytest.approx(means[1].sum(), rel=1e-3)
    np.testing.assert_allclose(np.ravel(look.grid), means[1], rtol=2e-3)
    assert look.logprob == pytest.approx(-0.2) and look.expected_logprob == -1.5
    change = look.change
    assert change is not None and change.answer and change.divergence == APART and change.logprob == 0
    assert change.share == pytest.approx(means[1].sum() - means[0].sum(), abs=1e-4)
    within = [mean / mean.sum() for mean in means]
    assert change.variation == pytest.approx(np.abs(within[1] - within[0]).sum() / 2, rel=1e-2)
    assert change.heads is not None and change.heads > change.variation
    red = means[1].reshape(7, 11)[2:4, 3:6].sum()
    assert look.box is not None and look.box.share == pytest.approx(red, rel=1e-2)
    assert look.need is None


def test_single_heads_are_kept_as_shares_and_peaks(line: Line, tmp_path: Path) -> None:
    asked = ask(StudyEngine(), line, Options(VARIANTS), tmp_path / "room")
    heads = condense(asked, key="k", picture="p").heads
    assert heads.grid_hw == (7, 11) and heads.own_peaks is None
    assert heads.shares.shape == heads.peaks.shape == (3, LAYERS, HEADS)
    rows = np.asarray(asked.same.runs[2].trace.rows, np.float32)[4:].mean(0)
    np.testing.assert_array_equal(heads.peaks[2], rows.argmax(-1))
    np.testing.assert_allclose(heads.shares[2], rows.sum(-1), rtol=1e-3)
    assert heads.map_peaks[2] == rows.mean((0, 1)).argmax()


def test_a_head_that_sees_nothing_of_the_picture_has_no_peak(line: Line, tmp_path: Path) -> None:
    asked = ask(StudyEngine(), line, Options(), tmp_path / "room")
    (run,) = asked.same.runs
    rows = np.array(run.trace.rows)
    rows[:, 3, 1] = 0
    blind = replace(asked.same, runs=(replace(run, trace=replace(run.trace, rows=rows)),))
    heads = condense(replace(asked, same=blind, own=blind), key="k", picture="p").heads
    assert np.argwhere(heads.peaks[0] == -1).tolist() == [[3, 1]]


def test_a_knock_out_of_the_box_is_over_each_variants_own_words(line: Line, tmp_path: Path) -> None:
    engine = StudyEngine({"shortcut": "star"})
    asked = ask(engine, line, Options(VARIANTS, draws=3), tmp_path / "room")
    (probe,) = engine.probes
    assert len(probe.trials) == 3 * (1 + 1 + 3)
    record = condense(asked, key="k", picture="p")
    need = record.item.looks[1].need
    assert need is not None and need.box == pytest.approx(6) and len(need.random) == 3 and need.depends
    assert record.heads.own_peaks is not None and record.heads.own_peaks.shape == (3, LAYERS, HEADS)
    assert need.agrees == need.hit


@pytest.mark.parametrize(("drop", "random", "depends"), [(0.6, 0.5, True), (0.6, 0.7, False), (0.4, 0.0, False)])
def test_an_answer_depends_on_a_box_that_costs_enough_and_more_than_any_other(
    line: Line, tmp_path: Path, drop: float, random: float, depends: bool
) -> None:
    asked = ask(StudyEngine(), line, Options(draws=2), tmp_path / "room")
    (knocked,) = asked.knocked
    assert knocked.random is not None
    knocked = replace(knocked, drop=drop, random=replace(knocked.random, drops=(0.0, random)))
    (look,) = condense(replace(asked, knocked=(knocked,)), key="k", picture="p").item.looks
    assert look.need is not None
    assert (look.need.box, look.need.random, look.need.depends) == (drop, (0.0, random), depends)


def calibration(wording: str) -> Calibration:
    """Four places before the row that predicts the answer, in layer 3, head 1."""
    return Calibration("made", wording, 3, 1, 4, 2.0, 60, LAYERS, HEADS)


def test_the_calibrated_map_is_that_of_its_word_of_the_question(line: Line, tmp_path: Path) -> None:
    known = (calibration("What is {} now?"), calibration("What is {}"))
    options = Options(VARIANTS, calibrations=known)
    engine = StudyEngine()
    asked = ask(engine, line, options, tmp_path / "room")
    assert [request.keep.question for request in engine.requests] == [True, False]
    cells = condense(asked, key="k", picture="p").heads.calibrated_peaks
    rows = [np.asarray(run.trace.rows)[1, 3, 1] for run in asked.same.runs]  # four back: the second of the question
    assert cells is not None and cells.tolist() == [row.argmax() for row in rows]
    assert len(set(cells.tolist())) > 1
    other = ask(StudyEngine(), replace(line, question="Where is red now, then?"), options, tmp_path / "other")
    assert condense(other, key="k", picture="p").heads.calibrated_peaks is None


def test_without_a_box_nothing_is_knocked_out(line: Line, tmp_path: Path) -> None:
    engine = StudyEngine()
    record = condense(
        ask(engine, replace(line, box=None), Options(VARIANTS, draws=3), tmp_path / "room"), key="k", picture="p"
    )
    assert not engine.probes and record.item.looks[0].box is None and record.heads.own_peaks is None


def test_what_cannot_be_asked_is_told(line: Line, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PictureError):
        ask(StudyEngine(), replace(line, picture=tmp_path / "text.png"), Options(), tmp_path / "a")
    with pytest.raises(GeometryError):
        ask(StudyEngine(), replace(line, box=(400.0, 0.0, 500.0, 10.0)), Options(), tmp_path / "b")
    silent = make_session()
    runs = tuple(
        replace(run, trace=replace(run.trace, tokens=run.trace.tokens[:4], rows=run.trace.rows[:4]))
        for run in silent.runs
    )
    silent = replace(silent, runs=runs)
    with pytest.raises(QuestionError, match="none from base"):
        condense(Asked(line, RED_BOX, silent, silent, ()), key="k", picture="p")


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("Circle.", ("circle",), True),
        ("A  circle", ("the circle",), True),
        ("circle", ("star", "circle"), True),
        ("circles", ("circle",), False),
        ("3.5", ("35",), False),
        ("3", ("3.",), True),
        ("", ("circle",), False),
        ("a", ("A",), True),
        ("a", ("the",), False),
        ("圆形", ("圆形。",), True),
        ("x", (), None),
    ],
)
def test_what_counts_as_right(answer: str, expected: tuple[str, ...], right: bool | None) -> None:
    assert is_right(answer, expected) is right


def test_large_maps_are_put_together_without_losing_a_share() -> None:
    grid = np.random.default_rng(0).random((70, 33)).astype(np.float32)
    small = np.array(small_map(grid))
    assert small.shape == (32, 32)
    assert small.sum() == pytest.approx(grid.sum(), rel=1e-3)
    # Cells of 64 rows fall together two by two.
    even = np.array(small_map(np.arange(64 * 3, dtype=np.float32).reshape(64, 3)))
    np.testing.assert_allclose(even[0], [3, 5, 7])
    assert np.array(small_map(grid[:2, :3])).shape == (2, 3)
