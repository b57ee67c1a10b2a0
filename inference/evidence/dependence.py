"""What an answer depends on, place by place: a window moved over the picture and what it costs to lose what it holds.

Knows no model. Windows hang over the picture's edges and are cut there, so that a corner has windows of its own; a
cell is then worth the mean drop of the windows that hold it, those centred near it weighing most. On the miniature
this puts the peak on the object that answers and on a mark in the corner alike. The largest drop of all windows that
hold a cell gives a plateau, as their plain mean does; with windows that end at the edge a corner's cell cannot be told
from those beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from inference.errors import SettingsError
from inference.evidence.calibration import Calibration
from inference.evidence.drops import LEAST_DROP, WAY_WORDS, WHO_WORDS, Way, falls, said_texts, told
from inference.evidence.trials import Block, Change, Erase, Findings, Outcome, Probe, Trial, Watchers
from inference.evidence.windows import Window, slide_over, span_of
from inference.evidence.words import said_ids
from inference.trace.metrics import Box
from inference.trace.session import ImageSpan, Run, Session

Pointing = Literal["different places", "the same place", "nothing found", "not calibrated"]
MANY_RUNS = 400
"""The stride grows where there would be more."""
MOST_RUNS = 4_000
VALUED = "A cell is worth the mean drop of the windows that hold it, those centred near it weighing most."
_HOLDS_MOST = 0.95
"""Windows that hold nearly as much of a map as the one that holds most are one with it: a small map fits in several."""
_CAREFUL = "Of windows that are painted over, not blocked, this is told wrongly more often."


@dataclass(frozen=True)
class Swept:
    """What one variant lost window by window, in nats.

    grid: one number a cell, in rows. costliest: the number of the window that costs most; None where none costs
    0.5 nat. pointing: whether attention, at the calibrated spot, and dependence agree.
    """

    label: str
    words: tuple[str, ...]
    drops: tuple[float, ...]
    grid: tuple[tuple[float, ...], ...]
    costliest: int | None
    sentence: str
    pointing: Pointing
    pointing_sentence: str


@dataclass(frozen=True)
class Depended:
    """Windows, in pixels of the picture as it arrived, and what each variant lost without each of them."""

    how: str
    valued: str
    rows: int
    cols: int
    stride: int
    windows: tuple[Box, ...]
    swept: tuple[Swept, ...]
    notes: tuple[str, ...]
    passes: int
    seconds: float


@dataclass(frozen=True)
class Dependence:
    """Windows of `size` x `size` cells, `stride` apart (None: as near as `MANY_RUNS` allows), one after another.

    size: None: the first one offered. word: one word of what was said, counted from 0; None: all of them. label: one
    run alone; None: every run. calibration: the spot whose map is compared; None: none was chosen for this question.
    """

    image: int = 0
    size: int | None = None
    stride: int | None = None
    way: Way = "block"
    who: Watchers = "all"
    word: int | None = None
    label: str | None = None
    calibration: Calibration | None = None

    def probe(self, session: Session) -> Probe:
        """For each run: nothing taken away, then each window.

        Raises:
            VisualizerError: the options do not fit the session, or take too many runs.
        """
        self._check()
        trials: list[Trial] = []
        for run in self._runs(session):
            said, span = said_ids(run), span_of(run, self.image)
            if self.word is not None and not 0 <= self.word < len(said):
                raise SettingsError(f"a word from 0 to {len(said) - 1}", str(self.word), "choose one that was said")
            changes = [self._change(window, span) for window in self._windows(session)]
            trials += [Trial(said, run.variant, change) for change in (None, *changes)]
        if len(trials) > MOST_RUNS:
            raise SettingsError(
                f"at most {MOST_RUNS:,} runs", f"{len(trials):,}", "choose a larger window, a stride or fewer variants"
            )
        return Probe(session.request, tuple(trials))

    def runs(self, session: Session) -> int:
        """How many forward passes it takes."""
        return len(self.probe(session).trials)

    def read(self, session: Session, findings: Findings) -> Depended:
        """Drops, grid and costliest window of every run."""
        windows, runs, swept = self._windows(session), self._runs(session), []
        span = span_of(runs[0], self.image)
        each = len(windows) + 1
        for number, run in enumerate(runs):
            outcomes = findings.outcomes[number * each : (number + 1) * each]
            swept.append(self._read_run(run, windows, outcomes))
        size = self._size(span)
        return Depended(
            how=self._how(),
            valued=VALUED,
            rows=min(size, span.rows),
            cols=min(size, span.cols),
            stride=self._stride(session),
            windows=tuple(window.box(span) for window in windows),
            swept=tuple(swept),
            notes=findings.notes,
            passes=findings.passes,
            seconds=findings.seconds,
        )

    def _read_run(self, run: Run, windows: Sequence[Window], outcomes: Sequence[Outcome]) -> Swept:
        before, *after = outcomes
        lost = [falls(before, one) for one in after]
        drops = [sum(words) if self.word is None else words[self.word] for words in lost]
        span, most = span_of(run, self.image), int(np.argmax(drops))
        costliest = most if drops[most] >= LEAST_DROP else None
        grid = value_cells(windows, drops, span)
        pointing, pointed = self._pointing(run, windows, drops, costliest)
        return Swept(
            label=run.variant.label,
            words=said_texts(run),
            drops=tuple(drops),
            grid=tuple(tuple(float(value) for value in row) for row in grid),
            costliest=costliest,
            sentence=self._sentence(run, drops[most], span),
            pointing=pointing,
            pointing_sentence=pointed,
        )

    def _sentence(self, run: Run, most: float, span: ImageSpan) -> str:
        size = f"{min(self._size(span), span.rows)} x {min(self._size(span), span.cols)} cells"
        if most >= LEAST_DROP:
            return f"{run.variant.label}: the costliest window of {size} costs {told(most)} nats."
        others = [str(other) for other in sizes_offered(span) if other != self._size(span)]
        tried = f"; other sizes: {', '.join(others)}" if others else ""
        return f"{run.variant.label}: nothing found at this size: no window of {size} costs {LEAST_DROP} nats{tried}."

    def _pointing(
        self, run: Run, windows: Sequence[Window], drops: Sequence[float], costliest: int | None
    ) -> tuple[Pointing, str]:
        looked = None if self.calibration is None else self.calibration.map_of(run, self.image)
        if self.calibration is None or looked is None:
            return "not calibrated", "Not calibrated: no head and word were chosen for this model and question."
        if costliest is None:
            return "nothing found", "No window costs enough to be compared with where attention lies."
        there, most = cost_where_it_looks(looked, windows, drops), drops[costliest]
        spot = f"layer {self.calibration.layer}, head {self.calibration.head}"
        costs = f"the box that holds most of the map ({spot}) costs {told(there)} nats, the costliest {told(most)}."
        if there < most / 2:
            careful = "" if self.way == "block" else f" {_CAREFUL}"
            return "different places", f"Attention and dependence point at different places: {costs}{careful}"
        return "the same place", f"Attention and dependence point at the same place: {costs}"

    def _runs(self, session: Session) -> list[Run]:
        runs = [run for run in session.runs if self.label in (None, run.variant.label)]
        if not runs:
            raise SettingsError("a variant of this session", repr(self.label), "choose one of them")
        return runs

    def _windows(self, session: Session) -> tuple[Window, ...]:
        span = span_of(session.runs[0], self.image)
        return slide_over(span, self._size(span), self._stride(session))

    def _size(self, span: ImageSpan) -> int:
        return sizes_offered(span)[0] if self.size is None else self.size

    def _stride(self, session: Session) -> int:
        span, variants = span_of(session.runs[0], self.image), len(self._runs(session))
        size = self._size(span)
        if not 1 <= size <= max(span.rows, span.cols):
            raise SettingsError(f"a size from 1 to {max(span.rows, span.cols)} cells", str(size), "choose one of these")
        if self.stride is not None:
            if not 1 <= self.stride <= size:
                raise SettingsError(f"a stride from 1 to {size} cells", str(self.stride), "leave no cell out")
            return self.stride
        strides = range(1, size + 1)
        counts = (variants * (1 + len(slide_over(span, size, stride))) for stride in strides)
        return next((stride for stride, count in zip(strides, counts, strict=True) if count <= MANY_RUNS), size)

    def _change(self, window: Window, span: ImageSpan) -> Change:
        if self.way == "block":
            return Block(window.cells(span), self.image, self.who)
        return Erase(window.box(span), self.image, self.way)

    def _check(self) -> None:
        if self.way not in get_args(Way):
            raise SettingsError(f"one of {', '.join(get_args(Way))}", repr(self.way), "choose how it is taken away")
        if self.who not in WHO_WORDS:
            raise SettingsError(f"one of {', '.join(WHO_WORDS)}", repr(self.who), "choose who may not look")

    def _how(self) -> str:
        if self.way == "block":
            return f"Each window blocked: {WHO_WORDS[self.who].lower()} may look."
        return f"Each window {WAY_WORDS[self.way]}."


def sizes_offered(span: ImageSpan) -> tuple[int, ...]:
    """Sides of windows, in cells, that suit the grid: the one to begin with, then the others from small to large.

    On 6 x 6 cells that is 3: single cells find nothing there, and 2 x 2 misses a quarter.
    """
    shorter, longer = sorted((span.rows, span.cols))
    first = max(min(3, longer), round(shorter / 4))
    others = {size for size in (1, 2, 3, 4, 6, 8, 12, 16, 24) if size <= max(1, shorter // 2)}
    return first, *sorted(others - {first})


def value_cells(windows: Sequence[Window], drops: Sequence[float], span: ImageSpan) -> Float[np.ndarray, "rows cols"]:
    """One number a cell: the weighted mean of the drops of the windows that hold it.

    The weight is a bell round the window's centre, as wide as a third of its longer side.
    """
    places = np.indices((span.rows, span.cols)).astype(np.float64)
    total, weights = np.zeros((span.rows, span.cols)), np.zeros((span.rows, span.cols))
    width = max(max(window.rows, window.cols) for window in windows) / 3
    for window, drop in zip(windows, drops, strict=True):
        middle = (window.top + (window.rows - 1) / 2, window.left + (window.cols - 1) / 2)
        far = sum((place - centre) ** 2 for place, centre in zip(places, middle, strict=True))
        held = (slice(window.top, window.top + window.rows), slice(window.left, window.left + window.cols))
        weight = np.exp(-far / (2 * width**2))[held]
        total[held] += weight * drop
        weights[held] += weight
    return np.asarray(total / weights)


def cost_where_it_looks(
    looked: Float[np.ndarray, "rows cols"], windows: Sequence[Window], drops: Sequence[float]
) -> float:
    """The drop of the window that holds most of a map; of those that hold about as much, the largest."""
    held = [float(_cut(looked, window).sum()) for window in windows]
    return max(drop for drop, share in zip(drops, held, strict=True) if share >= _HOLDS_MOST * max(held))


def _cut(grid: Float[np.ndarray, "rows cols"], window: Window) -> Float[np.ndarray, "some_rows some_cols"]:
    return grid[window.top : window.top + window.rows, window.left : window.left + window.cols]
