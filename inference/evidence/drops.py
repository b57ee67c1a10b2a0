"""What a change cost a variant's words, and in which words that is told."""

from typing import Literal

from inference.evidence.trials import Fill, Outcome, Watchers
from inference.trace.session import Run

LEAST_DROP = 0.5
"""Nats; less than this is no dependence."""
WHO_WORDS: dict[Watchers, str] = {
    "all": "No token outside it",
    "text": "No token behind the picture",
    "answer": "No token that predicts the answer",
}
Way = Literal["block", "surroundings", "mean", "blur"]
"""How a part is taken away: its attention blocked, or painted over with one of `trials.Fill`."""
WAY_WORDS: dict[Fill, str] = {
    "surroundings": "painted over with the colour round it",
    "mean": "painted over with the picture's mean colour",
    "blur": "blurred",
}


def falls(before: Outcome, after: Outcome) -> tuple[float, ...]:
    """By how much each word's log-probability falls, in nats."""
    return tuple(one - other for one, other in zip(before.logprobs, after.logprobs, strict=True))


def said_texts(run: Run) -> tuple[str, ...]:
    """The words of `words.said_ids` as texts."""
    return tuple(token.text for token in run.trace.tokens if token.part in ("answer", "thinking"))


def told(nats: float) -> str:
    """With two decimals; what rounds to nothing has no sign."""
    return f"{round(nats, 2) + 0.0:.2f}"


def told_probability(value: float) -> str:
    """With two decimals; 0 and 1 are not told of what is only near them."""
    if value >= 0.995:
        return "above 0.99"
    return f"{value:.2f}" if value >= 0.005 else "below 0.01"
