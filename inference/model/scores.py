"""How sure the model was of its tokens, and which part of an answer each token belongs to.

Works on logits and token texts alone; knows no model and no attention.
"""

import re
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float

from inference.model.prompt import THINK_CLOSE, THINK_OPEN
from inference.trace.request import Part
from inference.trace.session import RunnerUp, Scores

RUNNERS_UP = 5


def score_token(
    logits: Float[torch.Tensor, "vocabulary"],
    token: int,
    text_of: Callable[[int], str],
    base: Float[torch.Tensor, "vocabulary"] | None = None,
) -> Scores:
    """Log-probability and entropy in nats of one step, and its five likeliest tokens other than the chosen one.

    `base`: the base's logits at the same place after the same words, to tell the divergence from.
    """
    logprobs = logits.float().log_softmax(-1)
    entropy = torch.special.entr(logprobs.exp()).sum()
    best = logprobs.topk(min(RUNNERS_UP + 1, len(logprobs)))
    others = [(i, p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True) if i != token]
    runners = tuple(RunnerUp(i, text_of(i), p) for i, p in others[:RUNNERS_UP])
    apart = None if base is None else divergence(logits, base)
    return Scores(float(logprobs[token]), float(entropy), runners, apart)


def divergence(logits: Float[torch.Tensor, "vocabulary"], base: Float[torch.Tensor, "vocabulary"]) -> float:
    """KL(softmax(logits) || softmax(base)) in nats; exactly 0 for equal ones.

    In float64: it is the small sum of terms of both signs, in which float32 would leave mostly rounding.
    """
    ours, theirs = logits.double().log_softmax(-1), base.double().log_softmax(-1)
    shares = ours.exp()
    terms = torch.where(shares > 0, shares * (ours - theirs), 0)  # What is never said adds nothing, at any odds.
    return max(0.0, float(terms.sum()))


def sum_logprob(logits: Float[torch.Tensor, "tokens vocabulary"], ids: Sequence[int]) -> float:
    """The log-probability in nats of all these tokens together, each predicted by its row."""
    chosen = logits.float().log_softmax(-1).gather(-1, torch.tensor(ids, device=logits.device)[:, None])
    return float(chosen.double().sum())


def split_thinking(texts: Sequence[str], *, opened: bool) -> tuple[Part, ...]:
    """`thinking` for each token that holds a part of the reasoning or of its tags, `answer` for all others.

    `opened`: the prompt has opened the reasoning already. Reasoning that is never closed goes on to the end.
    """
    whole = "".join(texts)
    spans = [match.span() for match in _thinking_pattern(opened).finditer(whole)]
    parts: list[Part] = []
    at = 0
    for text in texts:
        stop = at + len(text)
        inside = any(at < span_stop and stop > span_start for span_start, span_stop in spans)
        parts.append("thinking" if inside else "answer")
        at = stop
    return tuple(parts)


def strip_tags(thinking: str) -> str:
    """The reasoning without its tags and the space around it."""
    return thinking.replace(THINK_OPEN, "").replace(THINK_CLOSE, "").strip()


def _thinking_pattern(opened: bool) -> re.Pattern[str]:
    closed = f"{THINK_OPEN}.*?(?:{THINK_CLOSE}|\\Z)"
    return re.compile(f"\\A.*?(?:{THINK_CLOSE}|\\Z)|{closed}" if opened else closed, re.DOTALL)
