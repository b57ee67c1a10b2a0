"""The word embeddings between the two steps of training: which are shared, how long they are, which may move.

Knows no scene and no loss. A word that the base is not taught stays as it was drawn, as long as any other, so that an
adapter may be taught to say it later: AdamW would push all untaught words the same way, and none could be told apart.
"""

import torch
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from inference.mini.facts import COLORS, KINDS, PLACES, SHAPES
from inference.mini.text_batch import build_layout
from inference.mini.vision_training import COLOR_WORDS, SHAPE_WORDS

_ROOT_MEAN_SQUARE = 0.1


@torch.no_grad()
def share_words(model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor) -> None:
    """Gives each form of a word that the vision tower knows that word's embedding, and all others one length."""
    rows, tokenizer = model.model.language_model.embed_tokens.weight, processor.tokenizer
    # the padding token's row is zero and stays so
    length = rows.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
    rows.copy_(torch.where(_others(rows, processor), rows * _ROOT_MEAN_SQUARE / length, rows))
    for word in {*SHAPE_WORDS, *COLOR_WORDS}:
        plain, *forms = tokenizer.convert_tokens_to_ids(_forms(word))
        rows[forms] = rows[plain].clone()


def hold_untaught_words(model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor) -> None:
    """Lets training move only the embeddings of tokens that the base's questions and answers hold."""
    rows: Tensor = model.model.language_model.embed_tokens.weight
    taught = torch.zeros(len(rows), 1)
    taught[_taught_ids(processor)] = 1
    rows.register_hook(lambda gradient: gradient * taught)  # type: ignore[no-untyped-call]


def _others(rows: Tensor, processor: Qwen3VLProcessor) -> Tensor:
    """(vocabulary, 1): True at words that the vision tower does not know."""
    known = [form for word in (*SHAPE_WORDS, *COLOR_WORDS) for form in _forms(word)]
    others = torch.ones(len(rows), 1, dtype=torch.bool)
    others[processor.tokenizer.convert_tokens_to_ids(known)] = False
    return others


def _taught_ids(processor: Qwen3VLProcessor) -> list[int]:
    layout = build_layout(processor)
    kinds = [kind for kind in KINDS if kind.taught_to == "base"]
    asked = [wording.format(word) for kind in kinds for wording in kind.wordings for word in kind.words]
    ids = processor.tokenizer([*asked, *COLORS, *SHAPES, *PLACES])["input_ids"]
    return sorted({*layout.head.tolist(), *layout.turn, layout.end, *(token for text in ids for token in text)})


def _forms(word: str) -> list[str]:
    return [word, "Ġ" + word, word.capitalize(), "Ġ" + word.capitalize()]
