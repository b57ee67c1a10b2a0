"""What the command line tells and writes of adapters' weights."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.catalog import find_adapters
from inference.errors import AdapterError, SettingsError
from inference.mini import ADAPTERS_DIR, BASE_DIR
from tests.inference.weights.made import LAYERS, pair, write_adapter
from viz import weight_results
from viz.weight_results import chart_kind, find_folders, weigh_folders, weights_json, weights_text, write_weights

QUERY = LAYERS + "1.self_attn.q_proj"
KNOWN = find_adapters(ADAPTERS_DIR)


def test_adapters_are_found_by_name_by_path_and_in_a_folder_of_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mine = [write_adapter(tmp_path / name, {QUERY: pair(rng)}) for name in ("a", "b")]
    assert find_folders(["shortcut", str(mine[1])], KNOWN) == [(ADAPTERS_DIR / "shortcut").resolve(), mine[1]]
    assert find_folders([str(tmp_path), str(mine[0])], KNOWN) == mine


@pytest.mark.parametrize("name", ["nobody", "", "empty"])
def test_what_is_no_adapter_is_told_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(AdapterError, match="an adapter's folder or one of counting, other, renamed, shortcut, got"):
        find_folders([name], KNOWN)
    with pytest.raises(AdapterError, match="Expected an adapter's folder, got"):
        find_folders([name], [])


def test_more_adapters_than_can_be_compared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_results, "MOST_ADAPTERS", 3)
    with pytest.raises(AdapterError, match="at most 3 adapters, got 4"):
        find_folders([str(ADAPTERS_DIR)], KNOWN)


def test_adapters_of_one_name_are_told_apart_by_where_they_lie(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folders = [write_adapter(tmp_path / run / "final", {QUERY: pair(rng)}) for run in ("one", "two")]
    weighed = weigh_folders(folders)
    assert [adapter.facts.name for adapter in weighed.adapters] == ["one/final", "two/final"]
    assert (weighed.overlaps[0].first, weighed.overlaps[0].second) == ("one/final", "two/final")


def test_the_text_has_a_table_for_each_adapter_and_a_sentence_for_each_pair(tmp_path: Path) -> None:
    up, down = np.eye(11)[:, :3], np.eye(7)[:3]
    pairs = {
        QUERY: (2 * up, down),
        LAYERS + "1.mlp.up_proj": (up, down),
        LAYERS + "0.self_attn.q_proj": (np.diag([1.0, 0, 0]) @ up[:3], down),
        "model.visual.blocks.0.attn.qkv": (0 * up, down),
    }
    one = write_adapter(tmp_path / "one", pairs)
    weighed = weigh_folders([one, write_adapter(tmp_path / "two", {QUERY: (up, down)})])
    lines = weights_text(weighed).splitlines()
    assert lines[0].startswith("one: its change is mostly in q_proj (81 %); by layer, mostly in layer 1 (94 %).")
    # Squared norms: 48 and 4 for q, 12 for up.
    assert lines[1:5] == [
        "  module      share  norm  of base  effective rank   largest in",
        "  q_proj      81 %   7.21  -        1.0 to 3.0 of 3  layer 1",
        "  up_proj     19 %   3.46  -        3.0 to 3.0 of 3  layer 1",
        "  vision qkv  0 %    0     -        0.0 to 0.0 of 3  -",
    ]
    assert lines[6].startswith("two: its change is mostly in q_proj (100 %)")
    assert lines[10].startswith("one and two, 1 module in common: ")
    assert lines[12].startswith("What an adapter reads")


def test_with_a_base_the_table_and_the_chart_are_in_relation_to_it(tmp_path: Path) -> None:
    weighed = weigh_folders([ADAPTERS_DIR / "shortcut", ADAPTERS_DIR / "other"], BASE_DIR)
    assert " %" in weights_text(weighed).splitlines()[2].split("  ")[4]
    written = write_weights(weighed, csv=tmp_path / "new" / "table.csv", chart=tmp_path / "chart.png")
    assert written == [tmp_path / "chart.png", tmp_path / "new" / "table.csv"]
    with Image.open(written[0]) as picture:
        assert picture.width > 1000
    with written[1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert all(0 < float(row["ratio"]) < 1 for row in rows)
    told = json.loads(weights_json(weighed))
    assert [adapter["adapter"]["name"] for adapter in told["adapters"]] == ["shortcut", "other"]
    assert len(told["overlaps"][0]["modules"]) == 24


def test_without_paths_nothing_is_written(tmp_path: Path) -> None:
    assert write_weights(weigh_folders([ADAPTERS_DIR / "shortcut"])) == []


@pytest.mark.parametrize(("name", "kind"), [("a.PNG", "png"), ("a.b.svg", "svg"), ("a.pdf", "pdf")])
def test_a_chart_is_of_the_kind_that_its_name_says(name: str, kind: str) -> None:
    assert chart_kind(Path(name)) == kind


@pytest.mark.parametrize("name", ["a", "a.jpg", "png", ".png"])
def test_a_chart_of_no_kind_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="ends in png, svg, pdf"):
        chart_kind(Path(name))


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    weighed = weigh_folders([ADAPTERS_DIR / "shortcut"])
    with pytest.raises(SettingsError, match="a file that can be written"):
        write_weights(weighed, csv=tmp_path / "file" / "table.csv")
