"""What is told of a window moved over the picture, on an engine whose answers depend on a red square alone."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from inference.evidence.calibration import Calibration
from inference.evidence.dependence import Dependence
from inference.trace import maps
from tests.fakes import COLS, HEADS, LAYERS, RED_CELLS, ROWS, FakeEngine, make_session
from tests.inference.evidence.asking import ask
from viz import overlay
from viz.dependence_view import DependenceView, dependence_view
from viz.view import Choice


def viewed(asked: Dependence, choice: Choice | None = None) -> DependenceView:
    session = make_session()
    return dependence_view(session, choice or Choice(4, 4, 1, 2), asked, ask(FakeEngine(), session, asked))


def pixels(address: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
        return np.asarray(image)


def test_the_red_square_is_drawn_strongest_in_every_variant_on_one_scale_of_nats() -> None:
    view = viewed(Dependence())
    assert [panel.variant for panel in view.panels] == ["base", "shortcut", "other@0.5"]
    assert (view.rows, view.cols, view.scale.low, view.scale.unit) == (ROWS, COLS, 0.0, "nats lost")
    strengths = [pixels(panel.png)[..., 3].ravel() for panel in view.panels]
    for strength in strengths:
        inside = np.isin(np.arange(ROWS * COLS), list(RED_CELLS))
        assert strength[inside].min() > strength[~inside].mean()
        assert int(strength.argmax()) in RED_CELLS
    found = ask(FakeEngine(), make_session(), Dependence())
    assert view.scale.high == pytest.approx(max(np.max(one.grid) for one in found.swept), rel=0.01)


def test_the_costliest_window_is_framed_and_the_sentence_goes_without_the_label() -> None:
    panel = viewed(Dependence()).panels[0]
    left, top, right, bottom = panel.inset
    assert [left, right] == pytest.approx([3 / COLS, 6 / COLS])
    assert top <= 2 / ROWS < 4 / ROWS <= bottom + 1e-9
    assert panel.sentence == "The costliest window of 3 x 3 cells costs 6.00 nats."
    assert panel.pointing == "not calibrated"


def test_without_a_calibration_attention_is_as_chosen() -> None:
    session, view = make_session(), viewed(Dependence())
    grids = [
        maps.image_map(run.trace, tokens=slice(4, 5), layer=1, head=2, image=0, within=False) for run in session.runs
    ]
    scale = overlay.colour_scale(grids)
    for panel, grid in zip(view.panels, grids, strict=True):
        assert np.array_equal(pixels(panel.looked), overlay.veil(grid, scale, "viridis"))
        assert panel.looked_told == "Attention of 'cir', layer 1, head 2 (as chosen)."


def test_with_a_calibration_attention_is_that_of_its_spot_and_the_sentence_compares() -> None:
    session = make_session()
    spot = Calibration("what is", "What is {}", 3, 1, 2, 1.0, 30, LAYERS, HEADS)
    run = session.runs[0]
    place = spot.token_of(run)
    assert place is not None
    view = viewed(Dependence(calibration=spot))
    text = run.trace.tokens[place].text.strip()
    assert view.panels[0].looked_told == f"Attention of '{text}', layer 3, head 1 (calibrated)."
    assert view.panels[0].pointing in ("different places", "the same place")


def test_a_token_without_a_map_says_so_beside_the_dependence() -> None:
    session = make_session()
    choice = Choice(4, 4, 1, 2, hidden=("base",))
    view = dependence_view(session, choice, Dependence(), ask(FakeEngine(), session, Dependence(label="shortcut")))
    assert [panel.variant for panel in view.panels] == ["shortcut"]
    beyond = viewed(Dependence(), Choice(9, 9))
    assert beyond.panels[0].looked == ""
    assert "has no token" in beyond.panels[0].looked_told
    assert beyond.panels[0].png


@pytest.mark.parametrize(("colormap", "differs"), [("viridis", "inferno"), ("inferno", "viridis")])
def test_nats_have_another_colour_map_than_shares(colormap: str, differs: str) -> None:
    view = viewed(Dependence(), Choice(4, 4, colormap=colormap))
    assert view.scale.bar == overlay.data_address(overlay.bar_png(differs))
    assert view.looked_scale.bar == overlay.data_address(overlay.bar_png(colormap))
