"""The Modal app imports without an account, builds what it promises, and its class runs in this process."""

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

import app
from inference.evidence.trials import Findings, Probe, Trial
from inference.intake import read_picture
from inference.protocol import Progress
from inference.remote import Lot, Piece, RemoteEngine, serve_run
from inference.trace.request import Request
from inference.trace.session import Session
from tests.fakes import FakeEngine

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "examples" / "pictures" / "mark.png"


def test_it_imports_and_builds_without_an_account(tmp_path: Path) -> None:
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import app; print(app.app.name)"],
        env=clean,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "lora-attention-visualizer"


def test_the_web_function_takes_many_inputs_for_hours_on_no_gpu() -> None:
    info = app.page.info()
    assert info.web_info is not None
    assert info.concurrency_info is not None
    assert (info.concurrency_info.max_inputs or 0) >= 100
    assert info.timeout >= 3600
    assert info.gpus == []


def test_the_class_answers_in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LORA_ATTENTION_MODEL", raising=False)
    picture = read_picture(PICTURE, name="mark.png", megapixels=1)
    with pytest.warns(UserWarning, match="executing locally"):  # modal tells that volumes are not mounted here
        steps = list(app.Model().run.local(Request("What color is the circle?", (picture,))))
    pieces = [step for step in steps if isinstance(step, Piece)]
    assert {type(step) for step in steps[: -len(pieces)]} == {Progress}
    assert pieces[-1].name == "session.json"
    near = RemoteEngine(lambda request: iter_pieces(pieces), app.probe_remotely, lambda: (), model_name="elsewhere")
    (session,) = near.run(Request("What?"), tmp_path)
    assert isinstance(session, Session)
    assert session.runs[0].answer


def test_the_class_runs_trials_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORA_ATTENTION_MODEL", raising=False)
    picture = read_picture(PICTURE, name="mark.png", megapixels=1)
    probe = Probe(Request("What color is the circle?", (picture,)), (Trial((543,)), Trial((543, 544))))
    with pytest.warns(UserWarning, match="executing locally"):
        *steps, lot, findings = app.Model().probe.local(probe)
    assert {type(step) for step in steps} == {Progress}
    assert isinstance(lot, Lot)
    assert [len(outcome.logprobs) for outcome in lot.outcomes] == [1, 2]
    assert isinstance(findings, Findings)
    assert (findings.outcomes, findings.passes) == ((), 2)


def iter_pieces(pieces: list[Piece]) -> Generator[Progress | Piece, None, None]:
    yield from pieces


def test_the_entrypoint_asks_once_and_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeEngine()
    monkeypatch.setattr(app, "run_remotely", lambda request: serve_run(fake, request))
    app.main(image=str(PICTURE), question="What?", adapter="shortcut,other@0.5", out=str(tmp_path))
    assert [variant.label for variant in fake.requests[0].variants] == ["base", "shortcut", "other@0.5"]
    assert (tmp_path / "summary.json").is_file()
    assert (tmp_path / "figure.png").is_file()
