"""The sentences about an adapter's weights: loud where nothing changes, and true about what attention cannot tell."""

from collections.abc import Iterable

import pytest

from inference.protocol import AdapterFacts
from inference.weights.adapter import Extra
from inference.weights.overlap import AdapterOverlap, Angles, Overlap
from inference.weights.places import Place, Tower
from inference.weights.report import AdapterWeights, Change
from inference.weights.summary import first_layer_moved, overlap_summary, weights_summary

Made = tuple[int | None, str, float]


def change(tower: Tower, layer: int | None, module: str, norm: float) -> Change:
    return Change(Place(tower, layer, module), 11, 7, 3, 2.0, (norm, 0.0, 0.0))


def made(text: Iterable[Made], vision: Iterable[Made] = (), extras: tuple[Extra, ...] = ()) -> AdapterWeights:
    changes = [change("text", *one) for one in text] + [change("vision", *one) for one in vision]
    return AdapterWeights(AdapterFacts("made", ""), tuple(changes), extras)


def test_the_modules_and_layers_that_carry_half_are_named() -> None:
    weights = made([(0, "q_proj", 6), (0, "v_proj", 1), (1, "q_proj", 4), (1, "k_proj", 5), (2, "k_proj", 3)])
    assert weights_summary(weights) == (
        "made: its change is mostly in q_proj (60 %); by layer, mostly in layer 1 (47 %) and layer 0 (43 %)."
    )


def test_an_even_spread_is_told_as_one() -> None:
    weights = made((layer, "q_proj", 2 if layer == 6 else 1) for layer in range(13))
    assert "by layer, spread over 13 layers, the largest share in layer 6 (25 %)." in weights_summary(weights)


def test_an_adapter_that_changes_nothing_says_so_loudly() -> None:
    told = weights_summary(made([(0, "q_proj", 0), (1, "q_proj", 0)]))
    assert told.startswith("made CHANGES NOTHING: scaling x B A is zero in each of 2 modules touched")


def test_zero_factors_are_not_called_nothing_where_something_else_may_change() -> None:
    told = weights_summary(made([(0, "q_proj", 0)], extras=("magnitudes", "biases")))
    assert "NOTHING" not in told
    assert "by its magnitudes and biases alone" in told


def test_modules_that_are_zero_among_others_are_counted() -> None:
    told = weights_summary(made([(0, "q_proj", 1), (1, "q_proj", 0), (2, "v_proj", 0)]))
    assert "B A is zero in 2 of 3 modules, such as q_proj of layer 1." in told


FIRST = "its first effect is not in the attention of that layer."


@pytest.mark.parametrize(
    ("text", "vision", "first", "says", "never"),
    [
        ([(0, "q_proj", 1)], [], 0, "", "Over the same words"),
        ([(3, "k_proj", 1)], [], 3, "attention before layer 3 is the base's.", "It touches only"),
        (
            [(3, "v_proj", 1)],
            [],
            4,
            f"It touches only v_proj: {FIRST} Over the same words, attention before layer 4",
            "x",
        ),
        ([(0, "o_proj", 1), (2, "up_proj", 1)], [], 1, f"only o_proj and up_proj: {FIRST}", "x"),
        ([(0, "v_proj", 1), (1, "q_proj", 1)], [], 1, "attention before layer 1 is the base's.", "It touches only"),
        # An untrained q changes nothing, so that v alone is left.
        ([(0, "q_proj", 0), (1, "v_proj", 1)], [], 2, f"It touches only v_proj: {FIRST}", "x"),
        (
            [(None, "lm_head", 1)],
            [],
            None,
            f"only lm_head: {FIRST} Over the same words it moves no attention at all.",
            "x",
        ),
        ([(2, "o_proj", 1), (None, "lm_head", 1)], [], 3, f"It touches only o_proj and lm_head: {FIRST}", "x"),
        ([(None, "embed_tokens", 1)], [], 0, "", "Over the same words"),
        ([(2, "unheard_of", 1)], [], 2, "attention before layer 2 is the base's.", "It touches only"),
        ([], [(1, "qkv", 1)], 0, "It touches the vision tower alone", "It touches only"),
        ([(3, "v_proj", 1)], [(1, "qkv", 1)], 0, "", "It touches only"),
        ([(3, "v_proj", 1)], [(1, "qkv", 0)], 4, f"It touches only v_proj: {FIRST}", "x"),
    ],
)
def test_what_attention_cannot_tell_is_told(
    text: list[Made], vision: list[Made], first: int | None, says: str, never: str
) -> None:
    weights = made(text, vision)
    assert first_layer_moved(weights) == first
    assert says in weights_summary(weights)
    assert never == "x" or never not in weights_summary(weights)


def test_a_dora_moves_attention_also_where_its_factors_are_zero() -> None:
    weights = made([(0, "q_proj", 0), (1, "v_proj", 1)], extras=("magnitudes",))
    assert first_layer_moved(weights) == 0
    assert FIRST not in weights_summary(weights)


def overlap(layer: int, write: tuple[float, ...], read: tuple[float, ...], alignment: float) -> Overlap:
    return Overlap(Place("text", layer, "q_proj"), Angles(write, 0.25), Angles(read, 0.125), alignment)


def test_two_adapters_are_told_beside_chance() -> None:
    pair = AdapterOverlap(
        "a",
        "b",
        (overlap(0, (1.0, 0.0), (0.5, 0.5), -0.004), overlap(4, (1.0, 1.0), (0.5, 0.5), 0.0), overlap(5, (), (), 0)),
    )
    assert overlap_summary(pair) == (
        "a and b, 2 modules in common: mean squared cosine between the spaces they write 0.75 (chance 0.25), between "
        "those they read 0.25 (chance 0.12); closest in q_proj of layer 4. The changes themselves point alike by 0.00 "
        "(1 the same, 0 unrelated, -1 opposed)."
    )


@pytest.mark.parametrize(
    ("overlaps", "says"),
    [((), "a and b change no module in common. N"), ((overlap(0, (), (), 0),), "a and b cannot be compared")],
)
def test_a_pair_with_nothing_to_compare_says_so(overlaps: tuple[Overlap, ...], says: str) -> None:
    told = overlap_summary(AdapterOverlap("a", "b", overlaps, "N."))
    assert told.startswith(says)
    assert told.endswith(" N.")
