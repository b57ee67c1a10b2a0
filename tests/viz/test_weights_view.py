"""What the page is given of adapters' weights: which are listed, in which colours, and charts as pictures."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.catalog import read_adapter
from inference.errors import AdapterError, SettingsError
from inference.protocol import AdapterFacts
from inference.weights.table import MEASURES
from inference.weights.weigher import Weigher
from tests.fakes import LAYERS as MODEL_LAYERS
from tests.fakes import make_session
from tests.inference.weights.made import BLOCKS, LAYERS, pair, write_adapter
from viz import overlay
from viz.weights_view import MOST, WeightsView, check_measure, choose_adapters, first_names, weights_view

QUERY, VALUE, HEAD = LAYERS + "0.self_attn.q_proj", LAYERS + "1.self_attn.v_proj", "lm_head"
VISION = BLOCKS + "2.attn.qkv"


def make(folder: Path, *modules: str, seed: int = 0) -> AdapterFacts:
    rng = np.random.default_rng(seed)
    return read_adapter(write_adapter(folder, {module: pair(rng) for module in modules}))


def view(*adapters: AdapterFacts, measure: str = "frobenius") -> WeightsView:
    weighing = Weigher().weigh(adapters)
    return weights_view(make_session(), adapters, adapters, weighing, check_measure(measure), has_base=False)


def pixels(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"))


def test_a_chart_has_a_row_for_every_layer_of_the_model_and_one_for_what_has_none(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", QUERY, HEAD), make(tmp_path / "two", VALUE, seed=1)
    text, *others = view(one, two).charts
    assert (others, text.tower) == ([], "text")
    assert text.layers == [*range(MODEL_LAYERS), None]
    assert text.modules == ["q_proj", "v_proj", "lm_head"]
    drawn = pixels(text.png)
    assert drawn.shape == (2 * (MODEL_LAYERS + 1), 3, 4)
    assert np.argwhere(drawn[..., 3] > 0).tolist() == [[0, 0], [MODEL_LAYERS, 2], [MODEL_LAYERS + 1 + 1, 1]]


def test_all_adapters_and_towers_share_one_scale(tmp_path: Path) -> None:
    facts = [make(tmp_path / "one", QUERY), make(tmp_path / "two", QUERY, VISION, seed=1)]
    told = view(*facts)
    sizes = [change.frobenius for weights in Weigher().weigh(facts).adapters for change in weights.changes]
    assert told.scale.high == pytest.approx(max(sizes), rel=5e-3)
    assert (told.scale.low, told.scale.unit) == (0.0, MEASURES["frobenius"][0])
    shades = [pixels(told.charts[0].png)[0, 0], pixels(told.charts[0].png)[MODEL_LAYERS, 0]]
    shades.append(pixels(told.charts[1].png)[3 + 2, 0])
    expected = overlay.coloured(np.array([sizes]), overlay.colour_scale([np.array(sizes)]), "viridis")[0]
    np.testing.assert_array_equal(shades, expected)
    assert told.charts[1].layers == [0, 1, 2]


def test_colours_are_those_of_the_variants_and_no_adapter_shares_one(tmp_path: Path) -> None:
    session = make_session()
    known = [AdapterFacts(name, "") for name in ("fresh", "other", "shortcut")]
    told = weights_view(session, known, [], Weigher().weigh([]), "frobenius", has_base=True)
    variants = overlay.variant_colours([run.variant.label for run in session.runs])
    colours = {one.name: one.colour for one in told.listed}
    assert (colours["other"], colours["shortcut"]) == (variants["other@0.5"], variants["shortcut"])
    assert len(set(colours.values()) | {variants["base"]}) == 4
    assert not any(one.chosen for one in told.listed)
    assert [one["measure"] for one in told.measures] == list(MEASURES)


def test_an_adapter_that_was_changed_since_the_session_is_told(tmp_path: Path) -> None:
    now = replace(make(tmp_path / "other", QUERY), sha256="b")
    listed = []
    for then in ("a", "b"):
        session = replace(make_session(), adapters=(AdapterFacts("other", "", sha256=then),))
        listed += weights_view(session, [now], [], Weigher().weigh([]), "frobenius", has_base=True).listed
    assert [bool(one.note) for one in listed if one.name == "other"] == [True, False]


def test_names_to_begin_with() -> None:
    session = make_session()
    known = [AdapterFacts(name, "") for name in ("a", "other", "shortcut")]
    assert first_names(session, known) == ["shortcut", "other"]
    base_alone = replace(session, runs=session.runs[:1])
    broken = AdapterFacts("0", "", problems=("It is empty.",))
    assert first_names(base_alone, [broken, *known]) == ["a", "other", "shortcut"]
    assert first_names(base_alone, [broken]) == ["0"]
    assert len(first_names(base_alone, [AdapterFacts(str(number), "") for number in range(9)])) == MOST


def test_choosing_checks_names_and_number() -> None:
    known = [AdapterFacts(str(number), "") for number in range(9)]
    assert [facts.name for facts in choose_adapters(["3", "1", "3"], known)] == ["3", "1"]
    with pytest.raises(AdapterError, match="one of 0, 1, 2"):
        choose_adapters(["x"], known)
    for names in ([], [str(number) for number in range(MOST + 1)]):
        with pytest.raises(SettingsError, match=f"1 to {MOST} adapters, got {len(names)}"):
            choose_adapters(names, known)
    with pytest.raises(SettingsError, match="a measure of frobenius"):
        check_measure("Frobenius")
