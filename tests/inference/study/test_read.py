"""Lines of every format; a bad one is told by its number, and no path leads out."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inference.errors import SettingsError
from inference.study.lines import Line
from inference.study.read import read_lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one of them in a folder of its own, and one outside."""
    (tmp_path / "data" / "more").mkdir(parents=True)
    for name in ("data/b.png", "data/more/a.JPG", "outside.png"):
        Image.new("RGB", (70, 50)).save(tmp_path / name)
    return tmp_path / "data"


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_a_folder_gives_each_picture_its_own_question_or_the_one_for_all(folder: Path) -> None:
    (folder / "b.txt").write_text(" What is black? \n", encoding="utf-8")
    Image.new("RGB", (70, 50)).save(folder / "._b.png")
    (folder / "notes.md").write_text("no picture", encoding="utf-8")
    found = read_lines(folder, question="What is it?")
    assert found.name == "data"
    assert found.lines == (
        Line(1, folder / "b.png", "What is black?"),
        Line(2, folder / "more" / "a.JPG", "What is it?"),
    )
    alone = read_lines(folder)
    assert [line.number for line in alone.lines] == [1]
    assert [(one.number, "--question" in one.reason) for one in alone.skipped] == [(2, True)]


def test_lines_of_json_are_read_and_bad_ones_told_by_number(folder: Path) -> None:
    write(
        folder / "metadata.jsonl",
        {"picture": "b.png", "question": "What?", "answer": "star", "box": [1, 2, 30, 40]},
        "",
        {"file_name": "more/a.JPG", "question": " Who? ", "answer": ["7", 7], "bbox": [10, 20, 5, 6]},
        "{not json",
        '"text"',
        {"question": "What?"},
        {"picture": "gone.png", "question": "What?"},
        {"picture": "../outside.png", "question": "What?"},
        {"picture": str(folder.parent / "outside.png"), "question": "What?"},
        {"picture": "b.png", "question": "What?", "box": [30, 2, 1, 40]},
        {"picture": "b.png", "question": "What?", "box": [1, 2, "3", 4]},
        '{"picture": "b.png", "question": "What?", "box": [1, 2, NaN, 4]}',
        {"picture": "b.png", "question": "What?", "answer": {"a": 1}},
        {"picture": "b.png"},
    )
    found = read_lines(folder)
    assert found.lines == (
        Line(1, folder / "b.png", "What?", ("star",), (1.0, 2.0, 30.0, 40.0)),
        Line(3, folder / "more" / "a.JPG", "Who?", ("7", "7"), (10.0, 20.0, 15.0, 26.0)),
    )
    assert [one.number for one in found.skipped] == [*range(4, 15)]
    reasons = [one.reason for one in found.skipped]
    assert all("outside of the folder" in reason for reason in reasons[4:6])
    assert "no area" in reasons[6] and "four numbers" in reasons[7] and "four numbers" in reasons[8]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ('"question": "What?", "box": [0, 0, 1' + 400 * "0" + ", 9]", "four numbers"),
        ('"question": "What?", "bbox": [1e308, 0, 1e308, 9]', "four numbers"),
        ('"question": "What \\ud800?"', "half of a character"),
        ('"question": "What?", "answer": ["star", "\\udfff"]', "half of a character"),
        ('"question": "What?", "image": "' + 300 * "a" + '.png"', "no picture"),
        ('"question": "What?", "image": "\\udcff.png"', "half of a character"),
    ],
)
def test_a_line_that_no_machine_can_hold_is_told_by_its_number(folder: Path, fields: str, reason: str) -> None:
    picture = "" if '"image"' in fields else ', "picture": "b.png"'
    lines = write(folder / "lines.jsonl", {"picture": "b.png", "question": "What?"}, "{" + fields + picture + "}")
    found = read_lines(lines)
    assert [one.number for one in found.lines] == [1]
    assert [one.number for one in found.skipped] == [2] and reason in found.skipped[0].reason


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_line(folder: Path) -> None:
    (folder / "lines.jsonl").write_bytes(b'\xef\xbb\xbf{"picture": "b.png", "question": "What?"}\r\n')
    assert read_lines(folder / "lines.jsonl").lines == (Line(1, folder / "b.png", "What?"),)


