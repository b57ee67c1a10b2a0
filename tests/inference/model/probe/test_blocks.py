"""Blocks against eager attention with a mask made by hand; whole pictures that are blocked, blocks of nothing, maps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.evidence.trials import Block, Probe, Trial, Watch
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.model.probe.blocks import attending
from inference.trace.parse import parse_variant
from tests.inference.model.conftest import HEADS, LAYERS, logits, make_picture
from tests.inference.model.probe.trying import SAID, attempt, make_request, probe, slow_pass, spans
from tests.inference.model.reference import Reference, load_reference

TWO = make_request(make_picture(200, 100), make_picture(64, 96, seed=1))
CELLS = tuple(range(18))  # 200 x 100 px become 6 x 3 cells.
BLOCKS = {
    "a box": Block((0, 1, 6, 7)),
    "a box for text": Block((0, 1, 6, 7), who="text"),
    "a box for the answer": Block((0, 1, 6, 7), who="answer"),
    "the second picture": Block((5, 1, 2), image=1),
    "the first of two for text": Block((17, 0), who="text"),
    "all of a picture": Block(CELLS),
    "heads": Block((3, 4, 9), heads=((0, 0), (2, 5), (2, 1), (LAYERS - 1, 3))),
    "heads for text": Block(CELLS, who="text", heads=((1, 4),)),
    "all heads by name": Block((8, 9), heads=tuple((layer, head) for layer in range(LAYERS) for head in range(HEADS))),
}


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Reference:
    return load_reference(base_folder)


@pytest.fixture(scope="module")
def alpha(base_folder: Path, adapters_folder: Path) -> Reference:
    return load_reference(base_folder, [(adapters_folder / "alpha", 1.0)])


@pytest.mark.parametrize("label", ["base", "alpha"])
def test_each_block_is_what_a_mask_made_by_hand_gives(
    engine: ModelEngine, base: Reference, alpha: Reference, label: str
) -> None:
    """All in one batch, with the map of a position that looks at the second picture and at the first."""
    reference = {"base": base, "alpha": alpha}[label]
    inputs = reference.inputs(TWO.question, TWO.images)
    at = inputs["input_ids"].shape[1]
    blocks = [None, *BLOCKS.values()]
    for image, watch in enumerate((Watch(at), Watch(at, layer=2, head=5, image=1))):
        outcomes = attempt(engine, blocks, label=label, request=TWO, watch=watch)
        span = spans(reference, inputs, TWO)[image]
        for block, outcome in zip(blocks, outcomes, strict=True):
            logprobs, attention = slow_pass(reference, TWO, block=block)
            np.testing.assert_allclose(outcome.logprobs, logprobs, atol=2e-5)
            rows = np.stack(attention)[:, :, at, span.start : span.stop]
            row = rows.mean((0, 1)) if watch.layer is None else rows[watch.layer, watch.head]
            assert outcome.map is not None
            np.testing.assert_allclose(outcome.map, row.reshape(span.rows, span.cols), atol=1e-6)
    assert len({outcome.logprobs for outcome in outcomes}) == len(blocks)


def test_the_mean_of_a_layer_and_of_a_head(engine: ModelEngine, base: Reference) -> None:
    request = make_request()
    _, attention = slow_pass(base, request)
    rows = np.stack(attention)[:, :, 25, 4:22].reshape(LAYERS, HEADS, 3, 6)
    for watch, expected in ((Watch(25, layer=3), rows[3].mean(0)), (Watch(25, head=4), rows[:, 4].mean(0))):
        (outcome,) = attempt(engine, [None], watch=watch)
        assert outcome.map is not None
        np.testing.assert_allclose(outcome.map, expected, atol=1e-6)


def test_blocked_cells_get_nothing_and_the_others_share_it(engine: ModelEngine) -> None:
    plain, blocked = attempt(engine, [None, Block((2, 3, 8))], watch=Watch(30, layer=0))
    assert plain.map is not None and blocked.map is not None
    assert (blocked.map.ravel()[[2, 3, 8]] == 0).all()
    assert (plain.map > 0).all()
    assert (np.delete(blocked.map.ravel(), [2, 3, 8]) > np.delete(plain.map.ravel(), [2, 3, 8])).all()


@pytest.mark.parametrize("label", ["base", "alpha"])
def test_another_picture_changes_nothing_once_all_of_it_is_blocked(engine: ModelEngine, label: str) -> None:
    """Exactly nothing, though DeepStack adds the picture to several layers; only in a batch of the same shape."""
    blocks = [None, Block(CELLS), Block(CELLS, who="text"), Block(CELLS[1:]), Block(CELLS, who="answer")]
    one, other = (
        attempt(engine, blocks, label=label, request=make_request(make_picture(200, 100, seed=seed))) for seed in (0, 1)
    )
    assert [a.logprobs == b.logprobs for a, b in zip(one, other, strict=True)] == [False, True, True, False, False]
    assert one[1].logprobs != one[0].logprobs


def test_a_block_of_nothing_is_no_change(engine: ModelEngine, base: Reference) -> None:
    nothing = [None, Block(()), Block((), who="answer"), Block((1, 2), heads=()), Block((), heads=((0, 0),))]
    outcomes = attempt(engine, nothing)
    assert outcomes == attempt(engine, [None] * len(nothing))
    for change in nothing:
        assert attempt(engine, [change]) == attempt(engine, [None])
    np.testing.assert_allclose(outcomes[0].logprobs, slow_pass(base, make_request())[0], atol=1e-5)


def test_without_a_picture(engine: ModelEngine, base: Reference) -> None:
    request = replace(make_request(), images=())
    (outcome,) = attempt(engine, [None], request=request)
    np.testing.assert_allclose(outcome.logprobs, slow_pass(base, request)[0], atol=1e-5)


def test_one_word_and_more_in_one_probe(engine: ModelEngine, base: Reference) -> None:
    request, said = make_request(), ((301,), (301, 333, 290, 350), (299,), (350, 333, 290, 301))
    found = probe(engine, Probe(request, tuple(Trial(words) for words in said)))
    assert found.passes == 2
    for words, outcome in zip(said, found.outcomes, strict=True):
        np.testing.assert_allclose(outcome.logprobs, slow_pass(base, request, words)[0], atol=1e-5)
        assert outcome.total == pytest.approx(sum(outcome.logprobs))


def test_all_is_put_back(loaded: LoadedModel) -> None:
    inputs = {"input_ids": torch.tensor([SAID])}
    before = logits(loaded, inputs)
    with pytest.raises(ZeroDivisionError), attending(loaded.model, (), 0):
        with pytest.raises(RuntimeError, match="run on this model already"), attending(loaded.model, (), 0):
            raise AssertionError("the block was entered")
        raise ZeroDivisionError
    assert loaded.text_config._attn_implementation == "sdpa"
    assert torch.equal(logits(loaded, inputs), before)


def test_padding_is_refused(loaded: LoadedModel) -> None:
    padded = {"input_ids": torch.tensor([SAID]), "attention_mask": torch.tensor([[0, 1, 1]])}
    with attending(loaded.model, (), 0) as attention, pytest.raises(ValueError, match="a pass with padding"):
        attention.begin([None], 3)
        logits(loaded, padded)


def test_the_variant_counts(engine: ModelEngine) -> None:
    request = make_request()
    labels = ("base", "alpha", "alpha@0.5", "alpha@0", "beta", "alpha+beta")
    found = probe(engine, Probe(request, tuple(Trial(SAID, parse_variant(label)) for label in labels)))
    assert len({outcome.logprobs for outcome in found.outcomes}) == 5
    assert found.outcomes[0] == found.outcomes[3]
    assert found.passes == 5
