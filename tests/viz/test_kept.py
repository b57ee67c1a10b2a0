"""A session of which a part was kept, in 16 bits: what is shown, what is told to be missing, and what is as before."""

import base64
import io
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from inference.errors import SettingsError
from inference.trace.request import Keep
from inference.trace.session import Session
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_session, make_token
from viz import handlers
from viz.charts import layer_head_figure
from viz.seen import STRETCH, see
from viz.view import Choice, Look, Panel, Sprite

SOME = Keep(layers=(1, 3), heads=(0, 2), numbers="float32")
NOT_KEPT = Choice(2, 2, 4, 1)
CHOICES = [
    Choice(2, 2, 3, 2),
    Choice(1, 4, 1, None),
    Choice(0, 0, None, 2),
    Choice(3, 5),
    Choice(2, 2, 3, 2, within=True),
]


def kept(keep: Keep) -> Session:
    """The made session with that much of it kept; its numbers are those of `make_session`."""
    return make_session(replace(make_session().request, keep=keep))


def sprite_pixels(sprite: Sprite) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(sprite.png.partition(",")[2]))).convert("RGBA")
    return np.asarray(image).reshape(len(sprite.titles), sprite.rows, sprite.cols, 4)


def as_if_whole(panel: Panel, whole: Panel) -> None:
    """All that needs no rows of a single head is the same."""
    for name in ("shares", "summary", "tokens", "answer", "chart", "probability", "token_text"):
        assert getattr(panel, name) == getattr(whole, name), name


def test_a_head_that_was_not_kept_has_no_map_and_all_else_is_there() -> None:
    shown, whole = handlers.look("id", kept(SOME), NOT_KEPT), handlers.look("id", make_session(), NOT_KEPT)
    for panel, other in zip(shown.panels, whole.panels, strict=True):
        assert panel.missing == (
            "No map: head 1 of layer 4 was not kept; choose from layers 1, 3 (of 5) and heads 0, 2 (of 3), "
            "or a mean over heads or layers."
        )
        assert (panel.map, panel.peak, panel.alt) == ("", [], panel.missing)
        assert (panel.sequence.png, panel.sequence.titles) == ("", [])
        as_if_whole(panel, other)
    assert shown.chart_scale == whole.chart_scale
    json.dumps(asdict(shown), allow_nan=False)


@pytest.mark.parametrize("choice", CHOICES)
def test_what_was_kept_is_shown_as_if_all_had_been(choice: Choice) -> None:
    shown, whole = handlers.look("id", kept(SOME), choice), handlers.look("id", make_session(), choice)
    assert shown.map_scale == whole.map_scale
    assert shown.sequence_scale == whole.sequence_scale
    for panel, other in zip(shown.panels, whole.panels, strict=True):
        assert (panel.map, panel.peak, panel.alt, panel.sequence) == (other.map, other.peak, other.alt, other.sequence)
        assert panel.missing == ""
        as_if_whole(panel, other)


def test_strips_show_the_maps_that_were_kept_and_leave_the_others_blank() -> None:
    choice = Choice(2, 2, 3, 2)
    shown, whole = handlers.look("id", kept(SOME), choice), handlers.look("id", make_session(), choice)
    for panel, other in zip(shown.panels, whole.panels, strict=True):
        for name, there in (("layers", {1, 3}), ("heads", {0, 2})):
            sprite, full = getattr(panel, name), getattr(other, name)
            one = name.removesuffix("s")
            assert sprite.titles == [
                f"{one} {index}" + ("" if index in there else ", not kept") for index in range(len(full.titles))
            ]
            assert sprite.blank == [index for index in range(len(full.titles)) if index not in there]
            for index, map_ in enumerate(sprite_pixels(sprite)):
                assert set(np.unique(map_[..., 3])) == {255 if index in there else 0}
        assert (other.layers.blank, other.heads.blank) == ([], [])


