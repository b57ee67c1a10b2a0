"""Pieces of the residual stream, noted in one run and put into another by hooks that go when their block ends.

A run's stream is the sum of its words' embeddings, its pictures' features, what each layer's attention and mlp add, and
what DeepStack adds behind the first layers. Embeddings are the same for all variants, and no adapter is known to touch
the norm behind the last layer; so with all pieces taken from another run only an adapter on lm_head is left out.
Knows no adapter: those that are on take part.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float

from inference.evidence.trials import Piece

Noted = dict[Piece, Float[torch.Tensor, "tokens width"]]
"""What each piece added at every position."""

PICTURES = Piece("pictures")

_Added = Float[torch.Tensor, "rows tokens width"]
_Hook = Callable[..., _Added | None]


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


def mix_features(own: Any, donor: Any, rows: Sequence[Collection[Piece]]) -> Any:
    """The pictures' features and what DeepStack adds, for a batch: the donor's in rows that exchange `pictures`.

    As the vision tower gives them for one row each: a tensor a picture, and those of the next row behind the last.
    """
    chosen = [donor if PICTURES in pieces else own for pieces in rows]
    layers = range(len(own.deepstack_features))
    return type(own)(
        pooler_output=[of_one for one in chosen for of_one in one.pooler_output],
        deepstack_features=[[of_one for one in chosen for of_one in one.deepstack_features[layer]] for layer in layers],
    )


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
