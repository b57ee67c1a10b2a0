"""Maps against the formulas of their docstrings, written as plain loops over full rows; axes are distinct primes."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from inference.errors import GeometryError, SettingsError
from inference.trace import maps
from inference.trace.condense import condense
from inference.trace.request import Keep
from inference.trace.session import ImageSpan, Trace
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_token, make_trace

CHOICES = [(None, None), (2, None), (None, 1), (4, 2)]
ANSWER = (" a", " long", " cir", "cle", "!")


def slow_map(
    full: Trace, tokens: list[int], layers: list[int], heads: list[int], image: int, *, within: bool = False
) -> Float[np.ndarray, "rows cols"]:
    """The mean of the rows chosen at each cell of one picture, cell by cell; of a trace that keeps all rows."""
    span = full.images[image]
    result = np.zeros((span.rows, span.cols))
    for row in range(span.rows):
        for col in range(span.cols):
            key = span.start + row * span.cols + col
            values = [float(full.rows[t, la, h, key]) for t in tokens for la in layers for h in heads]
            result[row, col] = sum(values) / len(values)
    return result / result.sum() if within else result


def pick(index: int | None, count: int) -> list[int]:
    return list(range(count)) if index is None else [index]


@pytest.fixture(scope="module")
def full() -> Trace:
    """All rows over all keys, in float32."""
    return make_trace(ANSWER, images=2)


KEEPS = {
    "all": Keep(numbers="float32"),
    "pictures": Keep(keys="pictures", numbers="float32"),
    "some": Keep(layers=(4, 1), heads=(2,), keys="pictures", numbers="float32"),
}


@pytest.fixture(scope="module", params=KEEPS)
def trace(request: pytest.FixtureRequest) -> Trace:
    """The same rows, kept in several ways."""
    return make_trace(ANSWER, images=2, keep=KEEPS[request.param])


@pytest.mark.parametrize(("layer", "head"), CHOICES)
@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize("within", [False, True])
def test_a_map_is_the_mean_of_the_rows_chosen(
    full: Trace, trace: Trace, layer: int | None, head: int | None, image: int, within: bool
) -> None:
    layers, heads = pick(layer, LAYERS), pick(head, HEADS)
    for tokens, indices in ((slice(1, 4), [1, 2, 3]), ([0, 5, 3], [0, 5, 3]), ([6], [6]), (slice(-1, None), [8])):
        found = maps.image_map(trace, tokens=tokens, layer=layer, head=head, image=image, within=within)
        expected = slow_map(full, indices, layers, heads, image, within=within)
        assert found.shape == (ROWS, COLS) and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize(("layer", "head"), CHOICES)
@pytest.mark.parametrize("within", [False, True])
def test_a_series_of_tokens_holds_one_map_for_each(
    full: Trace, trace: Trace, layer: int | None, head: int | None, within: bool
) -> None:
    found = maps.token_maps(trace, tokens=[5, 2], layer=layer, head=head, image=1, within=within)
    assert found.shape == (2, ROWS, COLS) and found.dtype == np.float32
    for place, token in enumerate([5, 2]):
        expected = slow_map(full, [token], pick(layer, LAYERS), pick(head, HEADS), 1, within=within)
        np.testing.assert_allclose(found[place], expected, rtol=2e-5)


@pytest.mark.parametrize("head", [None, 2])
@pytest.mark.parametrize("within", [False, True])
def test_a_series_of_layers_holds_one_map_for_each_that_was_kept(
    full: Trace, trace: Trace, head: int | None, within: bool
) -> None:
    found = maps.layer_maps(trace, tokens=[2, 5], head=head, image=1, within=within)
    assert found.shape == (LAYERS, ROWS, COLS) and found.dtype == np.float32
    for layer in range(LAYERS):
        if head is None or layer in trace.layers:
            expected = slow_map(full, [2, 5], [layer], pick(head, HEADS), 1, within=within)
            np.testing.assert_allclose(found[layer], expected, rtol=2e-5)
        else:
            assert np.isnan(found[layer]).all()


@pytest.mark.parametrize("layer", [None, 1])
@pytest.mark.parametrize("within", [False, True])
def test_a_series_of_heads_holds_one_map_for_each_that_was_kept(
    full: Trace, trace: Trace, layer: int | None, within: bool
) -> None:
    found = maps.head_maps(trace, tokens=[2, 5], layer=layer, image=1, within=within)
    assert found.shape == (HEADS, ROWS, COLS) and found.dtype == np.float32
    for head in range(HEADS):
        if layer is None or head in trace.heads:
            expected = slow_map(full, [2, 5], pick(layer, LAYERS), [head], 1, within=within)
            np.testing.assert_allclose(found[head], expected, rtol=2e-5)
        else:
            assert np.isnan(found[head]).all()


SOME = make_trace(ANSWER, images=2, keep=KEEPS["some"])
NO_HEAD = make_trace(ANSWER, keep=Keep(heads=()))
NO_LAYER = make_trace(ANSWER, keep=Keep(layers=()))


def test_a_series_of_what_was_not_kept_is_empty_and_still_refuses_what_is_not_there() -> None:
    assert np.isnan(maps.layer_maps(SOME, tokens=[0], head=1)).all()
    assert np.isnan(maps.head_maps(SOME, tokens=[0], layer=0, within=True)).all()
    for trace in (NO_HEAD, NO_LAYER):
        assert np.isnan(maps.layer_maps(trace, tokens=[0], head=2)).all()
        assert np.isnan(maps.head_maps(trace, tokens=[0], layer=4)).all()
        assert np.isfinite(maps.layer_maps(trace, tokens=[0])).all()
    with pytest.raises(SettingsError, match="a head from 0 to 2, got 3"):
        maps.layer_maps(SOME, tokens=[0], head=3)
    with pytest.raises(SettingsError, match="a layer from 0 to 4, got -1"):
        maps.head_maps(SOME, tokens=[0], layer=-1)


@pytest.mark.parametrize(
    ("trace", "layer", "head", "message"),
    [
        (SOME, 4, 1, r"rows were kept \(layers 1, 4, head 2\), got layer 4, head 1: choose one of these or a mean"),
        (SOME, 0, 2, r"got layer 0, head 2"),
        (NO_HEAD, 0, 2, r"\(layers 0 to 4, no heads\)"),
        (NO_LAYER, 0, 2, r"\(no layers, heads 0 to 2\)"),
    ],
)
def test_a_map_of_what_was_not_kept_is_refused_and_says_what_was(
    trace: Trace, layer: int, head: int, message: str
) -> None:
    assert not maps.is_kept(trace, layer, head)
    with pytest.raises(SettingsError, match=message):
        maps.image_map(trace, tokens=[0], layer=layer, head=head)
    with pytest.raises(SettingsError, match=message):
        maps.token_maps(trace, layer=layer, head=head)


def test_means_are_always_kept_and_single_heads_where_both_were_chosen() -> None:
    kept = [(la, h) for la in (None, *range(LAYERS)) for h in (None, *range(HEADS)) if maps.is_kept(SOME, la, h)]
    means = [(None, None), *((None, head) for head in range(HEADS)), *((layer, None) for layer in range(LAYERS))]
    assert set(kept) == {*means, (1, 2), (4, 2)}
    assert not maps.is_kept(NO_LAYER, 0, 0) and maps.is_kept(NO_LAYER, None, 0)


def test_the_mean_of_a_series_is_the_map_over_all(trace: Trace) -> None:
    whole = maps.image_map(trace, tokens=slice(None))
    for series in (
        maps.layer_maps(trace, tokens=slice(None)),
        maps.head_maps(trace, tokens=slice(None)),
        maps.token_maps(trace),
    ):
        np.testing.assert_allclose(series.mean(0), whole, rtol=2e-5)


def test_shares_count_every_key_once(full: Trace, trace: Trace) -> None:
    found = maps.shares(trace)
    assert found.shape == (len(trace.tokens), LAYERS, HEADS, len(maps.SHARES))
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    row = full.rows[3, 4, 2]
    pictures = [float(row[span.start : span.stop].sum()) for span in trace.images]
    question = float(row[slice(*trace.question_span)].sum())
    rest = 1 - sum(pictures) - question - float(row[0])
    np.testing.assert_allclose(found[3, 4, 2], [sum(pictures), question, row[0], rest], rtol=1e-4)
    assert maps.picture_shares(trace).shape == (len(trace.tokens), LAYERS, HEADS, 2)
    np.testing.assert_allclose(maps.picture_shares(trace)[3, 4, 2], pictures, rtol=1e-5)


def test_the_first_token_counts_as_first_also_where_the_question_begins_there() -> None:
    rows = np.array([0.5, 0.25, 0.125, 0.125], np.float32).reshape(1, 1, 1, 4)
    tokens, span = (make_token("red", 3, 3, "question"),), ImageSpan(2, 1, 1, (32, 32), (9, 9))
    trace = condense(rows, tokens=tokens, images=(span,), question_span=(0, 2))
    assert maps.shares(trace)[0, 0, 0].tolist() == [0.125, 0.25, 0.5, 0.125]


def test_without_a_picture_its_share_is_zero_and_its_map_refused() -> None:
    trace = make_trace(images=0)
    assert not maps.shares(trace)[..., 0].any()
    assert maps.picture_shares(trace).shape[-1] == 0
    assert not maps.layer_head_share(trace, slice(None)).any()
    for draw in (maps.image_map, maps.layer_maps, maps.head_maps, maps.token_maps):
        with pytest.raises(GeometryError, match="add a picture"):
            draw(trace, tokens=[0])
    with pytest.raises(GeometryError, match="add a picture"):
        maps.layer_head_share(trace, [0], 0)


@pytest.mark.parametrize("image", [None, 0, 1])
def test_the_chart_holds_each_heads_share_on_the_picture(full: Trace, trace: Trace, image: int | None) -> None:
    chart = maps.layer_head_share(trace, [1, 4], image)
    images = [0, 1] if image is None else [image]
    assert chart.shape == (LAYERS, HEADS)
    for layer in range(LAYERS):
        for head in range(HEADS):
            expected = sum(float(slow_map(full, [1, 4], [layer], [head], i).sum()) for i in images)
            assert chart[layer, head] == pytest.approx(expected, rel=1e-5)


def test_within_is_zero_where_nothing_goes_to_the_picture(full: Trace) -> None:
    span = full.images[0]
    rows, means = full.rows.copy(), full.means.copy()
    for array in (rows, means):
        array[1, ..., span.start : span.stop] = 0
    blind = replace(full, rows=rows, means=means)
    assert not maps.image_map(blind, tokens=[1], within=True).any()
    assert not maps.image_map(blind, tokens=[1], layer=2, head=1, within=True).any()
    series = maps.token_maps(blind, tokens=[1, 2], within=True)
    np.testing.assert_allclose(series.sum((1, 2)), [0, 1], rtol=1e-5)


def test_rows_of_half_precision_are_pooled_in_single(full: Trace) -> None:
    half = make_trace(ANSWER, images=2, keep=Keep())
    assert half.rows.dtype == np.float16
    for layer, head in CHOICES:
        found = maps.image_map(half, tokens=slice(None), layer=layer, head=head)
        assert found.dtype == np.float32
        exact = maps.image_map(full, tokens=slice(None), layer=layer, head=head)
        np.testing.assert_allclose(found, exact, rtol=2**-11, atol=3e-8)
        assert maps.token_maps(half, layer=layer, head=head).dtype == np.float32


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"tokens": [-99999]}, "a token from 0 to 8, got -99999"),
        ({"tokens": [9]}, "a token from 0 to 8, got 9"),
        ({"tokens": []}, "at least one of 9 tokens, got none"),
        ({"tokens": slice(9, 12)}, "at least one of 9 tokens, got none"),
        ({"tokens": [0], "layer": 5}, "a layer from 0 to 4, got 5"),
        ({"tokens": [0], "layer": -1}, "a layer from 0 to 4, got -1"),
        ({"tokens": [0], "layer": -1, "head": 0}, "a layer from 0 to 4, got -1"),
        ({"tokens": [0], "head": 3}, "a head from 0 to 2, got 3"),
        ({"tokens": [0], "head": -1}, "a head from 0 to 2, got -1"),
        ({"tokens": [0], "image": 2}, "a picture from 0 to 1, got 2"),
        ({"tokens": [0], "image": -1}, "a picture from 0 to 1, got -1"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused(full: Trace, choice: dict[str, object], message: str) -> None:
    for draw in (maps.image_map, maps.token_maps):
        with pytest.raises((SettingsError, GeometryError), match=message):
            draw(full, **choice)  # type: ignore[arg-type]
