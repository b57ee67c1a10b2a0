"""Places read from the names of modules, old and new, of both towers."""

import pytest

from inference.weights.places import Place, order, place_of


@pytest.mark.parametrize(
    ("path", "place", "kind", "level"),
    [
        ("model.language_model.layers.12.self_attn.q_proj", Place("text", 12, "q_proj"), "q_proj", "layer 12"),
        ("model.layers.0.mlp.down_proj", Place("text", 0, "down_proj"), "down_proj", "layer 0"),
        ("layers.3.mlp.experts.7.up_proj", Place("text", 3, "experts.7.up_proj"), "experts.7.up_proj", "layer 3"),
        ("lm_head", Place("text", None, "lm_head"), "lm_head", "lm_head"),
        ("model.visual.blocks.5.attn.qkv", Place("vision", 5, "qkv"), "vision qkv", "vision block 5"),
        ("visual.blocks.5.mlp.linear_fc1", Place("vision", 5, "linear_fc1"), "vision linear_fc1", "vision block 5"),
        (
            "model.visual.merger.linear_fc2",
            Place("vision", None, "merger.linear_fc2"),
            "vision merger.linear_fc2",
            "vision merger.linear_fc2",
        ),
        (
            "model.visual.deepstack_merger_list.2.linear_fc1",
            Place("vision", 2, "deepstack.linear_fc1"),
            "vision deepstack.linear_fc1",
            "DeepStack merger 2",
        ),
    ],
)
def test_a_name_tells_its_place(path: str, place: Place, kind: str, level: str) -> None:
    assert place_of(path) == place
    assert (place.kind, place.level) == (kind, level)


def test_the_order_is_that_of_the_model() -> None:
    ordered = [
        Place("text", 2, "q_proj"),
        Place("text", 2, "k_proj"),
        Place("text", 2, "v_proj"),
        Place("text", 2, "o_proj"),
        Place("text", 2, "gate_proj"),
        Place("text", 2, "up_proj"),
        Place("text", 2, "down_proj"),
        Place("text", 2, "unknown"),
        Place("text", 11, "q_proj"),
        Place("text", None, "lm_head"),
        Place("vision", 0, "qkv"),
        Place("vision", 0, "proj"),
        Place("vision", 0, "linear_fc1"),
        Place("vision", None, "merger.linear_fc1"),
    ]
    assert sorted(ordered[::-1], key=order) == ordered
