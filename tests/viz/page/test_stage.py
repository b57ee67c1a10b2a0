"""What a person sees and chooses on the right side, in Chromium, from the finished example; no question is asked."""

import io
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from tests.fakes import HEADS, LAYERS
from tests.viz.page.conftest import Desk
from tests.viz.page.contrast import FAINT

Visit = Callable[..., Desk]
NARROW: dict[str, Any] = {"viewport": {"width": 375, "height": 800}, "device_scale_factor": 2}


def test_finished_example_shows_strips_maps_and_charts(visit: Visit) -> None:
    desk = visit()
    assert desk.page.locator(".lav-row").count() == 3
    assert desk.page.locator(".lav-panel canvas.lav-map").count() == 3
    assert desk.page.locator(".lav-chart canvas").count() == 3
    assert desk.page.locator(".lav-row >> nth=0 >> [role=option]").count() == 6
    assert "Chosen first" in desk.page.inner_text("[data-part=reason]")
    assert "not proof of why it answered" in desk.page.inner_text("[data-part=note]")
    assert "finished example" in desk.page.inner_text("[data-part=notice]")
    assert desk.wrong == []
    assert desk.elsewhere == []


def test_click_on_a_token_chooses_it_in_every_strip(visit: Visit) -> None:
    desk = visit()
    desk.doing(lambda: desk.page.click(".lav-row >> nth=1 >> [role=option] >> nth=2"))
    assert desk.shown("token") == desk.shown("token-to") == "2"
    assert desk.page.locator('[role=option][aria-selected="true"]').all_inner_texts() == ["·red"] * 3
    assert desk.page.inner_text("[data-part=reason]") == ""


def test_shift_click_chooses_a_range(visit: Visit) -> None:
    desk = visit()
    desk.doing(lambda: desk.page.click("[role=option] >> nth=3"))
    desk.doing(lambda: desk.page.click("[role=option] >> nth=1", modifiers=["Shift"]))
    assert (desk.shown("token"), desk.shown("token-to")) == ("1", "3")


@pytest.mark.parametrize("options", [{}, NARROW], ids=["1400 px", "375 px at scale 2"])
def test_click_on_the_chart_hits_its_cell(visit: Visit, options: dict[str, Any]) -> None:
    desk = visit(**options)
    canvas = desk.page.locator(".lav-chart canvas >> nth=1")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    for layer, head in ((0, 2), (4, 0), (3, 1)):
        at: Any = {"x": box["width"] * (head + 0.9) / HEADS, "y": box["height"] * (layer + 0.1) / LAYERS}
        desk.doing(partial(canvas.click, position=at))
        assert (desk.shown("layer"), desk.shown("head")) == (str(layer), str(head))


def test_layer_name_means_all_its_heads_and_all_is_one_click_away(visit: Visit) -> None:
    desk = visit()
    desk.doing(lambda: desk.page.click(".lav-layer[data-layer='3']"))
    assert (desk.shown("layer"), desk.shown("head")) == ("3", "all")
    desk.doing(lambda: desk.page.click("[data-act=all]"))
    assert (desk.shown("layer"), desk.shown("head")) == ("all", "all")
    desk.doing(lambda: desk.page.click("[data-act=first]"))
    assert desk.shown("head") != "all"


def test_small_maps_choose_layer_head_and_token(visit: Visit) -> None:
    desk = visit()
    assert desk.page.locator(".lav-tile-row >> nth=0 >> .lav-tile").count() == LAYERS
    desk.doing(lambda: desk.page.click(".lav-tile >> nth=4"))
    assert desk.shown("layer") == "4"
    desk.page.click("[data-tab=heads]")
    desk.doing(lambda: desk.page.click(".lav-tile >> nth=2"))
    assert desk.shown("head") == "2"
    desk.page.click("[data-tab=sequence]")
    desk.doing(lambda: desk.page.click(".lav-tile >> nth=5"))
    assert desk.shown("token") == "5"


def test_arrows_move_token_and_layer_and_the_focus_goes_along(visit: Visit) -> None:
    desk = visit()
    desk.doing(lambda: desk.page.click("[role=option] >> nth=1"))
    desk.doing(lambda: desk.page.keyboard.press("ArrowRight"))
    assert desk.shown("token") == "2"
    assert desk.page.evaluate("document.activeElement.dataset.index") == "2"
    desk.doing(lambda: desk.page.keyboard.press("Shift+ArrowRight"))
    assert (desk.shown("token"), desk.shown("token-to")) == ("2", "3")
    desk.doing(lambda: desk.page.keyboard.press("Escape"))
    desk.doing(lambda: desk.page.keyboard.press("ArrowDown"))
    assert desk.shown("layer") == "0"
    desk.doing(lambda: desk.page.keyboard.press("ArrowDown"))
    assert desk.shown("layer") == "1"


def test_every_part_can_be_reached_with_tab(visit: Visit) -> None:
    desk = visit()
    desk.page.focus("[data-act=question]")
    reached = []
    for _ in range(40):
        desk.page.keyboard.press("Tab")
        reached.append(
            desk.page.evaluate("document.activeElement.getAttribute('role') || document.activeElement.className")
        )
    assert {"option", "lav-layer", "lav-tile", "tab"} <= set(reached)


def test_opacity_cells_and_lines_need_no_request(visit: Visit) -> None:
    desk = visit()
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    desk.page.locator("[data-view=opacity]").fill("20")
    desk.page.select_option("[data-view=smooth]", "smooth")
    desk.page.check("[data-view=lines]")
    style = "getComputedStyle(document.querySelector('.lav-map'))"
    assert desk.page.evaluate(f"{style}.opacity") == "0.2"
    assert desk.page.evaluate(f"{style}.imageRendering") == "auto"
    assert desk.page.is_visible(".lav-lines >> nth=0")
    assert asked == []


