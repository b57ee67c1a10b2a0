"""Strength and Parts, in Chromium: a sweep and its slider, bars of pieces, why a head moved, and a mix of adapters."""

from collections.abc import Callable

from tests.viz.page.conftest import STAGE, Desk
from tests.viz.page.contrast import FAINT
from tests.viz.page.test_matter_room import NARROW, find

Visit = Callable[..., Desk]


def evidence(desk: Desk, sub: str) -> None:
    desk.page.click("[data-room=evidence]")
    desk.page.click(f"[data-sub={sub}]")


def test_a_sweep_is_moved_through_with_no_request(visit: Visit) -> None:
    desk = visit(query="?__theme=dark", **NARROW)
    desk.doing(lambda: desk.page.click("[data-act=answer]"))
    evidence(desk, "strength")
    desk.page.wait_for_selector("[data-part=strength-runs]:has-text('7 runs.')")
    desk.page.fill("[data-strength=scales]", "1, 0 -0.5")
    desk.page.press("[data-strength=scales]", "Tab")
    desk.page.wait_for_selector("[data-part=strength-runs]:has-text('3 runs.')")
    find(desk, "strength")
    desk.page.wait_for_selector("[data-part=strength][data-scale='1']")
    assert desk.page.locator(".lav-curves polyline").count() == 3
    assert "base's answer 'What is red?'" in desk.page.inner_text("[data-part=strength-keys]")
    assert "is not known here" in desk.page.inner_text("[data-part=strength-told]")
    canvas = "[data-part=strength-panels] article:nth-child(2) canvas"
    drawn = "one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data.join()"
    asked: list[str] = []
    desk.page.on("request", lambda request: None if request.url.startswith("data:") else asked.append(request.url))
    before = desk.page.eval_on_selector(canvas, drawn)
    desk.page.focus("[data-strength=step]")
    desk.page.keyboard.press("Home")
    assert desk.page.get_attribute("[data-part=strength]", "data-scale") == "-0.5"
    assert desk.page.eval_on_selector(canvas, drawn) != before
    assert "at scale -0.5" in desk.page.inner_text("[data-part=strength-panels]")
    assert [address for address in asked if "strength" in address or "look" in address] == []
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 375
    assert desk.page.evaluate(FAINT) == []
    assert desk.wrong == []


def test_pieces_heads_reasons_and_a_mix(visit: Visit) -> None:
    desk = visit()
    evidence(desk, "parts")
    desk.page.wait_for_selector("[data-part=reason-runs]:has-text('2 runs.')")
    assert "parts are known" in desk.page.inner_text("[data-part=parts-runs]")
    assert desk.page.is_disabled("[data-act=parts]")
    find(desk, "exchange")
    rows = desk.page.locator("[data-part=exchange] tbody tr")
    assert rows.count() == 11
    before = desk.page.evaluate(f"document.querySelector('{STAGE}').dataset.found")
    rows.nth(3).get_by_role("button").click()
    desk.page.wait_for_function(f"before => document.querySelector('{STAGE}').dataset.found !== before", arg=before)
    assert "heads of layer 1 exchanged" in desk.page.inner_text("[data-part=heads]")
    find(desk, "reason")
    assert desk.page.get_attribute("[data-part=why-bar]", "aria-label") == (
        "its own query 50 %, its own key 20 %, inputs from earlier layers 25 %, the rest 5 %"
    )
    desk.page.click(".lav-mix summary")
    assert desk.page.get_attribute(".lav-mix input", "placeholder") == "other@0.5+shortcut@0.5"
    desk.page.fill(".lav-mix input", "other@0.5 + shortcut@2")
    desk.page.keyboard.press("Enter")
    mixed = desk.page.locator(".lav-variant[data-name='other@0.5+shortcut@2'] input")
    assert mixed.is_checked()
    assert desk.page.evaluate(FAINT) == []
    assert desk.wrong == []
