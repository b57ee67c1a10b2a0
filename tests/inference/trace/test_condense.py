"""What is kept of full rows, against plain loops; axes are distinct primes (7 tokens, 5 layers, 3 heads, 29 keys)."""

import numpy as np
import pytest
from jaxtyping import Float

from inference.trace.condense import condense, kept_columns, part_weights, searched, wordlike
from inference.trace.request import Keep, Part
from inference.trace.session import PARTS, ImageSpan, Spot, Token, Trace
from tests.fakes import make_token

SPANS = (ImageSpan(3, 2, 3, (96, 64), (90, 60)), ImageSpan(11, 1, 5, (160, 32), (500, 100)))
CELLS = [*range(3, 9), *range(11, 16)]
QUESTION = (17, 21)
TEXTS = ("What", " is", " red", "?", " cir", "cle", "<|im_end|>")
LAYERS, HEADS, KEYS = 5, 3, 29


def make_tokens(texts: tuple[str, ...] = TEXTS) -> tuple[Token, ...]:
    return tuple(make_token(text, 22 + i, 21 + i, "answer") for i, text in enumerate(texts))


def make_rows(seed: int = 0, tokens: int = len(TEXTS)) -> Float[np.ndarray, "tokens layers heads keys"]:
    rows = np.random.default_rng(seed).gamma(0.3, size=(tokens, LAYERS, HEADS, KEYS)).astype(np.float32) + 1e-6
    return np.asarray(rows / rows.sum(-1, keepdims=True))


def kept(rows: np.ndarray, keep: Keep | None = None, *, images: tuple[ImageSpan, ...] = SPANS) -> Trace:
    tokens = make_tokens(TEXTS[: len(rows)])
    return condense(rows, tokens=tokens, images=images, question_span=QUESTION, keep=keep)


@pytest.mark.parametrize("keys", ["all", "pictures"])
def test_rows_and_means_are_those_of_the_kept_columns(keys: str) -> None:
    rows = make_rows()
    trace = kept(rows, Keep(layers=(1, 4), heads=(2,), keys="all" if keys == "all" else "pictures", numbers="float32"))
    columns = list(range(KEYS)) if keys == "all" else CELLS
    assert trace.rows.shape == (7, 2, 1, len(columns)) and trace.layer_means.shape == (7, LAYERS, len(columns))
    assert trace.head_means.shape == (7, HEADS, len(columns)) and trace.means.shape == (7, len(columns))
    for token in range(7):
        for place, key in enumerate(columns):
            one = [[float(rows[token, layer, head, key]) for head in range(HEADS)] for layer in range(LAYERS)]
            assert trace.rows[token, 0, 0, place] == rows[token, 1, 2, key]
            assert trace.rows[token, 1, 0, place] == rows[token, 4, 2, key]
            by_layer = [sum(values) / HEADS for values in one]
            by_head = [sum(values[head] for values in one) / LAYERS for head in range(HEADS)]
            np.testing.assert_allclose(trace.layer_means[token, :, place], by_layer, rtol=1e-5)
            np.testing.assert_allclose(trace.head_means[token, :, place], by_head, rtol=1e-5)
            assert trace.means[token, place] == pytest.approx(sum(by_head) / HEADS, rel=1e-5)


def test_columns_lead_to_the_cells_of_each_picture() -> None:
    rows = make_rows()
    for keep in (Keep(numbers="float32"), Keep(keys="pictures", numbers="float32")):
        trace = kept(rows, keep)
        for image, span in enumerate(SPANS):
            expected = rows[..., span.start : span.stop]
            np.testing.assert_array_equal(trace.rows[..., trace.columns(image)], expected)


