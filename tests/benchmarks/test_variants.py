"""The benchmark of variants: its arithmetic on hand-made values, and the whole of it on a tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import variants
from benchmarks.shapes import SHAPES, ask, build, load_miniature
from benchmarks.variants import Pair, compare, figures, main
from benchmarks.variants_switching import base_intact, switch_ms
from benchmarks.variants_ways import LayerWays, MiniWays, draw_adapter, largest_difference
from inference.catalog import read_adapter
from inference.model.adapters import AdapterBank
from inference.model.decode import Conversation
from inference.model.load import LoadedModel
from tests.benchmarks.test_shapes import CPU, TINY

KEYS = (
    "mixed_over_separate",
    "mixed_over_separate_2b",
    "switch_ms",
    "sweep_over_separate",
    "exact",
    "base_intact",
)


@pytest.fixture
def tiny() -> LoadedModel:
    torch.set_num_threads(1)
    return build(TINY, device="cpu", dtype=torch.float32)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many conversations went on side by side, batch by batch."""
    found: list[int] = []
    begin = Conversation.__init__

    def counted(self: Conversation, *given: Any, **named: Any) -> None:
        found.append(named.get("rows", 1))
        begin(self, *given, **named)

    monkeypatch.setattr(Conversation, "__init__", counted)
    return found


def test_the_whole_benchmark_runs_on_a_tiny_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SHAPES, "2b-layers", TINY)
    monkeypatch.setattr("sys.argv", ["variants", "--rounds", "2", "--keys", "60"])
    monkeypatch.setattr(variants, "SWEEP", ("base", "other@0.5", "other"))
    main()
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert tuple(told) == KEYS
    assert told["base_intact"] == 1
    assert 0 < told["exact"] <= 1e-5
    assert min(told.values()) > 0


def test_ratios_are_taken_within_a_round() -> None:
    assert Pair((1.0, 8.0, 3.0), (2.0, 10.0, 4.0)).ratio == 0.75
    pairs = {name: Pair((1.0,), (2.0,)) for name in ("mixed", "mixed_2b", "sweep")}
    assert figures(pairs, exact=2e-6, switch_ms=1.23456, base_intact=False) == {
        "mixed_over_separate": 0.5,
        "mixed_over_separate_2b": 0.5,
        "switch_ms": 1.235,
        "sweep_over_separate": 0.5,
        "exact": 2e-6,
        "base_intact": 0,
    }


def test_the_ways_take_turns() -> None:
    done: list[str] = []
    pair = compare(lambda: done.append("a"), lambda: done.append("b"), CPU, rounds=4)
    assert done[:2] == ["a", "b"]
    assert sorted(done[2:]) == ["a"] * 4 + ["b"] * 4
    assert "".join(done[2:]) not in ("aaaabbbb", "abababab")
    assert len(pair.together) == len(pair.separate) == 4


def test_the_miniature_is_asked_once_or_once_for_each(rows: list[int]) -> None:
    ways = MiniWays(load_miniature("cpu"), ("base", "other", "other@0.5"))
    together = ways.together()
    assert rows == [3]
    separate = ways.separate()
    assert rows == [3, 1, 1, 1]
    assert 0 < largest_difference(together, separate) <= 1e-5
    assert largest_difference(together, together) == 0
    others = [separate[1], separate[0], separate[2]]
    assert largest_difference(together, others) > 1e-3


def test_layers_give_the_same_logits_both_ways(tiny: LoadedModel, rows: list[int]) -> None:
    ways = LayerWays(tiny, ask(tiny.model.config, (3, 4), device=CPU))
    together, separate = ways.together(), ways.separate()
    assert rows == [3, 1, 1, 1]
    torch.testing.assert_close(together, separate, atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 1e-3 < (together[1] - together[2]).abs().max()


def test_a_drawn_adapter_fits_and_touches_all_text_layers(tiny: LoadedModel, tmp_path: Path) -> None:
    facts = read_adapter(draw_adapter(tiny.model, tmp_path / "drawn", seed=3))
    assert facts.problems == () and facts.towers == ("text",)
    assert facts.layers == (0, 1, 2) and facts.rank == 16
    assert AdapterBank(tiny.model).fit_problem(facts) == ""


def test_switching_is_timed_and_the_base_is_held() -> None:
    loaded = load_miniature("cpu")
    assert base_intact(loaded, switches=12)
    assert 0 < switch_ms(loaded, switches=4) < 1000


def test_a_base_that_was_changed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that leaves one number of the base different."""
    loaded = load_miniature("cpu")
    active = AdapterBank.active

    def leaves(self: AdapterBank, chosen: Any) -> Any:
        with torch.no_grad():
            loaded.model.model.language_model.norm.weight[0] += 1e-3
        return active(self, chosen)

    monkeypatch.setattr(AdapterBank, "active", leaves)
    assert not base_intact(loaded, switches=3)
