"""Cells that are bright whatever is asked, found with the help of a neutral question about the same picture.

Notation: W[c] is a map divided by its sum, so the share of what goes to the picture; W_n that of the neutral question.
Knows no colours and no model; what the neutral question is, and its run, are given.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from inference.errors import SettingsError
from inference.trace import maps
from inference.trace.compare import Cells
from inference.trace.session import Trace

TIMES = 5.0
"""A bright cell holds more than so many times its map's median cell."""
LEAST = 0.05
"""And at least this part of what goes to the picture."""
EPSILON = 0.1
"""What is added to both sides of the ratio of a relative map: this part of an even map's cell."""

RULE = (
    f"A sink is a cell that holds more than {TIMES:g} times the median cell, and at least {100 * LEAST:g} % of what "
    "goes to the picture, both now and for the neutral question. What an adapter has learnt to look at always is one "
    "too."
)
RELATIVE = (
    "Relative map: log2 of (the cell's share of what goes to the picture + e) over (the same for the neutral question "
    f"+ e), with e {EPSILON:g} of an even map's cell. 0: as for the neutral question; 1: twice as much."
)


def counterparts(trace: Trace, tokens: slice, neutral: Trace) -> list[int]:
    """For each of the tokens the one at its place in the neutral run: what it is compared with.

    Places of thinking and answer count from their first token, those of the prompt from its last; beyond the neutral
    run's it is the nearest that there is. So a question has its own tokens as counterparts.

    Raises:
        SettingsError: the neutral run kept no token of that part.
    """
    found = []
    for index in range(len(trace.tokens))[tokens]:
        part = _stretch(trace, trace.tokens[index].part)
        others = _stretch(neutral, trace.tokens[index].part)
        if not others:
            raise SettingsError("a neutral question whose tokens were kept", "none of this part", "ask it again")
        place = part.index(index)
        if trace.tokens[index].part in ("prompt", "question"):
            place += len(others) - len(part)
        found.append(others[min(max(place, 0), len(others) - 1)])
    return found


def relative_map(
    now: Float[np.ndarray, "*maps cells"], neutral: Float[np.ndarray, "*maps cells"]
) -> Float[np.ndarray, "*maps cells"]:
    """log2((W + e) / (W_n + e)) with e = EPSILON / cells; 0 everywhere for two equal maps, NaN where one is empty.

    Source: Zhang et al., "MLLMs know where to look" (2025), who divide by the map of a general question; log and
    epsilon are ours.
    """
    epsilon = EPSILON / now.shape[-1]
    return np.asarray(np.log2((_within(now) + epsilon) / (_within(neutral) + epsilon)))


def bright(grids: Float[np.ndarray, "*maps cells"]) -> Bool[np.ndarray, "*maps cells"]:
    """The cells that hold more than TIMES their map's median and at least LEAST of its sum; none of an empty map."""
    known = np.nan_to_num(grids)
    median = np.median(known, axis=-1, keepdims=True)
    return np.asarray((known > TIMES * median) & (known >= LEAST * known.sum(-1, keepdims=True)))


def sinks(
    now: Float[np.ndarray, "*maps cells"], neutral: Float[np.ndarray, "*maps cells"]
) -> Bool[np.ndarray, "*maps cells"]:
    """The cells that are bright now and for the neutral question."""
    return np.asarray(bright(now) & bright(neutral))


def head_sinks(trace: Trace, neutral: Trace, *, tokens: slice, image: int = 0) -> Cells:
    """The sinks of every head's map of these tokens; none in heads that were not kept in both.

    Raises:
        SettingsError: the two are not of one picture and one choice of heads.
    """
    _check_alike(trace, neutral)
    others = counterparts(trace, tokens, neutral)
    span = trace.images[image]
    found = np.zeros((*trace.sums.shape[1:3], span.rows * span.cols), bool)
    for layer in trace.layers:
        now = maps.head_maps(trace, tokens=tokens, layer=layer, image=image)
        then = maps.head_maps(neutral, tokens=others, layer=layer, image=image)
        found[layer] = sinks(now.reshape(len(now), -1), then.reshape(len(then), -1))
    return found


def neutral_map(
    trace: Trace, neutral: Trace, *, tokens: slice, layer: int | None, head: int | None, image: int = 0
) -> Float[np.ndarray, "rows cols"]:
    """The map of the counterparts of these tokens at one layer and head, in shares of all their attention.

    Raises:
        SettingsError: the two are not of one picture and one choice of heads, or the head was not kept.
    """
    _check_alike(trace, neutral)
    others = counterparts(trace, tokens, neutral)
    return maps.image_map(neutral, tokens=others, layer=layer, head=head, image=image)


def _check_alike(trace: Trace, neutral: Trace) -> None:
    grids = [[(span.rows, span.cols) for span in one.images] for one in (trace, neutral)]
    kept = [(one.layers, one.heads, one.sums.shape[1:3]) for one in (trace, neutral)]
    if grids[0] != grids[1] or kept[0] != kept[1]:
        raise SettingsError(
            "a neutral question about the same picture, with the same heads kept", "another", "ask it again"
        )


def _stretch(trace: Trace, part: str) -> Sequence[int]:
    """The places of the prompt's tokens, of those of thinking, or of the answer: wherever a token of `part` lies."""
    parts = ("prompt", "question") if part in ("prompt", "question") else (part,)
    return [index for index, token in enumerate(trace.tokens) if token.part in parts]


def _within(grids: Float[np.ndarray, "*maps cells"]) -> Float[np.ndarray, "*maps cells"]:
    total = grids.sum(-1, keepdims=True)
    return np.asarray(np.divide(grids, total, out=np.full_like(grids, np.nan), where=total > 0))
