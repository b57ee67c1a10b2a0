"""Why a head moved: one row of attention recomputed from queries and keys of which some are the variant's.

A row is made of a query and keys, each a projection of what earlier layers handed over. Taking one of the three from
the variant and the rest from the base tells how far it turns the row by itself.
"""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb

from inference.evidence.trials import Reason, Shares
from inference.model.parts import Parts
from inference.model.probe.stage import Stage
from inference.trace.request import BASE, Variant

_LEAST_MOVED = 1e-6
Row = Float[torch.Tensor, "keys"]


@dataclass(frozen=True)
class Handed:
    """What one layer's attention is given in a run of one row: the normed stream, and the turns of its positions."""

    hidden: Float[torch.Tensor, "1 tokens width"]
    rope: tuple[Float[torch.Tensor, "1 tokens dim"], Float[torch.Tensor, "1 tokens dim"]]


@dataclass(frozen=True)
class _Halves:
    """A query, and the keys up to its own; turned to their positions."""

    query: Float[torch.Tensor, "dim"]
    keys: Float[torch.Tensor, "keys dim"]


def count_passes(reasons: Sequence[Reason]) -> int:
    """How many passes these take: one of each variant, and one of the base, over each words."""
    return len({(variant, reason.said) for reason in reasons for variant in (BASE, reason.variant)})


def run_reasons(stage: Stage, reasons: Sequence[Reason]) -> Generator[None, None, list[Shares]]:
    """Pauses after each pass, and returns why each row turned."""
    shares: dict[int, Shares] = {}
    for said in dict.fromkeys(reason.said for reason in reasons):
        asked = [number for number, reason in enumerate(reasons) if reason.said == said]
        layers = {reasons[number].layer for number in asked}
        base = yield from _run(stage, BASE, said, layers)
        for variant in dict.fromkeys(reasons[number].variant for number in asked):
            own = base if variant == BASE else (yield from _run(stage, variant, said, layers))
            for number in asked:
                reason = reasons[number]
                if reason.variant == variant:
                    switch = functools.partial(stage.wearing, stage.parts(variant))
                    shares[number] = share_out(stage.model, reason, base[reason.layer], own[reason.layer], switch)
    return [shares[number] for number in range(len(reasons))]


def _run(
    stage: Stage, variant: Variant, said: tuple[int, ...], layers: Iterable[int]
) -> Generator[None, None, dict[int, Handed]]:
    """Pauses after the one pass, and returns what the attention of these layers was handed in it."""
    parts: Parts = stage.parts(variant)
    pictures = stage.see(parts)
    with stage.wearing(parts), noting_inputs(stage.model, layers) as handed:
        stage.forward([said], [pictures])
    yield
    return handed


@contextmanager
def noting_inputs(model: Any, layers: Iterable[int]) -> Iterator[dict[int, Handed]]:
    """Fills, in each pass of one row, with what the attention of these layers is given."""
    handed: dict[int, Handed] = {}
    with ExitStack() as stack:
        for layer in layers:
            attention = model.model.language_model.layers[layer].self_attn
            stack.callback(attention.register_forward_pre_hook(_note(handed, layer), with_kwargs=True).remove)
        yield handed


def share_out(
    model: Any, reason: Reason, base: Handed, own: Handed, switch: Callable[[], AbstractContextManager[None]]
) -> Shares:
    """The shares of what turned this row, from what its layer was handed in the base's run and in the variant's own.

    `switch` puts the variant's adapters on; without it the model is the base.
    """
    attention = model.model.language_model.layers[reason.layer].self_attn
    plain, fed = (_project(attention, handed, reason) for handed in (base, own))
    with switch():
        tuned, both = (_project(attention, handed, reason) for handed in (base, own))
    before, after = _row(attention, plain.query, plain.keys), _row(attention, both.query, both.keys)
    line = after - before
    moved = float(line.abs().sum()) / 2
    if moved < _LEAST_MOVED:
        return Shares(0.0, 0.0, 0.0, 0.0, moved)
    rows = (
        _row(attention, tuned.query, plain.keys),
        _row(attention, plain.query, tuned.keys),
        _row(attention, fed.query, fed.keys),
    )
    query, key, inputs = (float((row - before) @ line / (line @ line)) for row in rows)
    return Shares(query, key, inputs, 1 - (query + key + inputs), moved)


def _note(handed: dict[int, Handed], layer: int) -> Callable[..., None]:
    def note(_module: Any, _given: Any, named: dict[str, Any]) -> None:
        handed[layer] = Handed(named["hidden_states"].clone(), named["position_embeddings"])

    return note


def _project(attention: Any, handed: Handed, reason: Reason) -> _Halves:
    """As the layer itself does: projected, normed head by head, turned."""
    with torch.inference_mode():
        hidden = handed.hidden[:, : reason.row_at + 1]
        shape = (*hidden.shape[:-1], -1, attention.head_dim)
        queries = attention.q_norm(attention.q_proj(hidden).view(shape)).transpose(1, 2)
        keys = attention.k_norm(attention.k_proj(hidden).view(shape)).transpose(1, 2)
        cos, sin = (turn[:, : reason.row_at + 1] for turn in handed.rope)
        queries, keys = apply_rotary_pos_emb(queries, keys, cos, sin)
    return _Halves(queries[0, reason.head, -1], keys[0, reason.head // attention.num_key_value_groups])


def _row(attention: Any, query: Float[torch.Tensor, "dim"], keys: Float[torch.Tensor, "keys dim"]) -> Row:
    scores: torch.Tensor = keys.double() @ query.double() * attention.scaling
    return scores.softmax(-1)
