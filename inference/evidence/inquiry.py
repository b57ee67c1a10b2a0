"""A question about a stored session that takes the model once more: what it is asked, and how its findings are read."""

from collections.abc import Generator
from contextlib import closing
from typing import Protocol, TypeVar

from inference.errors import SessionError
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
        VisualizerError: the options do not fit the session, it is of another model, or the engine cannot do it.
    """
    check_running(session, engine)
    with closing(engine.probe(inquiry.probe(session))) as steps:
        for step in steps:
            if isinstance(step, Findings):
                # Once more, since a model that was not loaded before had a name alone.
                check_running(session, engine)
                return inquiry.read(session, step)
            yield step
    raise RuntimeError("the engine ended without findings")


def check_running(session: Session, engine: Engine) -> None:
    """Refuses a session, such as one from a file, whose model or adapters are not those that the engine runs.

    Raises:
        SessionError: what it is of, and what is running.
    """
    facts, then = engine.facts(), session.model
    name = facts.name if facts else engine.model_name
    sizes = facts is None or (facts.layers, facts.heads, facts.cell_px) == (then.layers, then.heads, then.cell_px)
    if not sizes or not _same_name(name, then.name):
        raise SessionError(
            f"a session of the model that runs here, {name}", f"one of {then.name}", "ask the question anew"
        )
    hashes = {known.name: known.sha256 for known in engine.adapters()} if session.adapters else {}
    for adapter in session.adapters:
        if adapter.sha256 and hashes.get(adapter.name, "") not in ("", adapter.sha256):
            raise SessionError(
                f"a session of the {adapter.name} that is here now",
                "one of another adapter of that name",
                "ask the question anew",
            )


def _same_name(one: str, other: str) -> bool:
    """Without the owner or folder; a revision counts where both tell theirs."""
    (name, _, revision), (named, _, revised) = (told.rstrip("/").partition("#") for told in (one, other))
    alike = name.rpartition("/")[2].lower() == named.rpartition("/")[2].lower()
    return alike and (not revision or not revised or revision == revised)
