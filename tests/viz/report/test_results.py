"""A study from the command line: its files, what it prints, and what is left of it after Ctrl-C."""

from pathlib import Path

import pytest

from inference.errors import SettingsError
from inference.evidence.calibration import LEAST_PICTURES, Calibration, load_calibrations, save_calibrations
from inference.study.ask import Options
from inference.study.read import read_lines
from inference.study.stored import load_report
from inference.trace.parse import parse_variant
from inference.trace.request import BASE
from tests.fakes import HEADS, LAYERS
from tests.inference.study.engines import RED_BOX, StudyEngine, write_data
from viz.report.results import FILES, INTERRUPTED, Sets, run_study, tell_calibration, tell_study

OPTIONS = Options((BASE, parse_variant("shortcut")), draws=2)


@pytest.fixture
def sets(tmp_path: Path) -> Sets:
    """Six lines with boxes, and two general ones without."""
    data = write_data(tmp_path / "data", 6, answer="circle", box=RED_BOX)
    general = write_data(tmp_path / "general", 2)
    return Sets(read_lines(data), read_lines(general))


def test_a_study_leaves_its_report_its_tables_and_its_records(
    sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell_study(StudyEngine({"shortcut": "star"}), sets, OPTIONS, tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    report = load_report(tmp_path / "out" / "report.json")
    assert report.variants == ("base", "shortcut")
    accuracy = [summary.accuracy and summary.accuracy.mean for summary in report.data.summaries]
    assert accuracy == [1.0, 0.0]
    assert report.general is not None
    drift = report.general.summaries[1].drift
    assert drift is not None and (drift.answers.mean, drift.answers.n, drift.divergence.mean) == (1.0, 2, 0.25)
    assert ("knock-out", "of the box, beside at most 2 random boxes") in report.settings
    assert (tmp_path / "out" / "items.csv").read_text(encoding="utf-8").count("\n") == 1 + (6 + 2) * 2
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "What is red in 6?" in page
    printed = capsys.readouterr()
    assert "data: 6 lines about 6 pictures" in printed.out and "general: 2 lines" in printed.out
    assert "report.html" in printed.err and "Interrupted" not in printed.err


def test_what_was_asked_before_ctrl_c_is_reported_and_not_asked_again(
    sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell_study(StudyEngine(fail_at=10), sets, OPTIONS, tmp_path / "out") == INTERRUPTED
    report = load_report(tmp_path / "out" / "report.json")
    assert (len(report.data.items), report.data.remaining) == (5, 1)
    assert report.general is not None and (report.general.summaries, report.general.remaining) == ((), 2)
    printed = capsys.readouterr()
    assert "5 lines about 5 pictures, 1 not asked yet" in printed.out and "goes on from here" in printed.err

    engine = StudyEngine()
    report, whole = run_study(engine, sets, OPTIONS, tmp_path / "out")
    assert whole and report.data.remaining == 0 and len(engine.requests) == 2 * (1 + 2)
    again = StudyEngine(fail_at=0)
    report, whole = run_study(again, sets, OPTIONS, tmp_path / "out")
    assert whole and again.requests == [] and report.general is not None and len(report.general.items) == 2


def test_ctrl_c_before_the_first_line_leaves_no_report(sets: Sets, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least one line"):
        run_study(StudyEngine(fail_at=0), sets, OPTIONS, tmp_path / "out")
    assert not (tmp_path / "out" / "report.json").exists()


def test_results_go_into_a_folder(sets: Sets, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SettingsError, match="a folder to write to"):
        run_study(StudyEngine(), sets, OPTIONS, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_calibration_joins_those_of_other_wordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "data", LEAST_PICTURES)
    engine, file = StudyEngine(), tmp_path / "calibration.json"
    old = [
        Calibration("old", wording, 0, 0, 1, 0.5, 30, LAYERS, HEADS) for wording in ("Who is {}", "What is red in {}?")
    ]
    save_calibrations(old, file)
    tell_calibration(engine, read_lines(data), Options(), file)
    kept, made = load_calibrations(file)
    assert kept == old[0]
    assert (made.label, made.wording, made.pictures) == ("What is red in {}?",) * 2 + (LEAST_PICTURES,)
    assert {request.variants for request in engine.requests} == {(BASE,)}
    assert "What is red in {}?: layer" in capsys.readouterr().out


def test_a_calibration_needs_enough_pictures_and_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = read_lines(write_data(tmp_path / "data", 2))
    with pytest.raises(SettingsError, match="30 pictures"):
        tell_calibration(StudyEngine(), lines, Options(), tmp_path / "calibration.json")
    assert not (tmp_path / "calibration.json").exists()
    monkeypatch.setattr(StudyEngine, "base_folder", lambda self: None)
    with pytest.raises(SettingsError, match="--out"):
        tell_calibration(StudyEngine(), lines, Options(), None)
