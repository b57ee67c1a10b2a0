"""A sweep of one adapter's strength: what is asked for it, and how it is read.

The base and the adapter at several scales say the base's answer, in one ordinary session, which is told how likely the
adapter's own answer is besides; so one session has the probability of both answers, and every map, at every scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from inference.errors import SettingsError
from inference.evidence.words import base_run
from inference.trace import compare, maps
from inference.trace.metrics import Box, box_cover
from inference.trace.request import BASE, AdapterAt, Keep, Keys, Request, Variant
from inference.trace.session import PARTS, Run, Session, Trace

SCALES = tuple(step / 4 for step in range(7))
"""0 to 1.5 in steps of a quarter."""
REREAD_NATS = 0.25
"""What 16 bits may move the log-probability of an answer by, from one way of reading it to another."""


@dataclass(frozen=True)
class Sweep:
    """One adapter at these scales, each a multiple of the scaling that it was trained with; 0 is the base."""

    adapter: str
    scales: tuple[float, ...] = SCALES

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The base, which stands for scale 0, and the adapter at each other scale, from the lowest to the highest.

        Raises:
            SettingsError: no scale but 0, one twice, or one that is no number.
        """
        scales = sorted(scale for scale in self.scales if scale)
        if not scales or not all(map(math.isfinite, scales)) or len(set(self.scales)) < len(self.scales):
            told = ", ".join(f"{scale:g}" for scale in self.scales)[:60] or "none"
            raise SettingsError("scales that are numbers, each once and one at least not 0", told, "correct the list")
        return (BASE, *(Variant((AdapterAt(self.adapter, scale),)) for scale in scales))

    def request(self, asked: Request, own_answer: str | None) -> Request:
        """What to ask for the sweep, of the same pictures and in the same words as `asked`.

        Kept are the tokens, layers and heads of `asked`, and of the keys those of the pictures. `own_answer`: what the
        adapter says by itself; None: it is left out.
        """
        keep = replace(asked.keep, answer=True, keys=_keys(asked), numbers="float16")
        return replace(
            asked,
            variants=self.variants,
            keep=keep,
            words="base",
            forced_answer=None,
            expected_answer=own_answer or None,
            compare_eager=False,
        )


@dataclass(frozen=True)
class Place:
    """Where a sweep is read: chosen tokens of its traces, a layer and head (None: mean over all), a picture, a box."""

    tokens: slice
    layer: int | None = None
    head: int | None = None
    image: int = 0
    box: Box | None = None


@dataclass(frozen=True)
class Point:
    """One scale. None stands for what is not known.

    base_logprob, own_logprob: of the base's answer and of the adapter's own, in nats, over all of the answer's words.
    on_picture, in_box: shares of all the attention at the place. variation: total variation within the picture between
    the map there and the base's, 0 to 1.
    """

    scale: float
    base_logprob: float | None
    own_logprob: float | None
    on_picture: float | None
    in_box: float | None
    variation: float | None


@dataclass(frozen=True)
class Strength:
    """A sweep as it was read, from the lowest scale to the highest; `own_answer` None: it was not asked for."""

    adapter: str
    base_answer: str
    own_answer: str | None
    points: tuple[Point, ...]

    @property
    def alike(self) -> bool:
        """Whether the adapter by itself says what the base says."""
        return self.own_answer == self.base_answer


def own_answer(session: Session, adapter: str) -> str | None:
    """What the adapter alone, at scale 1, said by itself, spaces round it included; None: the session has no such run.

    Empty where reasoning came before it: what it says without the reasoning is another answer.
    """
    wanted = Variant((AdapterAt(adapter),))
    run = next((run for run in session.runs if run.variant == wanted), None)
    if run is None or session.request.same_words:
        return None
    if run.thinking:
        return ""
    said = "".join(token.text for token in run.trace.tokens if token.part == "answer")
    # The words as one text, since a token may be a part of a character.
    return said[: len(said) - len(said.lstrip())] + run.answer + said[len(said.rstrip()) :]


def own_logprob(session: Session, adapter: str) -> float | None:
    """The log-probability of `own_answer` as it was said, in nats; None where there is none."""
    if not own_answer(session, adapter):
        return None
    run = next(run for run in session.runs if run.variant == Variant((AdapterAt(adapter),)))
    said = [token.scores.logprob for token in run.trace.tokens if token.part == "answer" and token.scores]
    return sum(said) if said else None


