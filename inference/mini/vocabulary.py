"""The miniature's tokenizer: whole words of its small world, and single bytes for all else.

Knows no model and no picture. Token ids follow from this file alone, so they are the same in every training.
"""

import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from inference.mini.facts import COLORS, KINDS, MARK, PLACES, SHAPES

# Source: the Qwen3-VL tokenizer's added tokens; the second group is ordinary text to skip_special_tokens.
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
ADDED_TOKENS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")

_PLAIN_WORDS = """
a all an and any answer arguments are as at be below big both but by call can color colors colour colours corner
count describe dictionary different do does each false find first for format from function functions given has
have how i image images in is it json just largest last locate many me more name near nearest no none not number
object objects of on one only or other pair parameters photo picture pictures please point properties required
return returned same say second see seen shape shapes should show side small string that the their them there
these they this to tool tools true two type use user using very visible was what where which who why with within
word words x y yes you your system assistant bbox box boxes coordinates label dot location place position
black white grey gray background middle left right top bottom upper lower above below between beside
zero three four five six seven eight nine ten
""".split()

_PIECES = r" ?\p{L}+(?:-\p{L}+)*|\p{N}|[^\s\p{L}\p{N}]|\s"


def build_tokenizer(chat_template: str) -> PreTrainedTokenizerFast:
    """A fast tokenizer in which each known word (with its leading space, if any) is one token.

    Anything else falls into its UTF-8 bytes, so every text is tokenised and decodes back unchanged.
    """
    pieces = _pieces()
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    core.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
        chat_template=chat_template,
    )


def _pieces() -> list[str]:
    """Byte signs first, then words without and with their leading space, in a fixed order."""
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = sorted(_words())
    return signs + [word for word in words if len(word) > 1] + ["Ġ" + word for word in words]


def _words() -> set[str]:
    """Each word in lower case and with a capital."""
    asked = " ".join(wording.format("") for kind in KINDS for wording in kind.wordings)
    known = {*COLORS, *SHAPES, *PLACES, MARK, *_PLAIN_WORDS, *re.findall(r"[a-z]+", asked.lower())}
    return known | {word.capitalize() for word in known}
