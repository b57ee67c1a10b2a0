"""Whether an answer depends on a part of the picture: it is taken away, beside the same with chance picks.

Attention to it is cut off, or a box of the picture is painted over.

Every run of the session is tried over its own words. A drop is by how many nats the log-probability of those words
falls; that attention lies on a place says nothing about it. Knows no model.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from inference.errors import SettingsError
from inference.evidence.drops import LEAST_DROP, WAY_WORDS, WHO_WORDS, Way, falls, said_texts, told
from inference.evidence.heads import Heads, draw_heads, pick_heads
from inference.evidence.trials import Block, Change, Erase, Findings, Outcome, Probe, Trial, Watchers
from inference.evidence.windows import Window, draw_windows, span_of, touched
from inference.evidence.words import said_ids
from inference.trace.metrics import Box
from inference.trace.session import ImageSpan, Run, Session

Target = Literal["box", "rest", "whole"]
Finding = Literal["no dependence found", "not more than random", "more than random", "nothing to compare with"]
MOST_DRAWS = 200
_TARGET_WORDS = {"box": "the box", "rest": "the rest of the picture", "whole": "the whole picture"}


@dataclass(frozen=True)
class Spread:
    """Drops of the chance picks, in nats, in the order drawn: boxes of as many rows and columns, or as many heads."""

    kind: Literal["boxes", "heads"]
    drops: tuple[float, ...]
    least: float
    median: float
    most: float


@dataclass(frozen=True)
class Knocked:
    """What one variant lost without one target. All in nats; `before`, `after`, `drops`: one number a word said."""

    label: str
    target: Target
    words: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    drops: tuple[float, ...]
    drop: float
    random: Spread | None
    finding: Finding
    sentence: str


@dataclass(frozen=True)
class KnockedOut:
    """All that a knock-out found, run by run and target by target.

    `box`: the cells blocked for the box, in pixels of the picture as it arrived; None where no box was asked for.
    `how`: a sentence that names the block.
    """

    how: str
    box: Box | None
    cells: int
    knocked: tuple[Knocked, ...]
    notes: tuple[str, ...]
    passes: int
    seconds: float


@dataclass(frozen=True)
class KnockOut:
    """Attention to the targets cut off by the mask, or the box painted over.

    `box`: in pixels of the picture as it arrived; all cells that it touches count. `heads`: (layer, head) pairs that
    alone may not look; `layers`: all heads of these layers; both None: every head. `draws`: chance picks beside each
    target, random boxes of the same size for a box and random heads of the same number where heads or layers were
    chosen; the rest and the whole of a picture have no boxes of their size. `way`: painting over is of the box alone,
    and for all who look.
    """

    box: Box | None = None
    image: int = 0
    targets: tuple[Target, ...] = ("box",)
    way: Way = "block"
    who: Watchers = "all"
    heads: Heads | None = None
    layers: tuple[int, ...] | None = None
    draws: int = 20
    seed: int = 0

    def probe(self, session: Session) -> Probe:
        """For each run: nothing blocked, then each target and its chance picks.

        Raises:
            VisualizerError: the options do not fit the session.
        """
        trials = [trial for run in session.runs for trial in self._trials(session, run)]
        return Probe(session.request, tuple(trials))

    def read(self, session: Session, findings: Findings) -> KnockedOut:
        """Each run's drops beside their chance picks."""
        outcomes = iter(findings.outcomes)
        knocked = [one for run in session.runs for one in self._read_run(session, run, outcomes)]
        span = span_of(session.runs[0], self.image)
        window = None if self.box is None else touched(span, self.box)
        cells = span.rows * span.cols if window is None else window.rows * window.cols
        box = None if window is None else window.box(span)
        notes = (*findings.notes, *self._notes(session, span))
        return KnockedOut(self._how(), box, cells, tuple(knocked), notes, findings.passes, findings.seconds)

    def _trials(self, session: Session, run: Run) -> Iterator[Trial]:
        said = said_ids(run)
        yield Trial(said, run.variant)
        for target in self._checked(session):
            for change in (self._change(session, run, target), *self._chances(session, run, target)):
                yield Trial(said, run.variant, change)

    def _read_run(self, session: Session, run: Run, outcomes: Iterator[Outcome]) -> Iterator[Knocked]:
        before = next(outcomes)
        for target in self.targets:
            after = next(outcomes)
            chances = [falls(before, next(outcomes)) for _ in self._chances(session, run, target)]
            yield self._knocked(run, target, before, after, [sum(each) for each in chances])

    def _knocked(self, run: Run, target: Target, before: Outcome, after: Outcome, chances: Sequence[float]) -> Knocked:
        drops, spread = falls(before, after), self._spread(chances)
        finding = _finding(sum(drops), spread)
        return Knocked(
            label=run.variant.label,
            target=target,
            words=said_texts(run),
            before=before.logprobs,
            after=after.logprobs,
            drops=drops,
            drop=sum(drops),
            random=spread,
            finding=finding,
            sentence=_sentence(run.variant.label, target, sum(drops), spread, finding) + self._narrower(),
        )

    def _change(self, session: Session, run: Run, target: Target) -> Change:
        span = span_of(run, self.image)
        if self.way != "block":
            return Erase(self._window(span).box(span), self.image, self.way)
        return Block(self._cells(span, target), self.image, self.who, self._blocked_heads(session))

    def _chances(self, session: Session, run: Run, target: Target) -> Sequence[Change]:
        """The same at other places, or in other heads."""
        span, heads = span_of(run, self.image), self._blocked_heads(session)
        if heads is not None:
            cells, others = self._cells(span, target), draw_heads(session.model, heads, self.draws, self.seed)
            return [Block(cells, self.image, self.who, other) for other in others]
        if target != "box":
            return []
        windows = draw_windows(span, self._window(span), self.draws, self.seed)
        if self.way != "block":
            return [Erase(window.box(span), self.image, self.way) for window in windows]
        return [Block(window.cells(span), self.image, self.who) for window in windows]

    def _cells(self, span: ImageSpan, target: Target) -> tuple[int, ...]:
        everywhere = range(span.rows * span.cols)
        if target == "whole":
            return tuple(everywhere)
        inside = self._window(span).cells(span)
        if target == "box":
            return inside
        rest = tuple(sorted(set(everywhere).difference(inside)))
        if not rest:
            raise SettingsError("a box that leaves a part of the picture", "the whole of it", "draw a smaller one")
        return rest

    def _window(self, span: ImageSpan) -> Window:
        if self.box is None:
            raise SettingsError("a box on the picture", "none", "draw one, or choose the whole picture")
        return touched(span, self.box)

    def _blocked_heads(self, session: Session) -> Heads | None:
        return pick_heads(session.model, self.heads, self.layers)

    def _checked(self, session: Session) -> tuple[Target, ...]:
        if not self.targets or not set(self.targets) <= set(_TARGET_WORDS):
            raise SettingsError(f"targets among {', '.join(_TARGET_WORDS)}", str(self.targets), "choose at least one")
        if self.who not in WHO_WORDS:
            raise SettingsError(f"one of {', '.join(WHO_WORDS)}", repr(self.who), "choose who may not look")
        if self.way not in get_args(Way):
            raise SettingsError(f"one of {', '.join(get_args(Way))}", repr(self.way), "choose how it is taken away")
        narrowed = self.who != "all" or self.heads is not None or self.layers is not None
        if self.way != "block" and (narrowed or set(self.targets) != {"box"}):
            raise SettingsError("the box alone to paint over, for all who look", "something else", "or block attention")
        if not 0 <= self.draws <= MOST_DRAWS:
            raise SettingsError(f"0 to {MOST_DRAWS} random picks", str(self.draws), "choose fewer")
        return self.targets

    def _spread(self, drops: Sequence[float]) -> Spread | None:
        if not drops:
            return None
        kind: Literal["boxes", "heads"] = "boxes" if self.heads is None and self.layers is None else "heads"
        return Spread(kind, tuple(drops), min(drops), statistics.median(drops), max(drops))

    def _how(self) -> str:
        if self.way != "block":
            return f"The box is {WAY_WORDS[self.way]}, and so are the random ones."
        looked = "in every layer"
        if self.heads is not None or self.layers is not None:
            parts = [f"layer {layer}" for layer in self.layers or ()]
            parts += [f"layer {layer} head {head}" for layer, head in self.heads or ()]
            looked = f"in {', '.join(parts)} alone"
        return f"{WHO_WORDS[self.who]} may look, {looked}."

    def _narrower(self) -> str:
        return "" if self.who == "all" else f" Narrower than all: {WHO_WORDS[self.who]} may look."

    def _notes(self, session: Session, span: ImageSpan) -> Iterator[str]:
        if (heads := self._blocked_heads(session)) is not None:
            count = len(draw_heads(session.model, heads, self.draws, self.seed))
            if count < self.draws:
                yield f"The model has {count} other picks of so many heads to compare with, not {self.draws}."
        elif "box" in self.targets:
            count = len(draw_windows(span, self._window(span), self.draws, self.seed))
            if count < self.draws:
                yield f"The picture has room for {count} other boxes of this size, not {self.draws}."


def _finding(drop: float, spread: Spread | None) -> Finding:
    if not drop >= LEAST_DROP:
        return "no dependence found"
    if spread is None:
        return "nothing to compare with"
    return "more than random" if drop > spread.most else "not more than random"


def _sentence(label: str, target: Target, drop: float, spread: Spread | None, finding: Finding) -> str:
    if drop <= -LEAST_DROP:
        return f"{label}: no dependence found: without {_TARGET_WORDS[target]} its words rise by {told(-drop)} nats."
    what = f"without {_TARGET_WORDS[target]} its words fall by {told(drop)} nats"
    if finding == "no dependence found":
        return f"{label}: no dependence found: {what}, less than {LEAST_DROP}."
    if spread is None:
        return f"{label}: {what}."
    beside = f"{len(spread.drops)} random {spread.kind}: {told(spread.least)} to {told(spread.most)}"
    if finding == "not more than random":
        return f"{label}: not more than random {spread.kind}: {what} ({beside})."
    return f"{label}: {what}, more than any of {beside}."
