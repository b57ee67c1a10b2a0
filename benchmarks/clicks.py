"""What both ways of clicking measure: one click and its time."""

from dataclasses import dataclass

KINDS = ("token", "layer", "head", "variant", "colour")
"""In this order each round; a variant is hidden in one round and shown again in the next."""


@dataclass(frozen=True)
class Click:
    """What it changed, on which session, and the milliseconds until everything was there."""

    kind: str
    session: str
    ms: float