def test_colour_map_share_and_variants_change_what_is_shown(visit: Visit) -> None:
    desk = visit()
    desk.doing(lambda: desk.page.select_option("[data-set=colormap]", "magma"))
    assert desk.shown("colormap") == "magma"
    desk.doing(lambda: desk.page.select_option("[data-set=within]", "true"))
    assert "on this picture" in desk.page.inner_text("[data-part=map-scale]")
    desk.doing(lambda: desk.page.uncheck(".lav-row >> nth=1 >> input"))
    assert desk.page.locator(".lav-panel").count() == 2


def test_map_on_the_page_is_the_map_of_the_download(visit: Visit) -> None:
    """Cell by cell: the browser's mix of picture and map, and the composite that the server makes."""
    desk = visit()
    pixels = desk.page.evaluate(
        "[...document.querySelector('.lav-map').getContext('2d').getImageData(0, 0, 11, 7).data]"
    )
    cells = np.array(pixels, np.float32).reshape(7, 11, 4).repeat(32, 0).repeat(32, 1)
    photo = desk.page.evaluate(
        "(() => { const c = document.createElement('canvas'); c.width = 352; c.height = 224;"
        "const x = c.getContext('2d'); x.drawImage(document.querySelector('.lav-photo'), 0, 0);"
        "return [...x.getImageData(0, 0, 352, 224).data] })()"
    )
    opacity = float(desk.page.evaluate("getComputedStyle(document.querySelector('.lav-map')).opacity"))
    part = opacity * cells[..., 3:] / 255
    mixed = (1 - part) * np.array(photo, np.float32).reshape(224, 352, 4)[..., :3] + part * cells[..., :3]
    link = desk.page.get_attribute(".lav-saves a >> nth=0", "href") or ""
    answer = desk.page.request.get(link)
    downloaded = np.asarray(Image.open(io.BytesIO(answer.body())).convert("RGB"), np.float32)
    assert downloaded.shape == mixed.shape
    assert np.abs(downloaded - mixed).max() <= 2


@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_scrolls_sideways(visit: Visit, width: int) -> None:
    desk = visit(viewport={"width": width, "height": 844})
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_picture_has_a_text_alternative_and_every_control_a_name(visit: Visit) -> None:
    desk = visit()
    nameless = desk.page.evaluate(
        """() => [
          ...[...document.querySelectorAll('img')].filter(e => !e.alt),
          ...[...document.querySelectorAll('#lav-result canvas')].filter(
            e => !e.getAttribute('aria-label') && e.getAttribute('aria-hidden') !== 'true'),
          ...[...document.querySelectorAll('button, a, input, select, textarea')].filter(
            e => e.offsetParent
              && !(e.getAttribute('aria-label') || e.title || e.labels?.length || e.textContent.trim())),
        ].map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visit: Visit, theme: str) -> None:
    """Contrast of at least 4.5 for every text of ours; grounds of half-transparent tokens are mixed with their card."""
    desk = visit(f"?__theme={theme}")
    assert desk.page.evaluate("document.body.classList.contains('dark')") is (theme == "dark")
    faint = desk.page.evaluate(FAINT)
    assert faint == []


def test_theme_can_be_switched_and_help_opened(visit: Visit) -> None:
    desk = visit("?__theme=light")
    desk.page.click("[data-act=theme]")
    assert desk.page.evaluate("document.body.classList.contains('dark')") is True
    desk.page.click("[data-act=help]")
    assert "What it cannot tell" in desk.page.inner_text("dialog")
    desk.page.keyboard.press("Escape")
    assert not desk.page.is_visible("dialog")
    desk.page.evaluate("localStorage.clear()")


def test_a_session_that_is_gone_is_told_and_the_rest_stays(visit: Visit) -> None:
    desk = visit()
    desk.page.route("**/look*", lambda route: route.fulfill(status=404, body=json.dumps({"error": "It is gone."})))
    desk.page.click("[role=option] >> nth=2")
    desk.page.wait_for_selector(".lav-wrong:has-text('It is gone.')")
    assert desk.page.locator(".lav-panel").count() == 3
    assert desk.shown("token") == desk.page.get_attribute('[role=option][aria-selected="true"]', "data-index")


def test_downloads_follow_what_is_shown(visit: Visit) -> None:
    desk = visit()
    desk.doing(lambda: desk.page.click(".lav-layer[data-layer='2']"))
    desk.page.locator("[data-view=opacity]").fill("30")
    link = unquote(desk.page.get_attribute("[data-part=files] a >> nth=0", "href") or "")
    assert '"layer":2' in link
    assert "opacity=0.3" in link


def test_rooms_are_tabs_and_one_is_open(visit: Visit) -> None:
    desk = visit()
    rooms = {name: desk.page.locator(f"[data-part={name}]") for name in ("look", "compare", "evidence", "dataset")}
    assert [room.is_visible() for room in rooms.values()] == [True, False, False, False]
    desk.page.focus("[data-room=look]")
    desk.page.keyboard.press("ArrowLeft")
    assert desk.page.evaluate("document.activeElement.dataset.room") == "dataset"
    assert rooms["look"].is_hidden()
    assert rooms["compare"].is_hidden()
    assert desk.page.get_attribute("[data-room=dataset]", "aria-selected") == "true"
    assert desk.page.locator(".lav-words").is_hidden()
    desk.page.click("[data-room=look]")
    assert rooms["look"].is_visible()
    assert desk.page.locator(".lav-words").is_visible()
    assert desk.wrong == []
