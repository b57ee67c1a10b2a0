"""Pieces of the residual stream, noted in one run and put into another by hooks that go when their block ends.

A run's stream is the sum of its words' embeddings, its pictures' features, what each layer's attention and mlp add, and
what DeepStack adds behind the first layers. Embeddings and the norm behind the last layer are the same for all, since
adapters touch linear layers alone: with all pieces taken from another run only an adapter on lm_head is left out.
"""

import functools
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float

from inference.evidence.trials import Exchange, Outcome, Piece, Trial, Watch
from inference.model.parts import Parts
from inference.model.probe.outcomes import read_outcomes
from inference.model.probe.stage import Stage

Noted = dict[Piece, Float[torch.Tensor, "tokens width"]]
"""What each piece added at every position."""

PICTURES = Piece("pictures")

_Added = Float[torch.Tensor, "rows tokens width"]
_Hook = Callable[..., _Added | None]


_Row = tuple[int, frozenset[Piece]]
"""A trial's number, and the pieces that it takes."""


@dataclass(frozen=True)
class Swaps:
    """Exchanges between the same two models over the same words, in the batches that they are run in."""

    receiver: Parts
    donor: Parts
    said: tuple[int, ...]
    batches: tuple[tuple[_Row, ...], ...]

    @property
    def noted(self) -> frozenset[Piece]:
        """The pieces of the text layers that any of them takes."""
        return frozenset(piece for rows in self.batches for _, pieces in rows for piece in pieces) - {PICTURES}

    @property
    def passes(self) -> int:
        """One of the donor, where anything is noted in it, and those of the receiver."""
        return bool(self.noted) + len(self.batches)


def plan_exchanges(stage: Stage, trials: Mapping[int, Trial]) -> list[Swaps]:
    """The exchanges among these trials, by their numbers, with as many rows to a batch as there is room for now."""
    groups: dict[tuple[Parts, Parts, tuple[int, ...]], list[_Row]] = {}
    for number, trial in trials.items():
        if isinstance(trial.change, Exchange):
            key = (stage.parts(trial.variant), stage.parts(trial.change.donor), trial.said)
            groups.setdefault(key, []).append((number, frozenset(trial.change.pieces)))
    planned = []
    for (receiver, donor, said), rows in groups.items():
        most = stage.rows_at_once(len(said))
        batches = tuple(tuple(rows[at : at + most]) for at in range(0, len(rows), most))
        planned.append(Swaps(receiver, donor, said, batches))
    return planned


def run_exchanges(
    stage: Stage, planned: Sequence[Swaps], watch: Watch | None
) -> Generator[None, None, dict[int, Outcome]]:
    """Pauses after each pass, and returns what each exchange gave, by its number."""
    outcomes: dict[int, Outcome] = {}
    for swaps in planned:
        noted: Noted = {}
        if swaps.noted:
            pictures = stage.see(swaps.donor)
            with stage.wearing(swaps.donor), noting(stage.model, swaps.noted) as noted:
                stage.forward([swaps.said], [pictures])
            yield
        for rows in swaps.batches:
            outcomes |= _run_batch(stage, swaps, rows, noted, watch)
            yield
    return outcomes


def _run_batch(
    stage: Stage, swaps: Swaps, rows: Sequence[_Row], noted: Noted, watch: Watch | None
) -> dict[int, Outcome]:
    own, donors = stage.see(swaps.receiver), stage.see(swaps.donor)
    pieces = [of_row for _, of_row in rows]
    pictures = [donors if PICTURES in of_row else own for of_row in pieces]
    said = [swaps.said] * len(rows)
    with stage.wearing(swaps.receiver), exchanging(stage.model, pieces, noted):
        logits, maps = stage.forward(said, pictures, watch=watch)
    outcomes = read_outcomes(stage, said, logits, watch, maps)
    return {number: outcome for (number, _), outcome in zip(rows, outcomes, strict=True)}


