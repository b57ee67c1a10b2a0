"""Trying things on the small random model, and the slow way: eager attention with a mask made by hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from inference.evidence.trials import Block, Change, Findings, Outcome, Probe, Trial, Watch
from inference.model.engine import ModelEngine
from inference.trace.parse import parse_variant
from inference.trace.request import Request
from inference.trace.session import ImageSpan
from tests.inference.model.asking import QUESTION
from tests.inference.model.conftest import HEADS, make_picture
from tests.inference.model.reference import Reference

SAID = (301, 333, 290)
CELL_PX = 32


def make_request(*pictures: Any) -> Request:
    return Request(QUESTION, pictures or (make_picture(200, 100),))


def probe(engine: ModelEngine, asked: Probe) -> Findings:
    findings = list(engine.probe(asked))[-1]
    assert isinstance(findings, Findings)
    return findings


def attempt(
    engine: ModelEngine,
    changes: Sequence[Change | None],
    *,
    label: str = "base",
    request: Request | None = None,
    watch: Watch | None = None,
) -> tuple[Outcome, ...]:
    """What trials over the same words with these changes gave, in one probe."""
    variant = parse_variant(label)
    trials = tuple(Trial(SAID, variant, change) for change in changes)
    return probe(engine, Probe(request or make_request(), trials, watch=watch)).outcomes


def slow_pass(
    reference: Reference, request: Request, said: Sequence[int] = SAID, block: Block | None = None
) -> tuple[list[float], list[np.ndarray]]:
    """The log-probability of each word, and each layer's attention (heads, queries, keys), by eager attention."""
    inputs = reference.inputs(request.question, request.images)
    prompt: list[int] = inputs["input_ids"][0].tolist()
    length = len(prompt) + len(said)
    pairs = set() if block is None else set(blocked_pairs(reference, inputs, request, block, length))

    def mask(layer: int) -> torch.Tensor:
        """What is added to the scores of each head, (1, heads, queries, keys)."""
        seen = torch.ones(1, HEADS, length, length).tril()
        for head in range(HEADS):
            if block is None or block.heads is None or (layer, head) in block.heads:
                for query, key in pairs:
                    seen[0, head, query, key] = 0
        return (1 - seen) * torch.finfo(torch.float32).min

    with masked(reference.model, mask):
        output = reference.forward(inputs, list(said))
    logprobs = output.logits[0].log_softmax(-1)
    words = [float(logprobs[len(prompt) - 1 + number, token]) for number, token in enumerate(said)]
    return words, [layer[0].numpy() for layer in output.attentions]


def spans(reference: Reference, inputs: dict[str, Any], request: Request) -> list[ImageSpan]:
    """Where each picture's tokens lie, by walking over the prompt; one token for 2 x 2 patches."""
    ids = inputs["input_ids"][0].tolist()
    starts = [at + 1 for at, token in enumerate(ids) if token == reference.processor.vision_start_token_id]
    found = []
    for start, (_, down, across), picture in zip(
        starts, inputs["image_grid_thw"].tolist(), request.images, strict=True
    ):
        resized = (across * CELL_PX // 2, down * CELL_PX // 2)
        found.append(ImageSpan(start, down // 2, across // 2, resized, (picture.width, picture.height)))
    return found


def blocked_pairs(
    reference: Reference, inputs: dict[str, Any], request: Request, block: Block, length: int
) -> Iterator[tuple[int, int]]:
    """(Query, key) for all that a block forbids."""
    span = spans(reference, inputs, request)[block.image]
    prompt = inputs["input_ids"].shape[1]
    cells = {span.start + cell for cell in block.cells}
    for query in range(length):
        if query in cells:
            continue
        if {"all": True, "text": query >= span.stop, "answer": query >= prompt - 1}[block.who]:
            yield from ((query, key) for key in cells)


@contextmanager
def masked(model: Any, mask: Callable[[int], torch.Tensor]) -> Iterator[None]:
    """The model's text layers with these masks, added to their scores."""

    def hook(number: int) -> Callable[..., Any]:
        return lambda module, given, named: (given, {**named, "attention_mask": mask(number)})

    layers = [module for name, module in model.named_modules() if name.endswith("self_attn") and "visual" not in name]
    handles = [layer.register_forward_pre_hook(hook(number), with_kwargs=True) for number, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
