"""What an adapter changes, in numbers, against the plain product; and how two adapters lie to each other."""

from pathlib import Path

import numpy as np
import pytest

from inference.errors import AdapterError
from inference.weights.adapter import open_adapter
from inference.weights.base import BaseWeights
from inference.weights.overlap import compare_adapters
from inference.weights.places import Place, place_of
from inference.weights.report import AdapterWeights, weigh_adapter
from tests.inference.weights.made import BLOCKS, LAYERS, Pair, pair, write_adapter, write_base

RNG = np.random.default_rng(7)
PAIRS: dict[str, Pair] = {
    LAYERS + "0.self_attn.q_proj": pair(RNG),
    LAYERS + "2.self_attn.q_proj": pair(RNG),
    LAYERS + "2.mlp.up_proj": pair(RNG, 17, 7),
    BLOCKS + "1.attn.qkv": pair(RNG, 13, 5),
}
BASE = {module: RNG.standard_normal((up.shape[0], down.shape[1])) for module, (up, down) in PAIRS.items()}


@pytest.fixture
def weighed(tmp_path: Path) -> AdapterWeights:
    base = BaseWeights(write_base(tmp_path / "base", BASE))
    return weigh_adapter(open_adapter(write_adapter(tmp_path / "a", PAIRS), base))


def test_every_module_is_told_in_the_order_of_the_model(weighed: AdapterWeights) -> None:
    assert [change.place for change in weighed.changes] == list(map(place_of, PAIRS))
    for change, (module, (up, down)) in zip(weighed.changes, PAIRS.items(), strict=True):
        plain = 2.0 * up @ down
        assert (change.outputs, change.inputs, change.rank, change.scaling) == (*plain.shape, 3, 2.0)
        assert change.frobenius == pytest.approx(np.linalg.norm(plain))
        assert change.spectral == pytest.approx(np.linalg.norm(plain, 2))
        assert change.ratio == pytest.approx(np.linalg.norm(plain) / np.linalg.norm(BASE[module]))
        assert change.stable_rank == pytest.approx(np.linalg.norm(plain) ** 2 / np.linalg.norm(plain, 2) ** 2)
        assert 1 <= change.stable_rank <= change.effective_rank <= 3
    assert weighed.notes == ()


def test_shares_are_of_the_squared_norm_and_add_up(weighed: AdapterWeights) -> None:
    squares = {module: np.linalg.norm(2.0 * up @ down) ** 2 for module, (up, down) in PAIRS.items()}
    total = sum(squares.values())
    assert weighed.norm == pytest.approx(total**0.5)
    by_kind, by_level = (weighed.shares(of) for of in (lambda place: place.kind, lambda place: place.level))
    assert list(by_kind) == ["q_proj", "up_proj", "vision qkv"]
    assert list(by_level) == ["layer 0", "layer 2", "vision block 1"]
    assert sum(by_kind.values()) == pytest.approx(1)
    both = sum(square for module, square in squares.items() if "q_proj" in module)
    assert by_kind["q_proj"] == pytest.approx(both / total)
    assert by_level["vision block 1"] == pytest.approx(squares[BLOCKS + "1.attn.qkv"] / total)


def test_without_a_base_there_is_no_ratio(tmp_path: Path) -> None:
    weighed = weigh_adapter(open_adapter(write_adapter(tmp_path / "a", PAIRS)))
    assert [change.ratio for change in weighed.changes] == [None] * 4


def test_a_base_weight_of_zeros_has_no_ratio(tmp_path: Path) -> None:
    base = BaseWeights(write_base(tmp_path / "base", {module: 0 * weight for module, weight in BASE.items()}))
    weighed = weigh_adapter(open_adapter(write_adapter(tmp_path / "a", PAIRS), base))
    assert {change.ratio for change in weighed.changes} == {None}


def test_an_untrained_adapter_weighs_nothing(tmp_path: Path) -> None:
    pairs = {module: (0 * up, down) for module, (up, down) in PAIRS.items()}
    weighed = weigh_adapter(open_adapter(write_adapter(tmp_path / "a", pairs)))
    assert weighed.norm == 0
    assert [(change.frobenius, change.effective_rank, change.stable_rank) for change in weighed.changes] == [
        (0, 0, 0)
    ] * 4
    assert set(weighed.shares(lambda place: place.kind).values()) == {0}


