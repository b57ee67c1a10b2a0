"""The second step of training: the text layers learn to answer, with the vision tower frozen.

The same loop trains the base and, later, the few weights of an adapter. It reads answer tokens only; no loss term
sees attention.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from inference.mini.questions import ASKERS, Asked, scene_for
from inference.mini.scenes import Scene
from inference.mini.schedule import Optimizers
from inference.mini.text_batch import Layout, answer_logits, build_batch, build_layout
from inference.mini.vision_batch import Features, encode
from inference.mini.vision_training import pixels_of

Asker = Callable[[np.random.Generator, Scene], Asked]


@dataclass(frozen=True)
class Bank:
    """Scenes with their picture features worked out once, kept in half precision."""

    scenes: tuple[Scene, ...]
    tokens: Tensor
    deepstack: tuple[Tensor, ...]

    def features(self, index: Tensor) -> Features:
        """Features of these scenes in float32."""
        return Features(self.tokens[index], tuple(level[index] for level in self.deepstack)).float()


@torch.no_grad()
def build_bank(model: Qwen3VLForConditionalGeneration, rng: np.random.Generator, learner: str, count: int) -> Bank:
    """Fresh scenes of the sort this learner is taught on. Their pictures are dropped, their features kept."""
    scenes, parts = [], []
    for start in tqdm(range(0, count, 50), desc=f"scenes for {learner}", unit="batch", mininterval=2):
        drawn = [scene_for(rng, learner) for _ in range(min(50, count - start))]
        pixels = pixels_of(drawn)
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(encode(model, pixels))
        scenes += [scene.without_pixels() for scene in drawn]
    tokens = torch.cat([part.tokens.half() for part in parts])
    levels = zip(*(part.deepstack for part in parts), strict=True)
    return Bank(tuple(scenes), tokens, tuple(torch.cat(level).half() for level in levels))


def train_answers(
    model: Qwen3VLForConditionalGeneration,
    processor: Qwen3VLProcessor,
    bank: Bank,
    rng: np.random.Generator,
    *,
    learner: str,
    optimizers: Optimizers,
    steps: int,
    rows: int = 32,
    per_row: int = 6,
) -> float:
    """Trains what the optimizers hold, on questions drawn for this learner; returns the last steps' share right."""
    layout, ask = build_layout(processor), ASKERS[learner]
    # about a third faster than sdpa here: a mask of our own in bf16 on a CPU
    model.set_attn_implementation("eager")
    right: list[float] = []
    bar = tqdm(range(steps), desc=f"answers of {learner}", unit="step", mininterval=2)
    for _ in bar:
        index = torch.from_numpy(rng.integers(len(bank.scenes), size=rows))
        asked = [[ask(rng, bank.scenes[i]) for _ in range(per_row)] for i in index.tolist()]
        logits, labels = _answer(model, processor.tokenizer, layout, asked, bank.features(index))
        loss = F.cross_entropy(logits, labels)
        optimizers.step(loss)
        right = [*right[-99:], (logits.argmax(-1) == labels)[0::2].float().mean().item()]
        bar.set_postfix(loss=f"{loss.item():.3f}", right=f"{float(np.mean(right)):.3f}", refresh=False)
    return float(np.mean(right))


def _answer(
    model: Qwen3VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    layout: Layout,
    asked: Sequence[Sequence[Asked]],
    features: Features,
) -> tuple[Tensor, Tensor]:
    """Logits and labels of all answers; each answer is one word and the end sign."""
    segments = [
        [(tokenizer(each.text)["input_ids"], tokenizer(each.answer)["input_ids"]) for each in row] for row in asked
    ]
    with torch.autocast("cpu", torch.bfloat16):
        logits, labels = answer_logits(model, layout, build_batch(model, layout, segments), features)
    return logits.float(), labels
