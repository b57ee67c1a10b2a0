"""The comparison figure: what it draws and says, files that repeat bit for bit, and texts of any language."""

import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from inference.errors import SettingsError
from inference.trace.parse import parse_variant
from inference.trace.request import Picture, Request
from inference.trace.session import AdapterFacts, Session
from tests.fakes import make_picture, make_session, make_trace
from viz import overlay
from viz.drawing import FileKind, drawable, saved, wrapped
from viz.figures import LONGEST_PX, comparison_figure, open_picture, reduced
from viz.seen import see
from viz.view import Choice

CHOICE = Choice(2, 2, 3, 1)
ODD = "What $\\frac$ is 这是什么? 😀 🦩 ם \u202e <b>&amp; \x00 \ud83d _x^2_ \\"


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def asked(question: str, picture: Picture | None = None, answer: str = "circle") -> Session:
    session = make_session()
    images = (picture,) if picture else session.request.images
    request = replace(session.request, question=question, images=images)
    return replace(session, request=request, runs=tuple(replace(run, answer=answer) for run in session.runs))


def test_the_panels_are_the_picture_and_each_variants_composite_on_one_scale() -> None:
    session = make_session()
    figure = comparison_figure(session, CHOICE, opacity=0.5)
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    picture = reduced(open_picture(session, CHOICE))
    grids = [see(session, run, CHOICE).grid for run in session.runs]
    scale = overlay.colour_scale(grids)
    expected = [overlay.composite(picture, grid, scale, "viridis", opacity=0.5) for grid in grids]
    assert len(drawn) == 4
    for shown, image in zip(drawn, [picture, *expected], strict=True):
        assert np.array_equal(np.asarray(shown), np.asarray(image))


def test_the_colour_bar_has_the_shared_scale_numbers_and_a_unit() -> None:
    session = make_session()
    figure = comparison_figure(session, CHOICE)
    bar = figure.axes[-1]
    high = max(float(see(session, run, CHOICE).grid.max()) for run in session.runs)
    assert bar.get_ylim() == pytest.approx((0, high))
    assert bar.get_ylabel() == "share of attention"
    saved(figure, "png")
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert len(labels) >= 3
    assert all(re.fullmatch(r"[\d.]+ %", label) for label in labels)


def test_the_caption_names_model_adapters_token_place_scale_and_what_attention_cannot_tell() -> None:
    session = replace(make_session(), adapters=(AdapterFacts("shortcut", "", sha256="1a2b3c4d5e6f"),))
    told = " ".join(texts(comparison_figure(session, CHOICE)).split())
    for part in (
        "What is red?",
        "Where 'red' looked: layer 3, head 1",
        "Model: fake model, float32.",
        "Adapters: shortcut at scale 1 (sha256 1a2b3c4d); other at scale 0.5.",
        "Attention of 'red' (question), layer 3, head 1; own answers.",
        "All maps share one colour scale, 0 to",
        "not proof of why it answered",
        "answers: circle",
    ):
        assert part in told


def test_variant_titles_wear_the_variants_colours() -> None:
    figure = comparison_figure(make_session(), CHOICE)
    colours = {text.get_text(): text.get_color() for text in figure.texts}
    assert {label: colours[label] for label in ("base", "shortcut", "other@0.5")} == overlay.variant_colours(
        ["base", "shortcut", "other@0.5"]
    )


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes(kind: FileKind) -> None:
    first, second = (saved(comparison_figure(make_session(), CHOICE), kind) for _ in range(2))
    assert first == second
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_texts_of_any_language_break_no_figure(kind: FileKind) -> None:
    session = asked(ODD * 3, answer=ODD)
    trace = make_trace(("$\\frac$", "汉\ufffd"))
    session = replace(session, runs=tuple(replace(run, trace=trace) for run in session.runs))
    file = saved(comparison_figure(session, Choice(4, 5)), kind)
    if kind == "svg":
        ElementTree.fromstring(file)


def test_mathematics_of_a_visitor_is_drawn_as_it_is() -> None:
    figure = comparison_figure(asked("$x^2$"), CHOICE)
    heading = next(text for text in figure.texts if text.get_text() == "$x^2$")
    assert not heading.get_parse_math()


@pytest.mark.parametrize(("width", "height"), [(4000, 10), (10, 4000), (1, 1), (1600, 900)])
def test_pictures_of_any_shape_give_a_figure_of_a_sensible_size(width: int, height: int) -> None:
    figure = comparison_figure(asked("What?", make_picture(width, height)), CHOICE)
    across, tall = figure.get_size_inches()
    assert 8 < across < 14
    assert 3 < tall < 7
    assert Image.open(io.BytesIO(saved(figure, "png"))).size[0] > 1000


def test_many_variants_go_into_rows_of_four() -> None:
    labels = ("base", "a", "b", "c", "d", "e")
    session = make_session(Request("What?", (make_picture(),), tuple(parse_variant(label) for label in labels)))
    figure = comparison_figure(session, CHOICE)
    tops = [round(axes.get_position().y1, 4) for axes in figure.axes if axes.images]
    assert sorted(map(tops.count, set(tops))) == [3, 4]


def test_all_texts_stay_within_the_figure_and_panels_do_not_overlap() -> None:
    figure = comparison_figure(asked("Wide words WWWW 这是什么 " * 20, answer="这是什么<b>mmm$_" * 20), CHOICE)
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    boxes = [text.get_window_extent() for text in figure.texts]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert not overlaps


def test_a_variant_without_the_token_says_so_beside_the_others() -> None:
    session = make_session()
    short = replace(session.runs[1], trace=make_trace(("cir",)))
    told = texts(comparison_figure(replace(session, runs=(session.runs[0], short)), Choice(5, 5)))
    assert "No map: the answer of" in told


def test_hidden_variants_are_left_out() -> None:
    told = texts(comparison_figure(make_session(), replace(CHOICE, hidden=("shortcut",))))
    assert "shortcut" not in told
    assert "other@0.5" in told


def test_without_a_picture_there_is_no_figure() -> None:
    with pytest.raises(SettingsError, match="Expected a question with a picture, got one without"):
        comparison_figure(make_session(Request("What?")), Choice())


def test_large_pictures_are_reduced_and_small_ones_left_alone() -> None:
    assert reduced(Image.new("RGB", (5000, 2000))).size == (LONGEST_PX, 560)
    assert reduced(Image.new("RGB", (40, 3))).size == (40, 3)


def test_what_no_font_has_becomes_a_box_and_marks_without_shape_go() -> None:
    assert drawable("a\U0010ffff\ufe0fb\nc") == "a\N{WHITE SQUARE}b c"


def test_wrapping_keeps_the_words_and_ends_in_an_ellipsis_when_room_runs_out() -> None:
    assert wrapped("one two three", width_in=9, size=10, lines=1) == ["one two three"]
    lines = wrapped("one two three four five six", width_in=0.7, size=10, lines=9)
    assert " ".join(lines) == "one two three four five six"
    assert len(lines) > 2
    cut = wrapped("x" * 300, width_in=1, size=10, lines=2)
    assert len(cut) == 2
    assert cut[1].endswith("\N{HORIZONTAL ELLIPSIS}")
    assert wrapped("", width_in=1, size=10, lines=2) == [""]
