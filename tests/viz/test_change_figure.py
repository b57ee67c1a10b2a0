"""The figure of a comparison: what it shows, its scales and its caption."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inference.errors import SettingsError
from inference.evidence.floor import floor_requests
from inference.evidence.neutral import neutral_request
from inference.trace import compare
from inference.trace.request import Keep
from inference.trace.session import Session
from tests.fakes import HEADS, LAYERS, make_session
from tests.viz.test_change_aids import AT, grid_of, nearly, spotted
from viz import overlay
from viz.change_aids import Aids
from viz.change_figure import change_figure
from viz.changed import check_pair
from viz.handlers import change_file


@pytest.fixture(scope="module")
def session() -> Session:
    return make_session(replace(make_session().request, words="base", question=r"What $\frac{1}{2}$ is 红 red?"))


def drawn(session: Session, aids: Aids | None = None, **raw: Any) -> Figure:
    return change_figure(session, AT, check_pair(session, raw), aids or Aids())


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_maps_difference_and_chart_with_their_scales(session: Session) -> None:
    figure = drawn(session, b="other@0.5")
    one, two, three, *bars, chart, chart_bar = figure.axes
    assert len(bars) == 2
    grids = [grid_of(session, label) for label in ("base", "other@0.5")]
    scale, difference = overlay.colour_scale(grids), overlay.difference_scale([grids[1] - grids[0]])
    assert bars[0].get_ylim() == pytest.approx((0, scale.vmax))
    assert bars[1].get_ylim() == pytest.approx((difference.vmin, difference.vmax))
    values = compare.head_change(session.run("base").trace, session.run("other@0.5").trace, "share", tokens=slice(1, 3))
    np.testing.assert_array_equal(np.asarray(chart.images[0].get_array()), values)
    most = float(np.abs(values).max())
    assert chart_bar.get_ylim() == pytest.approx((-most, most))
    told = texts(figure)
    for part in (
        "base",
        "other@0.5 less base",
        "layer 3, head 2",
        "same words (the base's answer)",
        "Red: B gives more",
    ):
        assert part in told
    assert r"What $\frac{1}{2}$ is" in told
    assert one.images and two.images and three.images


def test_sinks_are_framed_and_hatched_when_hidden(session: Session) -> None:
    bright, aids = spotted(session.request), Aids(neutral=spotted(neutral_request(session), seed=20))
    for hide in (False, True):
        figure = drawn(bright, aids, hide=hide)
        marks = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
        assert marks and all(mark.get_fill() == hide for mark in marks)
        assert ("hidden here" in texts(figure)) == hide
        assert "A sink is a cell" in texts(figure)
    assert "Relative map: log2" in texts(drawn(bright, aids, relative=True))


def test_multiples_of_the_floor_are_drawn_with_grey_cells(session: Session) -> None:
    plan = floor_requests(session).reruns
    aids = Aids((nearly(plan[0].request, (0.3, 0.3, 0.3)),))
    figure = drawn(session, aids, unit="floor", measure="variation")
    chart = figure.axes[-2]
    grey = np.asarray(chart.images[1].get_array())
    assert grey.shape == (LAYERS, HEADS, 4)
    assert "Noise: the picture shifted by one pixel" in texts(figure)
    assert figure.axes[-1].get_ylabel() == "times the floor"
    missing = drawn(session, Aids(), unit="floor")
    assert "No noise floor for these tokens" in texts(missing)
    assert len(missing.axes) == 5


def test_it_is_saved_as_a_file(session: Session) -> None:
    assert change_file(session, AT, check_pair(session, {}), Aids(), "pdf").startswith(b"%PDF")


def test_what_has_no_figure_is_refused(session: Session) -> None:
    pair = check_pair(session, {})
    for kind, opacity, told in (("gif", 0.5, "a file kind"), ("png", 7.0, "an opacity")):
        with pytest.raises(SettingsError, match=told):
            change_file(session, AT, pair, Aids(), kind, opacity=opacity)
    with pytest.raises(SettingsError, match="a choice that can be compared"):
        drawn(session, a="base", b="base")
    kept = make_session(replace(session.request, keep=Keep(layers=(1,), numbers="float32")))
    with pytest.raises(SettingsError, match="a choice that can be compared"):
        drawn(kept)
