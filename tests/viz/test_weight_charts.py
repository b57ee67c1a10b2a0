"""The layer x module charts: every figure in its cell, on one scale, and what is not touched told apart from zero."""

from collections.abc import Iterable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inference.errors import SettingsError
from inference.protocol import AdapterFacts
from inference.weights.places import Place, Tower
from inference.weights.report import AdapterWeights, Change
from viz.drawing import saved
from viz.overlay import variant_colours
from viz.weight_charts import weight_figure

Cell = tuple[int | None, str, float]


def made(name: str, text: Iterable[Cell], vision: Iterable[Cell] = (), *, base: float | None = None) -> AdapterWeights:
    towers: tuple[tuple[Tower, Iterable[Cell]], ...] = (("text", text), ("vision", vision))
    changes = tuple(
        Change(Place(tower, layer, module), 11, 7, 3, 2.0, (norm,), base)
        for tower, cells in towers
        for layer, module, norm in cells
    )
    return AdapterWeights(AdapterFacts(name, ""), changes)


ONE = made("one", [(0, "q_proj", 3.0), (2, "v_proj", 0.0)])
OTHER = made("other", [(2, "q_proj", 5.0)])


def charts(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.images]


def hatched(axes: Axes) -> set[tuple[int, int]]:
    """Layer and column of each hatched cell."""
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    return {(round(cell.get_y() + 0.5), round(cell.get_x() + 0.5)) for cell in cells}


def test_cells_are_the_norms_on_one_scale_and_the_rest_is_hatched() -> None:
    figure = weight_figure([ONE, OTHER])
    first, second = charts(figure)
    untouched = [{(0, 1), (1, 0), (1, 1), (2, 0)}, {(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)}]
    expected = [{(0, 0): 3.0, (2, 1): 0.0}, {(2, 0): 5.0}]
    for axes, cells, rest in zip((first, second), expected, untouched, strict=True):
        drawn = axes.images[0].get_array()
        assert drawn is not None and drawn.shape == (3, 2)
        assert {cell: float(drawn[cell]) for cell in np.ndindex(3, 2) if not np.ma.is_masked(drawn[cell])} == cells
        assert hatched(axes) == rest
        assert axes.images[0].get_clim() == (0, 5)
        assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert [(text.get_text(), *text.get_position()) for text in first.texts] == [("0", 1, 2)]
    assert not second.texts


def test_axes_names_and_the_line_that_says_how_to_read() -> None:
    figure = weight_figure([ONE, OTHER])
    first, second = charts(figure)
    assert [label.get_text() for label in first.get_xticklabels()] == ["q_proj", "v_proj"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["0", "1", "2"]
    assert (first.get_ylabel(), second.get_ylabel()) == ("layer", "")
    assert figure.axes[-1].get_ylabel() == "Frobenius norm"
    told = [text.get_text() for text in figure.texts]
    assert "What the adapter adds to each weight: Frobenius norm" in told
    assert "Hatched: not touched; 0: touched, but nothing changed. One scale for all." in " ".join(told)
    colours = {text.get_text(): text.get_color() for text in figure.texts}
    assert {name: colours[name] for name in ("one", "other")} == variant_colours(["one", "other"])


def test_towers_have_charts_of_their_own_and_modules_outside_of_layers_a_row() -> None:
    both = made("both", [(0, "q_proj", 1.0), (None, "lm_head", 2.0)], [(1, "qkv", 7.0)])
    text, text_other, vision, vision_other = charts(weight_figure([both, ONE]))
    assert [label.get_text() for label in text.get_yticklabels()] == ["0", "1", "2", "no layer"]
    assert (text.get_ylabel(), vision.get_ylabel()) == ("layer", "vision block")
    assert text.get_position().y0 > vision.get_position().y1
    assert text_other.get_position().y0 == text.get_position().y0
    assert hatched(vision_other) == {(0, 0), (1, 0)}
    assert {axes.images[0].get_clim() for axes in (text, vision)} == {(0, 7)}


def test_the_ratio_is_told_in_percent_and_refused_without_a_base() -> None:
    figure = weight_figure([made("a", [(0, "q_proj", 3.0)], base=12.0)], "ratio")
    assert charts(figure)[0].images[0].get_array() == [[0.25]]
    figure.draw_without_rendering()
    assert all(label.get_text().endswith(" %") for label in figure.axes[-1].get_yticklabels())
    with pytest.raises(SettingsError, match="'ratio' without a base: give the base's folder"):
        weight_figure([ONE], "ratio")


def test_an_adapter_that_changes_nothing_is_drawn_on_a_scale_that_says_so() -> None:
    figure = weight_figure([made("a", [(0, "q_proj", 0.0)])])
    assert charts(figure)[0].images[0].get_clim() == (0, 1)


def test_no_adapter_and_no_measure_are_refused() -> None:
    with pytest.raises(SettingsError, match="at least one adapter"):
        weight_figure([])
    with pytest.raises(SettingsError, match="one of frobenius"):
        weight_figure([ONE], "size")  # type: ignore[arg-type]


LARGE = made(
    "an adapter of a long name $\\frac$ 汉 " * 9,
    [
        (layer, f"{part}_proj", 1.0 + layer)
        for layer in range(36)
        for part in ("q", "k", "v", "o", "gate", "up", "down")
    ],
    [(layer, module, 1.0) for layer in range(27) for module in ("qkv", "deepstack.linear_fc1", "x" * 200)],
)


@pytest.mark.parametrize("adapters", [[ONE], [ONE, OTHER], [LARGE], [LARGE, ONE, LARGE]], ids=len)
def test_all_stays_within_the_figure_and_no_text_lies_on_a_chart(adapters: list[AdapterWeights]) -> None:
    figure = weight_figure(adapters)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.texts]
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert all(not box.padded(-1).overlaps(text) for text in boxes)
        boxes.append(box)
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height


def test_layers_are_numbered_sparsely_where_there_are_many() -> None:
    labels = [label.get_text() for label in charts(weight_figure([LARGE]))[0].get_yticklabels()]
    assert labels == [str(layer) for layer in range(0, 36, 2)]


def test_the_same_figure_gives_the_same_file() -> None:
    assert saved(weight_figure([ONE]), "svg") == saved(weight_figure([ONE]), "svg")
