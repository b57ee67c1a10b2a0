"""The layer x head chart as a figure for a slide or a paper: which heads look at the picture.

The page draws its own, clickable chart from the same numbers (`viz.look`). Knows no Gradio, and never pyplot.
"""

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from inference.trace.session import Session
from viz import overlay, words
from viz.drawing import FAINT, INK, add_axes, draw_bar, wrapped, write
from viz.seen import Seen, chosen_name, see, why_missing
from viz.view import Choice

_LEFT_IN, _RIGHT_IN, _TOP_IN, _BOTTOM_IN, _GAP_IN = 0.75, 1.0, 1.2, 0.6, 0.45


def layer_head_figure(session: Session, choice: Choice) -> Figure:
    """One chart a variant, all on one scale: share of the chosen tokens' attention on the picture, head by head."""
    seen = [see(session, run, choice) for run in session.runs if run.variant.label not in choice.hidden]
    width_in, height_in = _side(session.model.heads), _side(session.model.layers)
    charts_in = len(seen) * (width_in + _GAP_IN) - _GAP_IN
    total_in = max(6.4, _LEFT_IN + charts_in + _RIGHT_IN)
    figure = Figure(figsize=(total_in, _TOP_IN + height_in + _BOTTOM_IN), facecolor="white")
    scale = overlay.colour_scale([one.chart for one in seen])
    colours = overlay.variant_colours([run.variant.label for run in session.runs])
    for index, one in enumerate(seen):
        left_in, label = _LEFT_IN + index * (width_in + _GAP_IN), one.run.variant.label
        axes = add_axes(figure, left_in, _BOTTOM_IN, width_in, height_in)
        title = wrapped(label, width_in=width_in, size=10.5, lines=1)[0]
        write(figure, left_in, _BOTTOM_IN + height_in + 0.1, title, size=10.5, color=colours[label], weight="bold")
        if one.chart.size:
            draw_layer_head(axes, one.chart, scale, choice, choice.colormap)
        else:
            axes.set_axis_off()
            for line, text in enumerate(wrapped(why_missing(session, one, choice), width_in=width_in, size=8, lines=6)):
                write(figure, left_in, _BOTTOM_IN + height_in - 0.2 - 0.16 * line, text, size=8, color=FAINT)
    _write_header(figure, seen, choice, total_in)
    bar = add_axes(figure, _LEFT_IN + charts_in + 0.2, _BOTTOM_IN, 0.13, height_in)
    draw_bar(figure, bar, scale, choice.colormap, "share on the picture")
    return figure


def draw_layer_head(
    axes: Axes, table: Float[ndarray, "layers heads"], scale: Normalize, choice: Choice, colormap: str
) -> None:
    """Layers downwards, heads to the right, counted from zero; the chosen cell, row or column is framed."""
    layers, heads = table.shape
    axes.imshow(table, norm=scale, cmap=colormap, aspect="auto", interpolation="nearest")
    axes.set_xlabel("head", color=FAINT, fontsize=9)
    axes.set_ylabel("layer", color=FAINT, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    if choice.layer is None and choice.head is None:
        return
    left, width = (-0.5, heads) if choice.head is None else (choice.head - 0.5, 1)
    top, height = (-0.5, layers) if choice.layer is None else (choice.layer - 0.5, 1)
    for colour, line in (("black", 3.2), ("white", 1.4)):
        frame = Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=line, clip_on=False)
        axes.add_patch(frame)


def _write_header(figure: Figure, seen: list[Seen], choice: Choice, total_in: float) -> None:
    top_in, width_in = float(figure.get_size_inches()[1]), total_in - 2 * 0.4
    heading = f"How much {chosen_name(seen)} looks at the picture, by layer and head"
    write(figure, 0.4, top_in - 0.42, wrapped(heading, width_in=width_in, size=12, lines=1)[0], size=12, color=INK)
    told = f"each cell: share of the token's attention on picture {choice.image + 1}; framed: {words.where(choice)}"
    write(figure, 0.4, top_in - 0.68, wrapped(told, width_in=width_in, size=8.5, lines=1)[0], size=8.5, color=FAINT)


def _side(count: int) -> float:
    """Length in inches of a chart's side: cells as large as fit between 1.8 and 4 inches."""
    return min(max(0.28 * count, 1.8), 4.0)
