"""What charts and figures share: text of any language, axes placed in inches, a colour bar, and saving to a file.

Matplotlib brings DejaVu Sans; where the system has fonts for Chinese, Japanese, Korean or symbols, they stand in for
what it lacks, and what no font has becomes a box. Knows no session and no map. Never pyplot: the server has threads.
"""

import io
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from viz.words import visible

FileKind = Literal["png", "svg", "pdf"]

INK, FAINT = "#1b1f24", "#5b626b"
BOX, ELLIPSIS = "\N{WHITE SQUARE}", "\N{HORIZONTAL ELLIPSIS}"
DPI = 200

_FIRST = "DejaVu Sans"
_FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS"),
    *("Noto Emoji", "Symbola", "Segoe UI Symbol", "Apple Symbols"),
)
_INVISIBLE = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}"
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
_saving = threading.Lock()


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """The font families to draw with, best first; all of them are installed."""
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return (_FIRST, *(name for name in _FALLBACKS if name in installed))


def drawable(text: str) -> str:
    """The text with everything that no font of `families` has replaced by a box, and line breaks by spaces."""
    flat = " ".join(visible(text).split()) if text else ""
    return "".join(char if _is_drawn(char) else BOX for char in flat if char not in _INVISIBLE)


def write(figure: Figure, x_in: float, y_in: float, text: str, *, size: float, **style: Any) -> Text:
    """Text on a figure, placed in inches from the lower left corner, drawn as it is: never read as mathematics."""
    width, height = figure.get_size_inches()
    return figure.text(
        x_in / width, y_in / height, drawable(text), family=list(families()), fontsize=size, parse_math=False, **style
    )


def add_axes(figure: Figure, left_in: float, bottom_in: float, width_in: float, height_in: float) -> Axes:
    """Axes placed in inches from the lower left corner, with quiet ticks and no frame."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left_in / width, bottom_in / height, width_in / width, height_in / height))
    axes.tick_params(labelsize=8, colors=FAINT, length=2.5, width=0.6)
    axes.spines[:].set_visible(False)
    return axes


def percents(share: float) -> str:
    """A share as a colour bar tells it."""
    return f"{100 * share:.3g} %"


def draw_bar(
    figure: Figure,
    axes: Axes,
    scale: Normalize,
    colormap: str,
    label: str,
    numbers: Callable[[float], str] = percents,
) -> None:
    """An upright colour bar in these axes; `numbers` tells a value of the scale, as percent unless said otherwise."""
    bar = figure.colorbar(ScalarMappable(scale, colormap), cax=axes)
    bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers(value)))
    bar.ax.tick_params(labelsize=8, colors=FAINT, length=2.5, width=0.6)
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=8.5, color=FAINT, labelpad=6)


def wrapped(text: str, *, width_in: float, size: float, lines: int) -> list[str]:
    """The text as lines that fit the width at that font size; what is too long ends in an ellipsis."""
    room_em = width_in * 72 / size
    result, line = [], ""
    for word in _chopped(drawable(text).split(" "), room_em):
        longer = f"{line} {word}" if line else word
        if line and _width_em(longer) > room_em:
            result.append(line)
            line = word
        else:
            line = longer
    result.append(line)
    if len(result) > lines:
        last = result[lines - 1]
        while _width_em(last + ELLIPSIS) > room_em:
            last = last[:-1]
        return [*result[: lines - 1], last.rstrip() + ELLIPSIS]
    return result


def saved(figure: Figure, kind: FileKind) -> bytes:
    """The figure as a file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    # The settings of SVG are global to matplotlib, so only one figure is saved at a time.
    with _saving, matplotlib.rc_context({"svg.hashsalt": "lora-attention", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=_METADATA[kind])
    return buffer.getvalue()


@lru_cache(maxsize=4096)
def _advance_em(char: str) -> float:
    """How far a character moves the pen, in units of the font size; 0 if no font has it."""
    for name in families():
        font = font_manager.get_font(font_manager.findfont(name))
        if font.get_char_index(ord(char)):
            font.set_size(100, 72)
            return float(font.load_char(ord(char)).linearHoriAdvance) / 65536 / 100
    return 0.0


def _is_drawn(char: str) -> bool:
    return char.isascii() or _advance_em(char) > 0


def _width_em(text: str) -> float:
    return sum(_advance_em(char) for char in text)


def _chopped(words: list[str], room_em: float) -> list[str]:
    """Words no wider than the room; longer ones, and scripts that write no spaces, are cut."""
    pieces = []
    for word in words:
        piece = ""
        for char in word:
            if piece and _width_em(piece + char) > room_em:
                pieces.append(piece)
                piece = ""
            piece += char
        pieces.append(piece)
    return pieces
