"""The layer x head charts: right way up, on one scale, named, and the chosen place framed."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from inference.trace.request import Request
from inference.trace.session import Session
from tests.fakes import HEADS, LAYERS, make_session, make_trace
from viz.charts import layer_head_figure
from viz.drawing import saved
from viz.view import Choice


def tables(session: Session, token: int) -> list[np.ndarray]:
    span = session.runs[0].trace.images[0]
    return [run.trace.rows[token, :, :, span.start : span.stop].sum(-1) for run in session.runs]


def test_charts_show_the_share_on_the_picture_of_every_head_on_one_scale() -> None:
    session = make_session()
    figure = layer_head_figure(session, Choice(4, 4, 2, 1))
    images = [axes.images[0] for axes in figure.axes if axes.images]
    expected = tables(session, 4)
    for image, table in zip(images, expected, strict=True):
        drawn = np.asarray(image.get_array())
        assert drawn.shape == (LAYERS, HEADS)
        assert np.allclose(drawn, table, atol=1e-6)
        assert image.get_clim() == pytest.approx((0, max(float(table.max()) for table in expected)))


def test_axes_are_named_and_the_bar_has_a_unit() -> None:
    figure = layer_head_figure(make_session(), Choice(4, 4, 2, 1))
    chart, bar = figure.axes[0], figure.axes[-1]
    assert (chart.get_xlabel(), chart.get_ylabel()) == ("head", "layer")
    assert chart.get_ylim()[0] > chart.get_ylim()[1]
    assert bar.get_ylabel() == "share on the picture"
    told = [text.get_text() for text in figure.texts]
    assert "How much 'cir' looks at the picture, by layer and head" in told
    assert {"base", "shortcut", "other@0.5"} <= set(told)


@pytest.mark.parametrize(
    ("layer", "head", "frame"),
    [
        (2, 1, (0.5, 1.5, 1, 1)),
        (2, None, (-0.5, 1.5, HEADS, 1)),
        (None, 1, (0.5, -0.5, 1, LAYERS)),
    ],
)
def test_the_chosen_cell_row_or_column_is_framed(
    layer: int | None, head: int | None, frame: tuple[float, float, float, float]
) -> None:
    axes = layer_head_figure(make_session(), Choice(0, 0, layer, head)).axes[0]
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        assert (*patch.get_xy(), patch.get_width(), patch.get_height()) == frame
    assert len(axes.patches) == 2


def test_the_mean_over_all_frames_nothing() -> None:
    assert not layer_head_figure(make_session(), Choice()).axes[0].patches


def test_a_variant_without_the_token_says_so_and_no_picture_still_gives_a_file() -> None:
    session = make_session()
    short = replace(session.runs[1], trace=make_trace(("cir",)))
    figure = layer_head_figure(replace(session, runs=(session.runs[0], short)), Choice(5, 5))
    assert any("No map:" in text.get_text() for text in figure.texts)
    assert saved(layer_head_figure(make_session(Request("What is $\\frac$ 汉?")), Choice()), "png").startswith(
        b"\x89PNG"
    )


def test_texts_stay_within_the_figure() -> None:
    figure = layer_head_figure(make_session(), Choice(0, 5, 2, None))
    figure.draw_without_rendering()
    for text in figure.texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
