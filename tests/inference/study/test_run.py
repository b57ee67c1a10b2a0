"""A set of lines to its end: what is done is not done again, what fails is told, and what breaks off goes on."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import AdapterError, PictureError
from inference.protocol import AdapterFacts
from inference.study.ask import Options
from inference.study.make import make_report
from inference.study.read import read_lines
from inference.study.records import Records
from inference.study.run import Study
from inference.study.stored import load_report, save_report
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Generation, Request
from inference.trace.session import Run
from tests.fakes import make_picture
from tests.inference.study.engines import RED_BOX, StudyEngine, write_data

OPTIONS = Options((BASE, parse_variant("shortcut")))


def study(engine: StudyEngine, folder: Path, options: Options = OPTIONS) -> Study:
    return Study(engine, read_lines(folder / "data"), options, Records(folder / "out" / "records.jsonl"))


def asked(engine: StudyEngine) -> list[str]:
    """The questions that were asked, each once."""
    return list(dict.fromkeys(request.question for request in engine.requests))


def finish(engine: StudyEngine, folder: Path, options: Options = OPTIONS) -> Study:
    """A study from what is on the disk to its end."""
    made = study(engine, folder, options)
    made.recall()
    list(made.run())
    return made


def test_a_study_that_was_broken_off_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    write_data(tmp_path / "data", 5, answer="circle")
    first = study(StudyEngine(fail_at=6), tmp_path)
    assert first.recall() == 0
    with pytest.raises(KeyboardInterrupt):
        list(first.run())
    assert [record.item.number for record in first.records] == [1, 2, 3]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["records.jsonl"]
    report = make_report(first, None, OPTIONS)
    assert (report.data.lines, report.data.remaining) == (5, 2)

    engine = StudyEngine()
    second = finish(engine, tmp_path)
    assert asked(engine) == ["What is red in 4?", "What is red in 5?"]
    third = finish(engine, tmp_path)
    assert asked(engine) == ["What is red in 4?", "What is red in 5?"]
    write_data(tmp_path / "other" / "data", 5, answer="circle")
    at_once = finish(StudyEngine(), tmp_path / "other")
    made = [replace(make_report(one, None, OPTIONS), created="") for one in (second, third, at_once)]
    assert made[0] == made[1] == made[2]
    save_report(made[0], tmp_path / "report.json")
    assert load_report(tmp_path / "report.json") == made[0]


def test_records_are_on_the_disk_before_the_next_line_is_asked(tmp_path: Path) -> None:
    write_data(tmp_path / "data", 3)
    made = study(StudyEngine(), tmp_path)
    made.recall()
    lines = []
    for step in made.run():
        if type(step).__name__ == "Taken":
            lines.append((tmp_path / "out" / "records.jsonl").read_bytes().count(b"\n"))
    assert lines == [1, 2, 3]


@pytest.mark.parametrize("cut", [1, 40, 5_000])
def test_a_damaged_last_record_is_dropped_and_its_line_asked_again(tmp_path: Path, cut: int) -> None:
    write_data(tmp_path / "data", 3)
    finish(StudyEngine(), tmp_path)
    path = tmp_path / "out" / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    engine = StudyEngine()
    done = finish(engine, tmp_path)
    assert asked(engine) == ["What is red in 3?"]
    assert [record.item.number for record in done.records] == [1, 2, 3]
    assert [json.loads(text)["version"] for text in path.read_text().splitlines()] == [1, 1, 1]


def test_a_damaged_record_in_the_middle_costs_that_line_alone(tmp_path: Path) -> None:
    write_data(tmp_path / "data", 3)
    finish(StudyEngine(), tmp_path)
    path = tmp_path / "out" / "records.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b'"words"', b'"wards"') + b"\xff\n[]\n" + third)
    engine = StudyEngine()
    assert len(finish(engine, tmp_path).records) == 3
    assert asked(engine) == ["What is red in 2?"]


class Retrained(StudyEngine):
    """The same adapters by name, with other weights."""

    def adapters(self) -> tuple[AdapterFacts, ...]:
        return tuple(replace(facts, sha256="cd" * 32) for facts in super().adapters())


class Renamed(StudyEngine):
    model_name = "another model"


def test_another_question_picture_setting_model_or_adapter_is_asked_anew(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 2, box=RED_BOX)

    def asked_now(engine: StudyEngine, options: Options = OPTIONS) -> list[str]:
        finish(engine, tmp_path, options)
        return asked(engine)

    both = ["What is red in 1?", "What is red in 2?"]
    assert asked_now(StudyEngine()) == both
    assert asked_now(StudyEngine()) == []
    assert asked_now(Retrained()) == asked_now(Renamed()) == both
    assert asked_now(StudyEngine(), replace(OPTIONS, generation=Generation(max_new_tokens=3))) == both
    assert asked_now(StudyEngine(), replace(OPTIONS, variants=(BASE, parse_variant("shortcut@0.5")))) == both
    assert asked_now(StudyEngine(), replace(OPTIONS, draws=2)) == both
    assert asked_now(StudyEngine(), replace(OPTIONS, draws=2, seed=1)) == both
    assert asked_now(StudyEngine(), replace(OPTIONS, megapixels=9, seed=1)) == []
    (data / "2.png").write_bytes(make_picture(height=240).png)
    assert asked_now(StudyEngine()) == both[1:]
    lines = (data / "metadata.jsonl").read_text().replace("red in 1", "blue in 1")
    (data / "metadata.jsonl").write_text(lines)
    assert asked_now(StudyEngine()) == ["What is blue in 1?"]


def test_lines_may_move_and_come_twice(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 3)
    finish(StudyEngine(), tmp_path)
    rows = (data / "metadata.jsonl").read_text().splitlines()
    (data / "metadata.jsonl").write_text("\n".join([rows[2], rows[0], rows[2]]))
    engine = StudyEngine()
    done = finish(engine, tmp_path)
    assert asked(engine) == []
    assert [(record.item.number, record.item.question[-2:]) for record in done.records] == [
        (1, "3?"),
        (2, "1?"),
        (3, "3?"),
    ]
    assert make_report(done, None, OPTIONS).data.pictures == 2
    fresh = StudyEngine()
    done = Study(fresh, read_lines(data), OPTIONS, Records(tmp_path / "new.jsonl"))
    done.recall()
    list(done.run())
    assert len(fresh.requests) == 2 * 2 and len(done.records) == 3


@pytest.fixture
def spoilt(tmp_path: Path) -> Iterator[Path]:
    """Four lines, of which the second's picture is none, the third's box lies outside, and the last's has none."""
    data = write_data(tmp_path / "data", 4, box=RED_BOX)
    (data / "2.png").write_text("no picture")
    rows = [json.loads(text) for text in (data / "metadata.jsonl").read_text().splitlines()]
    rows[2]["box"] = [1000, 0, 1100, 50]
    rows[3]["box"] = [5, 5, 5, 5]
    (data / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    yield tmp_path


def test_bad_lines_are_told_by_number_and_the_others_asked(spoilt: Path) -> None:
    done = finish(StudyEngine(), spoilt)
    assert [record.item.number for record in done.records] == [1]
    assert [one.number for one in done.skipped] == [2, 3, 4]
    reasons = [one.reason for one in done.skipped]
    assert "a text file" in reasons[0] and "inside the picture" in reasons[1] and "no area" in reasons[2]
    part = make_report(done, None, OPTIONS).data
    assert (part.lines, len(part.skipped), part.remaining) == (4, 3, 0)


class Broken(StudyEngine):
    """Its second question gets a probability, or attention, that is no number."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part

    def _run(self, request: Request, run: Run) -> Run:
        made, trace = super()._run(request, run), run.trace
        if "in 2" not in request.question:
            return made
        if self.part == "attention":
            return replace(made, trace=replace(made.trace, sums=np.full_like(trace.sums, np.nan)))
        tokens = tuple(
            replace(token, scores=token.scores and replace(token.scores, logprob=float("nan")))
            for token in made.trace.tokens
        )
        return replace(made, trace=replace(made.trace, tokens=tokens))


@pytest.mark.parametrize("part", ["attention", "probability"])
def test_a_line_whose_numbers_are_none_is_skipped(tmp_path: Path, part: str) -> None:
    write_data(tmp_path / "data", 3)
    done = finish(Broken(part), tmp_path)
    assert [record.item.number for record in done.records] == [1, 3]
    assert [(one.number, "finite numbers" in one.reason) for one in done.skipped] == [(2, True)]


def test_all_bad_is_one_clear_error(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 2)
    for path in data.glob("*.png"):
        path.write_text("no picture")
    with pytest.raises(PictureError, match="a text file"):
        finish(StudyEngine(), tmp_path)


def test_what_is_wrong_with_every_line_ends_the_study_at_once(tmp_path: Path) -> None:
    write_data(tmp_path / "data", 3)
    engine = StudyEngine(fail_at=0, failure=AdapterError("an adapter", "none", "choose another"))
    with pytest.raises(AdapterError):
        finish(engine, tmp_path)
    assert engine.requests == []


def test_lines_asked_on_other_machines_are_told(tmp_path: Path) -> None:
    write_data(tmp_path / "data", 2)
    done = finish(StudyEngine(), tmp_path)
    first, second = done.records
    assert make_report(done, None, OPTIONS).notes == ()
    done._done[2] = replace(second, model=replace(first.model, dtype="bfloat16"))
    assert "bfloat16 on cpu, float32 on cpu" in make_report(done, None, OPTIONS).notes[0]
