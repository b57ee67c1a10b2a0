"""How far each adapter moved the attention of every layer, for the chosen tokens: what stands beside its weights.

A layer's change: the share of all their attention that the chosen tokens give the picture, mean over tokens and heads,
less the base's over the same words. Slices of sums alone; knows no colours and no page.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from inference.errors import SettingsError
from inference.trace.compare import check_comparable
from inference.trace.maps import layer_head_share
from inference.trace.session import Run, Session
from viz import words
from viz.seen import span_of
from viz.slots import slots_of, tokens_at
from viz.view import Choice

UNSEEN = 0.0005
"""Below this share, 0.05 points, a layer's change is called nothing."""


@dataclass(frozen=True)
class LayerChange:
    """One variant against the base; `values` are shares of all the attention, signed, one a layer.

    `missing` says why there are none; `adapters` are the names of those in the variant.
    """

    variant: str
    adapters: list[str]
    values: list[float]
    missing: str
    summary: str


@dataclass(frozen=True)
class LayerChanges:
    """Every adapted variant of a session, for the tokens of one choice; `highest` is the largest |value| of all."""

    token: str
    highest: float
    changes: list[LayerChange]


def layer_changes(session: Session, choice: Choice) -> LayerChanges:
    """What the attention of each layer did, for the chosen tokens of every variant but the base."""
    base = next((run for run in session.runs if run.variant.is_base), None)
    changes = [_change(session, base, run, choice) for run in session.runs if not run.variant.is_base]
    highest = max((abs(value) for change in changes for value in change.values), default=0.0)
    chosen = [run.trace.tokens[_tokens(session, run, choice)] for run in session.runs]
    token = " / ".join(dict.fromkeys(words.named(tokens) for tokens in chosen if tokens)) or "no token"
    return LayerChanges(token, highest, changes)


def _change(session: Session, base: Run | None, run: Run, choice: Choice) -> LayerChange:
    missing = _why_missing(session, base, run, choice)
    values, summary = np.zeros(0), ""
    if base is not None and not missing:
        before, after = (_by_layer(session, one, choice) for one in (base, run))
        spoken = [words.named(one.trace.tokens[_tokens(session, one, choice)]) for one in (run, base)]
        place = spoken[0] if spoken[0] == spoken[1] else f"{spoken[0]} (base: {spoken[1]})"
        values, summary = after - before, f"At {place} {_summary(run, before, after)}"
    adapters = [adapter.name for adapter in run.variant.adapters]
    return LayerChange(run.variant.label, adapters, [float(value) for value in values], missing, summary)


def _why_missing(session: Session, base: Run | None, run: Run, choice: Choice) -> str:
    if base is None:
        return "The base was not asked, so there is nothing to compare with."
    if span_of(session, choice) is None:
        return "The question was asked without a picture."
    tokens = _tokens(session, run, choice)
    if tokens.start == tokens.stop:
        return f"The answer of {run.variant.label} has no token there."
    if tokens != _tokens(session, base, choice):
        return "The base has no such token there: choose one of the question."
    try:
        check_comparable(base.trace, run.trace, tokens)
    except SettingsError:
        return "The words before it are not the base's: choose a token of the question, or ask with the same words."
    return ""


def _tokens(session: Session, run: Run, choice: Choice) -> slice:
    return tokens_at(slots_of(session, run.trace), choice.token, choice.token_to)


def _by_layer(session: Session, run: Run, choice: Choice) -> Float[np.ndarray, "layers"]:
    shares = layer_head_share(run.trace, _tokens(session, run, choice), choice.image)
    return np.asarray(shares.mean(1, dtype=np.float64))


def _summary(run: Run, before: Float[np.ndarray, "layers"], after: Float[np.ndarray, "layers"]) -> str:
    """What the variant does, as the end of a sentence: in which layer it moves most, from what to what; or nothing."""
    name, size = run.variant.label, np.abs(after - before)
    if not size.any():
        return f"{name} moves nothing of the attention on the picture: in every layer it is the base's."
    layer = int(size.argmax())
    if size[layer] < UNSEEN:
        return f"{name} moves less than {100 * UNSEEN:g} points of the attention on the picture in every layer."
    was, by = float(before[layer]), float(after[layer] - before[layer])
    return (
        f"{name} moves most in layer {layer}, by {100 * by:+.3g} points: from {words.percent(was)} of the attention on "
        f"the picture to {words.percent(was + by)}."
    )
