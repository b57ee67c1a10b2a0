"""What the page, the HTTP routes and the command line call: plain functions, no Gradio, no model.

Choosing and looking live in `viz.choices` and `viz.look`; here they are offered together with the downloads and the
numbers for programs.
"""

import io
import math
from typing import Any

from matplotlib.colors import Normalize

from inference.errors import SettingsError
from inference.trace import maps
from inference.trace.session import Session
from viz import overlay, svg, words
from viz.change_aids import Aids
from viz.change_figure import change_figure
from viz.change_view import Pair
from viz.charts import layer_head_figure
from viz.choices import check_choice, first_choice, run_of
from viz.drawing import FileKind, saved
from viz.figures import comparison_figure, open_picture
from viz.look import look
from viz.seen import Seen, alt_text, no_map, peak_of, see, shares_of, summary, why_missing
from viz.view import Choice

__all__ = [
    "change_file",
    "chart_file",
    "check_choice",
    "figure_file",
    "first_choice",
    "look",
    "map_file",
    "map_numbers",
]

_KINDS: dict[str, FileKind] = {"png": "png", "svg": "svg", "pdf": "pdf"}


def map_file(
    session: Session, choice: Choice, variant: str, kind: str, *, opacity: float = overlay.OPACITY, smooth: bool = False
) -> bytes:
    """One variant's map over the picture in its original size, as png or svg, on the scale that all variants share.

    Raises:
        SettingsError: another kind, no such variant, no map for this choice, or an opacity that is none.
    """
    _check_kind(kind, ("png", "svg"))
    _check_opacity(opacity)
    seen, scale = _mapped(session, choice, variant)
    if kind == "svg":
        return _map_svg(session, choice, seen, scale, opacity=opacity, smooth=smooth)
    picture = open_picture(session, choice)
    shown = overlay.composite(picture, seen.grid, scale, choice.colormap, opacity=opacity, smooth=smooth)
    buffer = io.BytesIO()
    shown.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def figure_file(
    session: Session, choice: Choice, kind: str, *, opacity: float = overlay.OPACITY, smooth: bool = False
) -> bytes:
    """The picture and the maps of all variants shown as one figure with caption: png, svg or pdf.

    Raises:
        SettingsError: another kind, a question without a picture, no variant with a map, or an opacity that is none.
    """
    _check_opacity(opacity)
    drawn_as = _check_kind(kind, tuple(_KINDS))
    return saved(comparison_figure(session, choice, opacity=opacity, smooth=smooth), drawn_as)


def change_file(
    session: Session,
    choice: Choice,
    pair: Pair,
    aids: Aids,
    kind: str,
    *,
    opacity: float = overlay.OPACITY,
    smooth: bool = False,
) -> bytes:
    """What one variant has more than another as one figure with caption: png, svg or pdf.

    Raises:
        SettingsError: another kind, two variants that cannot be compared at the choice, or an opacity that is none.
    """
    _check_opacity(opacity)
    drawn_as = _check_kind(kind, tuple(_KINDS))
    return saved(change_figure(session, choice, pair, aids, opacity=opacity, smooth=smooth), drawn_as)


def chart_file(session: Session, choice: Choice, kind: str) -> bytes:
    """The layer x head charts of all variants shown as one figure: png, svg or pdf.

    Raises:
        SettingsError: another kind.
    """
    return saved(layer_head_figure(session, choice), _check_kind(kind, tuple(_KINDS)))


def map_numbers(session: Session, choice: Choice, variant: str) -> dict[str, Any]:
    """The numbers behind one variant's map, ready for JSON; shares are 0 to 1, the grid runs row by row from the top.

    Raises:
        SettingsError: no such variant, or no map for this choice.
    """
    seen, scale = _mapped(session, choice, variant)
    row, col = peak_of(seen.grid)
    return {
        "variant": seen.run.variant.label,
        "tokens": [{"text": token.text, "part": token.part, "position": token.position} for token in seen.chosen],
        "layer": choice.layer,
        "head": choice.head,
        "pooling": words.where(choice),
        "image": choice.image,
        "unit": "share of the attention on this picture" if choice.within else "share of all the token's attention",
        "grid": [[float(value) for value in line] for line in seen.grid],
        "scale": [0.0, float(scale.inverse(1.0))],
        "peak": {"row": row, "col": col, "share": float(seen.grid[row, col])},
        "shares": dict(zip(maps.SHARES, shares_of(seen), strict=True)),
        "summary": summary(seen, choice),
    }


def _mapped(session: Session, choice: Choice, variant: str) -> tuple[Seen, Normalize]:
    """What the variant saw, and the scale of all variants shown and this one."""
    run = run_of(session, variant)
    seen = {
        one.variant.label: see(session, one, choice)
        for one in session.runs
        if one is run or one.variant.label not in choice.hidden
    }
    missing = why_missing(session, seen[variant], choice)
    if missing:
        raise no_map(missing)
    return seen[variant], overlay.colour_scale([one.grid for one in seen.values()])


def _map_svg(session: Session, choice: Choice, seen: Seen, scale: Normalize, *, opacity: float, smooth: bool) -> bytes:
    picture = session.request.images[choice.image]
    size_wh = (picture.width, picture.height)
    if smooth:
        drawn = svg.smooth_svg(overlay.map_png(seen.grid, scale, choice.colormap), size_wh)
    else:
        drawn = svg.cells_svg(overlay.veil(seen.grid, scale, choice.colormap), size_wh)
    title = words.visible(alt_text(seen, choice))
    return svg.over_picture(picture.png, size_wh, drawn, opacity=opacity, title=title)


def _check_kind(kind: str, allowed: tuple[str, ...]) -> FileKind:
    if kind not in allowed:
        raise SettingsError(f"a file kind of {', '.join(allowed)}", repr(kind)[:60], "choose one of them")
    return _KINDS[kind]


def _check_opacity(opacity: float) -> None:
    if not (math.isfinite(opacity) and 0 <= opacity <= 1):
        raise SettingsError("an opacity from 0 to 1", f"{opacity}", "0 shows the picture alone, 1 the map alone")
