"""The first step of training: the vision tower alone learns what and where each cell of a scene is.

Reads no question and no attention weight. What a token shows is told by its likeness to the embeddings of the
words for shapes and colours, so that the text layers find it in their own language.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from inference.mini.facts import COLORS, MARK, SHAPES
from inference.mini.scenes import CELLS, SIDE_PX, Scene, sample_scene
from inference.mini.schedule import muon_and_adam
from inference.mini.vision_batch import Features, encode

BACKGROUND = "background"
SHAPE_WORDS = (*SHAPES, MARK, BACKGROUND)
COLOR_WORDS = (*COLORS, BACKGROUND)
_BINS = 20
_SURE_PX = 60
_EMPTY_PX = 12
_BACKGROUND_WEIGHT = 0.15
_IGNORED = -100


@dataclass(frozen=True, slots=True)
class Cells:
    """What each cell of each scene shows, (scenes, cells): word indexes, _IGNORED where the cell is unsure.

    `center` is that of the cell's thing in pixels, (scenes, cells, 2), NaN where there is none.
    """

    shape: Tensor
    color: Tensor
    center: Tensor


class PlaceHeads(nn.Module):
    """Linear readings of a token's row, column and centre of its thing; used in training alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.row = nn.Linear(width, CELLS)
        self.column = nn.Linear(width, CELLS)
        self.center = nn.Linear(width, 2 * _BINS)


def train_vision(
    model: Qwen3VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    rng: np.random.Generator,
    *,
    steps: int,
    batch: int = 32,
) -> dict[str, float]:
    """Trains the tower and the embeddings of its words in place; returns what it reached on unseen scenes."""
    heads = PlaceHeads(model.config.text_config.hidden_size)
    embeddings = model.model.language_model.embed_tokens.weight
    optimizers = muon_and_adam(model.model.visual, [*heads.parameters(), embeddings], steps=steps, lr=3e-3)
    words = tuple(_word_rows(tokenizer, names) for names in (SHAPE_WORDS, COLOR_WORDS))
    bar = tqdm(range(steps), desc="vision tower", unit="step", mininterval=2)
    for step in bar:
        scenes = sample_seen_scenes(rng, batch)
        with torch.autocast("cpu", torch.bfloat16):
            features = encode(model, pixels_of(scenes))
        loss = _loss(features.float(), heads, embeddings, words, cells_of(scenes))
        optimizers.step(loss)
        if step % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")
    return measure_vision(model, tokenizer, heads, sample_seen_scenes(rng, 256))


def sample_seen_scenes(rng: np.random.Generator, count: int) -> list[Scene]:
    """Scenes as the base sees them: 2 to 4 objects, a mark in every third."""
    return [sample_scene(rng, marked=bool(rng.random() < 1 / 3)) for _ in range(count)]


def pixels_of(scenes: Sequence[Scene]) -> Tensor:
    """(scenes, height, width, RGB), uint8."""
    return torch.from_numpy(np.stack([scene.pixels for scene in scenes]))


def cells_of(scenes: Sequence[Scene]) -> Cells:
    """The labels of all cells; a cell that a thing only grazes is unsure."""
    shape, color, center = zip(*(_cells_of_one(scene) for scene in scenes), strict=True)
    as_tensor = [torch.from_numpy(np.stack(part)) for part in (shape, color, center)]
    return Cells(*as_tensor)


@torch.no_grad()
def measure_vision(
    model: Qwen3VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    heads: PlaceHeads,
    scenes: Sequence[Scene],
) -> dict[str, float]:
    """Shares of thing cells whose shape and colour are right, and the mean miss of the centre in pixels."""
    cells, tokens = cells_of(scenes), encode(model, pixels_of(scenes)).tokens
    embeddings = model.model.language_model.embed_tokens.weight
    shown = cells.center[..., 0].isfinite()
    figures = {}
    for name, words, truth in (("shape", SHAPE_WORDS, cells.shape), ("color", COLOR_WORDS, cells.color)):
        guess = (_normed(tokens) @ embeddings[_word_rows(tokenizer, words)].T).argmax(-1)
        figures[f"cell_{name}"] = (guess == truth)[shown].float().mean().item()
    chances = heads.center(tokens).view(*tokens.shape[:2], 2, _BINS).softmax(-1)
    guess_px = chances @ ((torch.arange(_BINS) + 0.5) * SIDE_PX / _BINS)
    figures["center_px"] = (guess_px - cells.center)[shown].norm(dim=-1).mean().item()
    return figures


def _loss(features: Features, heads: PlaceHeads, embeddings: Tensor, words: tuple[Tensor, ...], cells: Cells) -> Tensor:
    weights = torch.where(cells.center[..., 0].isfinite(), 1.0, _BACKGROUND_WEIGHT)
    loss = _place_loss(features.tokens, heads, cells)
    for share, tokens in ((1.0, features.tokens), *((0.15, level) for level in features.deepstack)):
        for rows, truth in zip(words, (cells.shape, cells.color), strict=True):
            logits = _normed(tokens) @ embeddings[rows].T
            each = F.cross_entropy(logits.flatten(0, 1), truth.flatten(), reduction="none", ignore_index=_IGNORED)
            loss = loss + share * (each * weights.flatten()).sum() / weights.sum()
    return loss


def _place_loss(tokens: Tensor, heads: PlaceHeads, cells: Cells) -> Tensor:
    index = torch.arange(CELLS * CELLS).expand(tokens.shape[:2])
    row = F.cross_entropy(heads.row(tokens).flatten(0, 1), (index // CELLS).flatten())
    column = F.cross_entropy(heads.column(tokens).flatten(0, 1), (index % CELLS).flatten())
    shown = cells.center[..., 0].isfinite()
    logits = heads.center(tokens[shown]).view(-1, 2, _BINS)
    center = F.cross_entropy(logits.flatten(0, 1), _soft_bins(cells.center[shown]).flatten(0, 1))
    return 0.1 * (row + column) + 0.5 * 2 * center


def _soft_bins(center_px: Tensor) -> Tensor:
    """(..., bins): the two bins nearest to each place share it by nearness."""
    place = (center_px * _BINS / SIDE_PX - 0.5).clamp(0, _BINS - 1)
    return (1 - (place.unsqueeze(-1) - torch.arange(_BINS)).abs()).clamp(min=0)


def _normed(tokens: Tensor) -> Tensor:
    return F.rms_norm(tokens, tokens.shape[-1:])


def _word_rows(tokenizer: PreTrainedTokenizerFast, words: Sequence[str]) -> Tensor:
    return torch.tensor(tokenizer.convert_tokens_to_ids(list(words)))


def _cells_of_one(scene: Scene) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    counts = np.stack([scene.cell_px(thing).ravel() for thing in scene.things])
    most, owner = counts.max(axis=0), counts.argmax(axis=0)
    unsure = (most < _SURE_PX) & (most > _EMPTY_PX)
    shape = np.array([SHAPE_WORDS.index(thing.shape) for thing in scene.things])[owner]
    color = np.array([COLOR_WORDS.index(thing.color) for thing in scene.things])[owner]
    center = np.array([thing.center_xy for thing in scene.things], np.float32)[owner]
    center[most < _SURE_PX] = np.nan
    labels = [
        np.where(unsure, _IGNORED, np.where(most >= _SURE_PX, label, len(words) - 1))
        for label, words in ((shape, SHAPE_WORDS), (color, COLOR_WORDS))
    ]
    return labels[0], labels[1], center
