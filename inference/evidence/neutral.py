"""The neutral question that shows which cells are bright whatever is asked; how its run is read is `trace.sinks`."""

from dataclasses import replace

from inference.errors import SettingsError
from inference.trace.request import Request
from inference.trace.session import Session

QUESTION = "Describe the picture."


def neutral_request(session: Session, question: str = "") -> Request:
    """The same variants, pictures and kept heads, with another question (`QUESTION` if none is given) answered freely.

    Raises:
        SettingsError: the session has no picture.
    """
    if not session.request.images:
        raise SettingsError("a question with a picture", "one without", "ask about a picture")
    return replace(
        session.request,
        question=question.strip() or QUESTION,
        forced_answer=None,
        expected_answer=None,
        compare_eager=False,
        keep=replace(session.request.keep, keys="pictures"),
    )
