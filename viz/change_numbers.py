"""The numbers of the Compare room, for programs: what the /compare endpoint gives, plain values that go into JSON.

Layers, heads, rows and columns are counted from 0; shares run from 0 to 1, a box is left, top, right, bottom in pixels
of the picture as it arrived; null stands for what has no value. Knows no colours and no page.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from inference.trace import compare
from inference.trace.session import Session
from viz import words
from viz.change_box import box_numbers
from viz.change_view import Pair
from viz.changed import (
    FORMULAS,
    MOST_RANKED,
    Changed,
    cell_maps,
    changed,
    head_values,
    how_far,
    parting_at,
)
from viz.seen import words_told
from viz.slots import slots_of, tokens_at
from viz.view import Choice


def change_numbers(session: Session, choice: Choice, pair: Pair) -> dict[str, Any]:
    """What changed from `pair.a` to `pair.b` at the choice; `missing` says why they cannot be compared."""
    found = changed(session, choice, pair.a, pair.b)
    values = head_values(found, pair.measure, choice.image)
    return {
        "a": pair.a,
        "b": pair.b,
        "words": words_told(session),
        "parting": parting_at(session, found.a, found.b),
        "missing": found.missing,
        "tokens": [_tokens(session, choice, label) for label in (pair.a, pair.b)],
        "measure": pair.measure,
        "formula": FORMULAS[pair.measure][1],
        "heads": numbers(values),
        "ranked": [asdict(one) for one in compare.rank_heads(values, MOST_RANKED)],
        "rank_correlation": _correlations(session, choice, pair, values),
        "cell": _cell(found, choice),
        "box": _box(session, choice, pair),
    }


def numbers(grid: np.ndarray) -> list[list[float | None]]:
    """The grid row by row, null for NaN."""
    return [[None if np.isnan(value) else float(value) for value in line] for line in grid]


def _tokens(session: Session, choice: Choice, label: str) -> dict[str, Any]:
    """The variant's chosen tokens, with how sure it was of those of the answer."""
    trace = session.run(label).trace
    place = tokens_at(slots_of(session, trace), choice.token, choice.token_to)
    return {
        "variant": label,
        "tokens": [
            {
                "text": token.text,
                "part": token.part,
                "logprob": token.scores.logprob if token.scores else None,
                "divergence": token.scores.divergence if token.scores else None,
                "runners_up": [asdict(other) for other in token.scores.runners_up] if token.scores else [],
            }
            for token in trace.tokens[place]
        ],
    }


def _correlations(session: Session, choice: Choice, pair: Pair, values: np.ndarray) -> dict[str, float]:
    """Of each further variant: how alike the order of its changed heads is to that of `pair.b`, if that can be told."""
    told = {}
    for label in (run.variant.label for run in session.runs):
        if label in (pair.a, pair.b):
            continue
        other = head_values(changed(session, choice, pair.a, label), pair.measure, choice.image)
        number = compare.rank_correlation(values, other)
        if not np.isnan(number):
            told[label] = number
    return told


def _cell(found: Changed, choice: Choice) -> dict[str, Any] | None:
    """The maps at the chosen layer and head, and how far the one lies from the other; None where there is no map."""
    if found.blind:
        return None
    map_a, map_b = cell_maps(found, choice)
    looks = map_a.sum() > 0 and map_b.sum() > 0
    return {
        "pooling": words.where(choice),
        "unit": "share of the attention on this picture" if choice.within else "share of all the token's attention",
        "a": numbers(map_a),
        "b": numbers(map_b),
        "difference": numbers(map_b - map_a),
        "moved": asdict(how_far(found, choice)) if looks else None,
    }


def _box(session: Session, choice: Choice, pair: Pair) -> dict[str, Any] | None:
    if pair.box is None:
        return None
    return {
        "box": list(pair.box),
        "note": "agreement with the box, no proof of use",
        "variants": [
            {
                "variant": one.variant,
                "figures": asdict(one.figures) if one.figures else None,
                "heads": numbers(one.heads),
            }
            for one in box_numbers(session, choice, pair.box)
        ],
    }