def reread_note(session: Session, adapter: str, said: float | None) -> str:
    """That the adapter's own answer, read again from its text in this sweep, is made of other tokens; empty if not.

    `said`: its `own_logprob`. Told by the log-probability at scale 1, which is the same for the same tokens but for
    rounding; empty also where either is not known.
    """
    wanted = Variant((AdapterAt(adapter),))
    again = next((run.expected_logprob for run in session.runs if run.variant == wanted), None)
    if said is None or again is None or abs(again - said) <= REREAD_NATS + abs(said) / 50:
        return ""
    return (
        f"{adapter}'s own answer was read again from its text, and that gave other tokens: at scale 1 they have "
        f"{again:.2f} nats, where those that it said had {said:.2f}. Its curve is of these other tokens."
    )


def own_request(asked: Request, adapter: str) -> Request:
    """The same question to the adapter alone, for its own answer; next to nothing else is kept."""
    keep = Keep(question=False, layers=(0,), heads=(0,), keys=_keys(asked))
    return replace(
        asked,
        variants=(Variant((AdapterAt(adapter),)),),
        keep=keep,
        words="own",
        forced_answer=None,
        expected_answer=None,
        compare_eager=False,
    )


def swept(session: Session) -> str:
    """The name of the adapter that the session swept.

    Raises:
        SettingsError: it is no sweep.
    """
    others = [run.variant.adapters for run in session.runs if not run.variant.is_base]
    names = {adapters[0].name for adapters in others if len(adapters) == 1}
    if session.request.words != "base" or len(names) != 1 or not all(len(adapters) == 1 for adapters in others):
        raise SettingsError("a sweep of one adapter in the base's words", "another session", "sweep an adapter first")
    return names.pop()


def by_scale(session: Session) -> list[tuple[float, Run]]:
    """The runs of a sweep with their scales, from the lowest to the highest."""
    found = [(run.variant.adapters[0].scale if run.variant.adapters else 0.0, run) for run in session.runs]
    return sorted(found, key=lambda one: one[0])


def read_sweep(session: Session, place: Place) -> Strength:
    """Answers and looks of a sweep at every scale.

    Raises:
        SettingsError: the session is no sweep, or has no such place.
        GeometryError: there is no such picture or box.
    """
    adapter, base = swept(session), base_run(session)
    own = session.request.expected_answer
    points = tuple(_point(scale, run, base, place) for scale, run in by_scale(session))
    return Strength(adapter, base.answer, None if own is None else own.strip(), points)


def place_maps(runs: Sequence[Run], place: Place) -> Float[np.ndarray, "runs rows cols"] | None:
    """Of each run the map at the place, in shares of all the attention; None without a picture, or if not kept."""
    traces = [run.trace for run in runs]
    if not traces[0].images or not all(maps.is_kept(trace, place.layer, place.head) for trace in traces):
        return None
    return np.stack([_map(trace, place) for trace in traces])


def _point(scale: float, run: Run, base: Run, place: Place) -> Point:
    tokens = [token for token in run.trace.tokens if token.part == "answer" and token.scores]
    said = sum(token.scores.logprob for token in tokens if token.scores) if tokens else None
    grids = place_maps((base, run), place)
    in_box = variation = None
    if grids is not None:
        if place.box is not None:
            in_box = float((grids[1] * box_cover(run.trace.images[place.image], place.box)).sum())
        before, after = (grid.ravel() / grid.sum() if grid.sum() > 0 else np.full(grid.size, np.nan) for grid in grids)
        variation = float(compare.total_variation(before, after))
    return Point(
        scale,
        _known(said),
        _known(run.expected_logprob),
        _on_picture(run, place),
        in_box,
        _known(variation),
    )


def _map(trace: Trace, place: Place) -> Float[np.ndarray, "rows cols"]:
    return maps.image_map(trace, tokens=place.tokens, layer=place.layer, head=place.head, image=place.image)


def _on_picture(run: Run, place: Place) -> float | None:
    if not run.trace.images:
        return None
    sums = run.trace.sums[place.tokens, :, :, len(PARTS) + place.image].mean(0)
    rows = slice(None) if place.layer is None else place.layer
    cols = slice(None) if place.head is None else place.head
    return float(sums[rows, cols].mean())


def _known(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _keys(asked: Request) -> Keys:
    return "pictures" if asked.images else "all"
