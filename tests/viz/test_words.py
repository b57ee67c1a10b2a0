"""Numbers and tokens as people read them."""

import pytest

from inference.trace.session import RunnerUp, Scores
from tests.fakes import make_token
from viz import words
from viz.view import Choice


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.00001, "below 0.01 %"),
        (0.0042, "0.42 %"),
        (0.034, "3.4 %"),
        (0.3449, "34 %"),
        (0.99, "99 %"),
        (0.9961, "99.6 %"),
        (1, "100 %"),
    ],
)
def test_percents_have_sensible_digits(share: float, text: str) -> None:
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" red", " red"),
        ("\n", "\n"),
        ("\ufffd", words.PIECE),
        ("a\ud83d", "a" + words.PIECE),
        ("\x00", "\u2400"),
        ("\u202egnp", "\N{DOTTED CIRCLE}gnp"),
        ("", "\N{EMPTY SET}"),
        ("汉😀", "汉😀"),
        ("<|im_end|>", "<|im_end|>"),
        ("<0xE4>", "<0xE4>"),
    ],
)
def test_every_token_can_be_seen_and_sent(text: str, shown: str) -> None:
    assert words.visible(text) == shown
    assert shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (" red", "'red'"),
        ("  ", "a space"),
        (" \n", "a line break"),
        ("\ufffd", "a piece of a character"),
        ("a\nb", "'a\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}b'"),
        ("x" * 50, "'" + "x" * 39 + "\N{HORIZONTAL ELLIPSIS}'"),
    ],
)
def test_a_token_in_a_sentence_is_quoted_or_named(text: str, quoted: str) -> None:
    assert words.quoted(text) == quoted


@pytest.mark.parametrize(
    ("layer", "head", "text"),
    [
        (None, None, "mean over all layers and heads"),
        (3, None, "layer 3, mean over its heads"),
        (None, 0, "head 0, mean over all layers"),
        (0, 2, "layer 0, head 2"),
    ],
)
def test_pooling_is_told_in_words(layer: int | None, head: int | None, text: str) -> None:
    assert words.where(Choice(layer=layer, head=head)) == text


@pytest.mark.parametrize(
    ("row", "col", "text"), [(0, 0, "top left"), (3, 5, "middle"), (6, 10, "bottom right"), (3, 0, "middle left")]
)
def test_places_are_told_as_one_of_nine(row: int, col: int, text: str) -> None:
    assert words.place(row, col, 7, 11) == text


def test_a_picture_of_one_cell_has_a_place() -> None:
    assert words.place(0, 0, 1, 1) == "top left"


def test_hovering_tells_share_probability_and_runners_up_of_an_answer_token() -> None:
    token = make_token(" circle", 9, 8, "answer")
    text = words.hover(token, 0.34)
    assert text.startswith(
        "'circle': 34 % of its attention on the picture; p 0.90, entropy 0.40 nats; instead: 'other0'"
    )
    assert words.hover(make_token(" red", 4, 4, "question"), 0.5) == "'red': 50 % of its attention on the picture"


def test_small_probabilities_do_not_become_zero() -> None:
    scores = Scores(-30.0, 0.0, (RunnerUp(1, "\n", -0.01),))
    assert words.probability(scores) == "p below 0.01, entropy 0.00 nats"
    assert words.runners_up(scores) == "instead: a line break 0.99"


@pytest.mark.parametrize(
    ("logprob", "text"), [(0.0, "1"), (-0.001, "above 0.99"), (-0.69, "0.50"), (-6.0, "below 0.01")]
)
def test_nothing_is_called_certain_or_impossible_that_is_not(logprob: float, text: str) -> None:
    assert words.chance(logprob) == text
