"""Whether knock-out, erasing and the sentence on disagreement find what answers, on scenes where that is known.

Counted are scenes in which the learner answers by its rule: elsewhere another thing than the rule's may have answered.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.change_scenes import Asker, Tried, empty_windows
from inference.evidence.calibration import Calibration, find_calibration
from inference.evidence.dependence import Dependence, Swept
from inference.evidence.drops import LEAST_DROP
from inference.evidence.knockout import KnockOut
from inference.evidence.trials import Block, Erase, Fill, Findings, Probe, Trial
from inference.evidence.windows import touched
from inference.evidence.words import said_ids
from inference.mini.scenes import Thing
from inference.trace.metrics import Box
from inference.trace.session import Session

DRAWS = 20
FILL: Fill = "surroundings"


@dataclass(frozen=True)
class BoxCosts:
    """Inquiry: what each box costs the first run, in nats, blocked and painted over."""

    boxes: tuple[Box, ...]

    def probe(self, session: Session) -> Probe:
        run = session.runs[0]
        said, span = said_ids(run), run.trace.images[0]
        blocks = [Block(touched(span, box).cells(span)) for box in self.boxes]
        changes = (None, *blocks, *(Erase(box, fill=FILL) for box in self.boxes))
        return Probe(session.request, tuple(Trial(said, run.variant, change) for change in changes))

    def read(self, session: Session, findings: Findings) -> tuple[list[float], list[float]]:
        before, *after = (outcome.total for outcome in findings.outcomes)
        drops = [before - total for total in after]
        return drops[: len(self.boxes)], drops[len(self.boxes) :]


@dataclass
class Drops:
    """Of one learner, a number a scene; nats. `asked`: scenes drawn until enough were answered by the rule."""

    asked: int = 0
    cause: list[float] = field(default_factory=list)
    about: list[float] = field(default_factory=list)
    random: list[float] = field(default_factory=list)
    blocked: list[bool | None] = field(default_factory=list)
    erased: list[bool | None] = field(default_factory=list)
    """Whether the box that cost most was the right one; None: none cost 0.5 nat."""
    peaks: list[bool | None] = field(default_factory=list)
    different: list[bool] = field(default_factory=list)
    """Of windows, where one thing answers."""


def measure(
    asker: Asker, learner: str, count: int, seed: int, calibrations: Sequence[Calibration], tick: Callable[[], object]
) -> Drops:
    """All of one learner's figures, on `count` scenes that it answers by its rule; `tick` is called at each."""
    found, rng = Drops(), np.random.default_rng(seed)
    for tried in asker.tries(learner, seed):
        found.asked += 1
        if tried.follows:
            _add_costs(found, asker, tried, rng)
            if tried.asked.cause is not None:
                _add_sweep(found, asker, tried, calibrations)
            tick()
        if len(found.cause) == count:
            break
    return found


def share(hits: Sequence[bool | None]) -> float:
    """Of those that found anything, how many are right; NaN where nothing was found."""
    told = [hit for hit in hits if hit is not None]
    return statistics.fmean(told) if told else float("nan")


def none_share(hits: Sequence[bool | None]) -> float:
    """How many found nothing."""
    return statistics.fmean(hit is None for hit in hits)


def _add_costs(found: Drops, asker: Asker, tried: Tried, rng: np.random.Generator) -> None:
    things = tried.scene.things
    empty = [window.box(tried.span) for window in empty_windows(rng, tried, len(things))]
    boxes = (*(tried.box(thing) for thing in things), *empty)
    blocked, erased = asker.find(tried.session, BoxCosts(boxes))
    right = _causes(tried)
    found.blocked.append(_is_right(blocked, right))
    found.erased.append(_is_right(erased, right))
    found.cause.append(max(blocked[place] for place in right))
    if tried.asked.about is not None:
        found.about.append(blocked[things.index(tried.asked.about)])
    knocked = asker.find(tried.session, KnockOut(tried.box(things[right[0]]), draws=DRAWS)).knocked[0]
    assert knocked.random is not None
    found.random.append(statistics.fmean(knocked.random.drops))


def _add_sweep(found: Drops, asker: Asker, tried: Tried, calibrations: Sequence[Calibration]) -> None:
    inquiry = Dependence(calibration=find_calibration(calibrations, tried.session))
    swept = asker.find(tried.session, inquiry).swept[0]
    found.different.append(swept.pointing == "different places")
    found.peaks.append(None if swept.costliest is None else _peak_is_on(tried, swept))


def _causes(tried: Tried) -> list[int]:
    """The places, among the scene's things, of what answers: one of them, or every object where they are counted."""
    things = tried.scene.things
    causes: Sequence[Thing] = tried.scene.objects if tried.asked.cause is None else (tried.asked.cause,)
    return [things.index(cause) for cause in causes]


def _is_right(drops: Sequence[float], right: Sequence[int]) -> bool | None:
    most = int(np.argmax(drops))
    return most in right if drops[most] >= LEAST_DROP else None


def _peak_is_on(tried: Tried, swept: Swept) -> bool:
    """Whether the cell of highest value holds a part of what answers."""
    assert tried.asked.cause is not None
    return bool(tried.scene.cell_px(tried.asked.cause).ravel()[int(np.argmax(np.array(swept.grid)))])
