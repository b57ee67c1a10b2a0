"""The slow way: the libraries' own chat template, processor, generate and eager attention, with peft's own wrapper."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from PIL import Image
from qwen_vl_utils import process_vision_info
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

from inference.model.capture import Recorder
from inference.trace.condense import FullRows, condense
from inference.trace.request import Keep, Picture
from inference.trace.session import Trace

ARRAYS = ("rows", "layer_means", "head_means", "means", "sums")


@dataclass(frozen=True)
class Reference:
    """A second copy of the model, with attention weights made in full."""

    model: Any
    processor: Any

    def inputs(self, question: str, pictures: Sequence[Picture] = (), system_prompt: str = "") -> dict[str, Any]:
        """What the model is given, made by the processor in one call."""
        size = self.processor.image_processor.size
        bounds = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
        opened = [Image.open(io.BytesIO(picture.png)).convert("RGB") for picture in pictures]
        content = [{"type": "image", "image": image, **bounds} for image in opened]
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": question}]}]
        if system_prompt:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system_prompt}]})
        text = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        images, _ = process_vision_info(messages, image_patch_size=16)
        return dict(self.processor(text=[text], images=images, do_resize=False, return_tensors="pt"))

    def generate(self, inputs: dict[str, Any], limit: int) -> list[int]:
        """The greedy answer's ids, without the stop token."""
        with torch.inference_mode():
            whole = self.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        answer = whole[0, inputs["input_ids"].shape[1] :].tolist()
        return [token for token in answer if token != self.processor.tokenizer.eos_token_id]

    def forward(self, inputs: dict[str, Any], answer: Sequence[int]) -> Any:
        """One pass over prompt and answer, with all attention weights."""
        extended = dict(inputs)
        for key, values in (
            ("input_ids", answer),
            ("attention_mask", [1] * len(answer)),
            ("mm_token_type_ids", [0] * len(answer)),
        ):
            added = torch.tensor([list(values)], dtype=inputs[key].dtype)
            extended[key] = torch.cat([inputs[key], added], dim=1)
        with torch.inference_mode():
            return self.model(**extended, output_attentions=True)

    def rows(
        self, inputs: dict[str, Any], answer: Sequence[int], row_at: Sequence[int]
    ) -> Float[np.ndarray, "tokens layers heads keys"]:
        """The rows of these positions, taken out of the full matrices."""
        attentions = self.forward(inputs, answer).attentions
        return stack_rows(attentions, row_at)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """peft 0.21 asks transformers for a property under its old name whenever it wraps a model."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        yield


def stack_rows(
    attentions: Sequence[torch.Tensor], row_at: Sequence[int], *, batch: int = 0
) -> Float[np.ndarray, "tokens layers heads keys"]:
    return np.stack([layer[batch][:, list(row_at)].numpy() for layer in attentions]).transpose(2, 0, 1, 3)


def recorded_rows(recorder: Recorder, positions: Sequence[int], *, keys: int, batch: int = 0) -> FullRows:
    """All float32 rows of these positions, out of the queries that were set aside."""
    layers = [recorder.layer_rows(layer, positions, keys=keys, batch=batch) for layer in range(recorder.layers)]
    return torch.stack(layers).cpu().numpy().transpose(2, 0, 1, 3)


def check_trace(trace: Trace, rows: FullRows, keep: Keep, *, tolerance: float = 1e-5) -> None:
    """The trace is what the slow way makes of these full rows, up to the rounding of its numbers."""
    expected = condense(rows, tokens=trace.tokens, images=trace.images, question_span=trace.question_span, keep=keep)
    for name in ARRAYS:
        ours, theirs = getattr(trace, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype, name
        rounding = 0 if ours.dtype == np.float32 else 2**-10
        np.testing.assert_allclose(ours, theirs, atol=tolerance, rtol=rounding, err_msg=name)
    assert (trace.length, trace.layers, trace.heads, trace.keys) == (
        expected.length,
        expected.layers,
        expected.heads,
        expected.keys,
    )
    check_sharpest(trace, expected, tolerance)


def check_sharpest(trace: Trace, expected: Trace, tolerance: float) -> None:
    one, other = trace.sharpest, expected.sharpest
    if one is None or other is None:
        assert one is other
        return
    assert (one.spot, one.image, one.row, one.col) == (other.spot, other.image, other.row, other.col)
    assert one.share == pytest.approx(other.share, abs=tolerance)
    assert one.usual == pytest.approx(other.usual, abs=tolerance)
    assert one.picture_share == pytest.approx(other.picture_share, abs=tolerance)


def load_reference(base: Path, adapters: Sequence[tuple[Path, float]] = (), *, attention: str = "eager") -> Reference:
    """The model with these adapters on at these scales, by peft's own wrapper."""
    model = Qwen3VLForConditionalGeneration.from_pretrained(base, attn_implementation=attention).eval()
    with quiet_peft():
        for number, (folder, _) in enumerate(adapters):
            if number == 0:
                model = PeftModel.from_pretrained(model, str(folder), adapter_name="a0")
            else:
                model.load_adapter(str(folder), adapter_name=f"a{number}")
    if adapters:
        model.base_model.set_adapter([f"a{number}" for number in range(len(adapters))])
        for module in model.modules():
            for number, (_, scale) in enumerate(adapters):
                if isinstance(module, LoraLayer) and f"a{number}" in module.scaling:
                    module.scaling[f"a{number}"] *= scale
    return Reference(model.eval(), AutoProcessor.from_pretrained(base))