def test_sums_are_of_every_layer_and_head_whatever_is_kept() -> None:
    rows = make_rows()
    whole, little = kept(rows), kept(rows, Keep(layers=(2,), heads=(), keys="pictures"))
    assert little.rows.shape == (7, 1, 0, len(CELLS))
    assert whole.sums.dtype == little.sums.dtype == np.float32
    np.testing.assert_array_equal(whole.sums, little.sums)
    for token, layer, head in np.ndindex(7, LAYERS, HEADS):
        row = [float(share) for share in rows[token, layer, head]]
        pictures = [sum(row[3:9]), sum(row[11:16])]
        question, first = sum(row[17:21]), row[0]
        rest = sum(row) - question - first - sum(pictures)
        np.testing.assert_allclose(whole.sums[token, layer, head], [question, first, rest, *pictures], atol=2e-6)


def test_the_first_key_counts_as_first_wherever_it_lies() -> None:
    span = ImageSpan(0, 1, 2, (64, 32), (64, 32))
    weights = part_weights((span,), (0, 0), 4)
    np.testing.assert_array_equal(weights, [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0]])
    assert PARTS == ("question", "first token", "rest")
    np.testing.assert_array_equal(part_weights((), (0, 2), 3), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])


def test_columns_are_all_keys_or_the_cells_alone() -> None:
    assert np.flatnonzero(kept_columns(SPANS, KEYS, pictures_alone=True)).tolist() == CELLS
    assert kept_columns(SPANS, KEYS, pictures_alone=False).all()
    assert not kept_columns((), KEYS, pictures_alone=True).any()


def test_half_precision_rounds_and_the_search_sees_what_was_there_before() -> None:
    rows = make_rows()
    half, single = kept(rows, Keep()), kept(rows)
    for name in ("rows", "layer_means", "head_means", "means"):
        rounded, exact = getattr(half, name), getattr(single, name)
        assert (rounded.dtype, exact.dtype) == (np.float16, np.float32)
        np.testing.assert_array_equal(rounded, exact.astype(np.float16))
    np.testing.assert_array_equal(half.sums, single.sums)
    assert half.sharpest == single.sharpest


def test_nothing_kept_leaves_empty_arrays() -> None:
    trace = kept(make_rows()[:0])
    assert trace.rows.shape == (0, LAYERS, HEADS, KEYS) and trace.means.shape == (0, KEYS)
    assert trace.sums.shape == (0, LAYERS, HEADS, 5) and trace.sharpest is None
    without = kept(make_rows(), images=())
    assert without.sums.shape[-1] == len(PARTS) and without.sharpest is None
    np.testing.assert_allclose(without.sums.sum(-1), 1, rtol=1e-5)


def slow_sharpest(rows: np.ndarray, layers: list[int], heads: list[int]) -> tuple[float, Spot, int]:
    """Contrast, spot and key of the sharpest, cell by cell; the last of `TEXTS` and "?" are no words."""
    found = []
    for layer in layers:
        for head in heads:
            for token in (0, 1, 2, 4, 5):
                for key in CELLS:
                    usual = float(np.median(rows[:, layer, head, key]))
                    found.append((float(rows[token, layer, head, key]) - usual, Spot(token, layer, head), key))
    return max(found, key=lambda one: one[0])


@pytest.mark.parametrize("seed", range(11))
@pytest.mark.parametrize(("layers", "heads"), [(None, None), ((0, 2, 3), (1,))])
def test_the_sharpest_is_what_trying_everything_finds(
    seed: int, layers: tuple[int, ...] | None, heads: tuple[int, ...] | None
) -> None:
    rows = make_rows(seed)
    contrast, spot, key = slow_sharpest(rows, list(layers or range(LAYERS)), list(heads or range(HEADS)))
    found = kept(rows, Keep(layers=layers, heads=heads)).sharpest
    assert found is not None and found.spot == spot
    assert found.share - found.usual == pytest.approx(contrast, rel=1e-4)
    span = SPANS[found.image]
    assert span.start + found.row * span.cols + found.col == key
    assert found.picture_share == pytest.approx(float(rows[spot.token, spot.layer, spot.head][CELLS].sum()), rel=1e-5)


def test_without_rows_of_single_heads_nothing_is_sharpest() -> None:
    assert kept(make_rows(), Keep(layers=())).sharpest is None
    assert kept(make_rows(), Keep(heads=())).sharpest is None


