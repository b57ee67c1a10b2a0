"""What a person sees of a session of which a part was kept, or whose answer is long, in Chromium."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Route

from inference.trace.request import Keep
from inference.trace.session import Session
from tests.fakes import LAYERS, make_session, make_trace
from tests.viz.page.conftest import Desk
from tests.viz.page.contrast import FAINT
from viz import handlers
from viz.seen import STRETCH

Visit = Callable[..., Desk]


def keeping(desk: Desk, session: Session) -> Desk:
    """The visitor, to whom from now on the looks of another session are sent."""

    def answer(route: Route) -> None:
        wish = json.loads(parse_qs(urlsplit(route.request.url).query)["choice"][0])
        shown = handlers.look(desk.shown("session"), session, handlers.check_choice(session, wish))
        route.fulfill(json=asdict(shown))

    desk.page.route("**/look?*", answer)
    return desk


def test_a_head_that_was_not_kept_is_told_over_its_picture_and_nothing_jumps(visit: Visit) -> None:
    desk = visit()
    whole = desk.page.locator(".lav-frame >> nth=0").bounding_box()
    keeping(desk, make_session(replace(make_session().request, keep=Keep(layers=(1, 3), heads=(0,)))))
    desk.page.locator("[data-dial=layer]").fill("2")
    desk.page.wait_for_selector(".lav-missing:has-text('of layer 2 was not kept; choose from layers 1, 3')")
    assert desk.page.locator(".lav-panel .lav-map:visible").count() == 0
    assert desk.page.locator(".lav-panel .lav-photo:visible").count() == 3
    box = desk.page.locator(".lav-frame >> nth=0").bounding_box()
    assert whole
    assert box
    assert (box["width"], box["height"]) == (whole["width"], whole["height"])
    assert not desk.page.is_visible("[data-part=map-scale]")
    assert desk.page.locator("[data-part=files] a:visible").all_inner_texts() == ["Chart PNG", "Chart SVG", "Session"]
    assert desk.page.locator(".lav-shares:visible").count() == 3
    assert "was not kept" in desk.page.inner_text("[data-part=said]")
    assert desk.page.evaluate(FAINT) == []
    desk.doing(lambda: desk.page.click("[data-act=all]"))
    assert desk.page.locator(".lav-missing:visible").count() == 0
    assert desk.page.locator(".lav-panel .lav-map:visible").count() == 3
    assert desk.page.is_visible("[data-part=map-scale]")
    assert desk.page.locator("[data-part=files] a:visible").count() == 6
    assert desk.wrong == []


def test_small_maps_that_were_not_kept_are_crossed_out_and_can_be_chosen(visit: Visit) -> None:
    desk = keeping(visit(), make_session(replace(make_session().request, keep=Keep(layers=(1, 3), heads=(0,)))))
    desk.doing(lambda: desk.page.locator("[data-dial=head]").fill("0"))
    row = desk.page.locator(".lav-tile-row >> nth=0")
    titles = [f"layer {layer}" + ("" if layer in (1, 3) else ", not kept") for layer in range(LAYERS)]
    assert [each.get_attribute("title") for each in row.locator(".lav-tile").all()] == titles
    assert row.locator(".lav-blank").count() == LAYERS - 2
    assert "Crossed out: not kept." in desk.page.inner_text("[data-part=tile-hint]")
    desk.doing(lambda: row.locator(".lav-tile >> nth=4").click())
    assert (desk.shown("layer"), desk.shown("head")) == ("4", "0")
    desk.page.click("[data-tab=sequence]")
    assert desk.page.locator(".lav-tile").count() == 0
    assert "head 0 of layer 4 was not kept" in desk.page.inner_text("[data-part=tile-hint]")
    assert not desk.page.is_visible("[data-part=tile-scale]")


def test_small_maps_of_a_long_answer_say_which_tokens_they_are_and_choose_them(visit: Visit) -> None:
    session = make_session()
    words = tuple(f" w{index}" for index in range(STRETCH))
    runs = tuple(replace(run, trace=make_trace(words, seed=seed)) for seed, run in enumerate(session.runs))
    desk = keeping(visit(), replace(session, runs=runs))
    desk.page.click("[data-tab=sequence]")
    desk.doing(lambda: desk.page.click("[data-act=answer]"))
    strip = desk.page.locator(".lav-tile-row >> nth=0 >> .lav-tile")
    assert strip.count() == STRETCH
    assert f"Tokens 0 to {STRETCH - 1} of {STRETCH + 4}" in desk.page.inner_text("[data-part=tile-hint]")
    desk.doing(lambda: desk.page.click(f".lav-row >> nth=0 >> [data-index='{STRETCH + 1}']"))
    assert strip.all_inner_texts() == [word.strip() for word in words[-4:]]
    desk.doing(lambda: strip.nth(3).click())
    assert desk.shown("token") == str(STRETCH + 3)
    assert f"Tokens {STRETCH} to {STRETCH + 3} of" in desk.page.inner_text("[data-part=tile-hint]")
