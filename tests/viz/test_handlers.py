"""Downloads and numbers: full size, the same colours as on the page, escaped texts, and refusals with a sentence."""

import base64
import io
import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from inference.errors import SettingsError
from inference.trace.request import Request
from tests.fakes import CELL, COLS, ROWS, make_picture, make_session, make_trace
from viz import handlers
from viz.view import Choice

CHOICE = Choice(2, 2, 3, 1)
SVG = "{http://www.w3.org/2000/svg}"


def opened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file)).convert("RGB")


def page_map(choice: Choice, panel: int) -> np.ndarray:
    address = handlers.look("id", make_session(), choice).panels[panel].map
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"))


def test_the_offered_names_are_these() -> None:
    assert handlers.__all__ == [
        "change_file",
        "chart_file",
        "check_choice",
        "figure_file",
        "first_choice",
        "look",
        "map_file",
        "map_numbers",
    ]


def test_the_map_download_shows_what_the_browser_lays_over_the_picture() -> None:
    session = make_session()
    picture = np.asarray(opened(session.request.images[0].png)).astype(float)
    for panel, run in enumerate(session.runs):
        shown = opened(handlers.map_file(session, CHOICE, run.variant.label, "png", opacity=0.7))
        laid_over = page_map(CHOICE, panel).repeat(CELL, 0).repeat(CELL, 1)
        assert shown.size == (COLS * CELL, ROWS * CELL)
        part = 0.7 * laid_over[..., 3:] / 255
        assert np.abs(np.asarray(shown) - ((1 - part) * picture + part * laid_over[..., :3])).max() < 1.6


def test_the_svg_has_the_picture_once_and_the_same_colours_as_the_page() -> None:
    session = make_session()
    root = ElementTree.fromstring(handlers.map_file(session, CHOICE, "shortcut", "svg", opacity=0.7))
    images = root.findall(f".//{SVG}image")
    assert base64.b64decode(images[0].attrib["href"].partition(",")[2]) == session.request.images[0].png
    group = root.find(f"{SVG}g")
    assert group is not None
    assert group.attrib["opacity"] == "0.7"
    rects = list(root.iter(f"{SVG}rect"))
    cells = page_map(CHOICE, 1).reshape(-1, 4)
    assert [rect.attrib["fill"] for rect in rects] == ["#{:02x}{:02x}{:02x}".format(*cell) for cell in cells]
    assert [round(255 * float(rect.attrib["fill-opacity"])) for rect in rects] == cells[:, 3].tolist()


def test_a_smooth_svg_carries_the_small_map_itself() -> None:
    root = ElementTree.fromstring(handlers.map_file(make_session(), CHOICE, "base", "svg", smooth=True))
    _, small = root.findall(f".//{SVG}image")
    assert small.attrib["href"] == handlers.look("id", make_session(), CHOICE).panels[0].map


def test_texts_of_strangers_are_escaped_in_svg() -> None:
    session = make_session()
    trace = make_trace(("</title><script>alert(1)</script>", '"&\x00'))
    session = replace(session, runs=tuple(replace(run, trace=trace) for run in session.runs))
    root = ElementTree.fromstring(handlers.map_file(session, Choice(4, 5, 0, 0), "base", "svg"))
    assert not list(root.iter(f"{SVG}script"))
    title = root.find(f"{SVG}title")
    assert title is not None
    assert "</title><script>" in (title.text or "")


def test_numbers_are_the_rows_and_ready_for_json() -> None:
    session = make_session()
    told = json.loads(json.dumps(handlers.map_numbers(session, CHOICE, "shortcut")))
    trace = session.runs[1].trace
    span = trace.images[0]
    grid = trace.rows[2, 3, 1, span.start : span.stop].reshape(ROWS, COLS)
    assert np.allclose(told["grid"], grid)
    assert sum(told["shares"].values()) == pytest.approx(1, abs=1e-5)
    assert told["shares"]["picture"] == pytest.approx(float(grid.sum()), abs=1e-5)
    assert told["peak"]["share"] == pytest.approx(float(grid.max()))
    assert grid[told["peak"]["row"], told["peak"]["col"]] == grid.max()
    assert told["tokens"] == [{"text": " red", "part": "question", "position": trace.tokens[2].position}]
    assert (told["layer"], told["head"], told["pooling"]) == (3, 1, "layer 3, head 1")


def test_a_hidden_variant_can_still_be_downloaded_and_counts_in_its_own_scale() -> None:
    session, hidden = make_session(), replace(CHOICE, hidden=("shortcut",))
    alone = replace(CHOICE, hidden=("base", "other@0.5"))
    assert handlers.map_numbers(session, hidden, "shortcut")["scale"][1] >= max(
        max(line) for line in handlers.map_numbers(session, alone, "shortcut")["grid"]
    )


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_figures_and_charts_come_as_png_svg_and_pdf(kind: str) -> None:
    begin = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    assert handlers.figure_file(make_session(), CHOICE, kind).startswith(begin)
    assert handlers.chart_file(make_session(), CHOICE, kind).startswith(begin)


def test_other_kinds_variants_and_opacities_are_refused() -> None:
    session = make_session()
    with pytest.raises(SettingsError, match="Expected a file kind of png, svg, got 'pdf'"):
        handlers.map_file(session, CHOICE, "base", "pdf")
    with pytest.raises(SettingsError, match="Expected a file kind of png, svg, pdf, got 'exe'"):
        handlers.figure_file(session, CHOICE, "exe")
    with pytest.raises(SettingsError, match=r"Expected a variant of base, shortcut, other@0.5, got 'x'"):
        handlers.map_file(session, CHOICE, "x", "png")
    for opacity in (math.nan, -0.1, 1.1):
        with pytest.raises(SettingsError, match="Expected an opacity from 0 to 1"):
            handlers.map_file(session, CHOICE, "base", "png", opacity=opacity)


def test_a_choice_without_a_map_is_refused_with_the_reason() -> None:
    with pytest.raises(SettingsError, match="without a picture"):
        handlers.map_numbers(make_session(Request("What?")), Choice(), "base")
    session = make_session()
    session = replace(session, runs=(replace(session.runs[0], trace=make_trace(("x",))), *session.runs[1:]))
    with pytest.raises(SettingsError, match="the answer of base has no token at this place"):
        handlers.map_file(session, Choice(5, 5), "base", "png")


def test_a_picture_of_another_size_than_its_grid_is_stretched_on_each_axis() -> None:
    session = make_session()
    session = replace(session, request=replace(session.request, images=(make_picture(101, 47),)))
    assert opened(handlers.map_file(session, CHOICE, "base", "png")).size == (101, 47)