def test_what_the_figures_leave_out_is_noted(tmp_path: Path) -> None:
    module = LAYERS + "0.self_attn.q_proj"
    extra = {f"{module}.lora_magnitude_vector": np.ones(11), f"{module}.lora_B.bias": np.ones(11)}
    folder = write_adapter(tmp_path / "a", {module: PAIRS[module]}, extra=extra, use_dora=True, lora_bias=True)
    weighed = weigh_adapter(open_adapter(folder))
    assert weighed.extras == ("magnitudes", "biases")
    assert [note.split(",")[0] for note in weighed.notes] == [
        "It is a DoRA",
        "It also adds biases (lora_bias); the figures are of the weights alone.",
    ]


def test_two_adapters_are_compared_where_both_lie(tmp_path: Path) -> None:
    query, up_proj = LAYERS + "2.self_attn.q_proj", LAYERS + "2.mlp.up_proj"
    rng = np.random.default_rng(9)
    # The other adapter writes where the first does, and reads elsewhere; its names are those of an older library.
    other = {
        query.replace("model.language_model.", "model."): (
            PAIRS[query][0] @ rng.standard_normal((3, 3)),
            rng.standard_normal((3, 7)),
        ),
        LAYERS + "5.self_attn.q_proj": pair(rng),
        up_proj: (0 * PAIRS[up_proj][0], PAIRS[up_proj][1]),
    }
    first, second = (
        open_adapter(write_adapter(tmp_path / "a", PAIRS)),
        open_adapter(write_adapter(tmp_path / "b", other)),
    )
    found = compare_adapters(first, second)
    assert (found.first, found.second, found.note) == ("a", "b", "")
    assert [overlap.place for overlap in found.overlaps] == [Place("text", 2, "q_proj"), Place("text", 2, "up_proj")]
    same, zero = found.overlaps
    assert same.outputs.cosines == pytest.approx([1, 1, 1])
    assert same.outputs.similarity == pytest.approx(1)
    assert same.outputs.chance == pytest.approx(3 / 11)
    assert same.inputs.chance == pytest.approx(3 / 7)
    assert same.inputs.similarity == pytest.approx(np.square(same.inputs.cosines).mean())
    assert same.inputs.similarity is not None and same.inputs.similarity < 0.99
    assert (zero.outputs.cosines, zero.outputs.similarity, zero.alignment) == ((), None, 0)


def test_chance_is_the_mean_of_random_spaces(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    query = LAYERS + "0.self_attn.q_proj"
    found = [
        compare_adapters(
            open_adapter(write_adapter(tmp_path / f"a{draw}", {query: pair(rng, 13, 11, 2)}, r=2)),
            open_adapter(write_adapter(tmp_path / f"b{draw}", {query: pair(rng, 13, 11, 5)}, r=5)),
        ).overlaps[0]
        for draw in range(100)
    ]
    for side, size in (("outputs", 13), ("inputs", 11)):
        assert {getattr(overlap, side).chance for overlap in found} == {5 / size}
        assert np.mean([getattr(overlap, side).similarity for overlap in found]) == pytest.approx(5 / size, abs=0.05)


def test_adapters_of_other_sizes_are_refused_and_of_other_names_noted(tmp_path: Path) -> None:
    query = LAYERS + "0.self_attn.q_proj"
    first = open_adapter(write_adapter(tmp_path / "a", PAIRS))
    wide = open_adapter(write_adapter(tmp_path / "b", {query: pair(RNG, 11, 5)}))
    with pytest.raises(AdapterError, match="q_proj in layer 0: a's of 11 x 7 and b's of 11 x 5"):
        compare_adapters(first, wide)
    named = write_adapter(tmp_path / "c", {query: pair(RNG)}, base_model_name_or_path="owner/other")
    note = "Their configs name different bases, 'owner/base' and 'owner/other'."
    assert compare_adapters(first, open_adapter(named)).note == note


def test_adapters_with_nothing_in_common_have_no_overlap(tmp_path: Path) -> None:
    first, second = (
        open_adapter(write_adapter(tmp_path / str(layer), {f"{LAYERS}{layer}.self_attn.q_proj": pair(RNG)}))
        for layer in (0, 1)
    )
    assert compare_adapters(first, second).overlaps == ()
