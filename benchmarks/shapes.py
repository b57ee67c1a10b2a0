"""Qwen3-VL models of given shapes with random weights, and questions of given lengths to put to them.

Shapes are those of the released models' own configs; weights are drawn here, so nothing is downloaded. Queries are made
three times as long as drawn weights make them: rows are then about as sharp as a trained model's, not nearly even.
"""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from inference.errors import SettingsError
from inference.mini import BASE_DIR
from inference.model.load import LoadedModel, load_model
from inference.model.pictures import Pixels
from inference.trace.geometry import find_images
from inference.trace.session import ImageSpan

QUESTION, ANSWER = 16, 16
"""Tokens of the question and of the answer; all of their rows are kept."""
PATCH_PX, MERGE = 16, 2
_LEAD, _TAIL = 4, 5
_SHARPNESS = 3.0


@dataclass(frozen=True)
class Shape:
    """Numbers of a Qwen3-VL config; `deepstack` are vision layers whose features enter the text layers again."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vision_hidden: int
    vision_inner: int
    vision_layers: int
    vision_heads: int
    deepstack: tuple[int, ...]
    vocabulary: int = 151_936
    head_dim: int = 128
    tied: bool = True

    def parameters(self) -> int:
        """About how many weights it has."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        text = self.layers * (attention + 3 * self.hidden * self.inner)
        vision = self.vision_layers * (4 * self.vision_hidden**2 + 2 * self.vision_hidden * self.vision_inner)
        merged = MERGE**2 * self.vision_hidden
        mergers = (1 + len(self.deepstack)) * merged * (merged + self.hidden)
        return text + vision + mergers + (1 if self.tied else 2) * self.vocabulary * self.hidden


_2B = Shape("2b", 2048, 6144, 28, 16, 8, 1024, 4096, 24, 16, (5, 11, 17))
SHAPES = {
    # One vision layer for two text layers, where the whole model has 24 for 28, and the vocabulary cut as the text
    # layers are: what is not capture is a smaller part of a run here than in the whole model.
    "2b-layers": replace(_2B, name="2b-layers", layers=2, vision_layers=1, deepstack=(0,), vocabulary=10_850),
    "2b": _2B,
    "4b": Shape("4b", 2560, 9728, 36, 32, 8, 1024, 4096, 24, 16, (5, 11, 17)),
    "8b": Shape("8b", 4096, 12288, 36, 32, 8, 1152, 4304, 27, 16, (8, 16, 24), tied=False),
}


@dataclass(frozen=True)
class Question:
    """Ids of a prompt with one picture, made pixels, and the answer that is fed token by token."""

    ids: tuple[int, ...]
    question_span: tuple[int, int]
    answer: tuple[int, ...]
    pixels: Pixels
    images: tuple[ImageSpan, ...]

    @property
    def length(self) -> int:
        """How many keys there are at the end, the last token of the answer included."""
        return len(self.ids) + len(self.answer)


def build(shape: Shape, *, device: str, dtype: torch.dtype, attention: str = "sdpa", seed: int = 0) -> LoadedModel:
    """A model of this shape with drawn weights; its "processor" names no more than the token that ends an answer.

    Raises:
        SettingsError: the weights would not fit into this machine's memory.
    """
    place = torch.device(device)
    needed, free = shape.parameters() * dtype.itemsize, free_bytes(place)
    if needed > 0.8 * free:
        raise SettingsError(
            f"{needed / 1e9:.1f} GB of memory for the weights of {shape.name} in {str(dtype).removeprefix('torch.')}",
            f"{free / 1e9:.1f} GB free",
            "choose a smaller shape, or --dtype bfloat16",
        )
    torch.manual_seed(seed)
    with place, torch.no_grad():
        model = Qwen3VLForConditionalGeneration._from_config(
            config_of(shape), attn_implementation=attention, dtype=dtype
        )
        for layer in model.model.language_model.layers:
            layer.self_attn.q_norm.weight.fill_(_SHARPNESS)
    processor = SimpleNamespace(tokenizer=SimpleNamespace(eos_token_id=shape.vocabulary - 1))
    return LoadedModel(shape.name, model.eval(), processor, place, dtype)


def config_of(shape: Shape) -> Any:
    """The model's own kind of config; the last ids of the vocabulary are the control tokens."""
    pad, *control = (shape.vocabulary - number for number in (1, 2, 3, 4, 5))
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    text = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": 262_144,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": [24, 20, 20] if shape.head_dim == 128 else _sections(shape.head_dim),
            "mrope_interleaved": True,
        },
        "pad_token_id": pad,
        "eos_token_id": pad,
        "tie_word_embeddings": shape.tied,
    }
    vision = {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_inner,
        "num_heads": shape.vision_heads,
        "patch_size": PATCH_PX,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 2,
        "out_hidden_size": shape.hidden,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": list(shape.deepstack),
    }
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=shape.tied,
        **dict(zip(names, control, strict=True)),
    )


def load_miniature(device: str) -> LoadedModel:
    """The shipped miniature, in float32."""
    return load_model(str(BASE_DIR), device=device, dtype="float32")


def ask(config: Any, cells: tuple[int, int], *, device: torch.device, seed: int = 0) -> Question:
    """A question of `QUESTION` tokens about a picture of so many cells (rows, columns), with its answer's tokens."""
    rng = np.random.default_rng(seed)
    control = {config.image_token_id, config.video_token_id, config.vision_start_token_id, config.vision_end_token_id}
    ordinary = np.setdiff1d(np.arange(config.text_config.vocab_size), sorted(control))

    def words(count: int) -> list[int]:
        return [int(token) for token in rng.choice(ordinary, count)]

    picture = [config.vision_start_token_id, *[config.image_token_id] * math.prod(cells), config.vision_end_token_id]
    ids = [*words(_LEAD), *picture, *words(QUESTION), *words(_TAIL)]
    start = len(ids) - _TAIL - QUESTION
    pixels = _pixels(config.vision_config, cells, device, seed)
    images = find_images(
        np.asarray(ids),
        pixels.grids(),
        merge=MERGE,
        patch_px=PATCH_PX,
        vision_start_id=config.vision_start_token_id,
        vision_end_id=config.vision_end_token_id,
        image_token_id=config.image_token_id,
        original_whs=pixels.resized_whs,
    )
    return Question(tuple(ids), (start, start + QUESTION), tuple(words(ANSWER)), pixels, images)


def cells_for(length: int) -> tuple[int, int]:
    """Rows and columns of a picture, about 16 to 9, that makes a sequence of about this many keys."""
    cells = max(1, length - (_LEAD + 2 + QUESTION + _TAIL + ANSWER))
    rows = max(1, round(math.sqrt(cells * 9 / 16)))
    return rows, max(1, round(cells / rows))


def free_bytes(device: torch.device) -> int:
    """Memory that can be had now, on this device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _pixels(vision: Any, cells: tuple[int, int], device: torch.device, seed: int) -> Pixels:
    rows, cols = (MERGE * side for side in cells)
    channels = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    values = torch.randn(rows * cols, channels, generator=torch.Generator().manual_seed(seed))
    grid = torch.tensor([[1, rows, cols]])
    wh = (cols * PATCH_PX, rows * PATCH_PX)
    return Pixels(values.to(device), grid.to(device), (wh,))


def _sections(head_dim: int) -> list[int]:
    """The half of a head split over time, height and width, as the released models split theirs."""
    half = head_dim // 2
    third = half * 20 // 64
    return [half - 2 * third, third, third]
