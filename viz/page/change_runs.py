"""Further sessions that Compare asks for: those of a noise floor, and a neutral question's; ordinary runs, one by one.

They lie in the store like any session and go with the tab; the page is told their ids. Knows no Gradio.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from inference.errors import QuestionError
from inference.evidence.floor import check_same_words, floor_requests
from inference.evidence.inquiry import check_running
from inference.evidence.neutral import neutral_request
from inference.mini.facts import other_wording
from inference.protocol import Progress
from inference.trace.request import Request
from inference.trace.session import Session
from viz.page.evidence import Bench, Kind, Options, Steps


@dataclass(frozen=True)
class Floor:
    """The sessions of a noise floor, the re-worded question, and in sentences what was not measured."""

    sessions: tuple[str, ...]
    question: str
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Neutral:
    """The session of a neutral question."""

    session: str
    question: str


def _ask_floor(bench: Bench, session: Session, options: Options) -> Steps:
    check_running(session, bench.engine)
    plan = floor_requests(session, _rewording(bench, session, options))
    made: list[str] = []
    try:
        for number, rerun in enumerate(plan.reruns, 1):
            made.append((yield from _run(bench, rerun.request, f"run {number} of {len(plan.reruns)}")))
            check_same_words(session, bench.shelf.get(made[-1]))
    except BaseException:  # GeneratorExit too: a part of them is of no use
        for session_id in made:
            bench.shelf.store.drop(session_id)
        raise
    question = next(rerun.request.question for rerun in plan.reruns if rerun.kind == "question")
    return Floor(tuple(made), question, plan.left_out)


def _ask_neutral(bench: Bench, session: Session, options: Options) -> Steps:
    check_running(session, bench.engine)
    asked = neutral_request(session, _question(options))
    return Neutral((yield from _run(bench, asked, "neutral question")), asked.question)


def _run(bench: Bench, asked: Request, what: str) -> Generator[Progress, None, str]:
    """The engine's progress, each step saying which run it is of; at last the id of the stored session."""
    session_id = ""
    with closing(bench.shelf.ask(bench.engine, asked)) as steps:
        for step in steps:
            if isinstance(step, str):
                session_id = step
            else:
                yield replace(step, variant=f"{what}, {step.variant}" if step.variant else what)
    bench.note(session_id)
    return session_id


def _rewording(bench: Bench, session: Session, options: Options) -> str:
    """What was given; for the miniature, which knows few wordings, another one of its own; or nothing."""
    given = _question(options)
    return given or (other_wording(session.request.question) if bench.settings.model == "" else "")


def _question(options: Options) -> str:
    given: Any = options.get("question", "")
    if not isinstance(given, str):
        raise QuestionError("a question as text", repr(given)[:40], "type it on the page")
    return given


def _show(_session: Session, result: Any) -> dict[str, Any]:
    return asdict(result)


FLOOR = Kind(_ask_floor, _show)
NEUTRAL = Kind(_ask_neutral, _show)
