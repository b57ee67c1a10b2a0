"""An engine without a model whose behaviour the question chooses, so that one server serves every test of the page."""

import time
from collections.abc import Generator
from dataclasses import replace

from inference.protocol import AdapterFacts, Progress
from inference.trace.request import Limits, Request, check_request
from inference.trace.session import Session
from tests.fakes import FakeEngine, make_session

MARKUP = '<img src=x onerror="window.ran=1">${window.ran=1}{{window.ran}}'
SECRET = "/srv/secret/weights.bin"


class ChoosyEngine(FakeEngine):
    """ "slow" takes its time, "markup" answers in HTML, "crash" breaks with a path in its text; others are as asked."""

    def adapters(self) -> tuple[AdapterFacts, ...]:
        return (*super().adapters(), AdapterFacts(MARKUP, "", rank=1, description=MARKUP))

    def run(self, request: Request) -> Generator[Progress | Session, None, None]:
        check_request(request, Limits())
        self.requests.append(request)
        try:
            for step in range(400 if "slow" in request.question else 2):
                if "slow" in request.question:
                    time.sleep(0.05)
                yield Progress("tokens", request.variants[0].label, step + 1, 400, f"so far {step}")
            if "crash" in request.question:
                raise RuntimeError(SECRET)
            yield _answered(make_session(request), request.question)
        except GeneratorExit:
            self.closed.set()
            raise


def _answered(session: Session, question: str) -> Session:
    """The session with what was asked as its answer, so that two visitors' sessions can be told apart."""
    words = MARKUP if "markup" in question else question
    runs = []
    for run in session.runs:
        tokens = [replace(token, text=words) if token.part == "answer" else token for token in run.trace.tokens]
        runs.append(replace(run, answer=words, trace=replace(run.trace, tokens=tuple(tokens))))
    return replace(session, runs=tuple(runs))
