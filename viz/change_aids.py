"""What a comparison may be read by beside its own session: runs of what ought to be alike, and a neutral question's.

Numbers alone: floors of all heads, sinks of all heads and of one map. Knows no colours and no page.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from inference.errors import SettingsError
from inference.evidence.floor import ALIKE, Kind, Pairing, floor_heads, kind_of, pairings
from inference.trace import compare, maps, sinks
from inference.trace.compare import Cells, Measure
from inference.trace.session import Run, Session
from viz.change_view import Noise
from viz.changed import Changed
from viz.recent import RECENT, RECENT_CELLS
from viz.view import Choice

SMALLEST = 1e-6
"""A floor below this counts as this: a sum in another order differs by so much."""

HeadValues = Float[np.ndarray, "layers heads"]
Grid = Float[np.ndarray, "rows cols"]


@dataclass(frozen=True)
class Aids:
    """Sessions made for a comparison; none of them is there until a person asks for it."""

    floor: tuple[Session, ...] = ()
    neutral: Session | None = None


def check_aids(session: Session, floor: tuple[Session, ...], neutral: Session | None) -> Aids:
    """The sessions that arrived, checked to belong to this one.

    Raises:
        SettingsError: one of another picture, or with other variants.
    """
    for rerun in floor:
        kind_of(session, rerun)
    if neutral is not None:
        asked, other = session.request, neutral.request
        names = [[(picture.width, picture.height, picture.name) for picture in one.images] for one in (asked, other)]
        if names[0] != names[1] or asked.variants != other.variants:
            raise SettingsError("a neutral question about the same picture", "another session", "ask it again")
    return Aids(floor, neutral)


def head_sinks(found: Changed, image: int, aids: Aids) -> Cells | None:
    """The sinks of every head of either of the two; None without a neutral question, or where nothing is compared."""
    if aids.neutral is None or found.missing:
        return None
    of_each = [_sinks_of(run, found.tokens, image, aids.neutral) for run in (found.a, found.b)]
    return np.asarray(of_each[0] | of_each[1])


def map_sinks(found: Changed, choice: Choice, grids: tuple[Grid, Grid], aids: Aids) -> Bool[np.ndarray, "rows cols"]:
    """The cells that are sinks of either of the two maps at the choice; none without a neutral question."""
    hidden = np.zeros(grids[0].shape, bool)
    for grid, neutral in zip(grids, neutral_maps(found, choice, aids), strict=False):
        hidden |= sinks.sinks(grid.ravel(), neutral.ravel()).reshape(grid.shape)
    return hidden


def neutral_maps(found: Changed, choice: Choice, aids: Aids) -> list[Grid]:
    """The maps of the neutral question for a and b at the choice; none without one, or where there is no map."""
    if aids.neutral is None or found.blind:
        return []
    return [
        sinks.neutral_map(
            run.trace,
            aids.neutral.run(run.variant.label).trace,
            tokens=found.tokens,
            layer=choice.layer,
            head=choice.head,
            image=choice.image,
        )
        for run in (found.a, found.b)
    ]


def floors(
    session: Session,
    found: Changed,
    measure: Measure,
    image: int,
    aids: Aids,
    *,
    without: Cells | None,
    key: Hashable,
) -> dict[Kind, HeadValues]:
    """The floor of every head by each kind of noise that can be told of these tokens; `without`, `key` as above."""
    if found.missing:
        return {}

    def figures(one: Pairing) -> HeadValues:
        first, second = one.tokens
        of_this = (measure, first.start, first.stop, second.start, second.stop, image, "noise", key)
        return RECENT.get(
            (one.a, one.b),
            of_this,
            lambda: compare.heads_apart(one.a, one.b, measure, tokens=one.tokens, image=image, without=without),
        )

    labels = (found.a.variant.label, found.b.variant.label)
    return floor_heads(pairings(session, aids.floor, *labels, found.tokens), figures)


def chosen_floor(found: Mapping[Kind, HeadValues], noise: Noise) -> HeadValues | None:
    """The floor of one kind, or the largest of those that ought to be alike; None where it cannot be told."""
    wanted = [found[kind] for kind in (ALIKE if noise == "alike" else (noise,)) if kind in found]
    return np.asarray(np.fmax.reduce(wanted)) if wanted else None


def multiples(values: HeadValues, floor: HeadValues) -> HeadValues:
    """How many times its floor each head's change is, with the sign of the change; NaN where either has no value."""
    return np.asarray(values / np.maximum(floor, SMALLEST))


def shares_of(found: Changed, choice: Choice, cells: Bool[np.ndarray, "rows cols"]) -> list[float]:
    """The share of all their attention that a and b give these cells at the choice."""
    return [
        float(
            maps.image_map(run.trace, tokens=found.tokens, layer=choice.layer, head=choice.head, image=choice.image)[
                cells
            ].sum()
        )
        for run in (found.a, found.b)
    ]


def _sinks_of(run: Run, tokens: slice, image: int, neutral: Session) -> Cells:
    trace, other = run.trace, neutral.run(run.variant.label).trace
    return RECENT_CELLS.get(
        (trace, other),
        ("sinks", tokens.start, tokens.stop, image),
        lambda: sinks.head_sinks(trace, other, tokens=tokens, image=image),
    )
