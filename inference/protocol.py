"""What the page may know of an engine, whichever of them stands behind it; imports no engine."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from inference.evidence.trials import Findings, Probe
from inference.trace.request import Request
from inference.trace.session import AdapterFacts, ModelFacts, Session

__all__ = ["AdapterFacts", "Engine", "Progress", "Stage"]

Stage = Literal["waiting", "loading", "size", "picture", "tokens", "rows", "check", "trials"]


@dataclass(frozen=True)
class Progress:
    """One step of a run, variant by variant.

    `done` of at most `total`: tokens in stage `tokens`, layers in stage `rows`, passes in stage `trials`. Stage `size`
    comes once, before the model runs: `total` is the most bytes that the session's arrays will take on disk.
    """

    stage: Stage
    variant: str = ""
    done: int = 0
    total: int = 0
    text: str = ""
    """The answer so far, in stage `tokens`; in stage `size` a sentence of what will be kept."""


class Engine(Protocol):
    """Answers requests; one at a time, others wait for the lock."""

    @property
    def model_name(self) -> str:
        """The model's name for people; known before it is loaded."""

    def facts(self) -> ModelFacts | None:
        """The model's facts, or None while it is not loaded."""

    def adapters(self) -> tuple[AdapterFacts, ...]:
        """All adapters found, usable or not, in the order of their names."""

    def base_folder(self) -> Path | None:
        """The folder with the model's own safetensors, if this process can read them; None otherwise."""

    def run(self, request: Request, folder: Path) -> Generator[Progress | Session, None, None]:
        """Progress, then exactly one Session; closing the iterator stops the work within one token.

        `folder` is an empty one of the caller's: the session is written there while it is made, as
        `inference.trace.files.load_session` reads it, and its arrays are mapped from there. After an error, or when the
        iterator was closed, the folder holds no session that opens; removing it is the caller's part.

        Raises:
            VisualizerError: what was asked cannot be done; the engine is as it was before.
        """

    def probe(self, probe: Probe) -> Generator[Progress | Findings, None, None]:
        """Progress in stage `trials`, then exactly one Findings; closing the iterator stops between two passes.

        Raises:
            VisualizerError: what was asked cannot be done; the engine is as it was before.
        """
