"""A comparison read by a noise floor and a neutral question: what is drawn against numbers worked out beside it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import Normalize

from inference.errors import SettingsError
from inference.evidence.floor import floor_requests
from inference.evidence.neutral import neutral_request
from inference.trace import compare, maps, sinks
from inference.trace.condense import condense
from inference.trace.request import Keep, Request
from inference.trace.session import Session
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_picture, make_session, make_trace
from tests.viz.test_change import pixels
from viz import overlay
from viz.change import change
from viz.change_aids import SMALLEST, Aids, check_aids, multiples
from viz.change_shown import hidden_cells
from viz.change_view import Change
from viz.changed import changed, check_pair, how_far, moved_told
from viz.view import Choice

AT = Choice(token=1, token_to=2, layer=3, head=2)
ALONE = replace(AT, hidden=("other@0.5",))
"""With base and shortcut alone on the scales."""
SINK = 40
"""The cell that every head of a spotted session gives half of its attention."""


def nearly(request: Request, amounts: tuple[float, ...], seed: int = 50) -> Session:
    """A session of these variants whose rows are those of a made one, mixed a little with other rows."""
    made = make_session(request)
    runs = []
    for number, (run, amount) in enumerate(zip(made.runs, amounts, strict=True)):
        own, other = make_trace(seed=number), make_trace(seed=seed + number)
        rows = (1 - amount) * own.rows + amount * other.rows
        trace = condense(rows, tokens=own.tokens, images=own.images, question_span=own.question_span)
        runs.append(replace(run, trace=trace))
    return replace(made, runs=tuple(runs))


def spotted(request: Request, seed: int = 0) -> Session:
    """A session whose heads all give one cell half of their attention."""
    made = make_session(request)
    runs = []
    for number, run in enumerate(made.runs):
        own = make_trace(seed=seed + number)
        rows = own.rows / 2
        rows[..., own.images[0].start + SINK] += 0.5
        trace = condense(rows, tokens=own.tokens, images=own.images, question_span=own.question_span)
        runs.append(replace(run, trace=trace))
    return replace(made, runs=tuple(runs))


@pytest.fixture(scope="module")
def session() -> Session:
    return make_session(replace(make_session().request, words="base"))


@pytest.fixture(scope="module")
def aids(session: Session) -> Aids:
    """A floor of a shift and a JPEG that change little, and of shuffled adapters that change much."""
    plan = floor_requests(session).reruns
    shift = nearly(plan[0].request, (0.2, 0.3, 0.25))
    jpeg = nearly(plan[1].request, (0.05, 1.0, 0.9))
    shuffle = nearly(plan[3].request, (0.9, 0.9))
    return Aids((shift, jpeg, shuffle))


def shown(session: Session, aids: Aids, **raw: Any) -> Change:
    return change("id", session, AT, check_pair(session, raw), aids)


def signed(a: Session, b: Session, measure: Any, label: str, other: str) -> np.ndarray:
    return compare.head_change(a.run(label).trace, b.run(other).trace, measure, tokens=slice(1, 3))


def noise(session: Session, reruns: Sequence[Session], measure: Any, labels: Sequence[str]) -> np.ndarray:
    """The largest size of the change of any of these variants to itself run again."""
    sizes = [np.abs(signed(session, rerun, measure, label, label)) for rerun in reruns for label in labels]
    return np.asarray(np.max(sizes, axis=0))


def grid_of(session: Session, label: str) -> np.ndarray:
    return maps.image_map(session.run(label).trace, tokens=slice(1, 3), layer=3, head=2)


@pytest.mark.parametrize("measure", ["share", "variation", "shannon"])
def test_charts_in_multiples_are_grey_under_the_floor_and_coloured_by_factors(
    session: Session, aids: Aids, measure: str
) -> None:
    found = shown(session, aids, measure=measure, unit="floor")
    drawn, grey = [], []
    for label in ("shortcut", "other@0.5"):
        values = signed(session, session, measure, "base", label)
        floor = noise(session, aids.floor[:2], measure, ("base", label))
        times = values / floor
        grey.append(np.abs(times) < 1)
        drawn.append(np.sign(times) * np.log10(np.maximum(np.abs(times), 1)))
    assert 0 < sum(one.sum() for one in grey) < 2 * LAYERS * HEADS
    most = max(np.log10(2), *(float(np.abs(one).max()) for one in drawn))
    scale, colormap = Normalize(0, most), "viridis"
    if measure == "share":
        scale, colormap = Normalize(-most, most), overlay.DIVERGING
    for column, values, under in zip(found.columns, drawn, grey, strict=True):
        expected = overlay.coloured(values, scale, colormap)
        expected[under] = (*overlay.GREY, 255)
        np.testing.assert_array_equal(pixels(column.chart.png), expected)
    assert found.chart_scale.high == pytest.approx(10**most, rel=0.01)
    assert found.chart_scale.low == (-found.chart_scale.high if measure == "share" else 1)
    assert "Divided by the noise floor" in found.formula


def test_the_list_tells_how_each_head_lies_to_the_floor(session: Session, aids: Aids) -> None:
    found = shown(session, aids, measure="variation")
    floor = noise(session, aids.floor[:2], "variation", ("base", "shortcut"))
    values = signed(session, session, "variation", "base", "shortcut")
    for one in found.ranked:
        times = float(values[one.layer, one.head] / floor[one.layer, one.head])
        assert one.under == (times < 1)
        assert one.times == ("under the floor" if times < 1 else f"{times:.2g} x floor")
    assert {one.under for one in found.ranked} == {False, True} or not any(one.under for one in found.ranked)


def test_each_kind_of_noise_has_a_row(session: Session, aids: Aids) -> None:
    view = shown(session, aids, b="shortcut").floor
    assert view and view.missing == ""
    assert [row.kind for row in view.rows] == ["alike", "shift", "jpeg", "shuffle"]
    values = np.abs(signed(session, session, "share", "base", "shortcut"))
    shift = noise(session, aids.floor[:1], "share", ("base", "shortcut"))
    assert view.rows[1].above == f"{int((values > shift).sum())} of {LAYERS * HEADS}"
    assert view.rows[1].largest == f"{100 * shift.max():.2g} points"
    assert view.rows[1].median == f"{100 * np.median(shift):.2g} points"


def test_another_kind_of_noise_is_another_floor(session: Session, aids: Aids) -> None:
    charts = {
        noise: shown(session, aids, unit="floor", noise=noise).columns[0].chart.png
        for noise in ("alike", "jpeg", "shuffle")
    }
    assert len(set(charts.values())) == 3
    missing = shown(session, aids, unit="floor", noise="question")
    assert "No noise floor for these tokens" in missing.columns[0].missing
    assert missing.columns[0].chart.png == ""


def test_a_rewording_is_left_out_of_the_questions_tokens_and_that_is_said(session: Session, aids: Aids) -> None:
    reworded = nearly(floor_requests(session).reruns[2].request, (0.1, 0.1, 0.1))
    view = shown(session, Aids((*aids.floor, reworded))).floor
    assert view and "re-worded question is left out" in view.missing
    assert "question" not in [row.kind for row in view.rows]
    answer = replace(AT, token=4, token_to=4)
    view = change("id", session, answer, check_pair(session, {}), Aids((*aids.floor, reworded))).floor
    assert view and view.missing == "" and "question" in [row.kind for row in view.rows]


def test_a_floor_of_nothing_is_no_division_by_zero() -> None:
    times = multiples(np.array([[0.0, 0.5], [np.nan, -1e-7]]), np.zeros((2, 2)))
    np.testing.assert_allclose(times, [[0, 0.5 / SMALLEST], [np.nan, -0.1]])


def test_without_a_floor_nothing_is_said_of_one(session: Session) -> None:
    found = shown(session, Aids())
    assert found.floor is None and found.sinks is None
    assert {one.times for one in found.ranked} == {""}
    assert shown(session, Aids(), unit="floor").columns[0].missing


def test_runs_that_read_other_words_have_no_floor(session: Session, aids: Aids) -> None:
    shift = aids.floor[0]
    other = tuple(replace(token, id=9) for token in shift.runs[0].trace.tokens)
    strange = replace(shift, runs=tuple(replace(run, trace=replace(run.trace, tokens=other)) for run in shift.runs))
    view = shown(session, Aids((strange,))).floor
    assert view and not view.rows and "No floor for these tokens" in view.missing


@pytest.fixture(scope="module")
def bright(session: Session) -> tuple[Session, Aids]:
    """A session in which one cell is a sink for all, with its neutral question."""
    return spotted(session.request), Aids(neutral=spotted(neutral_request(session), seed=20))


def test_sinks_are_marked_and_their_share_is_told(bright: tuple[Session, Aids]) -> None:
    view = shown(*bright).sinks
    assert view and view.question == "Describe the picture."
    row, col = divmod(SINK, COLS)
    place = [col / COLS, row / ROWS, (col + 1) / COLS, (row + 1) / ROWS]
    assert place in view.cells
    assert "sink" in view.told and " of base, " in view.told and "Without: share on the picture" in view.told
    assert "hidden" not in view.told and "hidden here" in str(shown(*bright, hide=True).sinks)
    assert "more than 5 times the median" in view.rule


def test_differences_with_and_without_sinks(bright: tuple[Session, Aids]) -> None:
    session, aids = bright
    assert aids.neutral
    traces = {label: session.run(label).trace for label in ("base", "shortcut")}
    tokens = slice(1, 3)
    cells = np.zeros((LAYERS, HEADS, ROWS * COLS), bool)
    for label, trace in traces.items():
        cells |= sinks.head_sinks(trace, aids.neutral.run(label).trace, tokens=tokens)
    expected = np.zeros((LAYERS, HEADS))
    for layer, head in np.ndindex(LAYERS, HEADS):
        grids = [maps.image_map(trace, tokens=tokens, layer=layer, head=head).ravel() for trace in traces.values()]
        left = [np.where(cells[layer, head], 0, grid) for grid in grids]
        before, after = (grid / grid.sum() for grid in left)
        expected[layer, head] = np.abs(after - before).sum() / 2
    pair = check_pair(session, {"measure": "variation", "hide": True})
    found = change("id", session, ALONE, pair, aids)
    np.testing.assert_array_equal(
        pixels(found.columns[0].chart.png), overlay.coloured(expected, overlay.colour_scale([expected]), "viridis")
    )
    assert found.columns[0].chart.png != shown(session, aids, measure="variation").columns[0].chart.png


def test_hidden_sinks_are_those_of_the_neutral_question_that_is_there_now(bright: tuple[Session, Aids]) -> None:
    session, aids = bright
    assert aids.neutral
    neutral = replace(aids.neutral)
    pair = check_pair(session, {"measure": "variation", "hide": True})
    before = change("id", session, ALONE, pair, Aids(neutral=neutral))
    # Another session may come to lie where one lay that is gone.
    object.__setattr__(neutral, "runs", make_session(neutral.request).runs)
    after = change("id", session, ALONE, pair, Aids(neutral=neutral))
    assert after == change("id", session, ALONE, pair, Aids(neutral=replace(neutral)))
    assert after.columns[0].chart.png != before.columns[0].chart.png


def test_hidden_sinks_are_dark_in_the_maps_and_do_not_move(bright: tuple[Session, Aids]) -> None:
    session, aids = bright
    pair = check_pair(session, {"hide": True})
    found = changed(session, AT, "base", "shortcut")
    without = hidden_cells(found, AT, pair, aids)
    assert without is not None and without[divmod(SINK, COLS)]
    assert hidden_cells(found, AT, check_pair(session, {}), aids) is None
    assert hidden_cells(found, AT, pair, Aids()) is None
    grids = [np.where(without, 0, grid_of(session, label)) for label in ("base", "shortcut")]
    moved = how_far(found, AT, without=without)
    assert moved == compare.moved(*grids)
    assert moved_told(moved, without_sinks=True).endswith("cells on average, sinks left out.")
    drawn = change("id", session, ALONE, pair, aids)
    assert drawn.cell_told.startswith("Sinks counted in: share on the picture ")
    assert drawn.map_scale.high == pytest.approx(100 * max(grid.max() for grid in grids), rel=0.01)


def test_the_relative_map_of_a_question_against_itself_is_nothing(bright: tuple[Session, Aids]) -> None:
    session, _ = bright
    found = shown(session, Aids(neutral=session), relative=True)
    assert [one.told for one in found.cell[:2]] == ["from +0 to +0 in a cell, as log2"] * 2
    assert not pixels(found.cell[0].png)[..., 3].any()
    assert found.map_scale.unit == "log2 against the neutral question"


def test_the_relative_map_is_drawn_round_zero(bright: tuple[Session, Aids]) -> None:
    session, aids = bright
    assert aids.neutral
    found = change("id", session, ALONE, check_pair(session, {"relative": True}), aids)
    grids = [
        sinks.relative_map(grid_of(session, label).ravel(), grid_of(aids.neutral, label).ravel()).reshape(ROWS, COLS)
        for label in ("base", "shortcut")
    ]
    scale = overlay.difference_scale(grids)
    expected = pixels(overlay.data_address(overlay.difference_png(grids[1], scale)))
    np.testing.assert_array_equal(pixels(found.cell[1].png), expected)
    assert found.map_scale.low == -found.map_scale.high == pytest.approx(scale.vmin, rel=0.01)


def test_sessions_that_do_not_belong_are_refused(session: Session) -> None:
    with pytest.raises(SettingsError, match="a run again of this session"):
        check_aids(session, (session,), None)
    strange = replace(session.request, images=(make_picture(64, 64),))
    with pytest.raises(SettingsError, match="a neutral question about the same picture"):
        check_aids(session, (), make_session(strange))
    fewer = make_session(replace(session.request, variants=session.request.variants[:2]))
    with pytest.raises(SettingsError, match="a neutral question about the same picture"):
        check_aids(session, (), fewer)
    kept = make_session(replace(session.request, keep=Keep(layers=(1,), numbers="float32")))
    with pytest.raises(SettingsError, match="with the same heads kept"):
        shown(session, Aids(neutral=kept))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"unit": "metres"}, "a unit of shares, floor"),
        ({"unit": ["floor"]}, "a unit of"),
        ({"noise": "loud"}, "a kind of noise of alike"),
        ({"hide": 1}, "true or false for hide"),
        ({"relative": "yes"}, "true or false for relative"),
    ],
)
def test_forged_fields_of_a_pair_are_refused(session: Session, raw: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        check_pair(session, raw)
