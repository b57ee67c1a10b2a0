"""Figures for a slide or a paper: the picture and the maps of all variants on one scale, with all that explains them.

Matplotlib figures, never pyplot's; every text of a visitor is drawn as it is. Knows no Gradio and no model.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from inference.errors import SettingsError
from inference.trace.request import Variant
from inference.trace.session import Session
from viz import overlay, words
from viz.drawing import FAINT, INK, add_axes, draw_bar, wrapped, write
from viz.seen import Seen, chosen_name, no_map, notes, see, shares_of, span_of, why_missing, words_told
from viz.view import Choice

LONGEST_PX = 1400
"""Pictures are reduced to this side in figures: at the figure's resolution more could not be seen."""

_MARGIN_IN, _GAP_IN, _BAR_IN, _HEADER_IN, _PER_ROW = 0.4, 0.24, 0.95, 1.0, 4
_ABOVE_IN, _BELOW_IN, _LINE_IN, _CAPTION_LINE_IN = 0.3, 0.66, 0.17, 0.15
_LONGEST_IN, _TALLEST_IN, _NARROWEST_IN, _LOWEST_IN = 2.7, 3.4, 2.4, 1.3
_CAPTION_SIZE, _LINES = 7.5, 3
_BOLD = 1.15
"""Bold letters are wider by so much."""


@dataclass(frozen=True)
class Layout:
    """Sizes in inches; `width_in` x `height_in` is the room for one panel's picture, panels run row by row."""

    width_in: float
    height_in: float
    cols: int
    rows: int
    footer_in: float

    @property
    def across_in(self) -> float:
        """From the left edge of the first panel to the right edge of the last column."""
        return self.cols * (self.width_in + _GAP_IN) - _GAP_IN

    @property
    def row_in(self) -> float:
        return _ABOVE_IN + self.height_in + _BELOW_IN

    @property
    def size_in(self) -> tuple[float, float]:
        return _MARGIN_IN + self.across_in + _BAR_IN, _HEADER_IN + self.rows * self.row_in + self.footer_in

    def corner_in(self, index: int) -> tuple[float, float]:
        """Lower left corner of a panel's picture, from the lower left corner of the figure."""
        row, col = divmod(index, self.cols)
        left = _MARGIN_IN + col * (self.width_in + _GAP_IN)
        return left, self.footer_in + (self.rows - 1 - row) * self.row_in + _BELOW_IN


@dataclass(frozen=True)
class Panel:
    """One picture of a figure, with a title above and lines below it."""

    shown: Image.Image
    title: str
    colour: str
    lines: Sequence[str]


def comparison_figure(
    session: Session, choice: Choice, *, opacity: float = overlay.OPACITY, smooth: bool = False
) -> Figure:
    """The picture, then every shown variant's map over it, on one colour scale, under the question.

    Raises:
        SettingsError: the question was asked without a picture, or no variant shown has a map for this choice.
    """
    picture = reduced(open_picture(session, choice))
    seen = [see(session, run, choice) for run in session.runs if run.variant.label not in choice.hidden]
    reasons = [why_missing(session, one, choice) for one in seen]
    if all(reasons):
        raise no_map(reasons[0])
    scale = overlay.colour_scale([one.grid for one in seen])
    panels = [Panel(picture, "picture", INK, _picture_lines(session, choice))]
    colours = overlay.variant_colours([run.variant.label for run in session.runs])
    for one, missing in zip(seen, reasons, strict=True):
        label = one.run.variant.label
        shown = (
            picture
            if missing
            else overlay.composite(picture, one.grid, scale, choice.colormap, opacity=opacity, smooth=smooth)
        )
        panels.append(Panel(shown, label, colours[label], _variant_lines(one, choice, missing)))
    layout, caption = _plan(len(panels), picture.size, caption_text(session, seen, choice))
    figure = Figure(figsize=layout.size_in, facecolor="white")
    _write_heading(figure, layout, session, f"Where {chosen_name(seen)} looked: {words.where(choice)}")
    for index, panel in enumerate(panels):
        _draw_panel(figure, layout, layout.corner_in(index), panel)
    bar = add_axes(figure, _MARGIN_IN + layout.across_in + 0.18, layout.corner_in(0)[1], 0.13, layout.height_in)
    draw_bar(figure, bar, scale, choice.colormap, "share within picture" if choice.within else "share of attention")
    for number, line in enumerate(caption):
        at_in = layout.footer_in - 0.2 - _CAPTION_LINE_IN * number
        write(figure, _MARGIN_IN, at_in, line, size=_CAPTION_SIZE, color=FAINT)
    return figure


