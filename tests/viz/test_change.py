"""What the Compare room is sent: pictures decoded and held against the numbers they were made of."""

import base64
import io
import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import Normalize
from PIL import Image

from inference.trace import compare, maps
from inference.trace.metrics import box_figures, box_shares
from inference.trace.request import Keep
from inference.trace.session import Session
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_session
from tests.viz.test_changed import parted_session
from viz import overlay
from viz.change import change
from viz.change_numbers import change_numbers
from viz.change_view import Change, Pair
from viz.changed import check_pair
from viz.choices import check_choice
from viz.view import Choice

AT = Choice(token=1, token_to=2, layer=3, head=2)


def shown(session: Session, choice: Choice = AT, **raw: Any) -> Change:
    return change("id", session, choice, check_pair(session, raw))


def pixels(address: str) -> np.ndarray:
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def expected_change(session: Session, a: str, b: str, measure: Any = "share") -> np.ndarray:
    return compare.head_change(session.run(a).trace, session.run(b).trace, measure, tokens=slice(1, 3))


def test_columns_are_all_others_against_a_on_one_scale_round_zero() -> None:
    session = make_session()
    found = shown(session)
    assert [column.variant for column in found.columns] == ["shortcut", "other@0.5"]
    values = [expected_change(session, "base", column.variant) for column in found.columns]
    most = max(float(np.abs(each).max()) for each in values)
    for column, each in zip(found.columns, values, strict=True):
        expected = overlay.coloured(each, Normalize(-most, most), overlay.DIVERGING)
        assert (column.chart.rows, column.chart.cols) == (LAYERS, HEADS)
        np.testing.assert_array_equal(pixels(column.chart.png), expected)
    assert found.chart_scale.high == pytest.approx(100 * most, rel=0.01)
    assert found.chart_scale.low == -found.chart_scale.high


@pytest.mark.parametrize("measure", ["variation", "shannon"])
def test_distances_run_from_zero_to_their_common_maximum(measure: str) -> None:
    session = make_session()
    found = shown(session, a="shortcut", b="other@0.5", measure=measure)
    assert [column.variant for column in found.columns] == ["base", "other@0.5"]
    values = [expected_change(session, "shortcut", column.variant, measure) for column in found.columns]
    most = max(float(each.max()) for each in values)
    assert found.chart_scale.low == 0
    assert found.chart_scale.high == pytest.approx(most, rel=0.01)
    expected = overlay.coloured(values[1], Normalize(0, most), "viridis")
    np.testing.assert_array_equal(pixels(found.columns[1].chart.png), expected)


def test_cells_without_a_value_are_transparent() -> None:
    session = make_session(replace(make_session().request, keep=Keep(layers=(3,), numbers="float32")))
    drawn = pixels(shown(session, measure="variation").columns[0].chart.png)
    assert (drawn[3, :, 3] == 255).all()
    assert not drawn[[0, 1, 2, 4], :, 3].any()


def test_the_cell_shows_a_b_and_the_difference_of_b_less_a() -> None:
    session = make_session()
    found = shown(session, b="other@0.5")
    of = {run.variant.label: maps.image_map(run.trace, tokens=slice(1, 3), layer=3, head=2) for run in session.runs}
    assert [one.label for one in found.cell] == ["base", "other@0.5", "other@0.5 less base"]
    scale = overlay.colour_scale(list(of.values()))
    np.testing.assert_array_equal(pixels(found.cell[1].png), overlay.veil(of["other@0.5"], scale, "viridis"))
    differences = [of[label] - of["base"] for label in ("shortcut", "other@0.5")]
    scale = overlay.difference_scale(differences)  # of both adapters, so that choosing B changes no colour
    np.testing.assert_array_equal(
        pixels(found.cell[2].png), pixels(overlay.data_address(overlay.difference_png(differences[1], scale)))
    )
    assert found.difference_scale.high == pytest.approx(100 * max(np.abs(one).max() for one in differences), rel=0.01)
    assert found.difference_scale == shown(session, b="shortcut").difference_scale
    share = expected_change(session, "base", "other@0.5")[3, 2]
    apart = expected_change(session, "base", "other@0.5", "variation")[3, 2]
    assert found.cell_told.startswith(f"Share on the picture {100 * share:+.2g} points, total variation {apart:.2f}")


def test_the_list_holds_the_heads_that_changed_most_with_their_differences() -> None:
    session = make_session()
    found = shown(session, b="other@0.5")
    values = expected_change(session, "base", "other@0.5")
    ranked = compare.rank_heads(values, 10)
    assert [(one.layer, one.head) for one in found.ranked] == [(one.layer, one.head) for one in ranked]
    assert found.ranked[0].value == f"{100 * ranked[0].value:+.2g} points"
    assert pixels(found.ranked_maps.png).shape == (10 * ROWS, COLS, 4)
    trace_a, trace_b = session.run("base").trace, session.run("other@0.5").trace
    stack = [
        maps.image_map(trace_b, tokens=slice(1, 3), layer=one.layer, head=one.head)
        - maps.image_map(trace_a, tokens=slice(1, 3), layer=one.layer, head=one.head)
        for one in ranked
    ]
    drawn = pixels(found.ranked_maps.png)[3 * ROWS : 4 * ROWS]
    np.testing.assert_array_equal(drawn, overlay.coloured(stack[3], overlay.difference_scale(stack), overlay.DIVERGING))
    number = compare.rank_correlation(values, expected_change(session, "base", "shortcut"))
    assert found.agreement == [f"shortcut and other@0.5: {number:+.2f}"]


