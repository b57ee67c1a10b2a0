"""A window moved over a picture whose red square alone answers: what is asked, and what the grid then says."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from inference.errors import VisualizerError
from inference.evidence.calibration import Calibration
from inference.evidence.dependence import (
    MANY_RUNS,
    Depended,
    Dependence,
    cost_where_it_looks,
    sizes_offered,
    value_cells,
)
from inference.evidence.trials import Block, Erase
from inference.evidence.windows import Window, slide_over
from inference.trace.session import ImageSpan, Run, Session
from tests.fakes import COLS, RED_CELLS, ROWS, FakeEngine, make_session
from tests.inference.evidence.asking import ask


def sweep(session: Session, **options: Any) -> Depended:
    return ask(FakeEngine(), session, Dependence(**options))


def looking_at(run: Run, row: int, col: int) -> Run:
    """The same run, whose first question token looks at one cell in layer 1, head 2."""
    rows = np.array(run.trace.rows)
    columns = run.trace.columns(0)
    rows[0, 1, 2, columns] = 0.001
    rows[0, 1, 2, columns.start + row * COLS + col] = 0.7
    return replace(run, trace=replace(run.trace, rows=rows))


def spot_of(session: Session) -> Calibration:
    tokens = session.runs[0].trace.tokens
    back = next(token.row_at for token in tokens if token.part == "answer") - tokens[0].row_at
    return Calibration("color", "What is {}", 1, 2, back, 2.0, 30, session.model.layers, session.model.heads)


@pytest.fixture(scope="module")
def session() -> Session:
    return make_session()


@pytest.mark.parametrize("way", ["block", "surroundings", "mean", "blur"])
def test_the_peak_lies_on_what_answers(session: Session, way: str) -> None:
    told = sweep(session, way=way)
    assert (told.rows, told.cols, told.stride) == (3, 3, 1)
    assert [one.label for one in told.swept] == ["base", "shortcut", "other@0.5"]
    for one in told.swept:
        grid = np.array(one.grid)
        assert grid.shape == (ROWS, COLS)
        assert int(grid.argmax()) in RED_CELLS
        assert one.costliest is not None and one.drops[one.costliest] == pytest.approx(6.0)
        assert one.pointing == "not calibrated"
    assert len(told.windows) == len(told.swept[0].drops)


def test_the_runs_are_told_before(session: Session) -> None:
    inquiry = Dependence(size=3, stride=2, label="shortcut")
    engine = FakeEngine()
    ask(engine, session, inquiry)
    (probe,) = engine.probes
    assert inquiry.runs(session) == len(probe.trials) == 1 + len(slide_over(session.runs[0].trace.images[0], 3, 2))
    assert {trial.variant.label for trial in probe.trials} == {"shortcut"}
    assert probe.trials[0].change is None
    assert Dependence(size=1).runs(session) == 3 * (1 + ROWS * COLS)


def test_windows_are_blocked_or_painted_over(session: Session) -> None:
    block = Dependence(size=2, who="text").probe(session).trials[1].change
    assert block == Block((0, 1, COLS, COLS + 1), 0, "text")
    erase = Dependence(size=2, way="mean").probe(session).trials[1].change
    assert erase == Erase((0, 0, 64, 64), 0, "mean")
    assert "answer" in sweep(session, who="answer").how


def test_nothing_found_is_said(session: Session) -> None:
    told = sweep(session, word=1).swept[0]
    assert told.costliest is None and max(told.drops) == 0
    assert "nothing found at this size" in told.sentence and "other sizes: 1, 2" in told.sentence
    spot = spot_of(session)
    assert sweep(session, word=1, calibration=spot).swept[0].pointing == "nothing found"


def test_attention_elsewhere_is_told_in_a_sentence(session: Session) -> None:
    base, *others = session.runs
    away, there = (replace(session, runs=(looking_at(base, *cell), *others)) for cell in ((6, 9), (2, 4)))
    spot = spot_of(session)
    told = sweep(away, calibration=spot).swept[0]
    assert told.pointing == "different places"
    assert told.pointing_sentence.startswith("Attention and dependence point at different places: ")
    assert "0.00 nats, the costliest 6.00" in told.pointing_sentence
    assert "painted" not in told.pointing_sentence
    assert "painted" in sweep(away, calibration=spot, way="mean").swept[0].pointing_sentence
    assert sweep(there, calibration=spot).swept[0].pointing == "the same place"
    assert sweep(away, calibration=replace(spot, back=99)).swept[0].pointing == "not calibrated"


@pytest.mark.parametrize(("cell", "expected"), [((2, 1), "different places"), ((2, 2), "the same place")])
def test_less_than_half_of_the_costliest_is_elsewhere(session: Session, cell: tuple[int, int], expected: str) -> None:
    """Windows that hold these cells hold one and two of the red square's three columns: two and four nats of six."""
    base, *others = session.runs
    looking = replace(session, runs=(looking_at(base, *cell), *others))
    assert sweep(looking, calibration=spot_of(session)).swept[0].pointing == expected


