"""Does it matter?, in Chromium: the parts of Evidence, the box, what is knocked out, and stopping it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.viz.page.conftest import Desk
from tests.viz.page.contrast import FAINT

Visit = Callable[..., Desk]
NARROW: dict[str, Any] = {"viewport": {"width": 375, "height": 800}, "device_scale_factor": 2}


def matter(desk: Desk) -> Desk:
    desk.page.click("[data-room=evidence]")
    desk.page.click("[data-sub=matter]")
    return desk


def find(desk: Desk, kind: str) -> None:
    """Clicks the button of an inquiry and waits for what it found."""
    counted = "Number(document.querySelector('.lav-stage').dataset.found || 0)"
    before = desk.page.evaluate(counted)
    desk.page.locator(f"[data-act={kind}]:visible").click()
    desk.page.wait_for_function(f"before => {counted} > before", arg=before)


def test_the_parts_are_tabs_and_a_box_of_compare_is_knocked_out_there(visit: Visit) -> None:
    desk = visit()
    desk.page.click("[data-room=compare]")
    desk.page.wait_for_selector("#lav-compare .lav-boxable")
    for side, number in enumerate((96, 64, 192, 128)):
        desk.page.fill(f"#lav-compare [data-box='{side}']", str(number))
    desk.page.press("#lav-compare [data-box='3']", "Tab")
    desk.page.click("[data-room=evidence]")
    desk.page.focus("[data-sub=weights]")
    desk.page.keyboard.press("ArrowLeft")
    assert desk.page.evaluate("document.activeElement.dataset.sub") == "matter"
    assert desk.page.locator(".lav-sub:visible").count() == 1
    assert desk.page.input_value("#lav-matter [data-box='2']") == "192"
    desk.page.wait_for_selector("[data-part=knockout-runs]:has-text('66 runs.')")
    find(desk, "knockout")
    rows = desk.page.locator("[data-part=knockout-rows] tr")
    assert rows.count() == 3
    assert "fall by 6.00 nats, more than any of 20 random boxes" in rows.nth(0).inner_text()
    assert rows.nth(0).locator(".lav-fallen").all_inner_texts()[0].split() == ["cir", "6.00"]
    desk.page.click("[data-room=look]")
    desk.page.click("[data-room=evidence]")
    assert rows.nth(2).is_visible()
    moved = desk.page.locator("[data-part=knockout-moved]")
    assert moved.inner_text() == ""
    for right, told in (("190", False), ("200", True), ("192", False)):
        desk.page.fill("#lav-matter [data-box='2']", right)
        desk.page.press("#lav-matter [data-box='2']", "Tab")
        assert ("moved since" in moved.inner_text()) is told, right
    assert desk.wrong == []
    assert desk.elsewhere == []


def test_a_word_of_the_answer_is_asked_about_beside_the_maps_and_a_sweep_is_drawn(visit: Visit) -> None:
    desk = visit(query="?__theme=dark", **NARROW)
    desk.doing(lambda: desk.page.click("[data-act=question]"))
    assert desk.page.locator("[data-part=look-pictured]").is_hidden()
    desk.doing(lambda: desk.page.click("[data-act=answer]"))
    find(desk, "pictured")
    assert desk.page.locator(".lav-depends").all_inner_texts()[0].startswith("'cir' depends on the picture: p")
    matter(desk)
    desk.page.wait_for_selector("[data-part=dependence-runs]:has-text('runs.')")
    find(desk, "dependence")
    panels = desk.page.locator("[data-part=dependence-panels] article")
    panels.nth(2).locator("canvas >> nth=1").wait_for()
    assert "costs 6.00 nats" in panels.nth(0).inner_text()
    assert "Not calibrated" in desk.page.inner_text("[data-part=dependence-pointing]")
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 375
    assert desk.page.evaluate(FAINT) == []
    assert desk.wrong == []


def test_an_inquiry_tells_how_far_it_is_and_can_be_stopped_where_it_was_started(visit: Visit, picture: Path) -> None:
    desk = visit()
    desk.ask(picture, "long trials")
    matter(desk)
    desk.page.uncheck("[data-knockout=box]")
    desk.page.wait_for_selector("[data-part=knockout-runs]:has-text('targets among box')")
    assert desk.page.is_disabled("[data-act=knockout]")
    desk.page.check("[data-knockout=whole]")
    desk.page.wait_for_selector("[data-part=knockout-runs]:has-text('6 runs.')")
    desk.served.engine.closed.clear()
    desk.page.click("[data-act=knockout]")
    desk.page.wait_for_selector("[data-part=inquiry-text]:has-text('of 400.')")
    assert desk.page.is_disabled("[data-act=dependence]")
    desk.page.click("[data-part=inquiry] [data-act=stop]")
    desk.wait_status("Cancelled")
    assert desk.served.engine.closed.wait(10)
    desk.page.wait_for_selector("[data-part=inquiry]", state="hidden")
    assert desk.page.is_enabled("[data-act=knockout]")
    assert desk.page.locator("[data-part=knockout]").is_hidden()