def test_blank_maps_have_no_say_in_the_scale_and_the_kept_ones_keep_their_colours() -> None:
    choice, session = Choice(2, 2, 3, 2), kept(SOME)
    shown = handlers.look("id", session, choice)
    full = [see(make_session(), run, choice).layers[[1, 3]] for run in make_session().runs]
    high = max(float(maps_.max()) for maps_ in full)
    assert shown.small_scale.high == pytest.approx(100 * high, rel=0.005)
    for panel, maps_ in zip(shown.panels, full, strict=True):
        drawn = sprite_pixels(panel.layers)[[1, 3], ..., :3].astype(int)
        brightest = np.unravel_index(maps_.argmax(), maps_.shape)
        assert drawn[brightest].sum() == drawn.sum(-1).max()


def test_a_mean_over_layers_of_a_head_that_was_not_kept_has_its_map_and_a_blank_strip() -> None:
    shown = handlers.look("id", kept(SOME), Choice(2, 2, None, 1)).panels[0]
    assert shown.map
    assert shown.missing == ""
    assert shown.layers.blank == list(range(LAYERS))
    assert not sprite_pixels(shown.layers)[..., 3].any()
    assert shown.heads.blank == []


def test_a_head_that_is_not_kept_stays_a_choice() -> None:
    session = kept(SOME)
    assert handlers.check_choice(session, asdict(NOT_KEPT)) == NOT_KEPT


def test_downloads_and_numbers_of_a_missing_map_are_refused_and_charts_are_drawn() -> None:
    session = kept(SOME)
    for ask in (
        lambda: handlers.map_file(session, NOT_KEPT, "base", "png"),
        lambda: handlers.map_file(session, NOT_KEPT, "base", "svg"),
        lambda: handlers.figure_file(session, NOT_KEPT, "png"),
        lambda: handlers.map_numbers(session, NOT_KEPT, "shortcut"),
    ):
        with pytest.raises(SettingsError, match="got No map: head 1 of layer 4 was not kept; choose from layers 1, 3"):
            ask()
    figure = layer_head_figure(session, NOT_KEPT)
    assert len([axes for axes in figure.axes if axes.images]) == 3
    assert not any("No map" in text.get_text() for text in figure.texts)


def test_numbers_of_a_kept_head_and_of_means_are_those_of_the_whole_session() -> None:
    for choice in CHOICES:
        told, whole = (handlers.map_numbers(session, choice, "shortcut") for session in (kept(SOME), make_session()))
        assert told == whole


@pytest.mark.parametrize(
    ("keep", "remedy", "note"),
    [
        (Keep(layers=(0, 1, 2)), "choose from layers 0 to 2 (of 5), or a mean", "Kept: layers 0 to 2 (of 5)."),
        (Keep(heads=(2,)), "choose from head 2 (of 3), or a mean", "Kept: head 2 (of 3)."),
        (Keep(layers=()), "was not kept; choose a mean over heads or layers.", "Kept: no single heads."),
        (Keep(heads=()), "was not kept; choose a mean over heads or layers.", "Kept: no single heads."),
    ],
)
def test_what_was_kept_is_told_once_in_the_notes_and_as_a_remedy(keep: Keep, remedy: str, note: str) -> None:
    shown = handlers.look("id", kept(keep), NOT_KEPT)
    assert remedy in shown.panels[0].missing
    told = [line for line in shown.notes if line.startswith("Kept:")]
    assert told == [f"{note} Means over heads or layers, charts and shares are of all of them."]


def test_a_session_kept_whole_says_nothing_of_it() -> None:
    assert not [line for line in handlers.look("id", kept(Keep()), Choice()).notes if "ept" in line]


def test_a_check_against_eager_attention_is_told_once_in_the_words_of_the_engine() -> None:
    session = make_session()
    told = "base: rows differ from eager attention by at most 2.1e-07."
    session = replace(session, runs=(replace(session.runs[0], eager_error=2.1e-7), *session.runs[1:]), notes=(told,))
    assert [line for line in handlers.look("id", session, Choice()).notes if "eager" in line] == [told]


