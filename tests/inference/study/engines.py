"""An engine without a model for studies: what each variant says is given, and so is how far it is from the base."""

import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

from inference.protocol import Progress
from inference.trace.request import Request
from inference.trace.session import Run, Session
from tests.fakes import CELL, FakeEngine, make_picture

RED_BOX = (3 * CELL, 2 * CELL, 6 * CELL, 4 * CELL)
"""The red cells of a made picture, as a box in pixels."""
APART = 0.25


class StudyEngine(FakeEngine):
    """`answers` by label; the base's words where all say them. `fail_at`: the run, from 0, that raises `failure`."""

    def __init__(
        self,
        answers: Mapping[str, str] | None = None,
        *,
        fail_at: int | None = None,
        failure: BaseException | None = None,
    ) -> None:
        super().__init__(steps=1)
        self.answers = dict(answers or {})
        self.fail_at = fail_at
        self.failure = failure or KeyboardInterrupt()

    def run(self, request: Request, folder: Path) -> Generator[Progress | Session, None, None]:
        if len(self.requests) == self.fail_at:
            self.fail_at = None
            raise self.failure
        for step in super().run(request, folder):
            yield self._told(step) if isinstance(step, Session) else step

    def _told(self, session: Session) -> Session:
        return replace(session, runs=tuple(self._run(session.request, run) for run in session.runs))

    def _run(self, request: Request, run: Run) -> Run:
        label = "base" if request.words == "base" else run.variant.label
        apart = APART if request.words == "base" and not run.variant.is_base else 0.0
        tokens = tuple(
            replace(token, scores=token.scores and replace(token.scores, divergence=apart))
            for token in run.trace.tokens
        )
        logprob = -1.5 if request.expected_answer else None
        trace = replace(run.trace, tokens=tokens)
        return replace(run, answer=self.answers.get(label, "circle"), trace=trace, expected_logprob=logprob)


def write_data(folder: Path, count: int, **fields: object) -> Path:
    """A folder of pictures that differ in their last byte of colour, and its lines."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(1, count + 1):
        # Another height in pixels: another picture of the same grid.
        (folder / f"{number}.png").write_bytes(make_picture(height=7 * CELL + number).png)
        rows.append({"picture": f"{number}.png", "question": f"What is red in {number}?", **fields})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder
