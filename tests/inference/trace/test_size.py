"""Sizes worked out by hand, and against what is really written; each remedy told fits, and one more would not."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import SettingsError
from inference.trace.files import save_session
from inference.trace.parse import parse_variant
from inference.trace.request import Keep, Request, Variant
from inference.trace.size import Extent, check_keep, check_size, describe_size, format_bytes, kept_bytes
from tests.fakes import extent_of, make_picture, make_session

EXTENT = Extent(tokens=7, length=29, picture_tokens=13, pictures=2, layers=5, heads=3, variants=1)
LARGE = Extent(84, 2530, 2500, 1, 28, 16, 3, template_tokens=0, answer_tokens=64)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        # tokens x ((rows of heads + of layers + of heads + of all) x columns x bytes + layers x heads x parts x 4)
        (Keep(), 7 * ((15 + 5 + 3 + 1) * 29 * 2 + 15 * 5 * 4)),
        (Keep(numbers="float32"), 7 * (24 * 29 * 4 + 300)),
        (Keep(keys="pictures"), 7 * (24 * 13 * 2 + 300)),
        (Keep(layers=(1, 4)), 7 * ((2 * 3 + 9) * 29 * 2 + 300)),
        (Keep(layers=(1, 4), heads=(0,), keys="pictures"), 7 * ((2 + 9) * 13 * 2 + 300)),
        (Keep(heads=()), 7 * (9 * 29 * 2 + 300)),
    ],
)
def test_sizes_are_those_worked_out_by_hand(keep: Keep, expected: int) -> None:
    assert kept_bytes(EXTENT, keep) == expected
    assert kept_bytes(replace(EXTENT, variants=11), keep) == 11 * expected
    assert kept_bytes(replace(EXTENT, tokens=0), keep) == 0


@pytest.mark.parametrize(
    "keep",
    [
        Keep(),
        Keep(numbers="float32"),
        Keep(layers=(4, 0), heads=(1,)),
        Keep(keys="pictures", heads=()),
        Keep(question=False, answer=True),
    ],
)
@pytest.mark.parametrize("images", [1, 2])
def test_what_is_written_is_as_large_as_was_told(keep: Keep, images: int, tmp_path: Path) -> None:
    variants = (Variant(), parse_variant("a"))
    request = Request("What is red?", tuple(make_picture() for _ in range(images)), variants, keep=keep)
    session = make_session(request)
    save_session(session, tmp_path / "made")
    written = sum(np.load(path).nbytes for path in (tmp_path / "made").glob("*.npy"))
    assert len(list((tmp_path / "made").glob("*.npy"))) == 10
    assert written == kept_bytes(extent_of(session), keep)


def test_a_size_is_told_in_one_sentence() -> None:
    one = replace(LARGE, variants=1)
    assert describe_size(one, Keep()) == "Up to 84 tokens x 28 layers x 16 heads over 2,530 keys in float16: 211 MB."
    keep = Keep(layers=(3,), heads=(0, 1), keys="pictures", numbers="float32")
    told = "Up to 3 variants x 84 tokens x 1 layer x 2 heads over 2,500 picture keys in float32: 121 MB."
    assert describe_size(LARGE, keep) == told


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1001, "1.01 kB"),
        (12_340, "12.4 kB"),
        (999_001, "1 MB"),
        (210_000_000, "210 MB"),
        (2_000_000_001, "2.01 GB"),
        (1_234_567_890_123, "1,240 GB"),
    ],
)
def test_bytes_are_told_in_three_figures_and_never_less_than_they_are(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_what_fits_is_allowed_to_the_byte() -> None:
    size = kept_bytes(LARGE, Keep())
    check_size(LARGE, Keep(), size / 1e9)
    with pytest.raises(SettingsError):
        check_size(LARGE, Keep(), (size - 1) / 1e9)


def refused(extent: Extent, keep: Keep, gigabytes: float) -> str:
    with pytest.raises(SettingsError) as raised:
        check_size(extent, keep, gigabytes)
    return str(raised.value)


def test_each_change_that_alone_is_enough_is_told_with_its_size() -> None:
    extent = replace(LARGE, tokens=2530, template_tokens=2446, answer_tokens=64)
    told = refused(extent, Keep(prompt=True, numbers="float32"), 10)
    assert told.startswith("Expected at most 10 GB of attention rows, got up to 38 GB (3 variants x 2,530 tokens x 28")
    said = replace(extent, tokens=84)
    sizes = [format_bytes(kept_bytes(said, Keep(numbers="float32")))]
    sizes.append(format_bytes(kept_bytes(extent, Keep(layers=tuple(range(5)), numbers="float32"))))
    sizes.append(format_bytes(kept_bytes(extent, Keep(heads=tuple(range(3)), numbers="float32"))))
    assert told.endswith(
        f": keep less than the whole prompt ({sizes[0]}) or at most 5 of 28 layers ({sizes[1]})"
        f" or at most 3 of 16 heads ({sizes[2]})."
    )


def test_single_numbers_keys_variants_and_answers_are_remedies_too() -> None:
    told = refused(LARGE, Keep(numbers="float32"), 1.25)
    assert "float16 numbers (631 MB)" in told and "the keys of the pictures alone (1.25 GB)" in told
    assert "at most 2 of 3 variants (840 MB)" in told and "at most 63 of 64 answer tokens (1.25 GB)" in told
    assert "whole prompt" not in told
    without = refused(replace(LARGE, pictures=0, picture_tokens=0, answer_tokens=0), Keep(), 0.5)
    assert "pictures" not in without and "answer tokens" not in without and "float16 numbers" not in without


MOST = re.compile(r"at most (\d+) of \d+ (layers|heads|variants|answer tokens)")


@pytest.mark.parametrize("gigabytes", [0.42, 0.3, 0.21, 0.1])
@pytest.mark.parametrize("keep", [Keep(), Keep(answer=False, prompt=True), Keep(layers=tuple(range(20)))])
def test_the_most_that_fits_is_told_and_one_more_would_not_fit(gigabytes: float, keep: Keep) -> None:
    def size(what: str, most: int) -> int:
        if what in ("layers", "heads"):
            return kept_bytes(LARGE, replace(keep, **{what: tuple(range(most))}))  # type: ignore[arg-type]
        if what == "variants":
            return kept_bytes(replace(LARGE, variants=most), keep)
        tokens = LARGE.tokens - (64 - most if keep.answer else 0)
        return kept_bytes(replace(LARGE, tokens=tokens, length=LARGE.length - 64 + most), keep)

    told = dict((what, int(most)) for most, what in MOST.findall(refused(LARGE, keep, gigabytes)))
    for what in ("layers", "heads", "variants", "answer tokens"):
        most = told.get(what, 0)
        assert most == 0 or size(what, most) <= gigabytes * 1e9
        assert size(what, most + 1) > gigabytes * 1e9


def test_where_no_single_change_is_enough_this_is_said() -> None:
    told = refused(LARGE, Keep(), 0.001)
    assert told.endswith(": keep less of several: keys, tokens, layers, heads or variants.")


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (Keep(layers=(0, 5)), "layers to keep from 0 to 4, got 5: choose some of the model's 5 layers"),
        (Keep(heads=(3, 99)), "heads to keep from 0 to 2, got 3: choose some of the model's 3 heads"),
        (Keep(layers=(-1,)), "layers to keep from 0 to 4, got -1"),
    ],
)
def test_layers_and_heads_that_the_model_lacks_are_refused(keep: Keep, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_keep(keep, layers=5, heads=3)


def test_layers_and_heads_that_the_model_has_are_allowed() -> None:
    for keep in (Keep(), Keep(layers=(4, 0), heads=(2,)), Keep(layers=(), heads=())):
        check_keep(keep, layers=5, heads=3)
