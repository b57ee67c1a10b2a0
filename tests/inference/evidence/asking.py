"""Putting an inquiry to an engine to its end."""

from typing import TypeVar

from inference.evidence.inquiry import Inquiry, inquire
from inference.protocol import Engine
from inference.trace.session import Session

Told = TypeVar("Told")


def ask(engine: Engine, session: Session, inquiry: Inquiry[Told]) -> Told:
    """What the inquiry read from what the engine found."""
    steps = inquire(engine, session, inquiry)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            told: Told = end.value
            return told
