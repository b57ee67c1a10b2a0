"""A model is calibrated on a folder's lines: wording by wording, on the base alone, with nothing left behind."""

from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

from inference.errors import SettingsError
from inference.evidence.calibration import LEAST_PICTURES, Calibration
from inference.protocol import Progress
from inference.study.calibrate import by_wording, calibrate_lines
from inference.study.lines import Line
from tests.fakes import FakeEngine, make_picture

Told = TypeVar("Told")


def finish(steps: Generator[Progress, None, Told]) -> Told:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            told: Told = end.value
            return told


def make_lines(folder: Path, *questions: str) -> list[Line]:
    path = folder / "picture.png"
    path.write_bytes(make_picture(64, 32).png)
    return [Line(number, path, question) for number, question in enumerate(questions)]


def test_lines_are_grouped_by_wording(tmp_path: Path) -> None:
    lines = make_lines(tmp_path, "What is red?", "Where is it?", "What is blue?", "What is the red?", "What was blue?")
    assert [[line.number for line in group] for group in by_wording(lines)] == [[0, 2], [1], [3], [4]]


def test_each_wording_with_enough_lines_is_calibrated(tmp_path: Path) -> None:
    colors = [f"What is thing{number}?" for number in range(LEAST_PICTURES)]
    lines = make_lines(tmp_path, *colors, *["How many are there here now?"] * (LEAST_PICTURES - 1))
    room, engine = tmp_path / "room", FakeEngine(steps=1)
    room.mkdir()
    (found,) = finish(calibrate_lines(engine, lines, room))
    assert isinstance(found, Calibration)
    assert found.label == found.wording == "What is {}?" and found.pictures == LEAST_PICTURES
    assert len(engine.requests) == LEAST_PICTURES
    assert {request.variants[0].label for request in engine.requests} == {"base"}
    assert list(room.iterdir()) == []


def test_too_few_lines_are_refused_before_any_is_asked(tmp_path: Path) -> None:
    engine = FakeEngine()
    for lines in ([], make_lines(tmp_path, *["What is red?"] * (LEAST_PICTURES - 1))):
        with pytest.raises(SettingsError, match="30 pictures"):
            finish(calibrate_lines(engine, lines, tmp_path))
    assert engine.requests == []
