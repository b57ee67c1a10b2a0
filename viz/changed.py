"""What changed from one variant to another at a choice, in numbers, and the sentences that say why nothing can be told.

Slices of numpy arrays and words; knows no colours, no picture's pixels and no page.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

import numpy as np
from jaxtyping import Bool, Float

from inference.errors import SettingsError
from inference.trace import compare, maps
from inference.trace.compare import Cells, Measure, Moved
from inference.trace.metrics import Box, check_box
from inference.trace.request import BASE_LABEL
from inference.trace.session import Run, Session
from viz import words
from viz.change_view import Noise, Pair, Unit
from viz.choices import is_number
from viz.recent import RECENT
from viz.seen import kept_heads
from viz.slots import slots_of, tokens_at
from viz.view import Choice

MOST_RANKED = 10
FORMULAS: dict[Measure, tuple[str, str]] = {
    "share": (
        "change of the share on the picture",
        "Share of its attention on the picture, in B less in A: sum of B's map minus sum of A's, in percentage points.",
    ),
    "variation": (
        "total variation",
        "Half the sum over cells of |B - A|, each map first divided by its sum: the part of what goes to the picture "
        "that lies elsewhere in it. 0: alike, 1: nothing in common.",
    ),
    "shannon": (
        "Jensen-Shannon distance",
        "Root of the mean of D(A|M) and D(B|M) in bits, each map first divided by its sum and M their mean; "
        "D(A|M) is the sum over cells of A log2(A / M). 0: alike, 1: nothing in common.",
    ),
}
"""Of each measure its name, and its formula for people."""


@dataclass(frozen=True)
class Changed:
    """`b` against `a` at a choice. `missing` says why they cannot be compared; `blind`: why there is no map to show."""

    a: Run
    b: Run
    tokens: slice
    missing: str
    blind: str = ""


def check_pair(session: Session, raw: object, image: int = 0) -> Pair:
    """The pair that arrived, checked; what is left out: the first two variants, the base in front if it is there.

    Raises:
        SettingsError: a field that is unknown, of the wrong type, or a variant that the session has not.
        GeometryError: a box without an area inside the picture.
    """
    names = [field.name for field in fields(Pair)]
    if not isinstance(raw, Mapping) or any(key not in names for key in raw):
        raise SettingsError(f"an object with fields of {', '.join(names)}", repr(raw)[:60], "leave the others out")
    labels = [run.variant.label for run in session.runs]
    a = _label(labels, raw.get("a") or (BASE_LABEL if BASE_LABEL in labels else labels[0]))
    b = _label(labels, raw.get("b") or next((label for label in labels if label != a), a))
    measure = _word("measure", raw.get("measure", "share"), get_args(Measure))
    return Pair(
        a,
        b,
        measure,
        _box(session, raw.get("box"), image),
        unit=_word("unit", raw.get("unit", "shares"), get_args(Unit)),
        noise=_word("kind of noise", raw.get("noise", "alike"), get_args(Noise)),
        hide=_switch("hide", raw.get("hide", False)),
        relative=_switch("relative", raw.get("relative", False)),
    )


def changed(session: Session, choice: Choice, a: str, b: str) -> Changed:
    """The two runs and their common tokens at the choice, or why they cannot be compared."""
    run_a, run_b = session.run(a), session.run(b)
    places = [tokens_at(slots_of(session, run.trace), choice.token, choice.token_to) for run in (run_a, run_b)]
    missing = _missing(session, choice, run_a, run_b, places)
    blind = "" if maps.is_kept(run_a.trace, choice.layer, choice.head) else _not_kept(session, choice)
    return Changed(run_a, run_b, places[0], missing, missing or blind)


def head_values(
    found: Changed, measure: Measure, image: int, *, without: Cells | None = None, key: Hashable = None
) -> Float[np.ndarray, "layers heads"]:
    """The change of every head, NaN where it has no value; all NaN where the two cannot be compared.

    without: cells that count as dark in both; `key` stands for them, so that they are told from others.
    """
    if found.missing:
        return np.full(found.a.trace.sums.shape[1:3], np.nan, np.float32)
    trace_a, trace_b, tokens = found.a.trace, found.b.trace, found.tokens

    def make() -> np.ndarray:
        return compare.head_change(trace_a, trace_b, measure, tokens=tokens, image=image, without=without)

    return RECENT.get((trace_a, trace_b), (measure, tokens.start, tokens.stop, image, key), make)


def cell_maps(found: Changed, choice: Choice) -> tuple[Float[np.ndarray, "rows cols"], Float[np.ndarray, "rows cols"]]:
    """The maps of `a` and `b` at the choice; there has to be one (`Changed.blind`)."""
    map_a, map_b = (
        maps.image_map(
            run.trace,
            tokens=found.tokens,
            layer=choice.layer,
            head=choice.head,
            image=choice.image,
            within=choice.within,
        )
        for run in (found.a, found.b)
    )
    return map_a, map_b


def how_far(found: Changed, choice: Choice, *, without: Bool[np.ndarray, "rows cols"] | None = None) -> Moved:
    """How far the map of `b` lies from that of `a`; the cells `without` count as dark in both.

    Raises:
        SettingsError: there is no map, or one without attention.
    """
    if found.blind:
        raise SettingsError("a choice that has a map", found.blind.removesuffix("."), "choose another token or head")
    map_a, map_b = cell_maps(found, choice)
    if without is not None:
        map_a, map_b = (np.where(without, 0, grid) for grid in (map_a, map_b))
    return compare.moved(map_a, map_b)


def moved_told(moved: Moved, *, without_sinks: bool = False) -> str:
    """How far a map moved, in a sentence."""
    least = "" if moved.exact else "at least "
    bound = "" if moved.exact else f" (a lower bound: the map has more than {compare.EXACT_CELLS} cells)"
    left_out = ", sinks left out" if without_sinks else ""
    return f"The map moved by {least}{moved.cells:.2f} cells on average{bound}{left_out}."


def parting_at(session: Session, a: Run, b: Run) -> int | None:
    """The index of the first token of thinking or answer at which b parts from a; None if they say the same."""
    said = []
    for run in (a, b):
        tokens = zip(slots_of(session, run.trace), run.trace.tokens, strict=True)
        said.append([(slot, token.id) for slot, token in tokens if token.part in ("thinking", "answer")])
    ids = [[token_id for _, token_id in one] for one in said]
    place = compare.first_parting(*ids)
    if place is None:
        return None
    return next(one[place][0] for one in said if place < len(one))


def parting_told(session: Session, a: Run, b: Run, index: int) -> str:
    """Where two answers part, in a sentence."""
    texts = []
    for run in (a, b):
        place = tokens_at(slots_of(session, run.trace), index, index)
        texts.append(words.named(run.trace.tokens[place]) if place.stop > place.start else "nothing more")
    return (
        f"The answers of {a.variant.label} and {b.variant.label} part here: {texts[0]}, {texts[1]}. "
        "What came before is the same, so this is the last token that can be compared."
    )


def _missing(session: Session, choice: Choice, a: Run, b: Run, places: Sequence[slice]) -> str:
    if a is b:
        return "Choose two different variants." if len(session.runs) > 1 else "Only one variant was asked: tick more."
    if not a.trace.images:
        return "Nothing to compare: the question was asked without a picture."
    for run, place in zip((a, b), places, strict=True):
        if place.stop == place.start:
            return f"Nothing to compare: {run.variant.label} has no token at this place."
    asked = all(token.part in ("prompt", "question") for token in a.trace.tokens[places[0]])
    thought_alike = asked or a.thinking == b.thinking  # thinking is said in full, though its tokens may not be kept
    alike = places[0] == places[1] and compare.have_read_alike(a.trace, b.trace, places[0])
    if not (thought_alike and alike):
        return (
            f"Not compared: here {a.variant.label} and {b.variant.label} had read different words, "
            "so a difference would not be the adapter's alone."
        )
    return ""


def _not_kept(session: Session, choice: Choice) -> str:
    kept = kept_heads(session) or "none"
    return f"No map: head {choice.head} of layer {choice.layer} was not kept (kept: {kept}); the chart has its share."


def _word(what: str, value: object, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise SettingsError(f"a {what} of {', '.join(allowed)}", repr(value)[:40], "choose one of them")
    return value


def _switch(what: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"true or false for {what}", repr(value)[:40], "send one of the two")
    return value


def _label(labels: Sequence[str], value: object) -> str:
    if not isinstance(value, str) or value not in labels:
        raise SettingsError(f"a variant of {', '.join(labels)}", repr(value)[:60], "choose one that was asked")
    return value


def _box(session: Session, value: object, image: int) -> Box | None:
    images = session.runs[0].trace.images
    if value is None or not images:
        return None
    if not isinstance(value, list | tuple) or len(value) != 4 or not all(map(is_number, value)):
        raise SettingsError("a box as [left, top, right, bottom] in pixels", repr(value)[:60], "give four numbers")
    left, top, right, bottom = (float(one) for one in value)
    return check_box((left, top, right, bottom), images[image].original_wh)
