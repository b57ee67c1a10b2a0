"""Which variants of a request run side by side, as the rows of one batch, and in which order.

The order does not depend on the request's: the same variants make the same batches however they are listed, and so the
same numbers, to the last bit. Knows no adapter and runs nothing.
"""

from collections.abc import Sequence

from inference.model.check import free_bytes
from inference.model.load import LoadedModel
from inference.trace.request import Variant
from inference.trace.size import Extent

_SHARE = 0.5
"""The part of the free memory that the rows of a batch may take."""

_MOST_TOKENS = 16_384
_PASS_TOKENS = {"cpu": 2_048}
"""Tokens of one pass over all rows; more make it longer, and what follows no sooner done."""


def plan_batches(variants: Sequence[Variant], mixable: Sequence[bool], *, most: int) -> list[list[int]]:
    """The variants' numbers, batch by batch, with at most so many in one; the base, where there is one, comes first.

    Those that cannot be mixed come last, each by itself.
    """
    order = sorted(range(len(variants)), key=lambda number: (not variants[number].is_base, variants[number].label))
    together = [number for number in order if mixable[number]]
    batches = [together[at : at + most] for at in range(0, len(together), most)]
    return batches + [[number] for number in order if not mixable[number]]


def rows_that_fit(loaded: LoadedModel, asked: Extent) -> int:
    """How many rows of a batch half of the free memory has room for; at least one.

    Counted of each: its keys and values, the queries that are set aside, its picture's features, and the widest of
    what one layer makes while it reads the prompt.
    """
    return max(1, int(_SHARE * free_bytes(loaded.device) / _row_bytes(loaded, asked)))


def passes_that_fit(loaded: LoadedModel, length: int, said: int, picture_tokens: int, *, by_head: bool = False) -> int:
    """How many rows of so many positions one pass without a cache may have; at least one.

    As many as half of the free memory has room for, and no more than a pass needs to keep the device busy, for work
    stops between two passes alone. Counted of each: its mask, once as bools and once as numbers (for every head with
    `by_head`), the logits of what is said and their logarithms, its pictures' features, and the widest of what one
    layer makes.
    """
    text, vision, size = loaded.text_config, loaded.vision_config, loaded.dtype.itemsize
    mask = length**2 * (2 + size) * (text.num_attention_heads if by_head else 1)
    logits = said * text.vocab_size * (size + 2 * 4)
    features = 2 * (1 + len(vision.deepstack_visual_indexes)) * text.hidden_size * picture_tokens * size
    working = (8 * text.hidden_size + 5 * text.intermediate_size) * length * size
    room = int(_SHARE * free_bytes(loaded.device) / (mask + logits + features + working))
    return max(1, min(room, _pass_tokens(loaded) // length))


def pictures_that_fit(loaded: LoadedModel, patches: int) -> int:
    """How many pictures of so many patches the vision tower may see at once, chosen likewise; at least one.

    Counted of each: the widest of what one of the tower's layers makes.
    """
    vision = loaded.vision_config
    working = (8 * vision.hidden_size + 2 * vision.intermediate_size) * patches * loaded.dtype.itemsize
    room = int(_SHARE * free_bytes(loaded.device) / working)
    most: int = _pass_tokens(loaded) * vision.spatial_merge_size**2 // patches
    return max(1, min(room, most))


def _pass_tokens(loaded: LoadedModel) -> int:
    return _PASS_TOKENS.get(loaded.device.type, _MOST_TOKENS)


def _row_bytes(loaded: LoadedModel, asked: Extent) -> int:
    text, vision = loaded.text_config, loaded.vision_config
    cache = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * asked.length
    queries = text.num_hidden_layers * text.num_attention_heads * text.head_dim * asked.tokens
    features = (1 + len(vision.deepstack_visual_indexes)) * text.hidden_size * asked.picture_tokens
    # A layer's mlp holds three of its inner width at once; an adapter in float32 takes its input once more.
    working = (4 * text.hidden_size + 5 * text.intermediate_size) * asked.length
    numbers: int = cache + queries + features + working
    return numbers * loaded.dtype.itemsize
