"""Rounds in which the ways of a run take turns, and what they tell: medians of ratios within a round.

Knows no shape and no table.
"""

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.capture_lockstep import fits_twice, lockstep_ratios
from benchmarks.capture_ways import (
    WAYS,
    Cost,
    Rows,
    Way,
    attending_eagerly,
    converse,
    cost_of,
    eager_rows,
    kept_tokens,
    watched,
    write,
)
from benchmarks.shapes import Question, free_bytes
from inference.model.capture import capturing
from inference.model.decode import see_pictures
from inference.model.load import LoadedModel

_EAGER_COPIES = 4
"""Matrices of one layer that eager attention has in hand at once, besides those that it keeps."""


@dataclass(frozen=True)
class Rounds:
    """What each way took in each of its rounds, the rounds by number, and the bytes that a way left on the disk."""

    costs: Mapping[str, Mapping[int, Cost]]
    kept: Mapping[str, int]

    def seconds(self, way: str) -> float:
        """The median."""
        return statistics.median(cost.seconds for cost in self.costs[way].values())

    def company(self, way: str) -> float:
        """The median of what other programs had of the cores' time."""
        return statistics.median(cost.company for cost in self.costs[way].values())

    def ratio(self, way: str, to: str = "plain") -> float:
        """The median over rounds of this way's seconds over those of the other."""
        own, other = self.costs[way], self.costs[to]
        return statistics.median(own[number].seconds / other[number].seconds for number in own if number in other)

    def extra_bytes(self, way: str, to: str = "plain") -> float:
        """The median over rounds of what this way's peak is above that of the other."""
        own, other = self.costs[way], self.costs[to]
        return statistics.median(own[number].peak - other[number].peak for number in own if number in other)


@dataclass(frozen=True)
class Measured:
    """One size: keys at the end, what the ways took, and by how much the rows differ."""

    length: int
    rounds: Rounds
    exact: float | None
    """Of the float32 rows from eager attention; None where eager attention does not fit into memory."""
    stored_loss: float
    side_by_side: tuple[float, ...] = ()
    """Ours over plain of each round in which both ran pass by pass; empty where there is no room for both."""

    @property
    def overhead(self) -> float:
        """The median of ours over plain: side by side, or of whole runs one after the other."""
        return statistics.median(self.side_by_side) if self.side_by_side else self.rounds.ratio("ours")


def measure(
    loaded: LoadedModel, question: Question, names: Sequence[str], *, rounds: int, beside: int, eager_every: int = 2
) -> Measured:
    """The named ways of this question; eager attention, which takes longest, not in every round, if it fits at all.

    `beside`: in how many rounds ours and plain run side by side, besides.
    """
    fits = eager_fits(loaded, question)
    exact, loss = differences(loaded, question, to_eager=fits)  # Which warms everything up.
    ways = {name: WAYS[name] for name in names if fits or name != "eager"}
    taken = take_turns(loaded, question, ways, rounds=rounds, every={"eager": eager_every})
    ratios = lockstep_ratios(loaded, question, rounds=beside) if beside and fits_twice(loaded) else []
    return Measured(question.length, taken, exact, loss, tuple(ratios))


def take_turns(
    loaded: LoadedModel, question: Question, ways: Mapping[str, Way], *, rounds: int, every: Mapping[str, int]
) -> Rounds:
    """Costs of all ways; a way that is named in `every` runs in each so-manieth round alone.

    Raises:
        RuntimeError: two ways end with other tokens, so that they cannot be compared.
    """
    costs: dict[str, dict[int, Cost]] = {name: {} for name in ways}
    kept: dict[str, int] = {}
    said: dict[str, tuple[int, ...]] = {}
    for number in range(rounds):
        for name in order(list(ways), number):
            if number % every.get(name, 1):
                continue
            with tempfile.TemporaryDirectory(prefix="lora-attention-capture-") as folder:
                work = partial(ways[name], loaded, question, Path(folder))
                costs[name][number], said[name] = cost_of(work, loaded.device)
                kept[name] = sum(path.stat().st_size for path in Path(folder).iterdir())
    if len({tokens for name, tokens in said.items() if name != "eager"}) > 1:
        raise RuntimeError(f"the ways chose other tokens: {said}")
    return Rounds(costs, kept)


def order(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: rotated every second round and turned round in between, so that each way leads and ends."""
    turn = number // 2 % len(names)
    rotated = [*names[turn:], *names[:turn]]
    return rotated[::-1] if number % 2 else rotated


def differences(loaded: LoadedModel, question: Question, *, to_eager: bool) -> tuple[float | None, float]:
    """Largest difference of any float32 row from eager attention's, and of a float16 row from the float32 one.

    Without `to_eager` the first is None.
    """
    features = see_pictures(loaded, question.pixels)
    with tempfile.TemporaryDirectory(prefix="lora-attention-capture-") as name:
        with capturing(loaded.model, **watched(question)) as recorder:
            converse(loaded, question, features)
        exact = write(recorder, question, Path(name), numbers="float32", number=0).rows
        rounded = write(recorder, question, Path(name), numbers="float16", number=1).rows
        del recorder
        error = _error(loaded, question, features, exact) if to_eager else None
        # A token at a time: both arrays may be large.
        loss = max(np.abs(one - other.astype(np.float32)).max() for one, other in zip(exact, rounded, strict=True))
    return error, float(loss)


def _error(loaded: LoadedModel, question: Question, features: Any, rows: Rows) -> float:
    with attending_eagerly(loaded) as (watching, attentions):
        converse(watching, question, features)
    positions = [token.row_at for token in kept_tokens(question)]
    reference = eager_rows(attentions, positions, question.length)
    return float(np.abs(rows - reference).max())


def eager_fits(loaded: LoadedModel, question: Question) -> bool:
    """Whether eager attention that keeps everything stays well within the memory that is free."""
    config = loaded.text_config
    matrix = config.num_attention_heads * question.length**2
    needed: int = matrix * (config.num_hidden_layers * loaded.dtype.itemsize + _EAGER_COPIES * 4)
    return needed < 0.8 * free_bytes(loaded.device)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The slope of the straight line that fits log y over log x best: the power that y grows with."""
    return float(np.polyfit(np.log(xs), np.log(ys), 1)[0])
