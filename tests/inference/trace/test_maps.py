"""Maps against the formulas of their docstrings, written as plain loops; axes are distinct primes."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from inference.errors import GeometryError, SettingsError
from inference.trace import maps
from inference.trace.maps import Spot
from inference.trace.session import ImageSpan, Trace
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_token, make_trace

CHOICES = [(None, None), (2, None), (None, 1), (4, 2)]


def slow_map(
    trace: Trace, tokens: list[int], layers: list[int], heads: list[int], image: int, *, within: bool = False
) -> Float[np.ndarray, "rows cols"]:
    """The mean of the rows chosen at each cell of one picture, cell by cell."""
    span = trace.images[image]
    result = np.zeros((span.rows, span.cols))
    for row in range(span.rows):
        for col in range(span.cols):
            key = span.start + row * span.cols + col
            values = [float(trace.rows[t, la, h, key]) for t in tokens for la in layers for h in heads]
            result[row, col] = sum(values) / len(values)
    return result / result.sum() if within else result


def pick(index: int | None, count: int) -> list[int]:
    return list(range(count)) if index is None else [index]


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace((" a", " long", " cir", "cle", "!"), images=2)


@pytest.mark.parametrize(("layer", "head"), CHOICES)
@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize("within", [False, True])
def test_a_map_is_the_mean_of_the_rows_chosen(
    trace: Trace, layer: int | None, head: int | None, image: int, within: bool
) -> None:
    layers, heads = pick(layer, LAYERS), pick(head, HEADS)
    for tokens, indices in ((slice(1, 4), [1, 2, 3]), ([0, 5, 3], [0, 5, 3]), ([6], [6])):
        found = maps.image_map(trace, tokens=tokens, layer=layer, head=head, image=image, within=within)
        expected = slow_map(trace, indices, layers, heads, image, within=within)
        assert found.shape == (ROWS, COLS)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("within", [False, True])
def test_series_hold_one_map_for_each_layer_head_and_token(trace: Trace, within: bool) -> None:
    tokens = [2, 5]
    by_layer = maps.layer_maps(trace, tokens=tokens, head=1, image=1, within=within)
    by_head = maps.head_maps(trace, tokens=tokens, layer=3, image=1, within=within)
    by_token = maps.token_maps(trace, tokens=tokens, layer=3, image=1, within=within)
    every_head = list(range(HEADS))
    for layer in range(LAYERS):
        np.testing.assert_allclose(by_layer[layer], slow_map(trace, tokens, [layer], [1], 1, within=within), rtol=2e-5)
    for head in every_head:
        np.testing.assert_allclose(by_head[head], slow_map(trace, tokens, [3], [head], 1, within=within), rtol=2e-5)
    for place, token in enumerate(tokens):
        expected = slow_map(trace, [token], [3], every_head, 1, within=within)
        np.testing.assert_allclose(by_token[place], expected, rtol=2e-5)
    assert by_layer.shape == (LAYERS, ROWS, COLS)
    assert by_head.shape == (HEADS, ROWS, COLS)
    assert by_token.shape == (len(tokens), ROWS, COLS)


def test_the_mean_of_a_series_is_the_map_over_all(trace: Trace) -> None:
    whole = maps.image_map(trace, tokens=slice(None))
    for series in (
        maps.layer_maps(trace, tokens=slice(None)),
        maps.head_maps(trace, tokens=slice(None)),
        maps.token_maps(trace),
    ):
        np.testing.assert_allclose(series.mean(0), whole, rtol=2e-5)


def test_shares_count_every_key_once(trace: Trace) -> None:
    found = maps.shares(trace)
    assert found.shape == (len(trace.tokens), LAYERS, HEADS, len(maps.SHARES))
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    row = trace.rows[3, 4, 2]
    picture = sum(float(row[span.start : span.stop].sum()) for span in trace.images)
    question = float(row[slice(*trace.question_span)].sum())
    first = float(row[0])
    np.testing.assert_allclose(found[3, 4, 2], [picture, question, first, 1 - picture - question - first], rtol=1e-4)


def test_the_first_token_counts_as_first_also_where_the_question_begins_there() -> None:
    rows = np.array([0.5, 0.25, 0.125, 0.125], np.float32).reshape(1, 1, 1, 4)
    trace = Trace((make_token("red", 3, 3, "question"),), rows, (ImageSpan(2, 1, 1, (32, 32), (9, 9)),), (0, 2))
    assert maps.shares(trace)[0, 0, 0].tolist() == [0.125, 0.25, 0.5, 0.125]


def test_without_a_picture_its_share_is_zero_and_its_map_refused() -> None:
    trace = make_trace(images=0)
    assert not maps.shares(trace)[..., 0].any()
    assert not maps.layer_head_share(trace, slice(None)).any()
    assert maps.sharpest(trace) is None
    with pytest.raises(GeometryError, match="add a picture"):
        maps.image_map(trace, tokens=[0])


def test_a_mean_row_sums_to_one(trace: Trace) -> None:
    row = maps.row_of(trace, slice(2, 5), 1, None)
    assert row.shape == trace.rows.shape[-1:]
    np.testing.assert_allclose(row, trace.rows[2:5, 1].mean((0, 1)), rtol=1e-5, atol=1e-9)
    assert row.sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("image", [None, 0, 1])
def test_the_chart_holds_the_sum_of_each_heads_map(trace: Trace, image: int | None) -> None:
    chart = maps.layer_head_share(trace, [1, 4], image)
    images = [0, 1] if image is None else [image]
    for layer in range(LAYERS):
        for head in range(HEADS):
            expected = sum(float(slow_map(trace, [1, 4], [layer], [head], i).sum()) for i in images)
            assert chart[layer, head] == pytest.approx(expected, rel=1e-5)


def test_within_is_zero_where_nothing_goes_to_the_picture(trace: Trace) -> None:
    rows = trace.rows.copy()
    rows[1, :, :, trace.images[0].start : trace.images[0].stop] = 0
    blind = replace(trace, rows=rows)
    assert not maps.image_map(blind, tokens=[1], within=True).any()
    series = maps.token_maps(blind, tokens=[1, 2], within=True)
    np.testing.assert_allclose(series.sum((1, 2)), [0, 1], rtol=1e-5)


def test_rows_of_half_precision_are_pooled_in_single(trace: Trace) -> None:
    half = replace(trace, rows=trace.rows.astype(np.float16))
    found = maps.image_map(half, tokens=slice(None))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, maps.image_map(trace, tokens=slice(None)), atol=1e-4)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"tokens": [-99999]}, "a token from 0 to 8, got -99999"),
        ({"tokens": [9]}, "a token from 0 to 8, got 9"),
        ({"tokens": []}, "at least one of 9 tokens, got none"),
        ({"tokens": slice(9, 12)}, "at least one of 9 tokens, got none"),
        ({"tokens": [0], "layer": 5}, "a layer from 0 to 4, got 5"),
        ({"tokens": [0], "layer": -1}, "a layer from 0 to 4, got -1"),
        ({"tokens": [0], "head": 3}, "a head from 0 to 2, got 3"),
        ({"tokens": [0], "image": 2}, "a picture from 0 to 1, got 2"),
        ({"tokens": [0], "image": -1}, "a picture from 0 to 1, got -1"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused(trace: Trace, choice: dict[str, object], message: str) -> None:
    with pytest.raises((SettingsError, GeometryError), match=message):
        maps.image_map(trace, **choice)  # type: ignore[arg-type]


def slow_sharpest(trace: Trace) -> tuple[float, int, int, int]:
    """Contrast, token, layer and head of the sharpest, over every cell of every picture; words alone may win."""
    cells = [key for span in trace.images for key in range(span.start, span.stop)]
    words = [i for i, token in enumerate(trace.tokens) if any(char.isalnum() for char in token.text)]
    contrast = trace.rows[..., cells] - np.median(trace.rows[..., cells], axis=0)
    found = contrast[words].max(-1)
    place, layer, head = np.unravel_index(found.argmax(), found.shape)
    return float(found.max()), words[int(place)], int(layer), int(head)


@pytest.mark.parametrize("seed", range(11))
def test_the_sharpest_is_what_trying_everything_finds(seed: int) -> None:
    trace = make_trace((" cir", "cle", "."), seed=seed, images=1 + seed % 2)
    contrast, token, layer, head = slow_sharpest(trace)
    found = maps.sharpest(trace)
    assert found is not None
    assert found.spot == Spot(token, layer, head)
    assert found.share - found.usual == pytest.approx(contrast, rel=1e-4)


def flat_trace(texts: tuple[str, ...] = ("What", " red", " here", "?"), *, cells: int = 6) -> Trace:
    """Every row the same over a picture of one row of cells at keys 2 to 7, then the question."""
    start = 2 + cells + 1
    tokens = tuple(make_token(text, start + i, start + i, "question") for i, text in enumerate(texts))
    rows = np.full((len(texts), 2, 3, start + len(texts)), 0.05, np.float32)
    rows /= rows.sum(-1, keepdims=True)
    span = ImageSpan(2, 1, cells, (cells * 32, 32), (cells * 32, 32))
    return Trace(tokens, rows, (span,), (start, start + len(texts)))


def test_a_sink_is_not_sharp_but_the_word_that_looks_is() -> None:
    trace = flat_trace()
    trace.rows[:, 0, 1, 4] = 0.9
    trace.rows[1, 1, 2, 6] = 0.4
    found = maps.sharpest(trace)
    assert found is not None
    assert (found.spot, found.image, found.row, found.col) == (Spot(1, 1, 2), 0, 0, 4)
    assert found.share == pytest.approx(0.4)
    assert found.usual == pytest.approx(1 / 13)
    assert found.picture_share == pytest.approx(0.4 + 5 / 13)


@pytest.mark.parametrize("text", ["?", " ", "\n", "<|im_end|>"])
def test_punctuation_and_control_tokens_do_not_win(text: str) -> None:
    trace = flat_trace(("What", " red", text))
    trace.rows[2, 0, 0, 3] = 0.8
    trace.rows[1, 1, 1, 5] = 0.3
    found = maps.sharpest(trace)
    assert found is not None and found.spot == Spot(1, 1, 1)


def test_punctuation_wins_where_there_is_nothing_else() -> None:
    trace = flat_trace(("?", "!", "."))
    trace.rows[2, 1, 0, 3] = 0.8
    found = maps.sharpest(trace)
    assert found is not None and found.spot == Spot(2, 1, 0)


def test_a_lone_token_shows_its_brightest_cell() -> None:
    trace = flat_trace(("red",))
    trace.rows[0, 1, 2, 5] = 0.5
    found = maps.sharpest(trace)
    assert found is not None
    assert (found.spot, found.col, found.usual) == (Spot(0, 1, 2), 3, 0)


def test_of_equals_the_first_is_chosen() -> None:
    found = maps.sharpest(flat_trace())
    assert found is not None and (found.spot, found.col) == (Spot(0, 0, 0), 0)


def test_without_tokens_nothing_is_sharpest() -> None:
    trace = flat_trace()
    assert maps.sharpest(Trace((), trace.rows[:0], trace.images, trace.question_span)) is None


class WatchedRows(np.ndarray):
    """Rows that remember the largest block taken of them."""

    largest = 0

    def __getitem__(self, key: object) -> np.ndarray:
        block = np.asarray(super().__getitem__(key))  # type: ignore[call-overload]
        WatchedRows.largest = max(WatchedRows.largest, block.size)
        return block


def test_a_map_reads_no_more_than_its_head_and_its_picture(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchedRows, "largest", 0)
    watched = replace(trace, rows=trace.rows.view(WatchedRows))
    maps.image_map(watched, tokens=[1], layer=2, head=1)
    maps.token_maps(watched, layer=2, head=1)
    assert WatchedRows.largest == len(trace.tokens) * ROWS * COLS
