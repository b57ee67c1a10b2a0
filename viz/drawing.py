"""What charts and figures share: text of any language, axes placed in inches, a colour bar, and saving to a file.

Matplotlib brings DejaVu Sans; where the system has fonts for Chinese, Japanese, Korean or symbols, they stand in for
what it lacks, and what no font has becomes a box. Knows no session and no map. Never pyplot: the server has threads.
"""

import io
import threading
from functools import lru_cache
from typing import Any, Literal

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, PercentFormatter

from viz.words import visible

FileKind = Literal["png", "svg", "pdf"]

INK, FAINT = "#1b1f24", "#5b626b"
BOX = "\N{WHITE SQUARE}"
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


def draw_bar(figure: Figure, axes: Axes, scale: Normalize, colormap: str, label: str) -> None:
    """An upright colour bar in these axes, its numbers in percent."""
    bar = figure.colorbar(ScalarMappable(scale, colormap), cax=axes)
    high = float(scale.inverse(1.0))
    decimals = 0 if high >= 0.05 else 1 if high >= 0.005 else 2 if high >= 0.0005 else 4
    bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=decimals, symbol=" %"))
    bar.ax.tick_params(labelsize=8, colors=FAINT, length=2.5, width=0.6)
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=8.5, color=FAINT, labelpad=6)


def wrapped(text: str, *, width_in: float, size: float, lines: int) -> list[str]:
    """The text as lines that fit the width at that font size; what is too long ends in an ellipsis."""
    room = int(width_in * 72 / (size * 0.56))
    result, line = [], ""
    for word in _chopped(drawable(text).split(" "), room):
        if line and _columns(line) + 1 + _columns(word) > room:
            result.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    result.append(line)
    if len(result) > lines:
        kept = result[:lines]
        return [*kept[:-1], kept[-1][: room - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"]
    return result


def saved(figure: Figure, kind: FileKind) -> bytes:
    """The figure as a file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    # The settings of SVG are global to matplotlib, so only one figure is saved at a time.
    with _saving, matplotlib.rc_context({"svg.hashsalt": "lora-attention", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=_METADATA[kind])
    return buffer.getvalue()


@lru_cache(maxsize=4096)
def _is_drawn(char: str) -> bool:
    if char.isascii():
        return True
    paths = (font_manager.findfont(name) for name in families())
    return any(font_manager.get_font(path).get_char_index(ord(char)) for path in paths)


def _columns(text: str) -> int:
    """Width in columns of Latin letters; letters of Chinese, Japanese and Korean count as two."""
    return sum(2 if ord(char) >= 0x2E80 else 1 for char in text)


def _chopped(words: list[str], room: int) -> list[str]:
    """Words no wider than the room; longer ones, and scripts that write no spaces, are cut."""
    pieces = []
    for word in words:
        while _columns(word) > room:
            cut = next(end for end in range(len(word), 0, -1) if _columns(word[:end]) <= room or end == 1)
            pieces.append(word[:cut])
            word = word[cut:]
        pieces.append(word)
    return pieces
