"""The Data set room: a report from anybody is read or refused in a sentence, and stepped through in Chromium."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inference.study.report import Report
from inference.study.stored import save_report
from tests.inference.study.made import make_report
from tests.viz.page.conftest import Desk
from tests.viz.page.contrast import FAINT
from tests.viz.page.engines import MARKUP
from viz.page import dataset
from viz.page.dataset import dataset_routes
from viz.report.content import report_view
from viz.report.html import report_html

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def http() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=dataset_routes())) as client:
        yield client


def written(report: Report, folder: Path) -> Path:
    save_report(report, folder / "report.json")
    return folder / "report.json"


def test_a_report_comes_back_as_what_is_shown_and_as_a_page(http: TestClient, tmp_path: Path) -> None:
    report = make_report()
    sent = written(report, tmp_path).read_bytes()
    shown = http.post("/dataset", content=sent, headers=JSON)
    assert shown.json() == json.loads(json.dumps(asdict(report_view(report))))
    assert shown.headers["cache-control"] == "no-store"
    page = http.post("/dataset/report.html", content=sent, headers=JSON)
    assert page.text == report_html(report)
    assert page.headers["content-disposition"] == 'attachment; filename="report.html"'


@pytest.mark.parametrize("path", ["/dataset", "/dataset/report.html"])
@pytest.mark.parametrize("sent", [b"", b"{}", b"PK\x03\x04", b"[" * 100_000, b'{"format": "lora-attention-report"}'])
def test_what_is_no_report_is_refused_in_a_sentence(http: TestClient, path: str, sent: bytes) -> None:
    answer = http.post(path, content=sent, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Expected a report")


def test_a_form_of_another_site_is_not_read(http: TestClient, tmp_path: Path) -> None:
    sent = written(make_report(), tmp_path).read_bytes()
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""):
        answer = http.post("/dataset", content=sent, headers={"content-type": kind})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("Expected a report sent as application/json")
    assert http.get("/dataset").status_code == 405


def test_an_unforeseen_error_tells_nothing_of_itself(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: bytes) -> Report:
        raise RuntimeError("/srv/secret")

    monkeypatch.setattr(dataset, "parse_report", broken)
    answer = http.post("/dataset", content=b"{}", headers=JSON)
    assert answer.status_code == 500
    assert "secret" not in answer.text


def hostile(report: Report) -> Report:
    """The report with markup for names, questions and answers."""
    items = tuple(
        replace(
            item, question=f"{item.number} {MARKUP}", looks=tuple(replace(look, answer=MARKUP) for look in item.looks)
        )
        for item in report.data.items
    )
    summaries = (report.data.summaries[0], replace(report.data.summaries[1], variant=MARKUP))
    data = replace(report.data, name=MARKUP, items=items, summaries=summaries)
    return replace(report, variants=("base", MARKUP), data=data, general=None)


def test_a_stranger_s_report_is_opened_and_stepped_through(visit: Callable[..., Desk], tmp_path: Path) -> None:
    page = (desk := visit("?__theme=light")).page
    report = hostile(make_report())
    page.click("[data-room=dataset]")
    assert "lora-attention compare --data" in page.inner_text("[data-part=study-door]")
    wrong, large = tmp_path / "notes.json", tmp_path / "large.json"
    wrong.write_text("no report")
    large.write_bytes(b" " * 2_100_000)
    for path, told in ((wrong, "got something else"), (large, "Expected a report of at most 2 MB, got 2 MB")):
        page.set_input_files("[data-part=study-door] input", path)
        page.wait_for_selector(f"[data-part=study-wrong]:has-text('{told}')")
    # The browser itself notes the answer 400; nothing else may go wrong.
    assert [line for line in desk.wrong if "400" not in line] == []
    desk.wrong.clear()

    page.set_input_files("[data-part=study-door] input", written(report, tmp_path))
    page.wait_for_selector(".lav-study-look")
    moved = [one.line for one in report_view(report).data.pictures]
    assert desk.shown("line") == str(moved[0])
    page.keyboard.press("ArrowDown")
    page.click("[data-study=next]")
    assert desk.shown("line") == str(moved[2])
    page.select_option("[data-study=sort]", "line")
    assert desk.shown("line") == str(moved[2])
    page.select_option("[data-study=kind]", "worse")
    assert page.locator(".lav-study-list button").count() == 3
    assert page.locator(".lav-study-look .lav-map").count() == 3
    assert page.locator(".lav-study-looks .lav-box:visible").count() == 4
    assert page.inner_text(".lav-study-look >> nth=1 >> .lav-study-answer") == MARKUP
    assert page.evaluate(FAINT) == []
    for leaf, told in (("figures", "95 %"), ("heads", "1 of 15 heads changed"), ("about", "What it cannot tell")):
        page.click(f"[data-leaf={leaf}]")
        assert told in page.inner_text(f"[data-part=study-{leaf}]").replace("\u00a0", " ")
    assert page.evaluate(FAINT) == []
    with page.expect_download() as download:
        page.click("[data-study=save]")
    assert download.value.path().read_text(encoding="utf-8") == report_html(report)
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.evaluate("window.ran") is None
    assert desk.wrong == desk.elsewhere == []
    page.click("[data-room=look]")
    assert page.locator(".lav-words").is_visible()
