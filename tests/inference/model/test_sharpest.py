"""The search for the sharpest spot, shown layer after layer, against the search through all rows at once."""

import numpy as np
import pytest
import torch

from inference.model import sharpest
from inference.model.sharpest import Search
from inference.trace.condense import FullRows, condense
from inference.trace.request import Keep
from inference.trace.session import ImageSpan, Sharpest, Token
from tests.fakes import make_token

SPANS = (ImageSpan(2, 2, 3, (96, 64), (90, 60)), ImageSpan(9, 1, 5, (160, 32), (500, 100)))
CELLS = [*range(2, 8), *range(9, 14)]
LAYERS, HEADS, KEYS = 5, 3, 23


def make_tokens(*texts: str) -> tuple[Token, ...]:
    return tuple(make_token(text, 15 + i, 14 + i, "answer") for i, text in enumerate(texts))


def make_rows(count: int, seed: int) -> FullRows:
    rows = np.random.default_rng(seed).gamma(0.3, size=(count, LAYERS, HEADS, KEYS)).astype(np.float32) + 1e-6
    return np.asarray(rows / rows.sum(-1, keepdims=True))


def search(rows: FullRows, tokens: tuple[Token, ...], *, heads_at_once: int = HEADS) -> Sharpest | None:
    found = Search(tokens, range(len(tokens)), SPANS)
    looked = torch.from_numpy(rows[..., CELLS])
    for layer in range(LAYERS):
        for first in range(0, HEADS, heads_at_once):
            heads = range(first, min(first + heads_at_once, HEADS))
            found.show(layer, tuple(heads), looked[:, layer, first : heads.stop].transpose(0, 1))
    return found.found()


def expected(rows: FullRows, tokens: tuple[Token, ...]) -> Sharpest | None:
    return condense(rows, tokens=tokens, images=SPANS, question_span=(0, 0), keep=Keep()).sharpest


def check(found: Sharpest | None, wanted: Sharpest | None) -> None:
    assert found is not None and wanted is not None
    assert (found.spot, found.image, found.row, found.col) == (wanted.spot, wanted.image, wanted.row, wanted.col)
    assert found.share == wanted.share
    assert found.usual == pytest.approx(wanted.usual, abs=1e-7)
    assert found.picture_share == pytest.approx(wanted.picture_share, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 6, 7])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("cells_at_once", "heads_at_once"), [(2048, HEADS), (2, HEADS), (1, 1)])
def test_the_spot_is_the_one_of_the_whole_search(
    monkeypatch: pytest.MonkeyPatch, count: int, seed: int, cells_at_once: int, heads_at_once: int
) -> None:
    monkeypatch.setattr(sharpest, "_CELLS_AT_ONCE", cells_at_once)
    tokens, rows = make_tokens(*"abcdefg"[:count]), make_rows(count, seed)
    check(search(rows, tokens, heads_at_once=heads_at_once), expected(rows, tokens))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("cells_at_once", [2048, 2])
def test_of_equal_contrasts_the_first_wins(monkeypatch: pytest.MonkeyPatch, seed: int, cells_at_once: int) -> None:
    """Shares of 0, a quarter or a half: most contrasts have many equals."""
    monkeypatch.setattr(sharpest, "_CELLS_AT_ONCE", cells_at_once)
    rows = np.random.default_rng(seed).integers(0, 3, (5, LAYERS, HEADS, KEYS)).astype(np.float32) / 4
    tokens = make_tokens(*"abcde")
    check(search(rows, tokens), expected(rows, tokens))


def test_a_row_of_zeros_has_a_spot_too() -> None:
    rows, tokens = np.zeros((3, LAYERS, HEADS, KEYS), np.float32), make_tokens(*"abc")
    check(search(rows, tokens), expected(rows, tokens))


@pytest.mark.parametrize("texts", [("a", "?", " ", "b"), ("?", ".", ","), ("<|im_end|>", "a", "?")])
def test_words_go_before_punctuation(texts: tuple[str, ...]) -> None:
    tokens = make_tokens(*texts)
    for seed in range(6):
        rows = make_rows(len(texts), seed)
        check(search(rows, tokens), expected(rows, tokens))


def test_few_cells_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one contrast stands out, the bound leaves out all cells that cannot reach it."""
    monkeypatch.setattr(sharpest, "_CELLS_AT_ONCE", 4)
    rows, tokens = make_rows(7, 0) * 0.1, make_tokens(*"abcdefg")
    rows[3, 0, 1, CELLS[4]] = 0.9
    tried: list[int] = []
    middle = sharpest._median

    def counted(values: torch.Tensor) -> torch.Tensor:
        tried.append(len(values))
        return middle(values)

    monkeypatch.setattr(sharpest, "_median", counted)
    check(search(rows, tokens), expected(rows, tokens))
    assert tried == [4]


def test_nothing_shown_is_nothing_found() -> None:
    assert Search((), (), SPANS).found() is None
