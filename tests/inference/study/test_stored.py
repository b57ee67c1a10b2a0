"""A report as a file: the same after saving and loading; what a stranger sends is checked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.errors import SessionError
from inference.study.report import Report
from inference.study.stored import load_report, parse_report, save_report
from tests.inference.study.made import make_report


@pytest.mark.parametrize("report", [make_report(), make_report(items=0, general=False), make_report(boxes=False)])
def test_a_report_is_the_same_after_saving_and_loading(report: Report, tmp_path: Path) -> None:
    save_report(report, tmp_path / "new" / "report.json")
    assert load_report(tmp_path / "new" / "report.json") == report
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.json"]


def test_numbers_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    item = make_report().data.items[0]
    bad = replace(item, looks=(replace(item.looks[0], logprob=float("nan")), item.looks[1]))
    report = make_report()
    with pytest.raises(SessionError, match="nan"):
        save_report(replace(report, data=replace(report.data, items=(bad,))), tmp_path / "report.json")
    assert not (tmp_path / "report.json").exists()


def _plain(tmp_path: Path) -> dict[str, Any]:
    save_report(make_report(), tmp_path / "report.json")
    document: dict[str, Any] = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    return document


def _drop_a_look(report: dict[str, Any]) -> None:
    del report["data"]["items"][0]["looks"][1]


def _cut_a_row(report: dict[str, Any]) -> None:
    report["data"]["items"][2]["looks"][1]["grid"][0].pop()


def _cut_a_test(report: dict[str, Any]) -> None:
    report["data"]["summaries"][1]["heads"]["p"].pop()


def _name_another(report: dict[str, Any]) -> None:
    report["data"]["summaries"][1]["variant"] = "third"


def _break_base64(report: dict[str, Any]) -> None:
    report["data"]["items"][0]["thumbnail"] = "<script>"


def _count_wrongly(report: dict[str, Any]) -> None:
    report["general"]["lines"] = 1


def _look_more_than_all(report: dict[str, Any]) -> None:
    report["data"]["items"][1]["looks"][0]["grid"][1][2] = 1.5


def _change_by_more_than_all(report: dict[str, Any]) -> None:
    report["data"]["summaries"][1]["heads"]["change"][4][2] = -1e308


def _put_a_box_outside(report: dict[str, Any]) -> None:
    report["data"]["items"][0]["box"] = [-1e308, 0, 1e308, 9]


@pytest.mark.parametrize(
    "damage",
    [
        _drop_a_look,
        _cut_a_row,
        _cut_a_test,
        _name_another,
        _break_base64,
        _count_wrongly,
        _look_more_than_all,
        _change_by_more_than_all,
        _put_a_box_outside,
    ],
)
def test_a_damaged_report_is_refused(damage: Any, tmp_path: Path) -> None:
    document = _plain(tmp_path)
    parse_report(json.dumps(document).encode())
    damage(document["report"])
    with pytest.raises(SessionError, match="a damaged one"):
        parse_report(json.dumps(document).encode())


def test_half_of_a_character_is_refused_and_a_whole_one_read(tmp_path: Path) -> None:
    document = _plain(tmp_path)
    document["report"]["data"]["name"] = "\U0001f984"
    assert parse_report(json.dumps(document).encode()).data.name == "\U0001f984"
    document["report"]["data"]["name"] = "\ud83e"
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
        with pytest.raises(SessionError, match="something else"):
            parse_report(text.encode(errors="surrogatepass"))


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff\xfe", b'{"format": "other"}', b"[" * 100_000])
def test_another_file_is_refused(text: bytes) -> None:
    with pytest.raises(SessionError, match="something else"):
        parse_report(text)


def test_another_version_and_no_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="another version"):
        parse_report(json.dumps(_plain(tmp_path) | {"version": 2}).encode())
    with pytest.raises(SessionError, match="cannot be read"):
        load_report(tmp_path / "gone.json")
