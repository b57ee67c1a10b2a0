"""An engine without a model whose behaviour the question chooses, so that one server serves every test of the page."""

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from inference.evidence.trials import Findings, Probe
from inference.protocol import AdapterFacts, Progress
from inference.trace.files import load_session, write_session
from inference.trace.request import Limits, Request
from inference.trace.session import Session
from inference.trace.validate import check_request
from tests.fakes import FakeEngine, make_session

MARKUP = '<img src=x onerror="window.ran=1">${window.ran=1}{{window.ran}}'
SECRET = "/srv/secret/weights.bin"


class ChoosyEngine(FakeEngine):
    """ "slow" takes its time, "long" over trials alone, "markup" answers in HTML, "crash" breaks with a path in its
    text, "huge" wants a terabyte; others are as asked.
    """

    def adapters(self) -> tuple[AdapterFacts, ...]:
        return (*super().adapters(), AdapterFacts(MARKUP, "", rank=1, description=MARKUP))

    def run(self, request: Request, folder: Path) -> Generator[Progress | Session, None, None]:
        check_request(request, Limits())
        self.requests.append(request)
        try:
            size = 10**12 if "huge" in request.question else 1_200_000
            yield Progress(
                "size", total=size, text="Up to 6 tokens x 5 layers x 3 heads over 92 keys in float16: 1.2 MB."
            )
            for step in range(400 if "slow" in request.question else 2):
                if "slow" in request.question:
                    time.sleep(0.05)
                yield Progress("tokens", request.variants[0].label, step + 1, 400, f"so far {step}")
            if "crash" in request.question:
                raise RuntimeError(SECRET)
            write_session(_answered(make_session(request), request), folder)
            yield load_session(folder)
        except GeneratorExit:
            self.closed.set()
            raise

    def probe(self, probe: Probe) -> Generator[Progress | Findings, None, None]:
        try:
            for step in range(400 if "long" in probe.request.question else 0):
                time.sleep(0.05)
                yield Progress("trials", done=step + 1, total=400)
        except GeneratorExit:
            self.closed.set()
            raise
        yield from super().probe(probe)


def _answered(session: Session, request: Request) -> Session:
    """The session with what was asked as its answer, so that two visitors' sessions can be told apart."""
    words = MARKUP if "markup" in request.question else request.question
    runs = []
    for run in session.runs:
        tokens = [replace(token, text=words) if token.part == "answer" else token for token in run.trace.tokens]
        error = 1.25e-7 if request.compare_eager else None
        runs.append(replace(run, answer=words, trace=replace(run.trace, tokens=tuple(tokens)), eager_error=error))
    return replace(session, runs=tuple(runs))
