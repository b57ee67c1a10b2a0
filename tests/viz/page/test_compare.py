"""The Compare room in Chromium, from the finished example; no question is asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.fakes import HEADS, LAYERS
from tests.viz.page.conftest import Desk
from tests.viz.page.contrast import FAINT

Visit = Callable[..., Desk]
COMPARED = "Number(document.querySelector('.lav-stage').dataset.compared || 0)"


@contextmanager
def comparing(desk: Desk) -> Iterator[None]:
    """Waits until the room shows something newer than before."""
    before = desk.page.evaluate(COMPARED)
    yield
    desk.page.wait_for_function(f"before => {COMPARED} > before", arg=before)


def opened(desk: Desk) -> Desk:
    with comparing(desk):
        desk.page.click("[data-room=compare]")
    return desk


def test_nothing_is_fetched_until_the_room_is_open(visit: Visit) -> None:
    desk = visit()
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    desk.doing(lambda: desk.page.click("[role=option] >> nth=1"))
    assert not [url for url in asked if "/change" in url or "/moved" in url]
    opened(desk)
    assert desk.page.locator("[data-part=overlaid] canvas.lav-map").count() == 3
    assert desk.page.locator("[data-part=changes] canvas").count() == 2
    assert desk.page.locator("[data-part=ranked] button").count() == 10
    desk.page.wait_for_selector("[data-part=moved]:has-text('The map moved by')")
    assert "Rank correlation" in desk.page.inner_text("[data-part=agreement]")
    assert desk.page.inner_text("[data-part=mode]") == "Own answers."
    assert desk.wrong == []
    assert desk.elsewhere == []


def test_another_pair_and_another_measure(visit: Visit) -> None:
    desk = opened(visit())
    with comparing(desk):
        desk.page.select_option("[data-pair=a]", "shortcut")
    with comparing(desk):
        desk.page.select_option("[data-pair=b]", "other@0.5")
    labels = desk.page.locator("[data-part=overlaid] .lav-label").all_inner_texts()
    assert labels == ["shortcut", "other@0.5", "other@0.5 less shortcut"]
    assert desk.page.locator("[data-part=changes] .lav-label").all_inner_texts() == ["base", "other@0.5"]
    with comparing(desk):
        desk.page.select_option("[data-pair=measure]", "shannon")
    assert "D(A|M)" in desk.page.inner_text("[data-part=formula]")
    assert desk.page.inner_text("[data-part=change-scale] .lav-scale-low") == "0"
    with comparing(desk):
        desk.page.select_option("[data-pair=b]", "shortcut")
    assert "two different variants" in desk.page.inner_text("[data-part=change-told]")
    assert desk.page.locator("[data-part=overlaid] canvas").count() == 0


def test_cells_of_the_chart_and_of_the_list_choose_a_head(visit: Visit) -> None:
    desk = opened(visit())
    canvas = desk.page.locator("[data-part=changes] canvas >> nth=1")
    box = canvas.bounding_box()
    assert box
    at: Any = {"x": box["width"] * 1.5 / HEADS, "y": box["height"] * 3.5 / LAYERS}
    with comparing(desk):
        canvas.click(position=at)
    assert (desk.shown("layer"), desk.shown("head")) == ("3", "1")
    ranked = desk.page.locator("[data-part=ranked] button >> nth=4")
    with comparing(desk):
        ranked.click()
    assert (desk.shown("layer"), desk.shown("head")) == (
        ranked.get_attribute("data-layer"),
        ranked.get_attribute("data-head"),
    )
    assert ranked.get_attribute("aria-pressed") == "true"


def test_tokens_are_those_of_the_strip(visit: Visit) -> None:
    desk = opened(visit())
    with comparing(desk):
        desk.page.click("[role=option] >> nth=2")
    assert desk.page.locator("[data-part=no-chances]").is_visible()
    with comparing(desk):
        desk.page.click("[data-act=answer]")
    rows = desk.page.locator("[data-part=chances] tbody tr")
    assert rows.count() == 6
    assert "shortcut" in rows.nth(1).inner_text()


def test_a_box_by_two_clicks_and_by_four_numbers(visit: Visit) -> None:
    desk = opened(visit())
    picture = desk.page.locator(".lav-boxable >> nth=1")
    frame = picture.bounding_box()
    assert frame
    corners: list[Any] = [{"x": frame["width"] * share, "y": frame["height"] * share} for share in (0.75, 0.25)]
    picture.click(position=corners[0])
    assert "click the opposite one" in desk.page.inner_text("#lav-compare .lav-box-hint")
    with comparing(desk):
        picture.click(position=corners[1])
    numbers = [int(desk.page.input_value(f"[data-box='{side}']")) for side in range(4)]
    assert numbers == pytest.approx([88, 56, 264, 168], abs=2)
    assert "no proof of use" in desk.page.inner_text("[data-part=box]")
    assert desk.page.locator("[data-part=box-rows] tr").count() == 3
    assert desk.page.locator("[data-part=box-charts] canvas").count() == 3
    with comparing(desk):
        desk.page.fill("[data-box='0']", "10")
        desk.page.press("[data-box='0']", "Tab")
    assert desk.page.input_value("[data-box='0']") == "10"
    with comparing(desk):
        desk.page.click("[data-act=unbox]")
    assert desk.page.locator("[data-part=box]").is_hidden()


def test_a_box_beside_the_picture_is_told(visit: Visit) -> None:
    desk = opened(visit())
    for side, number in enumerate((900, 900, 990, 990)):
        desk.page.fill(f"[data-box='{side}']", str(number))
    desk.page.press("[data-box='3']", "Tab")
    desk.page.wait_for_selector(".lav-wrong:has-text('a box with an area, inside the picture')")
    desk.wrong.clear()  # the browser notes the answer's status


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visit: Visit, theme: str) -> None:
    desk = opened(visit(f"?__theme={theme}"))
    assert desk.page.evaluate(FAINT) == []


def test_nothing_is_wider_than_a_phone(visit: Visit) -> None:
    desk = opened(visit(viewport={"width": 375, "height": 800}))
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 375


def test_everything_to_press_has_a_name(visit: Visit) -> None:
    desk = opened(visit())
    nameless = desk.page.evaluate(
        """() => [...document.querySelectorAll('#lav-compare :is(button, select, input)')]
        .filter(e => !(e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)"""
    )
    assert nameless == []


def test_a_click_asks_once_for_the_change(visit: Visit) -> None:
    desk = opened(visit())
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url) if "/change?" in request.url else None)
    for place in (1, 3):
        with comparing(desk):
            desk.page.click(f"[role=option] >> nth={place}")
    assert len(asked) == 2


def test_noise_and_sinks_are_asked_for_and_shown(visit: Visit) -> None:
    desk = opened(visit())
    for folded in desk.page.query_selector_all("#lav-compare details"):
        folded.evaluate("each => each.open = true")
    assert desk.page.is_disabled("[data-pair=unit]") and desk.page.is_disabled("[data-pair=hide]")
    with comparing(desk):
        desk.page.click("[data-act=floor]")
    assert desk.page.locator("[data-part=floor-rows] tbody tr").count() >= 4
    assert "Precision: nothing to measure" in desk.page.inner_text("[data-part=floor-told]")
    with comparing(desk):
        desk.page.select_option("[data-pair=unit]", "floor")
    assert "times the noise floor" in desk.page.inner_text("[data-part=change-scale]")
    with comparing(desk):
        desk.page.click("[data-act=neutral]")
    assert "sink" in desk.page.inner_text("[data-part=sinks-told]")
    with comparing(desk):
        desk.page.check("[data-pair=relative]")
    assert "log2 against the neutral question" in desk.page.inner_text("[data-part=pair-scale]")
    links = desk.page.locator("[data-part=change-files] a")
    assert links.all_inner_texts() == ["Figure PNG", "Figure SVG", "Figure PDF"]
    assert "neutral=" in (links.first.get_attribute("href") or "")
    assert desk.wrong == []
