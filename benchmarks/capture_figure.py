"""The figure of the README: time and memory of a run beyond those of a run without capture, ours and eager attention's.

    python -m benchmarks.capture | tee capture.txt
    python -m benchmarks.capture_figure capture.txt benchmarks/capture.png

Drawn from the last line of what the benchmark of capture printed.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from viz.drawing import FAINT, INK, add_axes, saved, write

WIDTH_IN, HEIGHT_IN = 7.6, 2.9
OURS, EAGER = "#1f6f8b", "#c8553d"
_BAR = 0.36


def main() -> None:
    """Reads the line, writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("printed", type=Path, help="what the benchmark printed")
    parser.add_argument("figure", type=Path, help="PNG to write")
    given = parser.parse_args()
    figures = json.loads(given.printed.read_text(encoding="utf-8").splitlines()[-1])
    given.figure.write_bytes(saved(draw(figures), "png"))


def draw(figures: Mapping[str, Any]) -> Figure:
    """Bars by length of the sequence: more time in percent of the run without capture, more memory in MB."""
    figure = Figure((WIDTH_IN, HEIGHT_IN))
    sizes = [f"{size:,} keys" for size in figures["sizes"]]
    time_axes = add_axes(figure, 0.5, 0.55, 2.95, 1.75)
    _bars(time_axes, sizes, _percent(figures["overhead"]), _percent(figures["eager_over_plain"]), "{:.3g} %")
    memory_axes = add_axes(figure, 4.3, 0.55, 2.95, 1.75)
    _bars(memory_axes, sizes, figures["peak_extra_mb"], figures["eager_extra_mb"], "{:,.0f} MB")
    write(figure, 0.3, 2.52, "More time than without capture", size=10, color=INK)
    write(figure, 4.1, 2.52, "More memory at the peak", size=10, color=INK)
    write(figure, 0.3, 0.12, "with all rows of 32 tokens on disk (this program)", size=9, color=OURS)
    write(figure, 4.1, 0.12, "eager attention with output_attentions=True", size=9, color=EAGER)
    return figure


def _percent(ratios: Sequence[float | None]) -> list[float | None]:
    return [None if ratio is None else 100 * (ratio - 1) for ratio in ratios]


def _bars(
    axes: Axes, sizes: Sequence[str], ours: Sequence[float | None], eager: Sequence[float | None], form: str
) -> None:
    """Both at each size, each with its number; a bar that was not measured says so."""
    for series, colour, shift in ((ours, OURS, -_BAR / 2), (eager, EAGER, _BAR / 2)):
        for place, value in enumerate(series):
            axes.bar(place + shift, value or 0, _BAR * 0.94, color=colour)
            text = "no room" if value is None else form.format(value)
            axes.annotate(
                text,
                (place + shift, max(value or 0, 0)),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=colour,
            )
    axes.set_xticks(range(len(sizes)), sizes, color=INK)
    axes.set_yticks([])
    axes.axhline(0, color=FAINT, linewidth=0.6)
    axes.set_ylim(0, 1.15 * max(1e-9, *(value or 0 for value in (*ours, *eager))))


if __name__ == "__main__":
    main()
