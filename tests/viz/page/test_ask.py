"""What a visitor does on the left side, in Chromium: asks, cancels, swaps, opens a file, and makes mistakes."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.trace.request import Keep
from tests.viz.page.conftest import Desk, Served, soon
from tests.viz.page.contrast import FAINT
from tests.viz.page.engines import MARKUP

Visit = Callable[..., Desk]


def test_question_is_answered_by_every_variant_ticked(visit: Visit, served: Served, picture: Path) -> None:
    desk = visit()
    desk.page.locator(".lav-variant [type=number] >> nth=0").fill("0.5")
    example = desk.shown("session")
    desk.ask(picture, "What is red?")
    assert [variant.label for variant in served.engine.requests[-1].variants] == ["base", "other@0.5", "shortcut"]
    assert served.engine.requests[-1].question == "What is red?"
    assert desk.shown("session") != example
    assert desk.page.locator(".lav-answered").all_inner_texts() == ["What is red?"] * 3
    assert "3 variants answered" in desk.status()
    assert "knows only coloured shapes" in desk.status()
    assert desk.page.is_enabled("#lav-ask")
    assert not desk.page.is_enabled("#lav-cancel")
    assert desk.wrong == []
    assert desk.elsewhere == []


def test_settings_reach_the_request(visit: Visit, served: Served, picture: Path) -> None:
    desk = visit()
    desk.page.click("#lav-settings button")
    desk.page.get_by_label("Expected answer").fill("circle")
    desk.page.get_by_label("Seed").fill("7")
    desk.ask(picture, "What is it?")
    request = served.engine.requests[-1]
    assert (request.expected_answer, request.generation.seed) == ("circle", 7)
    assert request.forced_answer is None
    assert request.keep == Keep()
    assert not request.compare_eager
    assert "differs" not in desk.status()


def test_what_to_keep_reaches_the_request_and_what_was_kept_is_told(
    visit: Visit, served: Served, picture: Path
) -> None:
    desk = visit()
    desk.page.click("#lav-settings button")
    group = desk.page.locator("#lav-kept")
    group.get_by_label("Whole prompt").check()
    group.get_by_label("Question").uncheck()
    group.get_by_label("Layers").fill("0-2, 4")
    group.get_by_label("Pictures only").check()
    group.get_by_label("float32").check()
    group.get_by_label("Compare with eager attention").check()
    desk.ask(picture, "What is it?")
    request = served.engine.requests[-1]
    assert request.keep == Keep(question=False, prompt=True, layers=(0, 1, 2, 4), keys="pictures", numbers="float32")
    assert request.compare_eager
    assert re.search(
        r" [0-9.]+ kB kept on the disk\. It differs from eager attention by at most 1\.2e-07\.", desk.status()
    )


def test_words_reach_the_request(visit: Visit, served: Served, picture: Path) -> None:
    desk = visit()
    desk.page.click("#lav-settings button")
    desk.page.get_by_label("Same words: the base's answer").check()
    desk.ask(picture, "What is it?")
    assert served.engine.requests[-1].words == "base"


def test_same_words_are_one_click_away_and_keep_what_is_chosen(visit: Visit, served: Served, picture: Path) -> None:
    desk = visit()
    desk.fill(picture, "What is red?")
    desk.page.uncheck(".lav-variant [type=checkbox] >> nth=0")
    desk.doing(lambda: desk.page.click("#lav-ask"))
    assert [variant.label for variant in served.engine.requests[-1].variants] == ["other", "shortcut"]
    desk.doing(lambda: desk.page.click("[role=option] >> nth=3"))
    desk.page.click("[data-room=compare]")
    own = desk.shown("session")
    for side, number in enumerate((1, 2, 33, 44)):
        desk.page.fill(f"[data-box='{side}']", str(number))
    desk.page.press("[data-box='3']", "Tab")
    desk.page.wait_for_selector("[data-part=box]:visible")
    desk.doing(lambda: desk.page.click("[data-act=same]"))
    request = served.engine.requests[-1]
    assert request.words == "base"
    assert [variant.label for variant in request.variants] == ["base", "other", "shortcut"]
    assert request.question == "What is red?"
    assert desk.shown("session") != own
    assert (desk.shown("token"), desk.shown("open")) == ("3", "compare")
    desk.page.wait_for_selector("[data-part=mode]:has-text('Same words')")
    assert desk.page.locator("[data-part=box]").is_visible()
    assert [desk.page.input_value(f"[data-box='{side}']") for side in range(4)] == ["1", "2", "33", "44"]
    assert desk.page.locator("[data-act=same]").is_hidden()
    assert desk.page.is_enabled("#lav-ask")
    assert desk.wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_settings_stand_out_from_their_ground(visit: Visit, theme: str) -> None:
    desk = visit(f"?__theme={theme}")
    desk.page.click("#lav-settings button")
    desk.page.locator("#lav-kept").get_by_label("Compare with eager attention").wait_for()
    assert desk.page.evaluate(FAINT) == []


def test_nonsense_for_layers_is_one_sentence(visit: Visit, picture: Path) -> None:
    desk = visit()
    desk.page.click("#lav-settings button")
    desk.page.locator("#lav-kept").get_by_label("Layers").fill("5-2")
    desk.fill(picture, "What is it?")
    desk.page.click("#lav-ask")
    desk.wait_status("Expected layers as numbers from 0 and ranges of them, got '5-2'")


def test_more_than_there_is_room_for_is_refused_before_the_run(visit: Visit, served: Served, picture: Path) -> None:
    desk = visit()
    before = served.files()
    desk.fill(picture, "huge")
    desk.page.click("#lav-ask")
    desk.wait_status("Expected")
    assert "keep fewer tokens, layers or heads" in desk.status()
    assert soon(lambda: served.files() <= before)


def test_nothing_moves_while_it_works_and_cancel_stops_it(visit: Visit, served: Served, picture: Path) -> None:
    desk = visit()
    served.engine.closed.clear()
    desk.fill(picture, "slow")
    places = (
        "['#lav-ask', '#lav-settings', '.lav-maps'].map(s => document.querySelector(s).getBoundingClientRect().top)"
    )
    before = desk.page.evaluate(places)
    shown = desk.shown("session")
    desk.page.click("#lav-ask")
    desk.wait_status("so far")
    assert "of at most 400" in desk.status()
    assert "Up to 6 tokens x 5 layers x 3 heads over 92 keys in float16: 1.2 MB." in desk.status()
    assert desk.page.evaluate(places) == before
    assert any(name.startswith(".partial-") for name in served.files())
    desk.page.click("#lav-cancel")
    assert served.engine.closed.wait(5)
    desk.wait_status("Cancelled")
    desk.page.wait_for_timeout(700)  # what comes late must not write over it
    desk.wait_status("Cancelled")
    assert soon(lambda: not any(name.startswith(".partial-") for name in served.files()))
    assert desk.page.is_enabled("#lav-ask")
    assert desk.page.input_value("#lav-question textarea") == "slow"
    assert desk.shown("session") == shown


def test_closed_tab_stops_the_work_and_drops_its_sessions(visit: Visit, served: Served, picture: Path) -> None:
    desk = visit()
    desk.ask(picture, "before")
    session_id = desk.shown("session")
    served.engine.closed.clear()
    desk.fill(picture, "slow")
    desk.page.click("#lav-ask")
    desk.wait_status("so far")
    url, request = f"{served.url}/session/{session_id}/look", desk.page.context.request
    assert request.get(url).ok
    desk.page.goto("about:blank")
    assert served.engine.closed.wait(10)
    assert soon(lambda: request.get(url).status == 404)


def test_markup_runs_nowhere(visit: Visit, tmp_path: Path, picture: Path) -> None:
    desk = visit()
    named = tmp_path / "<img src=x onerror=window.ran=1>.png"
    named.write_bytes(picture.read_bytes())
    desk.page.locator(".lav-variant [type=checkbox] >> nth=4").check()
    desk.ask(named, f"markup {MARKUP}")
    assert MARKUP in desk.page.inner_text(".lav-answered >> nth=0")
    for tab in ("heads", "sequence"):
        desk.page.click(f"[data-tab={tab}]")
    desk.page.hover(".lav-token >> nth=4")
    assert desk.page.evaluate("window.ran") is None
    assert desk.page.locator("img[src='x']").count() == 0


def test_mistakes_are_one_sentence_and_all_else_stays(visit: Visit, served: Served, tmp_path: Path) -> None:
    desk = visit()
    text = tmp_path / "notes.png"
    text.write_text("no picture at all")
    shown = desk.shown("session")
    desk.page.fill("#lav-question textarea", "What is it?")
    desk.page.click("#lav-ask")
    desk.wait_status("Expected a picture, got none")
    desk.page.set_input_files("#lav-picture input[type=file]", text)
    desk.wait_status("a text file named notes.png")
    assert desk.page.get_attribute(".lav-status", "role") == "alert"
    assert desk.page.input_value("#lav-question textarea") == "What is it?"
    assert desk.shown("session") == shown


def test_unforeseen_error_tells_nothing_of_itself(visit: Visit, served: Served, picture: Path) -> None:
    desk = visit()
    before = served.files()
    desk.fill(picture, "crash")
    desk.page.click("#lav-ask")
    desk.wait_status("went wrong on the server")
    assert soon(lambda: served.files() <= before)
    assert "secret" not in desk.page.content()


def test_picture_is_told_upright(visit: Visit, rotated: Path) -> None:
    desk = visit()
    desk.put_picture(rotated)
    desk.wait_status("60 x 40 px, turned upright")
    desk.page.fill("#lav-question textarea", "What is it?")
    desk.doing(lambda: desk.page.click("#lav-ask"))
    assert "40 px, turned upright" in desk.page.inner_text("[data-part=where]")


def test_example_fills_everything_in(visit: Visit) -> None:
    desk = visit()
    desk.page.click(".lav-thumb")
    desk.wait_status("A red square.")
    assert desk.page.input_value("#lav-question textarea") == "What is it?"
    ticked = desk.page.locator(".lav-variant [type=checkbox]").evaluate_all("boxes => boxes.map(box => box.checked)")
    assert ticked == [True, True, False, False, False]
    assert desk.page.input_value(".lav-variant [type=number] >> nth=0") == "0.5"
    desk.page.click(".lav-chip:has-text('count')")
    desk.page.wait_for_function("document.querySelector('#lav-question textarea').value.startsWith('How many')")


def test_swapped_picture_stands_beside_the_first(visit: Visit, served: Served, picture: Path, rotated: Path) -> None:
    desk = visit()
    desk.ask(picture, "What is it?")
    first = desk.shown("session")
    desk.page.click("#lav-swap-box button")
    desk.put_picture(rotated, "#lav-swap-picture")
    desk.doing(lambda: desk.page.click("#lav-swap"))
    assert served.engine.requests[-1].question == "What is it?"
    assert served.engine.requests[-1].images[0].name == "camera.jpg"
    assert desk.shown("session") != first
    desk.doing(lambda: desk.page.click("[data-session='0']"))
    assert desk.shown("session") == first


def test_session_file_opens_again_and_a_strange_one_is_refused(visit: Visit, tmp_path: Path) -> None:
    desk = visit()
    link = desk.page.get_attribute("[data-part=files] a:has-text('Session')", "href") or ""
    kept, strange = tmp_path / "session.zip", tmp_path / "strange.zip"
    kept.write_bytes(desk.page.request.get(link).body())
    strange.write_bytes(io.BytesIO(b"PK no zip").read())
    before = desk.shown("session")
    desk.page.set_input_files("input[type=file][accept='.zip']", strange)
    desk.wait_status("session file")
    assert desk.shown("session") == before
    desk.doing(lambda: desk.page.set_input_files("input[type=file][accept='.zip']", kept))
    assert "no model was used" in desk.page.inner_text("[data-part=notice]")
    assert desk.shown("session") != before


def test_two_visitors_never_see_each_other(visit: Visit, picture: Path) -> None:
    one, two = visit(), visit()
    one.fill(picture, "first visitor")
    two.fill(picture, "second visitor")
    before = one.count, two.count
    one.page.click("#lav-ask")
    two.page.click("#lav-ask")
    one.settle(before[0])
    two.settle(before[1])
    assert one.shown("session") != two.shown("session")
    assert one.page.inner_text(".lav-answered >> nth=0") == "first visitor"
    assert two.page.inner_text(".lav-answered >> nth=0") == "second visitor"


def test_full_queue_says_so_and_recovers(visit: Visit, served: Served, picture: Path) -> None:
    queue = served.page._queue
    desk = visit()
    desk.fill(picture, "What is it?")
    queue.max_size = 0
    desk.page.click("#lav-ask")
    desk.wait_status("Expected a free place in the queue")
    queue.max_size = 32
    desk.doing(lambda: desk.page.click("#lav-ask"))
    assert desk.page.is_enabled("#lav-ask")
