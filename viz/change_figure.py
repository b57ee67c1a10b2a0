"""The comparison as a figure for a slide or a paper: maps of A, of B and their difference, and the chart of all heads.

Drawn from the same numbers as the page (`viz.change_shown`), with scales and a caption. Knows no Gradio, never pyplot.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from inference.errors import SettingsError
from inference.evidence.floor import ALIKE, KINDS
from inference.trace import sinks
from inference.trace.session import Session
from viz import overlay, words
from viz.change_aids import Aids
from viz.change_shown import (
    ShownHeads,
    ShownMaps,
    chart_colours,
    formula_told,
    heads_scale,
    is_relative,
    map_scales,
    shown_heads,
    shown_maps,
)
from viz.change_told import cell_told, sink_view
from viz.change_view import Pair
from viz.changed import FORMULAS, Changed, changed
from viz.charts import draw_layer_head
from viz.drawing import FAINT, INK, add_axes, draw_bar, percents, wrapped, write
from viz.figures import described, open_picture, reduced
from viz.seen import words_told
from viz.view import Choice

_LEFT_IN, _GAP_IN, _BAR_IN, _BAR_WIDTH_IN, _TOP_IN = 0.6, 0.24, 1.0, 0.13, 1.3
_SIDE_IN, _LOWEST_IN, _NARROWEST_IN = 2.7, 1.5, 2.1
_ABOVE_CHART_IN, _BELOW_CHART_IN = 0.8, 0.5
_CAPTION_SIZE, _LINE_IN = 7.5, 0.15
_GREY = tuple(part / 255 for part in overlay.GREY)

Numbers = Callable[[float], str]


@dataclass(frozen=True)
class _Layout:
    """Sizes in inches, from the lower left corner: caption, chart of heads, and above it the three panels."""

    panel: tuple[float, float]
    chart: tuple[float, float]
    footer: float

    @property
    def chart_at(self) -> tuple[float, float]:
        return _LEFT_IN, self.footer + _BELOW_CHART_IN

    @property
    def panels_at(self) -> float:
        return self.chart_at[1] + self.chart[1] + _ABOVE_CHART_IN

    @property
    def size(self) -> tuple[float, float]:
        across = 3 * self.panel[0] + 2 * _GAP_IN + 2 * _BAR_IN
        return _LEFT_IN + across, self.panels_at + self.panel[1] + _TOP_IN

    def left(self, panel: int) -> float:
        """Where a panel begins; before the last one, the difference, there is a bar."""
        return _LEFT_IN + panel * (self.panel[0] + _GAP_IN) + (_BAR_IN if panel == 2 else 0)


def change_figure(
    session: Session,
    choice: Choice,
    pair: Pair,
    aids: Aids,
    *,
    opacity: float = overlay.OPACITY,
    smooth: bool = False,
) -> Figure:
    """A, B and B less A at the choice over the picture, and below them how much every head changed.

    Raises:
        SettingsError: the two cannot be compared here, or there is no map of the chosen head.
    """
    found = changed(session, choice, pair.a, pair.b)
    shown = shown_maps(found, choice, pair, aids)
    if shown is None:
        raise SettingsError("a choice that can be compared", found.blind.removesuffix("."), "choose another one")
    heads = shown_heads(session, found, choice, pair, aids)
    picture = reduced(open_picture(session, choice))
    layout, caption = _plan(session, picture, _caption(session, found, choice, pair, aids, shown, heads))
    figure = Figure(figsize=layout.size, facecolor="white")
    _write_heading(figure, layout, session, found, choice)
    scales = map_scales([shown], signed=is_relative(pair, aids))
    veils = _veils(shown, scales, choice, signed=is_relative(pair, aids))
    over = [overlay.laid_over(picture, veil, opacity=opacity, smooth=smooth) for veil in veils]
    colours = overlay.variant_colours([run.variant.label for run in session.runs])
    titles = [(pair.a, colours[pair.a]), (pair.b, colours[pair.b]), (f"{pair.b} less {pair.a}", INK)]
    for panel, (image, title) in enumerate(zip(over, titles, strict=True)):
        _draw_panel(figure, layout, panel, image, title, shown, hide=pair.hide)
    _draw_bars(figure, layout, scales, choice, relative=is_relative(pair, aids))
    _draw_chart(figure, layout, heads, choice, pair)
    for number, line in enumerate(caption):
        write(figure, 0.4, layout.footer - 0.2 - _LINE_IN * number, line, size=_CAPTION_SIZE, color=FAINT)
    return figure


def _plan(session: Session, picture: Image.Image, caption: str) -> tuple[_Layout, list[str]]:
    """The layout for pictures of this size, and the caption cut into lines that fit it."""
    width, height = picture.size
    high = max(min(_SIDE_IN * height / width, _SIDE_IN), _LOWEST_IN)
    wide = max(min(_SIDE_IN, high * width / height), _NARROWEST_IN)
    chart = min(max(0.3 * session.model.heads, 2.0), 6.0), min(max(0.16 * session.model.layers, 1.3), 4.0)
    room = _Layout((wide, high), chart, 0).size[0] - 2 * 0.4
    lines = wrapped(caption, width_in=room, size=_CAPTION_SIZE, lines=16)
    return _Layout((wide, high), chart, 0.4 + _LINE_IN * len(lines)), lines


def _veils(
    shown: ShownMaps, scales: tuple[Normalize, Normalize], choice: Choice, *, signed: bool
) -> list[Float[np.ndarray, "rows cols 4"]]:
    grids = (shown.a, shown.b)
    if signed:
        veils = [overlay.difference_veil(grid, scales[0]) for grid in grids]
    else:
        veils = [overlay.veil(grid, scales[0], choice.colormap) for grid in grids]
    return [*veils, overlay.difference_veil(shown.difference, scales[1])]


def _write_heading(figure: Figure, layout: _Layout, session: Session, found: Changed, choice: Choice) -> None:
    width_in, top_in = layout.size[0] - 2 * 0.4, layout.size[1]
    question = wrapped(session.request.question, width_in=width_in, size=16, lines=1)[0]
    write(figure, 0.4, top_in - 0.45, question, size=14, color=INK, weight="bold")
    told = f"What {found.b.variant.label} changed at {_tokens_named(found)}: {words.where(choice)}"
    write(figure, 0.4, top_in - 0.73, wrapped(told, width_in=width_in, size=10, lines=1)[0], size=10, color=FAINT)


def _draw_panel(
    figure: Figure,
    layout: _Layout,
    panel: int,
    image: Image.Image,
    title: tuple[str, str],
    shown: ShownMaps,
    *,
    hide: bool,
) -> None:
    width_in, height_in = layout.panel
    left_in = layout.left(panel)
    axes = add_axes(figure, left_in, layout.panels_at, width_in, height_in)
    axes.imshow(image, interpolation="lanczos", aspect="equal")
    axes.set_anchor("NW")
    axes.set_axis_off()
    _mark_sinks(axes, image, shown, hide=hide)
    text = wrapped(title[0], width_in=width_in, size=12.5, lines=1)[0]
    write(figure, left_in, layout.panels_at + height_in + 0.09, text, size=11, color=title[1], weight="bold")


def _mark_sinks(axes: Axes, image: Image.Image, shown: ShownMaps, *, hide: bool) -> None:
    """A dashed frame round every sink; hidden ones are hatched."""
    rows, cols = shown.sinks.shape
    wide, high = image.width / cols, image.height / rows
    for row, col in np.argwhere(shown.sinks):
        at = (col * wide - 0.5, row * high - 0.5)
        frame = Rectangle(at, wide, high, fill=hide, facecolor=_GREY, edgecolor="white", linewidth=1.2, linestyle="--")
        if hide:
            frame.set_hatch("////")
        axes.add_patch(frame)


def _draw_bars(
    figure: Figure, layout: _Layout, scales: tuple[Normalize, Normalize], choice: Choice, *, relative: bool
) -> None:
    labels = ("share within picture" if choice.within else "share of attention", "points")
    numbers: tuple[Numbers, Numbers] = (percents, _points)
    colormaps = (choice.colormap, overlay.DIVERGING)
    if relative:
        labels = ("log2 against the neutral question", "B less A")
        numbers = (_signed, _signed)
        colormaps = (overlay.DIVERGING, overlay.DIVERGING)
    for panel, scale, label, number, colormap in zip((1, 2), scales, labels, numbers, colormaps, strict=True):
        left_in = layout.left(panel) + layout.panel[0] + 0.16
        axes = add_axes(figure, left_in, layout.panels_at, _BAR_WIDTH_IN, layout.panel[1])
        draw_bar(figure, axes, scale, colormap, label, number)


def _draw_chart(figure: Figure, layout: _Layout, heads: ShownHeads, choice: Choice, pair: Pair) -> None:
    """The change of every head, in the measure or in multiples of its noise floor."""
    (left_in, bottom_in), (width_in, height_in) = layout.chart_at, layout.chart
    name = FORMULAS[pair.measure][0]
    title = f"{name[0].upper()}{name[1:]}, every head, {pair.b} against {pair.a}"
    room = layout.size[0] - left_in - 0.3
    told = wrapped(heads.missing or title, width_in=room, size=10.5, lines=1)[0]
    write(figure, left_in, bottom_in + height_in + 0.12, told, size=10, color=INK)
    if heads.missing:
        return
    axes = add_axes(figure, left_in, bottom_in, width_in, height_in)
    scale = heads_scale([heads.drawn], pair)
    draw_layer_head(axes, heads.drawn, scale, choice, chart_colours(pair, choice))
    if pair.unit == "floor":
        grey = np.zeros((*heads.under.shape, 4), np.uint8)
        grey[heads.under] = (*overlay.GREY, 255)
        axes.imshow(grey, aspect="auto", interpolation="nearest")
    bar = add_axes(figure, left_in + width_in + 0.16, bottom_in, _BAR_WIDTH_IN, height_in)
    label = "times the floor" if pair.unit == "floor" else "points" if pair.measure == "share" else name
    draw_bar(figure, bar, scale, chart_colours(pair, choice), label, _chart_numbers(pair))


def _chart_numbers(pair: Pair) -> Numbers:
    if pair.unit == "floor":
        return lambda value: f"{'-' if value < 0 else ''}{10 ** abs(value):.3g}"
    return _points if pair.measure == "share" else _plain


def _noise_told(heads: ShownHeads, pair: Pair) -> str:
    """What the noise was, where the chart is in multiples of it."""
    if pair.unit == "shares" or heads.missing:
        return ""
    kinds = [kind for kind in heads.floors if pair.noise == kind or (pair.noise == "alike" and kind in ALIKE)]
    return f" Noise: {', '.join(KINDS[kind] for kind in kinds)}. Grey: under the floor."


def _caption(
    session: Session, found: Changed, choice: Choice, pair: Pair, aids: Aids, shown: ShownMaps, heads: ShownHeads
) -> str:
    """Model, adapters, token, layer and head, what the colours tell, the measure, floor and sinks."""
    adapters = "; ".join(described(session, run.variant) for run in (found.a, found.b) if not run.variant.is_base)
    parts = [
        f"Model: {session.model.name}, {session.model.dtype}. Adapters: {adapters}. A: {pair.a}, B: {pair.b}. "
        f"Attention of {_tokens_named(found)}, {words.where(choice)}; {words_told(session)}.",
        "Red: B gives more, blue: less. A and B share one scale.",
        cell_told(found, choice, pair, shown),
        f"Chart: {formula_told(pair, aids)}{_noise_told(heads, pair)}",
    ]
    if is_relative(pair, aids):
        parts.append(sinks.RELATIVE)
    told = sink_view(found, choice, shown, pair, aids)
    if told is not None:
        parts.append(f"{told.told} {told.rule} Neutral question: {told.question}")
    parts.append(f"Attention is where the model looked, not proof of why it answered. Asked {session.created[:10]}.")
    return " ".join(parts)


def _tokens_named(found: Changed) -> str:
    return words.named(found.a.trace.tokens[found.tokens])


def _points(value: float) -> str:
    return _signed(100 * value)


def _signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"


def _plain(value: float) -> str:
    return f"{value:.3g}"
