"""Grids, rows and plain values: each figure at its place, what is not known left open."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from inference.errors import SettingsError
from inference.protocol import AdapterFacts
from inference.weights.overlap import AdapterOverlap, Angles, Overlap
from inference.weights.places import Place
from inference.weights.report import AdapterWeights, Change
from inference.weights.table import COLUMNS, MEASURES, weight_grid, weights_csv, weights_values


def change(place: Place, *values: float, base: float | None = None) -> Change:
    return Change(place, 11, 7, 3, 2.0, values, base)


ONE = AdapterWeights(
    AdapterFacts("one", "/somewhere/secret", base="owner/base", rank=3),
    (
        change(Place("text", 2, "k_proj"), 4.0, 3.0, base=10.0),
        change(Place("text", 0, "q_proj"), 0.0, 0.0),
        change(Place("text", None, "lm_head"), 2.0),
        change(Place("vision", 1, "qkv"), 1.0),
    ),
)
OTHER = AdapterWeights(AdapterFacts("other", ""), (change(Place("text", 1, "down_proj"), 6.0),))
NAN = float("nan")


def test_adapters_share_their_axes_and_keep_what_they_do_not_touch_open() -> None:
    grid = weight_grid([ONE, OTHER], "frobenius")
    assert grid.layers == (0, 1, 2, None)
    assert grid.modules == ("q_proj", "k_proj", "down_proj", "lm_head")
    expected = np.full((2, 4, 4), NAN)
    expected[0, 0, 0], expected[0, 2, 1], expected[0, 3, 3], expected[1, 1, 2] = 0, 5, 2, 6
    assert np.array_equal(grid.values, expected, equal_nan=True)
    vision = weight_grid([ONE, OTHER], "frobenius", "vision")
    assert (vision.layers, vision.modules) == ((0, 1), ("qkv",))
    assert np.array_equal(vision.values, np.array([[[NAN], [1]], [[NAN], [NAN]]]), equal_nan=True)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_stands_in_its_cell(measure: str) -> None:
    value = weight_grid([ONE], measure).values[0, 2, 1]  # type: ignore[arg-type]
    expected = {"frobenius": 5, "spectral": 4, "ratio": 0.5, "effective_rank": 1.92210, "stable_rank": 25 / 16}
    assert value == pytest.approx(expected[measure], abs=1e-5)


def test_what_has_no_ratio_is_open() -> None:
    values = weight_grid([ONE], "ratio").values
    assert np.argwhere(~np.isnan(values)).tolist() == [[0, 2, 1]]


def test_no_tower_and_no_adapter_give_no_cells_and_no_measure_is_refused() -> None:
    assert weight_grid([OTHER], "frobenius", "vision").values.shape == (1, 0, 0)
    assert weight_grid([], "frobenius").values.shape == (0, 0, 0)
    with pytest.raises(SettingsError, match="one of frobenius, spectral"):
        weight_grid([ONE], "size")  # type: ignore[arg-type]


def test_the_table_has_a_line_for_each_module() -> None:
    rows = list(csv.DictReader(io.StringIO(weights_csv([ONE, OTHER]))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["adapter"], row["layer"], row["module"]) for row in rows] == [
        ("one", "2", "k_proj"),
        ("one", "0", "q_proj"),
        ("one", "", "lm_head"),
        ("one", "1", "qkv"),
        ("other", "1", "down_proj"),
    ]
    assert (rows[0]["frobenius"], rows[0]["ratio"], rows[0]["singular_values"]) == ("5.0", "0.5", "4 3")
    assert float(rows[0]["share"]) == pytest.approx(25 / 30)
    assert (rows[2]["base_frobenius"], rows[2]["ratio"]) == ("", "")


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a"])
def test_no_name_is_a_formula(name: str) -> None:
    strange = replace(OTHER, facts=replace(OTHER.facts, name=name))
    assert weights_csv([strange]).splitlines()[1].startswith(f"'{name},")


def test_plain_values_go_into_json_and_name_no_folder() -> None:
    pair = AdapterOverlap(
        "one", "other", (Overlap(Place("text", 0, "q_proj"), Angles((1.0, 0.5), 0.25), Angles((0.0, 0.0), 0.5), 0.1),)
    )
    told = json.loads(json.dumps(weights_values([ONE, OTHER], [pair]), allow_nan=False))
    assert "secret" not in json.dumps(told)
    first = told["adapters"][0]
    assert first["adapter"]["name"] == "one"
    assert first["frobenius"] == pytest.approx(30**0.5)
    assert first["share_by_layer"]["layer 2"] == pytest.approx(25 / 30)
    place = {"tower": "text", "layer": 2, "module": "k_proj"}
    shape = {"outputs": 11, "inputs": 7, "rank": 3, "scaling": 2.0, "singular_values": [4.0, 3.0]}
    sizes = {"frobenius": 5.0, "spectral": 4.0, "base_frobenius": 10.0, "ratio": 0.5, "stable_rank": 25 / 16}
    parts = {"effective_rank": pytest.approx(1.92210, abs=1e-5), "share": pytest.approx(25 / 30)}
    assert first["changes"][0] == place | shape | sizes | parts
    assert told["overlaps"][0]["modules"] == [
        {
            "tower": "text",
            "layer": 0,
            "module": "q_proj",
            "alignment": 0.1,
            "outputs": {"cosines": [1.0, 0.5], "similarity": 0.625, "chance": 0.25},
            "inputs": {"cosines": [0.0, 0.0], "similarity": 0.0, "chance": 0.5},
        }
    ]
    assert told["overlap_note"].startswith("What an adapter reads")
    assert weights_values([])["overlap_note"] == ""