def test_ranked_heads_that_were_not_kept_are_listed_without_a_map() -> None:
    session = make_session(replace(make_session().request, keep=Keep(layers=(3,), numbers="float32")))
    found = shown(session)
    kept = [index for index, one in enumerate(found.ranked) if one.layer == 3]
    assert len(found.ranked) == 10
    assert kept and [index for index in range(10) if index not in kept] == found.ranked_maps.blank


def test_answers_that_parted_are_marked_told_and_not_compared_after_it() -> None:
    found = shown(parted_session(), Choice(token=6, token_to=6, layer=1, head=1))
    assert [(one.variant, one.index) for one in found.partings] == [("shortcut", 5), ("other@0.5", 5)]
    assert "'b', 'x'" in found.partings[0].told
    assert "different words" in found.missing
    assert found.cell_told == found.missing
    assert (found.cell, found.ranked, found.agreement) == ([], [], [])
    assert all(column.missing and not column.chart.png for column in found.columns)
    assert [one.variant for one in found.chances[0].chances] == ["base", "shortcut"]
    assert not found.same_words


def test_chances_tell_probability_divergence_and_runners_up() -> None:
    session = make_session()
    runs = []
    for number, run in enumerate(session.runs):
        tokens = tuple(
            replace(one, scores=replace(one.scores, divergence=0.25 * number)) if one.scores else one
            for one in run.trace.tokens
        )
        runs.append(replace(run, trace=replace(run.trace, tokens=tokens)))
    found = shown(replace(session, runs=tuple(runs)), Choice(token=3, token_to=5))
    assert [place.index for place in found.chances] == [4, 5]  # the question's last token has none
    told = found.chances[0].chances
    assert [one.divergence for one in told] == ["0 nats", "0.25 nats", "0.5 nats"]
    assert told[0].probability == "0.90"
    assert told[0].runners_up.startswith("'other0' 0.05")
    assert shown(session).chances == []


def test_hidden_variants_get_no_column_unless_they_are_chosen() -> None:
    choice = replace(AT, hidden=("other@0.5",))
    assert [column.variant for column in shown(make_session(), choice).columns] == ["shortcut"]
    both = shown(make_session(), choice, b="other@0.5")
    assert [column.variant for column in both.columns] == ["shortcut", "other@0.5"]


def test_a_box_is_held_against_every_variant() -> None:
    session, box = make_session(), (40.0, 30.0, 160.0, 190.0)
    found = shown(session, box=list(box)).box
    assert found is not None
    assert found.inset == pytest.approx([40 / 352, 30 / 224, 160 / 352, 190 / 224])
    trace = session.run("shortcut").trace
    figures = box_figures(maps.image_map(trace, tokens=slice(1, 3), layer=3, head=2), trace.images[0], box)
    told = found.variants[1]
    assert (told.variant, told.lift) == ("shortcut", f"{figures.lift:.2f}")
    assert told.hit == ("yes" if figures.hit else "no")
    heads = [box_shares(run.trace, box, tokens=slice(1, 3)) for run in session.runs]
    most = max(float(each.max()) for each in heads)
    np.testing.assert_array_equal(pixels(told.chart.png), overlay.coloured(heads[1], Normalize(0, most), "viridis"))
    assert shown(session).box is None


def test_a_head_that_was_not_kept_has_no_figures_for_a_box() -> None:
    session = make_session(replace(make_session().request, keep=Keep(layers=(1,))))
    found = shown(session, box=[0, 0, 50, 50])
    assert found.box is not None
    assert (found.box.variants[0].share, found.box.variants[0].hit) == ("not kept", "")
    assert "was not kept" in found.cell_told


@pytest.mark.parametrize("images", [0, 2])
def test_everything_goes_into_json(images: int) -> None:
    session = make_session(images=images)
    choice = check_choice(session, {"token": 4, "image": max(0, images - 1)})
    pair = Pair("base", "shortcut", "share", (1.0, 2.0, 30.0, 40.0) if images else None)
    assert json.loads(json.dumps(asdict(change("id", session, choice, pair))))["session"] == "id"


def test_the_second_picture_has_maps_changes_and_boxes_of_its_own() -> None:
    session, box = make_session(images=2), (40.0, 30.0, 160.0, 190.0)
    numbers = change_numbers(session, replace(AT, image=1), Pair("base", "shortcut", "variation", box))
    base, trace = session.run("base").trace, session.run("shortcut").trace
    np.testing.assert_allclose(
        numbers["heads"], compare.head_change(base, trace, "variation", tokens=slice(1, 3), image=1)
    )
    np.testing.assert_allclose(
        numbers["cell"]["b"], maps.image_map(trace, tokens=slice(1, 3), layer=3, head=2, image=1)
    )
    np.testing.assert_allclose(
        numbers["box"]["variants"][1]["heads"], box_shares(trace, box, tokens=slice(1, 3), image=1)
    )
