"""The plot of a sweep of strength as a figure to keep. Never pyplot: the server has threads."""

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from inference.evidence.sweep import Strength
from viz.drawing import FAINT, INK, add_axes, percents, wrapped, write
from viz.strength_view import Line, lines, sentences

_WIDTH_IN, _LEFT_IN, _RIGHT_IN, _BOTTOM_IN, _HIGH_IN, _TOP_IN = 7.6, 0.75, 0.3, 0.62, 3.0, 0.95
_KEY_IN = 0.19


def strength_figure(strength: Strength, where: str, colour: int = 0) -> Figure:
    """All curves over the scale, on one axis from 0 to 1; `where` names token, layer and head."""
    drawn = lines(strength, colour)
    keys_in = _KEY_IN * len(drawn)
    figure = Figure(figsize=(_WIDTH_IN, _BOTTOM_IN + keys_in + _HIGH_IN + _TOP_IN), facecolor="white")
    bottom_in = _BOTTOM_IN + keys_in
    axes = add_axes(figure, _LEFT_IN, bottom_in, _WIDTH_IN - _LEFT_IN - _RIGHT_IN, _HIGH_IN)
    scales = [point.scale for point in strength.points]
    for at in (0.0, 1.0):
        if scales[0] <= at <= scales[-1]:
            axes.axvline(at, color="#d4d8dd", linewidth=0.8)
    for line in drawn:
        values = [float("nan") if value is None else value for value in line.values]
        dash = (0, tuple(float(length) for length in line.dash.split())) if line.dash else "-"
        axes.plot(scales, values, color=line.colour, linestyle=dash, marker="o", markersize=3.5, linewidth=1.6)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percents(value)))
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.6)
    axes.set_xlabel("scale of the adapter (0: base, 1: as trained)", fontsize=8.5, color=FAINT)
    axes.set_ylabel("probability, share, variation", fontsize=8.5, color=FAINT)
    _write_header(figure, strength, where)
    for number, line in enumerate(drawn):
        _write_key(figure, line, _BOTTOM_IN + keys_in - 0.62 - _KEY_IN * number)
    return figure


def _write_header(figure: Figure, strength: Strength, where: str) -> None:
    top_in, width_in = float(figure.get_size_inches()[1]), _WIDTH_IN - 0.8
    heading = wrapped(f"Strength of {strength.adapter}: {where}", width_in=width_in, size=12, lines=1)[0]
    write(figure, 0.4, top_in - 0.35, heading, size=12, color=INK)
    told = wrapped(" ".join(sentences(strength)), width_in=width_in, size=8.5, lines=2)
    for number, line in enumerate(told):
        write(figure, 0.4, top_in - 0.6 - 0.16 * number, line, size=8.5, color=FAINT)


def _write_key(figure: Figure, line: Line, bottom_in: float) -> None:
    write(figure, 0.4, bottom_in, "\N{EM DASH}", size=9, color=line.colour, weight="bold")
    told = wrapped(f"{line.name}: {line.meaning}", width_in=_WIDTH_IN - 1.1, size=8.5, lines=1)[0]
    write(figure, 0.65, bottom_in, told, size=8.5, color=INK)
