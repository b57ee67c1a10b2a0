"""What a person sees of adapters' weights, in Chromium: charts, numbers, and the attention beside them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from inference.mini import ADAPTERS_DIR, BASE_DIR
from inference.weights.adapter import open_adapter
from inference.weights.base import BaseWeights
from inference.weights.report import Change, weigh_adapter
from tests.fakes import make_session
from tests.viz.page.conftest import Desk
from tests.viz.page.contrast import FAINT
from tests.viz.page.engines import MARKUP
from viz.layer_change import layer_changes
from viz.view import Choice

Visit = Callable[..., Desk]
NARROW: dict[str, Any] = {"viewport": {"width": 375, "height": 800}, "device_scale_factor": 2}
PANELS = "[data-part=weights-panels]"
ROWS = "[data-part=weights-rows] tr"


def weighed(name: str) -> list[Change]:
    return list(weigh_adapter(open_adapter(ADAPTERS_DIR / name, BaseWeights(BASE_DIR))).changes)


def change_at(name: str, layer: int, module: str) -> Change:
    return next(one for one in weighed(name) if (one.place.layer, one.place.module) == (layer, module))


def three(number: float) -> str:
    """A number as the page writes it."""
    return f"{float(f'{number:.3g}'):g}"


def wait(desk: Desk, **shown: str) -> None:
    """Waits until the weights say that they show this."""
    desk.page.wait_for_function(
        "([where, shown]) => Object.entries(shown).every(([name, value]) =>"
        " document.querySelector(where).dataset[name] === value)",
        arg=[PANELS, shown],
    )


def evidence(visit: Visit, **options: Any) -> Desk:
    """The page with Evidence open and filled."""
    desk = visit(**options)
    desk.page.click("[data-room=evidence]")
    desk.page.wait_for_function("where => document.querySelector(where).dataset.token", arg=PANELS)
    return desk


def test_the_sessions_adapters_stand_side_by_side_with_their_sentence(visit: Visit) -> None:
    desk = evidence(visit)
    assert desk.page.locator(f"{PANELS} h3").all_inner_texts() == ["shortcut", "other"]
    assert "its change is mostly in k_proj (36\u00a0%)" in desk.page.inner_text(f"{PANELS} article >> nth=0")
    total = sum(change.frobenius**2 for change in weighed("shortcut"))
    keys = sum(change.frobenius**2 for change in weighed("shortcut") if change.place.module == "k_proj")
    assert f"k_proj {three(100 * keys / total)}\u00a0%" in desk.page.inner_text(
        f"{PANELS} article >> nth=0 >> .lav-kinds"
    )
    assert desk.page.inner_text("[data-part=weights-unusable]") == "broken: adapter_config.json is missing."
    desk.page.wait_for_selector("[data-part=weights-overlaps] tr")
    assert "adapters trained from one seed read alike" in desk.page.inner_text("[data-part=weights-pairs]")
    assert desk.wrong == []
    assert desk.elsewhere == []


@pytest.mark.parametrize("options", [{}, NARROW], ids=["1400 px", "375 px at scale 2"])
def test_click_on_a_cell_tells_its_numbers(visit: Visit, options: dict[str, Any]) -> None:
    desk = evidence(visit, **options)
    canvas = desk.page.locator(f"{PANELS} canvas >> nth=1")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    modules = ("q_proj", "k_proj", "v_proj", "o_proj")
    for layer, col in ((5, 0), (0, 3), (3, 1)):
        at: Any = {"x": box["width"] * (col + 0.9) / len(modules), "y": box["height"] * (layer + 0.1) / 6}
        canvas.click(position=at)
        wait(desk, cell=f"layer {layer}, {modules[col]}")
        change = change_at("other", layer, modules[col])
        row = desk.page.locator(f"{ROWS} >> nth=1").locator("td").all_inner_texts()
        assert row[:4] == ["other", three(change.frobenius), three(change.spectral), three(change.effective_rank)]
        spectrum = desk.page.get_attribute(f"{ROWS} >> nth=1 >> .lav-spectrum", "title") or ""
        assert spectrum.split(", ") == [three(value) for value in change.singular_values]


def test_pointing_at_a_cell_tells_its_numbers_without_a_click(visit: Visit) -> None:
    desk = evidence(visit)
    canvas = desk.page.locator(f"{PANELS} canvas >> nth=0")
    canvas.hover(position={"x": 3, "y": 3})
    change = change_at("shortcut", 0, "q_proj")
    assert (canvas.get_attribute("title") or "").startswith(f"layer 0, q_proj: norm {three(change.frobenius)}, ")


def test_the_keyboard_chooses_a_weight(visit: Visit) -> None:
    desk = evidence(visit)
    desk.page.select_option("[data-weights=module]", "v_proj")
    desk.page.select_option("[data-weights=layer]", label="2")
    wait(desk, cell="layer 2, v_proj")
    assert three(change_at("shortcut", 2, "v_proj").frobenius) in desk.page.inner_text(f"{ROWS} >> nth=0")


def test_the_ratio_to_the_base_is_a_measure(visit: Visit) -> None:
    desk = evidence(visit)
    desk.page.select_option("[data-weights=measure]", "ratio")
    wait(desk, measure="ratio")
    highest = max(change.ratio or 0 for name in ("shortcut", "other") for change in weighed(name))
    assert desk.page.inner_text("[data-part=weights-scale] .lav-scale-high") == f"{100 * highest:.2g}"
    assert desk.page.locator("[data-part=weights-heads] th").all_inner_texts()[2] == "of the base"
    for kind, start in (("csv", b"adapter,"), ("png", b"\x89PNG")):
        with desk.page.expect_download() as download:
            desk.page.click(f'[data-part=weights-files] a[href*="weights.{kind}?"]')
        content = download.value.path().read_bytes()
        assert content.startswith(start)
    assert desk.wrong == []


def test_unticked_adapters_go_and_the_last_one_stays(visit: Visit) -> None:
    desk = evidence(visit)
    desk.page.uncheck('[data-part=weights-names] input[value="other"]')
    wait(desk, names="shortcut")
    assert desk.page.locator(f"{PANELS} article").count() == 1
    assert desk.page.is_disabled('[data-part=weights-names] input[value="shortcut"]')
    assert desk.page.is_hidden("[data-part=weights-pairs]")


def test_a_broken_adapter_with_markup_for_a_name_is_told_as_text_beside_the_others(visit: Visit) -> None:
    desk = evidence(visit)
    desk.page.locator("[data-part=weights-names] label").last.locator("input").check()
    desk.page.wait_for_function("where => document.querySelectorAll(`${where} article`).length === 3", arg=PANELS)
    told = desk.page.inner_text(f"{PANELS} article >> nth=2")
    assert MARKUP in told
    assert "Expected adapter_config.json of" in told
    assert desk.page.locator(f"{PANELS} canvas").count() == 2
    assert desk.page.evaluate("window.ran") is None


def test_the_bars_follow_the_chosen_token(visit: Visit) -> None:
    desk = evidence(visit)
    desk.doing(partial(desk.page.click, ".lav-row >> nth=0 >> [role=option] >> nth=2"))
    wait(desk, token="'red'")
    by_hand = layer_changes(make_session(), Choice(token=2, token_to=2))
    titles = [each.get_attribute("title") or "" for each in desk.page.locator(".lav-grid-bars >> nth=0 >> span").all()]
    assert [title.split(": ")[1].split(" points")[0] for title in titles[:5]] == [
        f"{'+' * (value > 0)}{three(100 * value)}" for value in by_hand.changes[0].values
    ]
    # The adapters have a layer more than the made session's model.
    assert titles[5:] == [""]
    widths = desk.page.eval_on_selector_all(
        ".lav-grid-bars i", "bars => bars.map((bar) => parseFloat(bar.style.width))"
    )
    assert max(widths) == pytest.approx(50)
    assert by_hand.changes[0].summary.replace(" %", "\u00a0%") in desk.page.inner_text(f"{PANELS} article >> nth=0")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_texts_stand_out(visit: Visit, theme: str) -> None:
    desk = evidence(visit, query=f"?__theme={theme}")
    assert desk.page.evaluate(FAINT) == []


def test_nothing_reaches_past_a_narrow_page(visit: Visit) -> None:
    desk = evidence(visit, **NARROW)
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 375
