"""The words of a stored run as trials need them: token ids behind the prompt, and where they are predicted."""

from inference.errors import SettingsError
from inference.trace.session import Run, Session


def said_ids(run: Run) -> tuple[int, ...]:
    """The ids of all that the variant said, reasoning included.

    Raises:
        SettingsError: they were not all kept, or nothing was said.
    """
    tokens = [token for token in run.trace.tokens if token.part in ("answer", "thinking")]
    places = [token.position for token in tokens]
    stop = run.trace.length
    if not tokens or places != list(range(stop - len(tokens), stop)) or (run.thinking and not _thinks(run)):
        raise SettingsError(
            "a session that kept every token of the answer",
            f"{run.variant.label} without them",
            "ask again, keeping them",
        )
    return tuple(token.id for token in tokens)


def _thinks(run: Run) -> bool:
    return any(token.part == "thinking" for token in run.trace.tokens)


def base_run(session: Session) -> Run:
    """The run of the base.

    Raises:
        SettingsError: the session has none.
    """
    for run in session.runs:
        if run.variant.is_base:
            return run
    raise SettingsError("a session with the base among its variants", "adapters alone", "ask again with base ticked")


def adapter_run(session: Session, label: str) -> Run:
    """The run of the variant with that label, one with an adapter.

    Raises:
        SettingsError: there is none.
    """
    runs = [run for run in session.runs if not run.variant.is_base]
    for run in runs:
        if run.variant.label == label:
            return run
    known = ", ".join(run.variant.label for run in runs)
    raise SettingsError(f"a variant with an adapter, of {known or 'none'}", repr(label), "choose one that was asked")
