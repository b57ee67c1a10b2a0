"""Where weights belong, told from names and shapes alone; with a real model see `model/test_adapters.py`."""

from typing import Any

import pytest
from peft.utils.other import get_pattern_key

from inference.catalog import AdapterFiles
from inference.errors import AdapterError
from inference.placement import PREFIX, place_adapter

LAYERS = "model.language_model.layers."
MODULE = LAYERS + "2.self_attn.q_proj"
LINEARS = {MODULE: (11, 7), LAYERS + "12.self_attn.q_proj": (11, 7), LAYERS + "2.self_attn.v_proj": (5, 7)}


def files(shapes: dict[str, tuple[int, ...]] | None = None, **config: Any) -> AdapterFiles:
    whole: dict[str, tuple[int, ...]] = {
        f"{PREFIX}{module}.lora_{side}.weight": (3, sizes[1]) if side == "A" else (sizes[0], 3)
        for module, sizes in LINEARS.items()
        for side in "AB"
    }
    return AdapterFiles({"r": 3, "lora_alpha": 6} | config, whole if shapes is None else shapes)


def test_keys_ranks_and_alphas_of_a_plain_adapter() -> None:
    fit = place_adapter("a", files(), LINEARS)
    assert fit.keys == {key: key for key in files().shapes}
    assert (fit.ranks, fit.alphas) == (dict.fromkeys(LINEARS, 3), dict.fromkeys(LINEARS, 6.0))
    assert fit.renamed == ""


PATTERNS = (
    "q_proj",
    "2.self_attn.q_proj",
    r"layers\.2\.self_attn.q_proj",
    MODULE,
    "proj",
    ".*",
    r"^model.*v_proj",
    "x",
)


@pytest.mark.parametrize("first", PATTERNS)
@pytest.mark.parametrize("second", PATTERNS)
def test_patterns_say_what_the_library_reads_in_them(first: str, second: str) -> None:
    pattern = {first: 1} | {second: 2}
    fit = place_adapter("a", files(alpha_pattern=pattern), LINEARS)
    assert fit.alphas == {module: pattern.get(get_pattern_key(list(pattern), module), 6.0) for module in LINEARS}


def test_a_pattern_may_name_a_module_as_older_models_did() -> None:
    fit = place_adapter("a", files(alpha_pattern={r"^model\.layers\.2\.self_attn\.q_proj": 9}), LINEARS)
    assert fit.alphas[MODULE] == 9
    assert set(fit.alphas.values()) == {6, 9}


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({f"{MODULE}.lora_A.weight": (), f"{MODULE}.lora_B.weight": (11, 0)}, "is made for layers of other sizes"),
        ({f"{MODULE}.lora_A.weight": (3, 7)}, "lacks the other half of"),
        ({f"{MODULE}.lora_embedding_A": (3, 7)}, "has no place in this model for"),
        (
            {
                f"{place}.lora_{side}.weight": (3, 7) if side == "A" else (11, 3)
                for place in (PREFIX + MODULE, "model.layers.2.self_attn.q_proj")
                for side in "AB"
            },
            "names twice the place of",
        ),
    ],
)
def test_shapes_that_make_no_pair_are_refused(shapes: dict[str, tuple[int, ...]], says: str) -> None:
    with pytest.raises(AdapterError, match=says):
        place_adapter("a", files(shapes), LINEARS)
