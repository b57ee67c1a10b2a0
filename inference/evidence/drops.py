"""What a change cost a variant's words, and in which words that is told."""

from inference.evidence.trials import Outcome, Watchers
from inference.trace.session import Run

LEAST_DROP = 0.5
"""Nats; less than this is no dependence."""
WHO_WORDS: dict[Watchers, str] = {
    "all": "No token outside it",
    "text": "No token behind the picture",
    "answer": "No token that predicts the answer",
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
