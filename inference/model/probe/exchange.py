"""Pieces of the residual stream, noted in one run and put into another by hooks that go when their block ends.

A run's stream is the sum of its words' embeddings, its pictures' features, what each layer's attention and mlp add, and
what DeepStack adds behind the first layers. Embeddings are the same for all variants, and no adapter is known to touch
the norm behind the last layer; so with all pieces taken from another run only an adapter on lm_head is left out.
"""

import functools
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
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


@dataclass(frozen=True)
class _Swaps:
    """Exchanges between the same two models over the same words: their numbers, and the pieces of each."""

    receiver: Parts
    donor: Parts
    said: tuple[int, ...]
    rows: tuple[tuple[int, frozenset[Piece]], ...]

    def noted(self) -> frozenset[Piece]:
        """The pieces of the text layers that any of them takes."""
        return frozenset(piece for _, pieces in self.rows for piece in pieces) - {PICTURES}

    def batches(self, stage: Stage) -> list[tuple[tuple[int, frozenset[Piece]], ...]]:
        most = stage.rows_at_once(len(self.said))
        return [self.rows[at : at + most] for at in range(0, len(self.rows), most)]


def count_passes(stage: Stage, trials: Sequence[Trial]) -> int:
    """How many passes these exchanges take: one of each donor over each words, and those of the receivers."""
    return sum(bool(swaps.noted()) + len(swaps.batches(stage)) for swaps in _grouped(stage, trials))


def run_exchanges(stage: Stage, trials: Sequence[Trial], watch: Watch | None) -> Generator[None, None, list[Outcome]]:
    """Pauses after each pass, and returns what each exchange gave."""
    outcomes: dict[int, Outcome] = {}
    for swaps in _grouped(stage, trials):
        own, donors = stage.see(swaps.receiver), stage.see(swaps.donor)
        noted: Noted = {}
        if pieces := swaps.noted():
            with stage.wearing(swaps.donor), noting(stage.model, pieces) as noted:
                stage.forward([swaps.said], [donors])
            yield
        for batch in swaps.batches(stage):
            numbers, rows = zip(*batch, strict=True)
            said = [swaps.said] * len(rows)
            pictures = [donors if PICTURES in row else own for row in rows]
            with stage.wearing(swaps.receiver), exchanging(stage.model, rows, noted):
                logits, maps = stage.forward(said, pictures, watch=watch)
            outcomes |= zip(numbers, read_outcomes(stage, said, logits, watch, maps), strict=True)
            yield
    return [outcomes[number] for number in range(len(trials))]


@contextmanager
def noting(model: Any, pieces: Iterable[Piece]) -> Iterator[Noted]:
    """Fills, in each pass of one row, with what these pieces of the text layers add; `pictures` are no part of it."""
    noted: Noted = {}
    wanted = frozenset(pieces)

    def note_attention(layer: int, module: Any, given: tuple[torch.Tensor], added: _Added) -> None:
        for piece in _attention_pieces(wanted, layer):
            part = added if piece.head is None else _head_part(model, module, given[0], piece.head)
            noted[piece] = part[0].clone()

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
            for piece in _attention_pieces(pieces, layer):
                own = _head_part(model, module, given[0][row : row + 1], piece.head)[0]
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


def _grouped(stage: Stage, trials: Sequence[Trial]) -> list[_Swaps]:
    groups: dict[tuple[Parts, Parts, tuple[int, ...]], list[tuple[int, frozenset[Piece]]]] = {}
    for number, trial in enumerate(trials):
        if not isinstance(trial.change, Exchange):
            raise ValueError(f"a trial with {trial.change}; only exchanges are run here")
        key = (stage.parts(trial.variant), stage.parts(trial.change.donor), trial.said)
        groups.setdefault(key, []).append((number, frozenset(trial.change.pieces)))
    return [_Swaps(*key, tuple(rows)) for key, rows in groups.items()]


def _attention_pieces(pieces: Collection[Piece], layer: int) -> list[Piece]:
    return [piece for piece in pieces if piece.component == "attention" and piece.layer == layer]


def _head_part(model: Any, o_proj: Any, joined: _Added, head: int | None) -> _Added:
    """What one head adds, with the adapters that are on; the parts of all heads sum to what the layer's attention adds.

    `joined`: the outputs of all heads, side by side. A bias belongs to no head: each has an equal part of it.
    """
    assert head is not None
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
