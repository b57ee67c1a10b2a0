"""What tokens gave to the parts of the sequence, against sums of the rows themselves."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from inference.trace.session import Trace
from tests.fakes import HEADS, LAYERS, make_trace
from viz import sums

SPOTS = [(None, None), (3, None), (None, 2), (4, 1)]


def slow_parts(trace: Trace, layer: int | None, head: int | None) -> np.ndarray:
    """Key by key: the question, the first token, the rest, then each picture."""
    layers = range(LAYERS) if layer is None else [layer]
    heads = range(HEADS) if head is None else [head]
    parts = np.zeros((len(trace.tokens), 3 + len(trace.images)))
    for key in range(trace.length):
        part = 0 if trace.question_span[0] <= key < trace.question_span[1] else 2
        for image, span in enumerate(trace.images):
            part = 3 + image if span.start <= key < span.stop else part
        part = 1 if key == 0 else part
        for token in range(len(trace.tokens)):
            parts[token, part] += np.mean([float(trace.rows[token, la, h, key]) for la in layers for h in heads])
    return parts


@pytest.mark.parametrize(("layer", "head"), SPOTS)
@pytest.mark.parametrize("images", [0, 1, 2])
def test_the_parts_are_those_of_the_rows(layer: int | None, head: int | None, images: int) -> None:
    trace = make_trace(images=images)
    found = sums.parts_at(trace, layer, head)
    assert np.allclose(found, slow_parts(trace, layer, head), atol=1e-6)
    assert np.allclose(found.sum(-1), 1, atol=1e-5)


def test_a_trace_without_tokens_has_no_parts() -> None:
    trace = make_trace()
    empty = replace(trace, tokens=(), sums=trace.sums[:0])
    for layer, head in SPOTS:
        assert sums.parts_at(empty, layer, head).shape == (0, 4)


def test_the_mean_over_all_is_taken_once_for_the_same_sums_and_goes_with_them() -> None:
    trace = make_trace()
    first = sums.parts_at(trace, None, None)
    assert sums.parts_at(replace(trace), None, None) is first
    other = replace(trace, sums=trace.sums[:, : LAYERS - 1])
    assert not np.allclose(sums.parts_at(other, None, None), first, atol=1e-4)
    alive = weakref.ref(first)
    del trace, first, other
    gc.collect()
    assert alive() is None