def numbers(shown: Look) -> np.ndarray:
    scales = (shown.map_scale, shown.small_scale, shown.heads_scale, shown.sequence_scale, shown.chart_scale)
    return np.array([scale.high for scale in scales])


@pytest.mark.parametrize("choice", CHOICES)
def test_sixteen_bits_show_what_32_show(choice: Choice) -> None:
    """A stored share is off by at most 1 in 2,048 of itself and 3e-8; so are means, and within a picture twice that."""
    exact, half = make_session(), kept(Keep(numbers="float16"))
    relative = 2**-11 * (2.01 if choice.within else 1.01)
    for one, other in zip(exact.runs, half.runs, strict=True):
        assert other.trace.rows.dtype == np.float16
        want, found = see(exact, one, choice), see(half, other, choice)
        for name in ("grid", "layers", "heads", "sequence"):
            map_, reference = getattr(found, name), getattr(want, name)
            assert map_.dtype == np.float32
            assert np.allclose(map_, reference, rtol=relative, atol=1e-6 if choice.within else 4e-8), name
        assert np.array_equal(found.chart, want.chart)
        assert np.array_equal(found.parts, want.parts)
    assert np.allclose(numbers(handlers.look("", half, choice)), numbers(handlers.look("", exact, choice)), rtol=0.011)


def test_the_mean_of_many_tokens_in_16_bits_is_not_rounded_once_more() -> None:
    session = kept(Keep(numbers="float16"))
    run = session.runs[0]
    many = tuple(make_token("a", 99, 99, "answer") for _ in range(2_000))
    means = np.random.default_rng(3).gamma(0.3, 0.01, (len(many), run.trace.length)).astype(np.float16)
    layer_means, head_means = (np.repeat(means[:, None], count, axis=1) for count in (LAYERS, HEADS))
    sums = np.repeat(run.trace.sums[:1], len(many), axis=0)
    trace = replace(run.trace, tokens=many, means=means, layer_means=layer_means, head_means=head_means, sums=sums)
    session = replace(session, runs=(replace(run, trace=trace),))
    grid = see(session, session.runs[0], Choice(0, len(many) - 1)).grid
    expected = means[:, trace.columns(0)].astype(np.float64).mean(0).reshape(ROWS, COLS)
    assert np.allclose(grid, expected, rtol=1e-5, atol=0)


def test_the_keys_of_pictures_alone_give_the_same_maps() -> None:
    pictures = make_session(images=2).request
    alone = make_session(replace(pictures, keep=Keep(keys="pictures", numbers="float32")))
    for choice in (*CHOICES, *(replace(choice, image=1) for choice in CHOICES)):
        shown, whole = handlers.look("id", alone, choice), handlers.look("id", make_session(pictures), choice)
        assert shown == whole


def test_a_long_answer_has_small_maps_of_the_chosen_tokens_stretch_and_says_which() -> None:
    session = make_session()
    run = session.runs[0]
    trace = run.trace
    words = tuple(replace(trace.tokens[-1], text=f"w{index}") for index in range(STRETCH))
    repeat = [*range(4), *[4] * STRETCH]
    arrays = {name: getattr(trace, name)[repeat] for name in ("rows", "layer_means", "head_means", "means", "sums")}
    long = replace(trace, tokens=(*trace.tokens[:4], *words), **arrays)
    session = replace(session, runs=(replace(run, trace=long), session.runs[1]))
    first = handlers.look("id", session, Choice(STRETCH - 1, STRETCH - 1, 1, 1)).panels
    assert [(panel.stretch, len(panel.sequence.titles)) for panel in first] == [(0, STRETCH), (0, 6)]
    last = handlers.look("id", session, Choice(STRETCH, STRETCH, 1, 1)).panels
    assert [(panel.stretch, len(panel.sequence.titles)) for panel in last] == [(STRETCH, 4), (0, 0)]
    assert last[0].sequence.titles == [f"w{index}" for index in range(STRETCH - 4, STRETCH)]
    assert last[1].sequence.png == ""
