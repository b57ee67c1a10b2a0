"""A report as one HTML file: nothing runs in it, nothing is fetched, and its numbers are the report's."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from inference.study.report import Item, Part, Report, Skipped
from tests.inference.study.made import make_report
from viz.report.content import report_view
from viz.report.html import report_html
from viz.report.numbers import in_unit, interval, probability, short
from viz.report.summary import MEASURES, not_measured

EVIL = '<script>window.ran=1</script><img src=x onerror="window.ran=1">'
EMPTY = ("br", "img", "input", "link", "meta")


class Page(HTMLParser):
    """Elements with their attributes, the text that a reader sees, and whether every element was ended."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))
        if name not in EMPTY:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        if not self.open or self.open.pop() != name:
            self.crossed.append(name)

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == name]


def hostile(report: Report) -> Report:
    """The report with markup for every text that a stranger may have written."""
    items = tuple(_hostile_item(item) for item in report.data.items)
    summaries = tuple(
        replace(one, variant=name) for one, name in zip(report.data.summaries, ("base", EVIL), strict=True)
    )
    data = replace(report.data, name=EVIL, items=items, summaries=summaries, skipped=(Skipped(3, EVIL),))
    return replace(
        report,
        created=EVIL,
        model=replace(report.model, name=EVIL, versions=((EVIL, EVIL),)),
        adapters=tuple(replace(one, name=EVIL, sha256=EVIL) for one in report.adapters),
        variants=("base", EVIL),
        settings=((EVIL, EVIL),),
        data=data,
        general=replace(data, name=EVIL),
        methods=(EVIL,),
        notes=(EVIL,),
    )


