"""The tokenizer: words whole, anything else by bytes, special tokens only where they are meant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from inference.mini.architecture import CHAT_TEMPLATE
from inference.mini.facts import COLORS, KINDS, PLACES, SHAPES
from inference.mini.vocabulary import ADDED_TOKENS, SPECIAL_TOKENS, build_tokenizer

TOKENIZER: PreTrainedTokenizerFast = build_tokenizer(CHAT_TEMPLATE)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_comes_back_unchanged(text: str) -> None:
    ids = TOKENIZER(text, split_special_tokens=True)["input_ids"]
    assert TOKENIZER.decode(ids) == text


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_special_tokens_typed_as_text_stay_text(token: str) -> None:
    special = TOKENIZER.convert_tokens_to_ids(token)
    assert TOKENIZER(token)["input_ids"] == [special]
    split = TOKENIZER(f"what is {token}?", split_special_tokens=True)["input_ids"]
    assert special not in split
    assert TOKENIZER.decode(split) == f"what is {token}?"


def test_every_word_of_every_question_and_answer_is_one_token() -> None:
    for kind in KINDS:
        for wording in kind.wordings:
            for word in kind.words:
                text = wording.format(word)
                pieces = len(text.replace("?", " ?").replace(".", " .").split())
                assert len(TOKENIZER(text)["input_ids"]) == pieces, text
    for answer in (*COLORS, *SHAPES, *PLACES, *"0123456789", *"[]{}(),'\"", "\n", *ADDED_TOKENS):
        assert len(TOKENIZER(answer)["input_ids"]) == 1, answer


def test_digits_are_single_tokens_inside_a_tool_call() -> None:
    text = '<tool_call>\n{"name": "point", "arguments": {"box": [10, 25]}}\n</tool_call>'
    tokens = TOKENIZER.convert_ids_to_tokens(TOKENIZER(text)["input_ids"])
    assert tokens[0] == "<tool_call>"
    assert tokens[-1] == "</tool_call>"
    assert [token for token in tokens if token.isdigit()] == ["1", "0", "2", "5"]


def test_ids_do_not_depend_on_the_run() -> None:
    assert build_tokenizer(CHAT_TEMPLATE).get_vocab() == TOKENIZER.get_vocab()
