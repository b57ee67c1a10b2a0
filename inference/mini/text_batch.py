"""Several questions about each of many scenes through the model's own text layers at once.

The picture stands once at the head of a row, each question and answer behind it as a segment of its own that sees
the picture and itself alone: just what the model sees when it is asked one question. Knows no rule of answering.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from inference.mini.scenes import CELLS
from inference.mini.vision_batch import Features

_IGNORED = -100


@dataclass(frozen=True, slots=True)
class Layout:
    """What is equal for every row: ids before the segments, the ids that turn a question to its answer, the end."""

    head: Tensor
    turn: tuple[int, ...]
    end: int
    pad: int
    image: int

    @property
    def is_image(self) -> Tensor:
        """(head length,): True at the picture's tokens."""
        return self.head == self.image


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of ids (pictures, length), labels alike (_IGNORED except at answers), mask and 3-axis positions."""

    ids: Tensor
    labels: Tensor
    mask: Tensor
    positions: Tensor


def build_layout(processor: Qwen3VLProcessor) -> Layout:
    """The layout that the model's own chat template gives a scene and one question."""
    content = [{"type": "image"}, {"type": "text", "text": "?"}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    token = processor.image_token
    before, after = text.replace(token, token * CELLS**2).split("?")
    tokenizer = processor.tokenizer
    head, turn = (tokenizer(part)["input_ids"] for part in (before, after))
    return Layout(
        torch.tensor(head),
        tuple(turn),
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        processor.image_token_id,
    )


def build_batch(
    model: Qwen3VLForConditionalGeneration,
    layout: Layout,
    segments: Sequence[Sequence[tuple[list[int], list[int]]]],
) -> Batch:
    """One batch of rows; each row has equally many segments, each of question ids and answer ids."""
    width = max(len(q) + len(layout.turn) + len(a) + 1 for row in segments for q, a in row)
    ids, labels = [], []
    for row in segments:
        pairs = [_segment(layout, question, answer, width) for question, answer in row]
        ids.append(torch.cat([layout.head, *(pair[0] for pair in pairs)]))
        labels.append(torch.cat([torch.full_like(layout.head, _IGNORED), *(pair[1] for pair in pairs)]))
    count = len(segments[0])
    mask, positions = _mask(len(layout.head), count, width), _positions(model, layout, count, width)
    return Batch(torch.stack(ids), torch.stack(labels), mask, positions)


def answer_logits(
    model: Qwen3VLForConditionalGeneration, layout: Layout, batch: Batch, features: Features
) -> tuple[Tensor, Tensor]:
    """Logits (answer tokens, vocabulary) of every answer token, and the labels, in row order."""
    text = model.model.language_model
    embedded = text.embed_tokens(batch.ids)
    is_image = F.pad(layout.is_image, (0, embedded.shape[1] - len(layout.head))).expand(batch.ids.shape)
    embedded = embedded.masked_scatter(is_image.unsqueeze(-1), features.tokens)
    hidden = text(
        inputs_embeds=embedded,
        attention_mask=batch.mask,
        position_ids=batch.positions.expand(-1, len(batch.ids), -1),
        visual_pos_masks=is_image,
        deepstack_visual_embeds=[level.flatten(0, 1) for level in features.deepstack],
        use_cache=False,
    ).last_hidden_state
    asked = batch.labels[:, 1:] != _IGNORED
    return model.lm_head(hidden[:, :-1][asked]), batch.labels[:, 1:][asked]


def _segment(layout: Layout, question: list[int], answer: list[int], width: int) -> tuple[Tensor, Tensor]:
    asked, told = [*question, *layout.turn], [*answer, layout.end]
    rest = width - len(asked) - len(told)
    ids = torch.tensor([*asked, *told, *[layout.pad] * rest])
    labels = torch.tensor([*[_IGNORED] * len(asked), *told, *[_IGNORED] * rest])
    return ids, labels


def _mask(head: int, count: int, width: int) -> Tensor:
    """(1, 1, length, length), 0 where a row may look, else far below: causal, never from segment to segment."""
    segment = torch.cat([torch.zeros(head, dtype=torch.long), torch.arange(1, count + 1).repeat_interleave(width)])
    own = (segment[:, None] == segment[None, :]) | (segment[None, :] == 0)
    seen = own & torch.ones_like(own).tril()
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[None, None]


def _positions(model: Qwen3VLForConditionalGeneration, layout: Layout, count: int, width: int) -> Tensor:
    """(3, 1, length): as the model itself counts one question, the same again for every segment."""
    ids = F.pad(layout.head, (0, width), value=layout.pad)[None]
    side = CELLS * model.config.vision_config.spatial_merge_size
    one, _ = model.model.get_rope_index(
        ids, image_grid_thw=torch.tensor([[1, side, side]]), mm_token_type_ids=(ids == layout.image).int()
    )
    head = len(layout.head)
    return torch.cat([one[..., :head], *[one[..., head:]] * count], dim=-1)