def flat_rows(tokens: int = 4) -> Float[np.ndarray, "tokens layers heads keys"]:
    """Every row the same, two layers of three heads over thirteen keys."""
    return np.full((tokens, 2, 3, 13), 1 / 13, np.float32)


def flat(rows: np.ndarray, texts: tuple[str, ...] = ("What", " red", " here", "?"), part: Part = "question") -> Trace:
    """A picture of one row of six cells at keys 2 to 7."""
    tokens = tuple(make_token(text, 9 + i, 9 + i, part) for i, text in enumerate(texts))
    span = ImageSpan(2, 1, 6, (192, 32), (192, 32))
    return condense(rows, tokens=tokens, images=(span,), question_span=(9, 13))


def test_a_sink_is_not_sharp_but_the_word_that_looks_is() -> None:
    rows = flat_rows()
    rows[:, 0, 1, 4] = 0.9
    rows[1, 1, 2, 6] = 0.4
    found = flat(rows).sharpest
    assert found is not None
    assert (found.spot, found.image, found.row, found.col) == (Spot(1, 1, 2), 0, 0, 4)
    assert found.share == pytest.approx(0.4)
    assert found.usual == pytest.approx(1 / 13)
    assert found.picture_share == pytest.approx(0.4 + 5 / 13)


@pytest.mark.parametrize("text", ["?", " ", "\n", "<|im_end|>"])
def test_punctuation_and_control_tokens_do_not_win(text: str) -> None:
    rows = flat_rows(3)
    rows[2, 0, 0, 3] = 0.8
    rows[1, 1, 1, 5] = 0.3
    found = flat(rows, ("What", " red", text)).sharpest
    assert found is not None and found.spot == Spot(1, 1, 1)


def test_punctuation_wins_where_there_is_nothing_else() -> None:
    rows = flat_rows(3)
    rows[2, 1, 0, 3] = 0.8
    found = flat(rows, ("?", "!", ".")).sharpest
    assert found is not None and found.spot == Spot(2, 1, 0)


def test_a_lone_token_shows_its_brightest_cell() -> None:
    rows = flat_rows(1)
    rows[0, 1, 2, 5] = 0.5
    found = flat(rows, ("red",)).sharpest
    assert found is not None
    assert (found.spot, found.col, found.usual) == (Spot(0, 1, 2), 3, 0)


def test_of_equals_the_first_layer_then_head_then_token_then_cell_is_chosen() -> None:
    found = flat(flat_rows()).sharpest
    assert found is not None and (found.spot, found.col) == (Spot(0, 0, 0), 0)
    rows = flat_rows()
    for token, layer, head, key in [(0, 1, 0, 2), (0, 0, 2, 2), (2, 0, 1, 2), (1, 0, 1, 7), (1, 0, 1, 5)]:
        rows[token, layer, head, key] = 0.5
    found = flat(rows).sharpest
    assert found is not None and (found.spot, found.col) == (Spot(1, 0, 1), 3)


def test_the_template_does_not_take_part_unless_it_is_alone() -> None:
    rows = flat_rows()
    rows[0, 0, 0, 3] = 0.9
    rows[2, 1, 1, 4] = 0.2
    texts = ("What", " red", " here", "there")
    tokens = [make_token(text, 9 + i, 9 + i, "prompt" if i == 0 else "answer") for i, text in enumerate(texts)]
    assert searched(tokens) == [1, 2, 3]
    trace = condense(rows, tokens=tuple(tokens), images=(SPANS[0],), question_span=(9, 13))
    assert trace.sharpest is not None and trace.sharpest.spot == Spot(2, 1, 1)
    alone = flat(rows, texts, "prompt").sharpest
    assert alone is not None and alone.spot == Spot(0, 0, 0)


@pytest.mark.parametrize(
    ("texts", "expected"), [(("a", ".", "7", "<|x|>", " "), [0, 2]), ((".", "<|x|>"), [0, 1]), ((), [])]
)
def test_words_hold_a_letter_or_a_digit(texts: tuple[str, ...], expected: list[int]) -> None:
    assert wordlike(make_tokens(texts)) == expected
