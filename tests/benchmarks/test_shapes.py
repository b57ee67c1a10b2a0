"""Models of given shapes and questions of given lengths, as the benchmark of capture builds them."""

import numpy as np
import pytest
import torch

from benchmarks import shapes
from benchmarks.shapes import ANSWER, QUESTION, SHAPES, Shape, ask, build, cells_for, config_of
from inference.errors import SettingsError

CPU = torch.device("cpu")
TINY = Shape("tiny", 44, 67, 3, 6, 2, 24, 37, 2, 3, (0,), vocabulary=97, head_dim=16)


@pytest.mark.parametrize(("name", "billions"), [("2b", 2.127), ("4b", 4.438), ("8b", 8.767)])
def test_whole_shapes_have_as_many_weights_as_the_released_models(name: str, billions: float) -> None:
    assert SHAPES[name].parameters() / 1e9 == pytest.approx(billions, rel=0.005)


@pytest.mark.parametrize("tied", [True, False])
def test_weights_are_counted_as_the_model_has_them(tied: bool) -> None:
    # Wide enough that position embeddings, norms and biases, which are not counted, hardly matter.
    shape = Shape("wide", 512, 1024, 2, 8, 4, 128, 512, 3, 4, (1,), vocabulary=5_000, tied=tied)
    model = build(shape, device="cpu", dtype=torch.float32).model
    counted = sum(weight.numel() for name, weight in model.named_parameters() if "embed.weight" not in name)
    assert shape.parameters() == pytest.approx(counted, rel=0.02)


def test_a_built_model_is_of_its_shape_ready_to_answer_and_the_same_for_a_seed() -> None:
    first, again, other = (build(TINY, device="cpu", dtype=torch.bfloat16, seed=seed) for seed in (3, 3, 4))
    assert first.text_config.num_hidden_layers == 3 and first.vision_config.depth == 2
    weights = [one.model.model.language_model.layers[1].mlp.up_proj.weight for one in (first, again, other)]
    assert weights[0].shape == (67, 44) and weights[0].dtype == torch.bfloat16
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not first.model.training
    assert first.model.config.text_config._attn_implementation == "sdpa"


def test_a_model_that_does_not_fit_is_refused_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "free_bytes", lambda device: 5 * 10**9)
    with pytest.raises(SettingsError, match=r"8\.5 GB of memory .* 5\.0 GB free"):
        build(SHAPES["2b"], device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("cells", [(5, 7), (7, 5), (1, 1)])
def test_a_question_holds_its_picture_and_ordinary_words(cells: tuple[int, int]) -> None:
    config = config_of(TINY)
    asked = ask(config, cells, device=CPU)
    ids = np.asarray(asked.ids)
    (span,) = asked.images
    assert (span.rows, span.cols) == cells
    assert (ids[span.start : span.stop] == config.image_token_id).all()
    assert (ids[span.start - 1], ids[span.stop]) == (config.vision_start_token_id, config.vision_end_token_id)
    assert asked.question_span[1] - asked.question_span[0] == QUESTION
    assert len(asked.answer) == ANSWER
    assert (ids == config.image_token_id).sum() == cells[0] * cells[1]
    assert asked.length == len(asked.ids) + ANSWER
    assert asked.pixels.values.shape == (4 * cells[0] * cells[1], 3 * 2 * 16 * 16)


@pytest.mark.parametrize("length", [600, 2_300, 4_600, 43])
def test_a_question_is_about_as_long_as_asked_for(length: int) -> None:
    asked = ask(config_of(TINY), cells_for(length), device=CPU)
    assert abs(asked.length - length) <= max(2, 0.02 * length)
