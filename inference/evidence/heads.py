"""Which heads a trial blocks: chosen ones, those that changed most, and random picks beside them. Knows no model."""

from itertools import product

import numpy as np

from inference.errors import SettingsError
from inference.evidence.words import adapter_run, base_run
from inference.trace.compare import Measure, head_change, rank_heads
from inference.trace.session import ModelFacts, Session

Heads = tuple[tuple[int, int], ...]
"""(layer, head) pairs."""
_TRIES = 20


def pick_heads(facts: ModelFacts, heads: Heads | None, layers: tuple[int, ...] | None) -> Heads | None:
    """The heads named and all heads of the layers named, in order; None where neither is given.

    Raises:
        SettingsError: one that the model lacks, or none at all.
    """
    if heads is None and layers is None:
        return None
    everything = set(product(range(facts.layers), range(facts.heads)))
    chosen = {*(heads or ()), *product(layers or (), range(facts.heads))}
    if not chosen or not chosen <= everything:
        arrived = f"{sorted(chosen - everything)[:3]}" if chosen else "none"
        raise SettingsError(
            f"heads of {facts.layers} layers with {facts.heads} heads each", arrived, "choose among these"
        )
    return tuple(sorted(chosen))


def draw_heads(facts: ModelFacts, heads: Heads, count: int, seed: int) -> list[Heads]:
    """At most `count` random picks of as many heads, each another; among heads that were not chosen, if these do."""
    everything = list(product(range(facts.layers), range(facts.heads)))
    others = [head for head in everything if head not in heads]
    pool = others if len(others) > len(heads) else everything
    rng, found = np.random.default_rng(seed), dict[Heads, None]()
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        picked = tuple(sorted(pool[int(place)] for place in rng.choice(len(pool), len(heads), replace=False)))
        if picked != heads:
            found[picked] = None
    return list(found)


def changed_heads(
    session: Session, label: str, count: int, *, measure: Measure = "variation", tokens: slice | None = None
) -> Heads:
    """The heads that the variant changed most against the base, most changed first.

    `tokens`: mean over these; None: the first token of what it said, which is predicted after the same words in all.

    Raises:
        SettingsError: there is no base in the session, no such variant with an adapter, or other words stand before.
    """
    run, base = adapter_run(session, label), base_run(session)
    if tokens is None:
        said = [place for place, token in enumerate(run.trace.tokens) if token.part in ("answer", "thinking")]
        tokens = slice(said[0], said[0] + 1) if said else slice(0, 0)
    values = head_change(base.trace, run.trace, measure, tokens=tokens)
    return tuple((ranked.layer, ranked.head) for ranked in rank_heads(values, count))
