"""Weighing once for each state of the files, with what cannot be weighed told beside what can."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from inference.catalog import read_adapter
from inference.errors import ModelError, SettingsError
from inference.weights import weigher
from inference.weights.adapter import OpenAdapter, open_adapter
from inference.weights.overlap import compare_adapters
from inference.weights.report import AdapterWeights, weigh_adapter
from inference.weights.weigher import Weigher
from tests.inference.weights.made import LAYERS, Pair, pair, write_adapter, write_base

QUERY, KEY = (LAYERS + f"1.self_attn.{kind}_proj" for kind in "qk")


def made(folder: Path, seed: int = 0, modules: tuple[str, ...] = (QUERY, KEY), **shape: int) -> Path:
    rng = np.random.default_rng(seed)
    pairs: dict[str, Pair] = {module: pair(rng, **shape) for module in modules}
    return write_adapter(folder, pairs)


def test_figures_are_those_of_each_adapter_weighed_alone_and_of_each_pair(tmp_path: Path) -> None:
    folders = [made(tmp_path / name, seed) for seed, name in enumerate(("a", "b", "c"))]
    facts, kept = [read_adapter(folder) for folder in folders], Weigher()
    weighing, comparing = kept.weigh(facts), kept.compare(facts)
    opened = [open_adapter(folder) for folder in folders]
    assert weighing.adapters == tuple(map(weigh_adapter, opened))
    assert [(one.first, one.second) for one in comparing.overlaps] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert comparing.overlaps[1] == compare_adapters(opened[0], opened[2])
    assert weighing.problems == comparing.problems == {}


def test_what_is_broken_is_told_and_the_others_are_weighed(tmp_path: Path) -> None:
    good, odd = made(tmp_path / "good"), made(tmp_path / "odd", outputs=13)
    infinite = write_adapter(tmp_path / "infinite", {QUERY: (np.full((11, 3), np.inf), np.ones((3, 7)))})
    gone = read_adapter(made(tmp_path / "gone"))
    (tmp_path / "gone" / "adapter_config.json").unlink()
    (tmp_path / "empty").mkdir()
    facts = [gone, *map(read_adapter, (good, infinite, tmp_path / "empty", odd))]
    weighing, comparing = Weigher().weigh(facts), Weigher().compare(facts)
    assert [weights.facts.name for weights in weighing.adapters] == ["good", "odd"]
    assert list(weighing.problems) == ["gone", "infinite", "empty"]
    assert "The folder is empty" in weighing.problems["empty"]
    assert comparing.overlaps == ()
    assert "two adapters of one base" in comparing.problems["good and odd"]
    told = [*weighing.problems.values(), *comparing.problems.values()]
    assert all(str(tmp_path) not in sentence for sentence in told)


def test_each_state_of_the_files_is_weighed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    def weigh_counted(opened: OpenAdapter) -> AdapterWeights:
        counted.append(opened.facts.name)
        return weigh_adapter(opened)

    monkeypatch.setattr(weigher, "weigh_adapter", weigh_counted)
    folder = made(tmp_path / "a")
    kept = Weigher()
    first = kept.weigh([read_adapter(folder)]).adapters[0]
    assert kept.weigh([read_adapter(folder)]).adapters[0] is first
    assert len(counted) == 1
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 600}))
    assert kept.weigh([read_adapter(folder)]).adapters[0].norm == pytest.approx(100 * first.norm)
    assert len(counted) == 2


def test_visitors_at_once_share_one_weighing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def weigh_slowly(opened: OpenAdapter) -> AdapterWeights:
        started.append(opened)
        time.sleep(0.1)
        return weigh_adapter(opened)

    monkeypatch.setattr(weigher, "weigh_adapter", weigh_slowly)
    facts, kept = [read_adapter(made(tmp_path / "a"))], Weigher()
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda _: kept.weigh(facts).adapters[0], range(3)))
    assert len(started) == 1
    assert all(one is told[0] for one in told)


def test_only_so_many_figures_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weigher, "KEPT", 2)
    facts = [read_adapter(made(tmp_path / name, seed)) for seed, name in enumerate(("a", "b", "c"))]
    kept = Weigher()
    first = [kept.weigh([each]).adapters[0] for each in facts]
    assert kept.weigh([facts[2]]).adapters[0] is first[2]
    assert kept.weigh([facts[0]]).adapters[0] is not first[0]
    assert len(kept.compare(facts).overlaps) == 3


def test_the_base_is_read_for_ratios_alone(tmp_path: Path) -> None:
    facts = [read_adapter(made(tmp_path / "a"))]
    base = write_base(tmp_path / "base", {module: np.full((11, 7), 2.0) for module in (QUERY, KEY)})
    kept = Weigher(base)
    plain, change = (kept.weigh(facts, ratio=ratio).adapters[0].changes[0] for ratio in (False, True))
    assert plain.ratio is None
    assert change.ratio == pytest.approx(plain.frobenius / np.sqrt(77 * 4))
    (base / "model.safetensors").write_bytes(b"no")
    assert Weigher(base).weigh(facts).adapters
    with pytest.raises(ModelError, match="floating-point numbers, got base"):
        Weigher(base).weigh(facts, ratio=True)


def test_ratios_without_a_base_are_refused(tmp_path: Path) -> None:
    assert not Weigher().has_base
    with pytest.raises(SettingsError, match="the base's own files"):
        Weigher().weigh([read_adapter(made(tmp_path / "a"))], ratio=True)
