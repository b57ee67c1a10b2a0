"""The numbers of a report as people read them, and as bars on a track. Knows no HTML and no page."""

from collections.abc import Callable, Sequence
from typing import Literal

from inference.study.report import Estimate
from viz.report.view import Cell
from viz.words import percent

Unit = Literal["share", "points", "nats", "times", "number"]
NBSP = "\N{NO-BREAK SPACE}"
_WORDS: dict[Unit, str] = {"points": f"{NBSP}points", "nats": f"{NBSP}nats", "times": f"{NBSP}times", "number": ""}


def short(number: float) -> str:
    """The number with at most three digits and two decimals, near zero with three: 123, -1.5, 0.01, 0.002, 0.000.

    Only of zero itself the text is 0.
    """
    if 0 < abs(number) < 0.01:
        return f"{abs(number):.3f}" if abs(number) < 0.0005 else f"{number:.3f}"
    return f"{round(float(f'{number:.3g}'), 2):g}"


def signed(number: float) -> str:
    """The same with its sign, but of zero."""
    return f"{'+' if number > 0 else ''}{short(number)}"


def in_unit(value: float, unit: Unit) -> str:
    """The value with its unit, unbroken; points are signed, since they are always a change."""
    if unit == "share":
        return percent(value).replace(" ", NBSP)
    number = signed(100 * value) if unit == "points" else short(value)
    return f"{number}{_WORDS[unit]}"


def share(value: float) -> str:
    """A share as percent, unbroken."""
    return in_unit(value, "share")


def interval(estimate: Estimate, unit: Unit) -> str:
    """Both ends of the interval, the unit once; empty without one."""
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = in_unit(estimate.low, unit), in_unit(estimate.high, unit)
    return f"{low if unit == 'share' else low.removesuffix(_WORDS[unit])} to {high}"


def probability(p: float) -> str:
    """A p as papers tell it."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def ends(estimate: Estimate) -> tuple[float, float, float]:
    """Low end, mean and high end; the mean for ends that there are not."""
    low = estimate.mean if estimate.low is None else estimate.low
    high = estimate.mean if estimate.high is None else estimate.high
    return low, estimate.mean, high


def track_of(estimates: Sequence[Estimate], *, whole: bool = False) -> tuple[float, float]:
    """From where to where the bars run: 0 to 1 if `whole`, else all ends and 0."""
    if whole:
        return 0.0, 1.0
    values = [0.0, *(end for one in estimates for end in ends(one))]
    low, high = min(values), max(values)
    return (low, high) if high > low else (low, low + 1.0)


def on_track(track: tuple[float, float]) -> Callable[[float], float]:
    """Where a value lies on the track, 0 to 1."""
    low, high = track
    return lambda value: round(min(1.0, max(0.0, (value - low) / (high - low))), 5)


def figure_cell(
    estimate: Estimate | None,
    unit: Unit,
    track: tuple[float, float],
    *,
    marks: tuple[tuple[float, str], ...] = (),
    note: str = "",
) -> Cell:
    """The figure with its interval and its bar; `marks` are values, each with its name."""
    if estimate is None:
        return Cell("")
    place = on_track(track)
    return Cell(
        told=in_unit(estimate.mean, unit),
        interval=interval(estimate, unit),
        n=estimate.n,
        span=tuple(map(place, ends(estimate))),
        marks=tuple((place(value), name) for value, name in marks),
        note=note,
    )


def track_told(track: tuple[float, float], unit: Unit) -> str:
    """What the bars run from and to."""
    return interval(Estimate(0.0, track[0], track[1], 0), unit)
