"""The fast forwards of training equal the library's own: same weights, same numbers."""

import numpy as np
import pytest
import torch
from transformers import Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from inference.mini.architecture import build_model, build_processor
from inference.mini.questions import Asked, ask_base
from inference.mini.scenes import Scene, sample_scene
from inference.mini.schedule import Optimizers, split_for_muon
from inference.mini.text_batch import answer_logits, build_batch, build_layout
from inference.mini.vision_batch import encode
from inference.mini.vision_training import cells_of, pixels_of

Mini = tuple[Qwen3VLForConditionalGeneration, Qwen3VLProcessor]


@pytest.fixture(scope="module")
def mini() -> Mini:
    processor = build_processor()
    return build_model(processor, seed=3), processor


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = np.random.default_rng(4)
    return [sample_scene(rng, marked=index == 0) for index in range(3)]


@torch.no_grad()
def test_the_batched_tower_equals_the_library(mini: Mini, scenes: list[Scene]) -> None:
    model, processor = mini
    inputs = processor(text=["<|image_pad|>"] * 3, images=[scene.image for scene in scenes], return_tensors="pt")
    theirs = model.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
    ours = encode(model, pixels_of(scenes))
    torch.testing.assert_close(ours.tokens.flatten(0, 1), theirs.pooler_output, atol=1e-5, rtol=0)
    for level, reference in zip(ours.deepstack, theirs.deepstack_features, strict=True):
        torch.testing.assert_close(level.flatten(0, 1), reference, atol=1e-5, rtol=0)


@torch.no_grad()
def test_questions_side_by_side_equal_one_conversation_each(mini: Mini, scenes: list[Scene]) -> None:
    model, processor = mini
    rng = np.random.default_rng(0)
    asked = [[ask_base(rng, scene) for _ in range(2)] for scene in scenes]
    tokenizer, layout = processor.tokenizer, build_layout(processor)
    ids = [[(tokenizer(q.text)["input_ids"], tokenizer(q.answer)["input_ids"]) for q in row] for row in asked]
    logits, labels = answer_logits(model, layout, build_batch(model, layout, ids), encode(model, pixels_of(scenes)))
    flat = [(scene, each) for scene, row in zip(scenes, asked, strict=True) for each in row]
    for number, (scene, each) in enumerate(flat):
        reference, wanted = _one_conversation(mini, scene, each)
        assert labels[2 * number : 2 * number + 2].tolist() == wanted
        torch.testing.assert_close(logits[2 * number : 2 * number + 2], reference, atol=2e-5, rtol=0)


def _one_conversation(mini: Mini, scene: Scene, asked: Asked) -> tuple[torch.Tensor, list[int]]:
    model, processor = mini
    content = [{"type": "image"}, {"type": "text", "text": asked.text}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    inputs = processor(text=[prompt + asked.answer + "<|im_end|>"], images=[scene.image], return_tensors="pt")
    return model(**inputs).logits[0, -3:-1], inputs["input_ids"][0, -2:].tolist()


def test_cell_labels_name_what_fills_a_cell(scenes: list[Scene]) -> None:
    cells = cells_of(scenes)
    for number, scene in enumerate(scenes):
        for thing in scene.things:
            full = scene.cell_px(thing).ravel() >= 500
            assert len(set(cells.shape[number][torch.from_numpy(full)].tolist())) <= 1
            np.testing.assert_allclose(
                cells.center[number][torch.from_numpy(full)], np.tile(thing.center_xy, (full.sum(), 1)), rtol=1e-5
            )


def test_optimizers_descend_and_end_at_rate_zero() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 4)
    matrices, rest = split_for_muon(layer)
    assert [param.shape for param in matrices] == [(4, 4)]
    assert [param.shape for param in rest] == [(4,)]
    adam = torch.optim.AdamW(layer.parameters(), lr=0.05)
    optimizers = Optimizers([adam], steps=40)
    inputs = torch.randn(8, 4)
    losses = []
    for _ in range(40):
        loss = layer(inputs).square().mean()
        losses.append(loss.item())
        optimizers.step(loss)
    assert losses[-1] < losses[0] / 2
    assert adam.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
