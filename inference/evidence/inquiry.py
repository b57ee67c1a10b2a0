"""A question about a stored session that takes the model once more: what it is asked, and how its findings are read."""

from collections.abc import Generator
from contextlib import closing
from typing import Protocol, TypeVar

from inference.evidence.trials import Findings, Probe
from inference.protocol import Engine, Progress
from inference.trace.session import Session

Result = TypeVar("Result", covariant=True)
Told = TypeVar("Told")


class Inquiry(Protocol[Result]):
    """Frozen options, checked against the session before the model runs; the result is frozen plain data."""

    def probe(self, session: Session) -> Probe:
        """What the model is asked.

        Raises:
            VisualizerError: the options do not fit the session.
        """

    def read(self, session: Session, findings: Findings) -> Result:
        """What the findings of that probe say."""


def inquire(engine: Engine, session: Session, inquiry: Inquiry[Told]) -> Generator[Progress, None, Told]:
    """The engine's progress, and at last what it found; closing it stops the work.

    Raises:
        VisualizerError: the options do not fit the session, or the engine cannot do it.
    """
    with closing(engine.probe(inquiry.probe(session))) as steps:
        for step in steps:
            if isinstance(step, Findings):
                return inquiry.read(session, step)
            yield step
    raise RuntimeError("the engine ended without findings")