@contextmanager
def noting(model: Any, pieces: Iterable[Piece]) -> Iterator[Noted]:
    """Fills, in each pass of one row, with what these pieces of the text layers add; `pictures` are no part of it."""
    noted: Noted = {}
    wanted = frozenset(pieces)

    def note_attention(layer: int, module: Any, given: tuple[torch.Tensor], added: _Added) -> None:
        if Piece("attention", layer) in wanted:
            noted[Piece("attention", layer)] = added[0].clone()
        for head, piece in _heads_of(wanted, layer):
            noted[piece] = _head_part(model, module, given[0], head)[0]

    def note_mlp(layer: int, _module: Any, _given: Any, added: _Added) -> None:
        if Piece("mlp", layer) in wanted:
            noted[Piece("mlp", layer)] = added[0].clone()

    with _hooked(model, wanted, note_attention, note_mlp):
        yield noted


@contextmanager
def exchanging(model: Any, rows: Sequence[Collection[Piece]], noted: Noted) -> Iterator[None]:
    """In passes of so many rows, each row's pieces of the text layers are what was noted, until the block ends.

    Where a row names a layer's attention, what it says of that layer's heads changes nothing more. A row without
    pieces is the run as it would be.

    Raises:
        KeyError: a piece that was not noted.
    """

    def exchange_attention(layer: int, module: Any, given: tuple[torch.Tensor], added: _Added) -> _Added:
        whole, changed = Piece("attention", layer), added.clone()
        for row, pieces in enumerate(rows):
            if whole in pieces:
                changed[row] = noted[whole]
                continue
            for head, piece in _heads_of(pieces, layer):
                own = _head_part(model, module, given[0][row : row + 1], head)[0]
                changed[row] += noted[piece] - own
        return changed

    def exchange_mlp(layer: int, _module: Any, _given: Any, added: _Added) -> _Added:
        changed = added.clone()
        for row, pieces in enumerate(rows):
            if Piece("mlp", layer) in pieces:
                changed[row] = noted[Piece("mlp", layer)]
        return changed

    with _hooked(model, frozenset().union(*rows), exchange_attention, exchange_mlp):
        yield


def _heads_of(pieces: Collection[Piece], layer: int) -> list[tuple[int, Piece]]:
    """The single heads of a layer that the pieces name, each with its piece."""
    return [
        (piece.head, piece)
        for piece in pieces
        if piece.component == "attention" and piece.layer == layer and piece.head is not None
    ]


def _head_part(model: Any, o_proj: Any, joined: _Added, head: int) -> _Added:
    """What one head adds, with the adapters that are on; the parts of all heads sum to what the layer's attention adds.

    `joined`: the outputs of all heads, side by side. A bias belongs to no head: each has an equal part of it.
    """
    heads: int = model.config.text_config.num_attention_heads
    width = joined.shape[-1] // heads
    own = slice(head * width, (head + 1) * width)
    alone = torch.zeros_like(joined)
    alone[..., own] = joined[..., own]
    # Not by a call of the module, which would run the hook that this is called from.
    whole: torch.Tensor = o_proj.forward(alone)
    bias: torch.Tensor = o_proj.forward(torch.zeros_like(joined[:1, :1]))
    return whole - bias * ((heads - 1) / heads)


@contextmanager
def _hooked(model: Any, pieces: Collection[Piece], attention: _Hook, mlp: _Hook) -> Iterator[None]:
    """These functions behind o_proj and mlp of the layers that the pieces name; what they return is the new output."""
    with ExitStack() as stack:
        for number, layer in enumerate(model.model.language_model.layers):
            components = {piece.component for piece in pieces if piece.layer == number}
            if "attention" in components:
                handle = layer.self_attn.o_proj.register_forward_hook(functools.partial(attention, number))
                stack.callback(handle.remove)
            if "mlp" in components:
                stack.callback(layer.mlp.register_forward_hook(functools.partial(mlp, number)).remove)
        yield
