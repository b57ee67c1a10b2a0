"""Everything that the page shows, against maps read by hand from the rows."""

import base64
import io
import json
from dataclasses import asdict, replace

import matplotlib
import numpy as np
import pytest
from PIL import Image

from inference.trace.parse import parse_variant
from inference.trace.request import Request, Variant
from inference.trace.session import Session
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_picture, make_session, make_trace
from viz.look import look
from viz.view import Choice, Look, Sprite

CHOICE = Choice(2, 2, 3, 1)
TOKENS = 6


def pixels(address: str) -> np.ndarray:
    png = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def coloured(grid: np.ndarray, high: float, name: str = "viridis") -> np.ndarray:
    colours: np.ndarray = matplotlib.colormaps[name](matplotlib.colors.Normalize(0, high)(grid), bytes=True)
    return colours


def by_hand(session: Session, choice: Choice, run: int) -> np.ndarray:
    """The map as a plain mean of rows, without any of the project's code."""
    trace = session.runs[run].trace
    span = trace.images[choice.image]
    rows = trace.rows[choice.token : choice.token_to + 1]
    rows = rows if choice.layer is None else rows[:, choice.layer : choice.layer + 1]
    rows = rows if choice.head is None else rows[:, :, choice.head : choice.head + 1]
    flat = rows.astype(float).mean((0, 1, 2))[span.start : span.stop]
    grid: np.ndarray = (flat / flat.sum() if choice.within else flat).reshape(ROWS, COLS)
    return grid


def near(shown: np.ndarray, expected: np.ndarray) -> bool:
    """The same colours, whatever their alpha, but for a step of the colour map where a value lies on its edge."""
    return bool(np.abs(shown[..., :3].astype(int) - expected[..., :3].astype(int)).max() <= 4)


@pytest.mark.parametrize(
    "choice",
    [
        CHOICE,
        Choice(5, 5, 0, 2, colormap="magma"),
        Choice(1, 4, None, None),
        Choice(0, 0, 4, None),
        Choice(3, 3, None, 2),
        Choice(2, 2, 3, 1, within=True),
        Choice(2, 3, None, None, within=True),
    ],
)
def test_maps_of_all_variants_are_the_mean_rows_on_one_shared_scale(choice: Choice) -> None:
    session = make_session()
    shown = look("id", session, choice)
    grids = [by_hand(session, choice, run) for run in range(3)]
    high = max(float(grid.max()) for grid in grids)
    for panel, grid in zip(shown.panels, grids, strict=True):
        assert near(pixels(panel.map), coloured(grid, high, choice.colormap))
    assert shown.map_scale.high == pytest.approx(100 * high, rel=0.005)
    assert shown.map_scale.unit.endswith("on this picture" if choice.within else "all the token's attention")


def test_the_second_picture_has_its_own_map() -> None:
    session, choice = make_session(images=2), replace(CHOICE, image=1)
    shown = look("id", session, choice)
    high = max(float(by_hand(session, choice, run).max()) for run in range(3))
    assert near(pixels(shown.panels[0].map), coloured(by_hand(session, choice, 0), high))
    assert shown.image_count == 2
    assert "to the pictures (" in shown.panels[0].summary
    assert "to picture 2)" in shown.panels[0].summary


def parts(sprite: Sprite) -> list[np.ndarray]:
    image = pixels(sprite.png)
    assert image.shape == (len(sprite.titles) * sprite.rows, sprite.cols, 4)
    return [image[i * sprite.rows : (i + 1) * sprite.rows] for i in range(len(sprite.titles))]


def test_sprites_hold_one_map_a_layer_a_head_and_a_token() -> None:
    session = make_session()
    shown = look("id", session, CHOICE)
    cases = {
        "layers": (shown.small_scale.high, [replace(CHOICE, layer=layer) for layer in range(LAYERS)]),
        "heads": (shown.heads_scale.high, [replace(CHOICE, head=head) for head in range(HEADS)]),
        "sequence": (shown.sequence_scale.high, [replace(CHOICE, token=t, token_to=t) for t in range(TOKENS)]),
    }
    for name, (told, choices) in cases.items():
        grids = np.array([[by_hand(session, choice, run) for choice in choices] for run in range(3)])
        high = float(grids.max())
        assert told == pytest.approx(100 * high, rel=0.005)
        for panel, expected in zip(shown.panels, grids, strict=True):
            drawn = parts(getattr(panel, name))
            assert len(drawn) == len(expected)
            assert all(near(part, coloured(grid, high)) for part, grid in zip(drawn, expected, strict=True))


def test_the_chart_has_layers_downwards_and_heads_to_the_right() -> None:
    session = make_session()
    shown = look("id", session, Choice(1, 2))
    tables = []
    for run in session.runs:
        span = run.trace.images[0]
        tables.append(run.trace.rows[1:3, :, :, span.start : span.stop].sum(-1).mean(0))
    high = max(float(table.max()) for table in tables)
    for panel, table in zip(shown.panels, tables, strict=True):
        assert (panel.chart.rows, panel.chart.cols) == (LAYERS, HEADS)
        assert near(pixels(panel.chart.png), coloured(table, high))
    assert shown.chart_scale.high == pytest.approx(100 * high, rel=0.005)


def test_the_strip_keeps_every_token_with_its_share_on_the_picture_at_the_chosen_spot() -> None:
    session = make_session()
    panel = look("id", session, CHOICE).panels[1]
    trace = session.runs[1].trace
    span = trace.images[0]
    expected = trace.rows[:, 3, 1, span.start : span.stop].sum(-1)
    assert [token.text for token in panel.tokens] == ["What", " is", " red", "?", " cir", "cle"]
    assert [token.part for token in panel.tokens] == ["question"] * 4 + ["answer"] * 2
    assert [token.index for token in panel.tokens] == list(range(TOKENS))
    assert np.allclose([token.shade for token in panel.tokens], expected, atol=1e-6)
    assert "p 0.90" in panel.tokens[4].title
    assert "instead:" in panel.tokens[4].title