def _hostile_item(item: Item) -> Item:
    looks = tuple(replace(look, answer=EVIL) for look in item.looks)
    return replace(
        item, picture=EVIL, question=EVIL, expected=(EVIL,), words=EVIL, thumbnail=EVIL.encode(), looks=looks
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(report_html(report))


def test_what_strangers_wrote_is_text_alone(report: Report) -> None:
    page = Page(report_html(hostile(report)))
    assert len(page.named("script")) == 1
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert [attributes for attributes in page.named("img") if not (attributes["src"] or "").startswith("data:")] == []
    assert page.text.count(EVIL) > 20
    assert page.crossed == page.open == []


def test_the_page_is_whole_html_with_one_script_that_its_policy_names(page: Page) -> None:
    assert page.crossed == page.open == []
    (policy,) = [meta["content"] or "" for meta in page.named("meta") if meta.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "'unsafe-inline'; script-src 'sha256-" in policy
    assert len(page.named("script")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.named("a") + page.named("use"):
        assert (link["href"] or "").removeprefix("#") in ids


def test_nothing_is_fetched_from_anywhere(report: Report) -> None:
    html = report_html(report)
    assert re.findall(r"https?:|//[a-z]|@import|url\(", re.sub(r"data:image/[^\"]*", "", html)) == []


def test_every_figure_of_the_table_is_the_reports(report: Report, page: Page) -> None:
    for summary in report.data.summaries:
        assert summary.accuracy and summary.box_drop and summary.hits and summary.agreement
        for estimate, unit in (
            (summary.accuracy, "share"),
            (summary.share, "share"),
            (summary.logprob, "nats"),
            (summary.box_drop, "nats"),
            (summary.hits.rate, "share"),
        ):
            told: Any = unit
            assert in_unit(estimate.mean, told) in page.texts
            assert f"{interval(estimate, told)}, n\u00a0{estimate.n}" in page.texts
    assert "both 5, map alone 0, hiding alone 1, neither 0" in page.texts
    assert "chance 14\u00a0%, another picture's box 20\u00a0%" in page.texts


def test_numbers_are_rounded_and_no_more() -> None:
    assert [short(number) for number in (0, 0.00217, -0.0004, -0.006, -0.0123, 3.14159, 123.4, -5.0)] == [
        *("0", "0.002", "0.000", "-0.006", "-0.01", "3.14", "123", "-5"),
    ]
    assert in_unit(-0.0234, "points") == "-2.34\u00a0points"
    assert in_unit(0.117, "share") == "12\u00a0%"
    assert [probability(p) for p in (0.0004, 0.0312, 1.0)] == ["< 0.001", "0.031", "1"]


def test_heads_are_told_with_both_p_and_framed_where_they_are_sure(report: Report, page: Page) -> None:
    test = report.data.summaries[1].heads
    assert test
    first = test.top[0]
    assert page.texts[page.texts.index("4, 0") + 1] == in_unit(first.change.mean, "points")
    assert page.texts.count("0.03") == 2
    frames = [one for one in page.named("rect") if one.get("class") == "sure"]
    assert len(frames) == sum(corrected <= 0.05 for row in test.corrected for corrected in row) == 1


def test_pictures_come_by_change_and_carry_every_answer(report: Report) -> None:
    view = report_view(report).data
    moved = {
        item.number: max(look.change.variation for look in item.looks if look.change) for item in report.data.items
    }
    assert [one.line for one in view.pictures] == sorted(moved, key=lambda line: -moved[line])
    for one in view.pictures:
        item = next(item for item in report.data.items if item.number == one.line)
        assert [look.answer for look in one.looks] == [look.answer for look in item.looks]
        assert [look.mark == "right" for look in one.looks] == [look.right for look in item.looks]
        assert ("parted" in one.kinds) == any(look.change is not None and look.change.answer for look in item.looks)


def test_the_box_lies_where_the_line_has_it(page: Page, report: Report) -> None:
    boxes = [one for one in page.named("rect") if one.get("class") == "box"]
    general = report.general
    assert general and all(item.box is None for item in general.items)
    assert len(boxes) == len(report.data.items) * 4
    assert {(one["x"], one["y"], one["width"], one["height"]) for one in boxes} == {("32", "0", "64", "32")}


def test_a_picture_stands_in_the_file_once(report: Report, page: Page) -> None:
    photos = [one for one in page.named("image") if (one["href"] or "").startswith("data:image/jpeg")]
    assert report.general
    assert len(photos) == len(report.data.items) + len(report.general.items)


def test_what_was_not_measured_is_said_with_its_reason() -> None:
    page = Page(report_html(make_report(boxes=False, general=False)))
    (told,) = [text for text in page.texts if text.startswith("Not measured, since no line gives a box: ")]
    assert "Pointing hits" in told and "Cost of hiding the box" in told and "Calibrated head and hiding agree" in told
    assert "what was forgotten beside the task was not measured" in page.text
    assert "Pointing hits" not in page.texts
    assert [one for one in page.named("rect") if one.get("class") == "box"] == []


def test_each_figure_that_is_missing_has_its_own_reason(report: Report) -> None:
    items = tuple(
        replace(item, looks=tuple(replace(look, need=None) for look in item.looks)) for item in report.data.items
    )
    bare: dict[str, Any] = {
        "box_drop": None,
        "random_drop": None,
        "depends": None,
        "agreement": None,
        "head_agreement": None,
    }
    summaries = tuple(
        replace(one, **bare, accuracy=None, calibrated=None, calibrated_agreement=None) for one in report.data.summaries
    )
    told = not_measured(replace(report.data, items=items, summaries=summaries))
    assert told[:2] == (
        "Not measured, since no line gives an expected answer: Right answers.",
        "Not measured, since the model is not calibrated for these questions: Pointing hits of the calibrated head.",
    )
    assert len(MEASURES) == len({measure.of for measure in MEASURES})
    assert told[2].startswith("Not measured, since blocking the box was not asked for: Cost of hiding the box, ")
    assert told[2].endswith("Best head and hiding agree, Calibrated head and hiding agree.")


def test_a_share_of_fewer_lines_than_were_asked_says_of_how_many(report: Report) -> None:
    first = report.data.summaries[0]
    assert first.hits is not None and first.depends is not None
    assert not re.search(r"box on \S+ % of", report_view(report).short[0])
    fewer = replace(
        first,
        hits=replace(first.hits, rate=replace(first.hits.rate, n=2)),
        depends=replace(first.depends, n=1),
    )
    told = report_view(replace(report, data=replace(report.data, summaries=(fewer, *report.data.summaries[1:])))).short
    assert re.search(r"peak in the box on \S+ % of 2 lines \(chance", told[0].replace("\u00a0", " "))
    assert re.search(r"needs the box on \S+ % of 1 line[;.]", told[0].replace("\u00a0", " "))


@pytest.mark.parametrize("items", [0, 1])
def test_an_empty_report_and_one_of_one_picture_are_whole_pages(items: int) -> None:
    report = make_report(items=items)
    page = Page(report_html(report))
    assert page.crossed == page.open == []
    assert f"{items} of {items + 2} lines asked" in page.text
    assert "not asked yet" in page.text
    if items:
        assert "n\u00a01, too few for an interval" in page.texts
        assert "No test of the heads: it takes at least 5 pictures, and there are 1." in page.texts
    else:
        assert "Nothing was measured: no picture was asked about." in page.texts


def test_skipped_lines_are_told_by_number(page: Page) -> None:
    assert "Line 7: Expected a picture, got no readable file gone.png: choose another." in page.texts


def test_a_base_alone_has_no_change_to_tell(report: Report) -> None:
    def alone(part: Part) -> Part:
        items = tuple(replace(item, looks=item.looks[:1]) for item in part.items)
        return replace(part, items=items, summaries=part.summaries[:1])

    page = Page(report_html(replace(report, variants=("base",), adapters=(), data=alone(report.data), general=None)))
    assert "Where the base looks" in page.texts
    assert "No adapter was asked, so no head changed." in page.texts
    assert any(text.startswith("Not measured, since no adapter was asked: ") for text in page.texts)
