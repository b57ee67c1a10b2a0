"""A box on the picture against the maps of all variants: agreement with the box, which is no proof of use.

Knows no Gradio and no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray

from inference.trace import maps, metrics
from inference.trace.metrics import Box, BoxFigures
from inference.trace.session import Session, Trace
from viz import overlay, words
from viz.change_view import BoxView, InBox
from viz.recent import RECENT
from viz.slots import slots_of, tokens_at
from viz.view import Choice, Scale, Sprite


@dataclass(frozen=True)
class BoxNumbers:
    """One variant's figures for a box; `figures` None where the rows of the chosen head were not kept."""

    variant: str
    figures: BoxFigures | None
    heads: Float[ndarray, "layers heads"]


def box_numbers(session: Session, choice: Choice, box: Box) -> list[BoxNumbers]:
    """Of every variant shown that has the chosen tokens: its map's figures at the choice, and each head's share."""
    found = []
    for run in session.runs:
        trace = run.trace
        tokens = tokens_at(slots_of(session, trace), choice.token, choice.token_to)
        if run.variant.label in choice.hidden or tokens.stop == tokens.start:
            continue
        figures = None
        if maps.is_kept(trace, choice.layer, choice.head):
            grid = maps.image_map(trace, tokens=tokens, layer=choice.layer, head=choice.head, image=choice.image)
            figures = metrics.box_figures(grid, trace.images[choice.image], box)
        found.append(BoxNumbers(run.variant.label, figures, _heads(trace, box, tokens, choice.image)))
    return found


def _heads(trace: Trace, box: Box, tokens: slice, image: int) -> Float[ndarray, "layers heads"]:
    key = (box, tokens.start, tokens.stop, image)
    return RECENT.get((trace,), key, lambda: metrics.box_shares(trace, box, tokens=tokens, image=image))


def box_view(session: Session, choice: Choice, box: Box, colours: Mapping[str, str]) -> BoxView:
    """The figures in words, and a chart of every head's share in the box, all on one scale."""
    numbers = box_numbers(session, choice, box)
    scale = overlay.colour_scale([one.heads for one in numbers])
    bar = overlay.data_address(overlay.bar_png(choice.colormap))
    width, height = session.runs[0].trace.images[choice.image].original_wh
    left, top, right, bottom = box
    high = float(f"{100 * (scale.vmax or 0.0):.3g}")
    shown = []
    for one in numbers:
        png = overlay.data_address(overlay.sprite_png(one.heads[None], scale, choice.colormap))
        layers, heads = one.heads.shape
        chart = Sprite(png, layers, heads, ["layers downwards, heads to the right"], [])
        shown.append(InBox(one.variant, colours[one.variant], *_told(one.figures), chart))
    return BoxView(
        box=[round(number, 1) for number in box],
        inset=[left / width, top / height, right / width, bottom / height],
        variants=shown,
        scale=Scale(0.0, high, "% of all the token's attention in the box", bar),
    )


def _told(figures: BoxFigures | None) -> tuple[str, str, str, str]:
    """Share, share within the picture, lift and hit in words."""
    if figures is None:
        return "not kept", "", "", ""
    hit = "yes" if figures.hit else "no"
    return words.percent(figures.share), words.percent(figures.within), f"{figures.lift:.2f}", hit