def caption_text(session: Session, seen: Sequence[Seen], choice: Choice) -> str:
    """Model, adapters, token, layer and head, scale, and what attention can tell."""
    variants = "; ".join(described(session, one.run.variant) for one in seen if not one.run.variant.is_base)
    adapters = f" Adapters: {variants}." if variants else ""
    parts = dict.fromkeys(token.part for one in seen for token in one.chosen)
    tokens = f"{chosen_name(seen)} ({', '.join(parts)})"
    scale = overlay.colour_scale([one.grid for one in seen])
    high = words.percent(float(scale.inverse(1.0))).removesuffix(" %")
    return (
        f"Model: {session.model.name}, {session.model.dtype}.{adapters} Attention of {tokens}, {words.where(choice)}; "
        f"{words_told(session)}. "
        f"All maps share one colour scale, 0 to {high} {words.unit(choice)}. {' '.join(notes(session, choice)[:2])} "
        f"Asked {session.created[:10]}."
    )


def open_picture(session: Session, choice: Choice) -> Image.Image:
    """The chosen picture as the model was given it, in its original size.

    Raises:
        SettingsError: the question was asked without a picture.
    """
    images = session.request.images
    if not images:
        raise SettingsError("a question with a picture", "one without", "ask again with a picture to get a map")
    # Pillow's own bound would refuse what the owner of the installation allows; intake has kept to that bound.
    return PngImageFile(io.BytesIO(images[choice.image].png)).convert("RGB")


def reduced(picture: Image.Image) -> Image.Image:
    """The picture with its longer side at most `LONGEST_PX`."""
    smaller = picture.copy()
    smaller.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.LANCZOS)
    return smaller


def described(session: Session, variant: Variant) -> str:
    """Each adapter of a variant with its scale and the start of its weights' hash, where the session knows it."""
    hashes = {facts.name: facts.sha256[:8] for facts in session.adapters if facts.sha256}
    return " + ".join(
        f"{adapter.name} at scale {adapter.scale:g}"
        + (f" (sha256 {hashes[adapter.name]})" if adapter.name in hashes else "")
        for adapter in variant.adapters
    )


def _picture_lines(session: Session, choice: Choice) -> list[str]:
    picture, span = session.request.images[choice.image], span_of(session, choice)
    cells = f"{span.cols} x {span.rows} cells" if span else "no cells"
    return [f"{picture.width} x {picture.height} px, {cells}"]


def _variant_lines(seen: Seen, choice: Choice, missing: str) -> list[str]:
    answer = f"answers: {seen.run.answer}"
    if missing:
        return [answer, missing]
    picture, question, first, _ = (words.percent(share) for share in shares_of(seen))
    scores = seen.chosen[0].scores if len(seen.chosen) == 1 else None
    sure = f", p {words.chance(scores.logprob)}" if scores else ""
    looked = f"{words.named(seen.chosen)}{sure}: {picture} on the picture"
    return [answer, looked, f"{question} on question, {first} on first token"]


def _plan(panels: int, size_px: tuple[int, int], caption: str) -> tuple[Layout, list[str]]:
    """Layout of so many panels for pictures of this size, and the caption cut into lines that fit it."""
    width_px, height_px = size_px
    height_in = min(_LONGEST_IN * height_px / width_px, _TALLEST_IN)
    width_in = max(min(_LONGEST_IN, height_in * width_px / height_px), _NARROWEST_IN)
    cols = min(panels, _PER_ROW)
    layout = Layout(width_in, max(height_in, _LOWEST_IN), cols, -(-panels // cols), 0)
    lines = wrapped(caption, width_in=layout.across_in + _BAR_IN - 0.3, size=_CAPTION_SIZE, lines=12)
    return Layout(layout.width_in, layout.height_in, cols, layout.rows, 0.4 + _CAPTION_LINE_IN * len(lines)), lines


def _write_heading(figure: Figure, layout: Layout, session: Session, told: str) -> None:
    top_in = layout.size_in[1]
    width_in = layout.across_in + _BAR_IN - _MARGIN_IN
    question = wrapped(session.request.question, width_in=width_in, size=14 * _BOLD, lines=1)[0]
    write(figure, _MARGIN_IN, top_in - 0.5, question, size=14, color=INK, weight="bold")
    write(
        figure, _MARGIN_IN, top_in - 0.78, wrapped(told, width_in=width_in, size=10, lines=1)[0], size=10, color=FAINT
    )


def _draw_panel(figure: Figure, layout: Layout, corner_in: tuple[float, float], panel: Panel) -> None:
    left_in, bottom_in = corner_in
    axes = add_axes(figure, left_in, bottom_in, layout.width_in, layout.height_in)
    axes.imshow(panel.shown, interpolation="lanczos", aspect="equal")
    axes.set_anchor("NW")
    axes.set_axis_off()
    title = wrapped(panel.title, width_in=layout.width_in, size=11 * _BOLD, lines=1)[0]
    write(figure, left_in, bottom_in + layout.height_in + 0.09, title, size=11, color=panel.colour, weight="bold")
    rest = _LINES - len(panel.lines) + 1
    lines = [wrapped(line, width_in=layout.width_in, size=8, lines=1) for line in panel.lines[:-1]]
    lines.append(wrapped(panel.lines[-1], width_in=layout.width_in, size=8, lines=rest))
    for number, line in enumerate(part for parts in lines for part in parts):
        write(figure, left_in, bottom_in - 0.19 - _LINE_IN * number, line, size=8, color=INK if number == 0 else FAINT)
