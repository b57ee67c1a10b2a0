"""Scores by hand, and which part of an answer a token belongs to."""

import math

import pytest
import torch

from inference.model.scores import divergence, score_token, split_thinking, strip_tags, sum_logprob


def test_scores_by_hand() -> None:
    shares = torch.tensor([0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.015625])
    scores = score_token(shares.log(), 1, lambda token: f"t{token}")
    assert scores.logprob == pytest.approx(math.log(0.25))
    bits = sum(float(p) * -math.log2(float(p)) for p in shares)
    assert scores.entropy == pytest.approx(bits * math.log(2), abs=1e-6)
    assert [runner.id for runner in scores.runners_up][:4] == [0, 2, 3, 4]
    assert [runner.text for runner in scores.runners_up][:2] == ["t0", "t2"]
    assert len(scores.runners_up) == 5
    assert scores.runners_up[0].logprob == pytest.approx(math.log(0.5))


def test_an_impossible_token_has_no_share_and_the_entropy_stays_finite() -> None:
    scores = score_token(torch.tensor([0.0, -math.inf, 0.0]), 0, str)
    assert scores.entropy == pytest.approx(math.log(2))
    assert scores.runners_up[-1].logprob == -math.inf


def test_a_sum_of_logprobs_by_hand() -> None:
    rows = torch.tensor([[0.5, 0.5, 1e-30], [0.25, 0.25, 0.5]]).log()
    assert sum_logprob(rows, [0, 2]) == pytest.approx(math.log(0.25), abs=1e-6)


@pytest.mark.parametrize(
    ("texts", "opened", "expected"),
    [
        ((), False, ""),
        (("a", "b"), False, "aa"),
        (("<think>", "x", "</think>", "\n\n", "a"), False, "tttaa"),
        (("<", "think", ">", "x", "</", "think>", "a"), False, "tttttta"),
        (("x", "y", "</think>", "a"), True, "ttta"),
        (("x", "y"), True, "tt"),
        (("<think>", "x"), False, "tt"),
        (("a", "<think>", "x", "</think>", "b"), False, "attta"),
        (("x", "</think>", "a"), False, "aaa"),
    ],
)
def test_thinking_is_told_from_the_answer(texts: tuple[str, ...], opened: bool, expected: str) -> None:
    assert "".join(part[0] for part in split_thinking(texts, opened=opened)) == expected


def test_tags_are_no_part_of_the_reasoning() -> None:
    assert strip_tags("<think>\nred is a colour\n</think>") == "red is a colour"


def test_divergence_by_hand() -> None:
    """Shares 3/4, 1/4 against 1/2, 1/2: 3/4 ln 3/2 + 1/4 ln 1/2 = 0.1308; of the other way round 0.1438."""
    ours, theirs = torch.tensor([0.75, 0.25]).log() + 7, torch.tensor([0.5, 0.5]).log() - 3
    assert divergence(ours, theirs) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-7)
    assert divergence(theirs, ours) == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2), abs=1e-7)
    scores = score_token(ours, 0, str, theirs)
    assert scores.divergence == divergence(ours, theirs)
    assert score_token(ours, 0, str).divergence is None


def test_divergence_of_equal_logits_is_0_and_never_below() -> None:
    generator = torch.Generator().manual_seed(1)
    for size in (1, 7, 50_000):
        logits = torch.randn(size, generator=generator) * 9
        assert divergence(logits, logits.clone()) == 0.0
        assert 0 <= divergence(logits, logits + torch.randn(size, generator=generator) * 1e-4) < 1e-7


def test_divergence_where_something_is_never_said() -> None:
    """A token that the variant never says adds nothing; one that the base never says is told by an infinite number."""
    some, all_ = torch.tensor([0.0, 0.0, -math.inf]), torch.zeros(3)
    assert divergence(some, all_) == pytest.approx(math.log(1.5), abs=1e-7)
    assert divergence(all_, some) == math.inf
    assert divergence(some, some) == 0.0