def test_a_picture_whose_name_is_no_text_is_left_out(folder: Path) -> None:
    (folder / "b.png").rename(os.fsdecode(os.fsencode(folder) + b"/\xff.png"))
    found = read_lines(folder, question="What?")
    assert [line.picture.name for line in found.lines] == ["a.JPG"]
    assert "half of a character" in found.skipped[0].reason


def test_pictures_may_lie_elsewhere_if_it_is_said(folder: Path) -> None:
    lines = write(folder / "lines.jsonl", {"picture": "../outside.png", "question": "What?"})
    with pytest.raises(SettingsError, match=r"1 that cannot be used; number 1: .*outside of the folder"):
        read_lines(lines)
    assert write(lines, {"picture": "outside.png", "question": "What?"})
    assert read_lines(lines, pictures=folder.parent).lines[0].picture == folder.parent / "outside.png"


COCO = {
    "images": [{"id": 5, "file_name": "b.png"}, {"id": 6, "file_name": "gone.png"}],
    "categories": [{"id": 2, "name": "traffic light"}],
    "annotations": [
        {"id": 70, "image_id": 5, "category_id": 2, "bbox": [10, 20.5, 30, 4], "iscrowd": 0},
        {"id": 71, "image_id": 6, "category_id": 2, "bbox": [10, 20, 30, 4]},
        {"id": 72, "image_id": 5, "category_id": 9, "bbox": [10, 20, 30, 4]},
        {"id": 73, "image_id": 5, "category_id": 2, "bbox": [10, 20, 0, 4]},
        {"id": 74, "image_id": 5, "category_id": 2, "bbox": [10, 20, 3, 4], "iscrowd": 1},
        {"id": 75, "image_id": [5], "category_id": 2, "bbox": [10, 20, 3, 4]},
        "no object",
    ],
}


def test_annotations_of_coco_ask_for_the_category_of_each_box(folder: Path) -> None:
    found = read_lines(write(folder / "instances.json", COCO))
    assert found.lines == (Line(1, folder / "b.png", "Where is the traffic light?", (), (10, 20.5, 40, 24.5)),)
    assert [one.number for one in found.skipped] == [2, 3, 4, 5, 6, 7]
    asked = read_lines(folder / "instances.json", question="What color is the {name}?")
    assert asked.lines[0].question == "What color is the traffic light?"


def test_references_of_refcoco_ask_for_each_sentence(folder: Path) -> None:
    refs = [
        {
            "image_id": 5,
            "ann_id": 70,
            "file_name": "b_70.png",
            "sentences": [{"raw": "The LEFT one", "sent": "the left one"}, "lamp"],
        },
        {"file_name": "b_3.png", "ann_id": 3, "bbox": [1, 2, 3, 4], "sentences": [{"raw": "post"}]},
        {"file_name": "b.png", "bbox": [1, 2, 3, 4], "sentences": []},
        {"file_name": "b.png", "bbox": [1, 2], "sentences": ["x"]},
        {"file_name": "b.png", "bbox": [1, 2, 3, 4], "sentences": 8},
    ]
    with_boxes = read_lines(write(folder / "refs.json", COCO | {"refs": refs}))
    assert [(line.number, line.question, line.box) for line in with_boxes.lines] == [
        (1, "Where is the left one?", (10, 20.5, 40, 24.5)),
        (2, "Where is lamp?", (10, 20.5, 40, 24.5)),
        (3, "Where is post?", (1, 2, 4, 6)),
    ]
    assert [one.number for one in with_boxes.skipped] == [4, 5, 6]
    alone = read_lines(write(folder / "refs.json", refs), question="Point at {name}")
    assert [(line.number, line.question) for line in alone.lines] == [(3, "Point at post")]


def test_no_more_lines_are_read_than_asked_for(folder: Path) -> None:
    row = {"picture": "b.png", "question": "What?"}
    lines = write(folder / "lines.jsonl", row, "bad", row, row, "bad")
    found = read_lines(lines, limit=2)
    assert [line.number for line in found.lines] == [1, 3]
    assert [one.number for one in found.skipped] == [2]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"images": []}', "[" * 100_000])
def test_json_of_something_else_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"other\.json"):
        read_lines(write(folder / "other.json", text))


def test_nothing_to_read_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no .*nowhere"):
        read_lines(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="none in empty"):
        read_lines(tmp_path / "empty", question="What?")
    with pytest.raises(SettingsError, match="2 that cannot be used; number 1: It has no question"):
        read_lines(folder)
