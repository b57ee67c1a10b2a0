"""The layer x module chart as a figure: how large an adapter's change of each weight is, several side by side.

All panels of a figure share their axes and one colour scale. Knows no Gradio, and never pyplot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inference.errors import SettingsError
from inference.weights.places import Tower
from inference.weights.report import AdapterWeights
from inference.weights.table import MEASURES, Grid, Measure, weight_grid
from viz import overlay
from viz.drawing import FAINT, INK, add_axes, draw_bar, percents, wrapped, write

_LEFT_IN, _RIGHT_IN, _TOP_IN, _GAP_IN, _NARROWEST_IN = 0.95, 1.1, 0.95, 0.24, 6.4
_ABOVE_IN, _BELOW_IN, _COLUMN_IN, _LABEL_IN = 0.36, 0.3, 0.42, 1.5
_UNTOUCHED = "#eceef1"


@dataclass(frozen=True)
class Band:
    """The panels of one tower: their grid, and where the band's charts begin above the figure's lower edge."""

    tower: Tower
    grid: Grid
    bottom_in: float

    @property
    def width_in(self) -> float:
        """Least width of one chart."""
        return max(_COLUMN_IN * len(self.grid.modules), 1.5)

    @property
    def height_in(self) -> float:
        return min(max(0.22 * len(self.grid.layers), 1.1), 5.0)


def weight_figure(
    adapters: Sequence[AdapterWeights],
    measure: Measure = "frobenius",
    *,
    colormap: str = "viridis",
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """One chart an adapter, layers downwards, modules to the right; a row of charts for each tower that any touches.

    Hatched cells are not touched; a cell marked 0 is touched and changes nothing. `colours`: of each adapter's name;
    left out, they are given in order.

    Raises:
        SettingsError: no adapter, no such measure, or the ratio of adapters that were read without their base.
    """
    if not adapters:
        raise SettingsError("at least one adapter", "none", "name one to draw")
    bands = _bands(adapters, measure)
    told = [band.grid.values[~np.isnan(band.grid.values)] for band in bands]
    if not any(values.size for values in told):
        raise SettingsError("a measure that is known", f"{measure!r} without a base", "give the base's folder as well")
    scale = overlay.colour_scale(told)
    charts_in = max(
        len(adapters) * (max(band.width_in for band in bands) + _GAP_IN), _NARROWEST_IN - _LEFT_IN - _RIGHT_IN
    )
    total_in = _LEFT_IN + charts_in + _RIGHT_IN
    top_in = bands[0].bottom_in + bands[0].height_in + _ABOVE_IN + _TOP_IN
    figure = Figure(figsize=(total_in, top_in), facecolor="white")
    names = [adapter.facts.name for adapter in adapters]
    titles = {name: (colours or overlay.variant_colours(names))[name] for name in names}
    for band in bands:
        _draw_band(figure, band, titles, scale, colormap, step_in=charts_in / len(adapters))
    _write_header(figure, measure, total_in)
    bar = add_axes(figure, _LEFT_IN + charts_in, bands[0].bottom_in, 0.13, bands[0].height_in)
    draw_bar(figure, bar, scale, colormap, MEASURES[measure][0], percents if measure == "ratio" else "{:.3g}".format)
    return figure


def draw_weights(
    axes: Axes, table: Float[np.ndarray, "layers modules"], grid: Grid, scale: Normalize, colormap: str
) -> None:
    """One adapter's chart: a row for each layer of the grid, a column for each module; NaN is hatched."""
    colours = matplotlib.colormaps[colormap].with_extremes(bad=_UNTOUCHED)
    axes.imshow(np.ma.masked_invalid(table), norm=scale, cmap=colours, aspect="auto", interpolation="nearest")
    for row, col in np.argwhere(np.isnan(table)):
        cell = Rectangle((col - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", edgecolor="#c3c7cd", linewidth=0)
        axes.add_patch(cell)
    for row, col in np.argwhere(table == 0):
        axes.text(col, row, "0", ha="center", va="center", fontsize=6.5, color="white")
    axes.set_xticks(range(len(grid.modules)), list(map(_label, grid.modules)), rotation=90)
    rows = [row for row, layer in enumerate(grid.layers) if layer is None or layer % _every(len(grid.layers)) == 0]
    axes.set_yticks(rows, ["no layer" if grid.layers[row] is None else str(grid.layers[row]) for row in rows])


def _bands(adapters: Sequence[AdapterWeights], measure: Measure) -> list[Band]:
    """From the top of the figure to its bottom: text, then vision; those that no adapter touches are left out."""
    bands: list[Band] = []
    bottom_in = 0.0
    towers: tuple[Tower, ...] = ("vision", "text")
    for tower in towers:
        grid = weight_grid(adapters, measure, tower)
        if grid.values.size:
            # The names of modules stand upright below the charts; no letter of them is wider than 0.08 inches.
            bottom_in += _BELOW_IN + 0.08 * max(len(_label(module)) for module in grid.modules)
            bands.append(Band(tower, grid, bottom_in))
            bottom_in += bands[-1].height_in + _ABOVE_IN
    return bands[::-1]


def _draw_band(
    figure: Figure, band: Band, titles: Mapping[str, str], scale: Normalize, colormap: str, *, step_in: float
) -> None:
    """`titles`: the adapters' names with their colours, one for each chart of the band."""
    width_in, height_in = step_in - _GAP_IN, band.height_in
    for index, (name, colour) in enumerate(titles.items()):
        left_in = _LEFT_IN + index * step_in
        axes = add_axes(figure, left_in, band.bottom_in, width_in, height_in)
        draw_weights(axes, band.grid.values[index], band.grid, scale, colormap)
        title = wrapped(name, width_in=width_in, size=10.5 * 1.15, lines=1)[0]
        write(figure, left_in, band.bottom_in + height_in + 0.1, title, size=10.5, color=colour, weight="bold")
        if index == 0:
            axes.set_ylabel("layer" if band.tower == "text" else "vision block", color=FAINT, fontsize=9)
        else:
            axes.tick_params(labelleft=False)


def _write_header(figure: Figure, measure: Measure, total_in: float) -> None:
    top_in, width_in = float(figure.get_size_inches()[1]), total_in - 2 * 0.4
    name, meaning = MEASURES[measure]
    heading = f"What the adapter adds to each weight: {name}"
    write(figure, 0.4, top_in - 0.42, wrapped(heading, width_in=width_in, size=12, lines=1)[0], size=12, color=INK)
    told = f"Each cell: {meaning}. Hatched: not touched; 0: touched, but nothing changed. One scale for all."
    for number, line in enumerate(wrapped(told, width_in=width_in, size=8.5, lines=2)):
        write(figure, 0.4, top_in - 0.68 - 0.16 * number, line, size=8.5, color=FAINT)


def _label(module: str) -> str:
    return wrapped(module, width_in=_LABEL_IN, size=8, lines=1)[0]


def _every(layers: int) -> int:
    """Between labelled layers, so that their numbers do not touch."""
    return next(step for step in (1, 2, 4, 8, 16, 10**6) if layers <= 24 * step)