def test_equal_tokens_stay_apart_and_odd_ones_stay_visible() -> None:
    session = make_session()
    trace = make_trace(("a", "a", "\ufffd", ""))
    session = replace(session, runs=(replace(session.runs[0], trace=trace), *session.runs[1:]))
    texts = [token.text for token in look("id", session, CHOICE).panels[0].tokens]
    assert texts[4:] == ["a", "a", "\N{WHITE VERTICAL RECTANGLE}", "\N{EMPTY SET}"]


def test_shares_summary_peak_and_alt_text_tell_the_same_row() -> None:
    session = make_session()
    panel = look("id", session, CHOICE).panels[0]
    trace = session.runs[0].trace
    row, span = trace.rows[2, 3, 1].astype(float), trace.images[0]
    question = row[trace.question_span[0] : trace.question_span[1]].sum()
    expected = [row[span.start : span.stop].sum(), question, row[0]]
    assert panel.shares == pytest.approx([*expected, 1 - sum(expected)], abs=1e-5)
    assert panel.summary.startswith(f"'red' gives {expected[0]:.0%}".replace("%", " %"))
    grid = by_hand(session, CHOICE, 0)
    top, left = np.unravel_index(grid.argmax(), grid.shape)
    assert panel.peak == pytest.approx([left / COLS, top / ROWS, (left + 1) / COLS, (top + 1) / ROWS])
    assert panel.alt.startswith("Map for base: where 'red' looked in the picture, layer 3, head 1. Brightest cell: ")
    assert panel.probability == ""


def test_an_answer_token_tells_how_sure_the_model_was_and_a_range_does_not() -> None:
    session = make_session()
    assert look("id", session, Choice(4, 4)).panels[0].probability == "p 0.90, entropy 0.40 nats"
    both = look("id", session, Choice(4, 5)).panels[0]
    assert (both.probability, both.token_text) == ("", " circle")


def empty_of_maps(shown: Look) -> None:
    panel = shown.panels[0]
    assert (panel.map, panel.peak, panel.chart.png, panel.layers.titles, panel.heads.png) == ("", [], "", [], "")
    assert panel.missing
    assert panel.alt == panel.missing


def test_without_a_picture_there_is_no_map_and_it_is_said() -> None:
    shown = look("id", make_session(Request("What is red?")), Choice())
    empty_of_maps(shown)
    assert shown.panels[0].missing == "No map: the question was asked without a picture."
    assert (shown.rows, shown.cols, shown.image_count) == (0, 0, 0)
    assert [token.shade for token in shown.panels[0].tokens] == [0] * TOKENS
    assert shown.panels[0].summary.startswith("'What' gives 0 % of its attention to the picture")


def test_a_variant_whose_answer_is_shorter_says_so_and_the_others_are_shown() -> None:
    session = make_session()
    short = replace(session.runs[0], trace=make_trace(("cir",)))
    shown = look("id", replace(session, runs=(short, *session.runs[1:])), Choice(5, 5, 1, 1))
    empty_of_maps(shown)
    assert shown.panels[0].missing == "No map: the answer of base has no token at this place."
    assert (shown.panels[0].shares, shown.panels[0].summary, shown.panels[0].token_text) == ([], "", "")
    assert len(shown.panels[0].sequence.titles) == 5
    assert shown.panels[1].map


def test_hidden_variants_get_no_panel_and_no_say_in_the_scale_but_keep_the_colours() -> None:
    session = make_session()
    whole, part = look("id", session, CHOICE), look("id", session, replace(CHOICE, hidden=("base", "other@0.5")))
    assert [panel.variant for panel in part.panels] == ["shortcut"]
    assert part.panels[0].colour == whole.panels[1].colour
    assert part.map_scale.high == pytest.approx(100 * by_hand(session, CHOICE, 1).max(), rel=0.005)
    assert part.variants == whole.variants == ["base", "shortcut", "other@0.5"]
    assert part.colours == [panel.colour for panel in whole.panels]


def test_the_whole_look_is_json_and_hands_through_id_question_and_reason() -> None:
    request = Request("What is <b>red</b>?", (make_picture(),), (Variant(), parse_variant("<i>x</i>")))
    shown = look("abc", make_session(request), CHOICE, "because")
    told = json.loads(json.dumps(asdict(shown)))
    assert (told["session"], told["question"], told["reason"]) == ("abc", "What is <b>red</b>?", "because")
    assert told["panels"][1]["variant"] == "<i>x</i>"
    assert (told["rows"], told["cols"], told["layer_count"], told["head_count"]) == (ROWS, COLS, LAYERS, HEADS)
    assert told["token_count"] == TOKENS


def test_notes_begin_with_what_attention_can_tell_and_name_cut_answers() -> None:
    session = make_session()
    cut = replace(session.runs[1], finish="length")
    picture = replace(session.request.images[0], notes=("turned upright",))
    request = replace(session.request, images=(picture,))
    session = replace(session, request=request, runs=(session.runs[0], cut), notes=("Keys were mapped.",))
    notes = look("id", session, CHOICE).notes
    assert notes[0].startswith("Attention is where the model looked, not proof of why it answered.")
    assert "32 px" in notes[0]
    assert notes[1] == ("The model saw the picture at 352 x 224 px (original 352 x 224 px), as 7 rows of 11 cells.")
    assert notes[2:] == [
        "Picture: turned upright.",
        "The answer of shortcut was cut off at the limit of answer tokens.",
        "Keys were mapped.",
    ]