def test_the_box_that_holds_most_is_any_that_holds_about_as_much() -> None:
    looked = np.array([[0.0, 0.9, 0.06, 0.0, 0.0]])
    windows = [Window(0, left, 1, 2) for left in range(4)]
    assert cost_where_it_looks(looked, windows, [2.0, 1.0, 3.0, 9.0]) == 1.0
    assert cost_where_it_looks(np.array([[0.0, 0.9, 0.0, 0.0, 0.0]]), windows, [2.0, 1.0, 3.0, 9.0]) == 2.0


def test_a_cell_is_worth_the_weighted_mean_of_its_windows() -> None:
    span = ImageSpan(0, 1, 3, (96, 32), (96, 32))
    windows = [Window(0, 0, 1, 2), Window(0, 1, 1, 2)]
    near = np.exp(-0.25 / (2 * (2 / 3) ** 2))
    assert value_cells(windows, [4.0, 1.0], span) == pytest.approx(np.array([[4.0, 2.5, 1.0]]))
    assert value_cells([*windows, Window(0, 0, 1, 1)], [4.0, 1.0, 7.0], span)[0, 0] == pytest.approx(
        (4 * near + 7) / (near + 1)
    )


def test_windows_are_cut_at_the_edges() -> None:
    span = ImageSpan(0, 2, 5, (1, 1), (1, 1))
    assert slide_over(span, 3, 1) == tuple(
        Window(0, left, 2, cols) for left, cols in ((0, 2), (0, 3), (1, 3), (2, 3), (3, 2))
    )
    for size in (1, 2, 3, 4, 5):
        for stride in range(1, size + 1):
            held = {cell for window in slide_over(span, size, stride) for cell in window.cells(span)}
            assert held == set(range(10)), (size, stride)


@pytest.mark.parametrize(
    ("grid", "expected"), [((6, 6), (3, 1, 2)), ((1, 1), (1,)), ((1, 9), (3, 1)), ((26, 46), (6, 1, 2, 3, 4, 8, 12))]
)
def test_sizes_suit_the_grid(grid: tuple[int, int], expected: tuple[int, ...]) -> None:
    assert sizes_offered(ImageSpan(0, *grid, (1, 1), (1, 1))) == expected


def test_the_stride_grows_with_the_runs(session: Session) -> None:
    base = session.runs[0]
    (span,) = base.trace.images
    large = replace(base, trace=replace(base.trace, images=(replace(span, rows=26, cols=46),)))
    inquiry = Dependence(size=6)
    one, six = (replace(session, runs=(large,) * count) for count in (1, 6))
    assert inquiry.runs(one) <= MANY_RUNS < replace(inquiry, stride=1).runs(one)
    assert inquiry.runs(six) <= MANY_RUNS
    with pytest.raises(VisualizerError, match="runs"):
        Dependence(size=1).probe(six)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"size": 12},
        {"stride": 0},
        {"stride": 4},
        {"way": "burn"},
        {"who": "nobody"},
        {"word": 2},
        {"word": -1},
        {"label": "none"},
        {"image": 1},
    ],
)
def test_options_that_do_not_fit_are_refused(session: Session, options: dict[str, Any]) -> None:
    with pytest.raises(VisualizerError):
        Dependence(**options).probe(session)


def test_findings_are_plain_data(session: Session) -> None:
    told = sweep(session, calibration=spot_of(session))
    assert json.loads(json.dumps(asdict(told)))["swept"][2]["label"] == "other@0.5"
