"""What the page may know of an engine, whichever of them stands behind it; imports no engine."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, Protocol

from inference.trace.request import Request
from inference.trace.session import AdapterFacts, ModelFacts, Session

__all__ = ["AdapterFacts", "Engine", "Progress", "Stage"]

Stage = Literal["waiting", "loading", "picture", "tokens", "rows"]


@dataclass(frozen=True)
class Progress:
    """One step of a run: token `done` of at most `total` in stage `tokens`, variant by variant."""

    stage: Stage
    variant: str = ""
    done: int = 0
    total: int = 0
    text: str = ""
    """The answer so far, in stage `tokens`."""


class Engine(Protocol):
    """Answers requests; one at a time, others wait for the lock."""

    @property
    def model_name(self) -> str:
        """The model's name for people; known before it is loaded."""

    def facts(self) -> ModelFacts | None:
        """The model's facts, or None while it is not loaded."""

    def adapters(self) -> tuple[AdapterFacts, ...]:
        """All adapters found, usable or not, in the order of their names."""

    def run(self, request: Request) -> Generator[Progress | Session, None, None]:
        """Progress, then exactly one Session; closing the iterator stops the work within one token.

        Raises:
            VisualizerError: what was asked cannot be done; the engine is as it was before.
        """
