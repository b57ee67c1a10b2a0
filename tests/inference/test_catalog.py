"""What an adapter's files say, and what is wrong with those that cannot be used; files made by hand."""

import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from inference.catalog import MAX_PATTERN_CHARS, find_adapters, read_adapter

MODULE = "base_model.model.model.language_model.layers.{}.self_attn.{}"
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "base_model_name_or_path": "owner/base",
    "r": 3,
    "lora_alpha": 7,
    "target_modules": ["q_proj", "v_proj"],
    "bias": "none",
    "init_lora_weights": True,
}
SHAPES = {
    f"{MODULE.format(layer, name)}.lora_{side}.weight": ([3, 5] if side == "A" else [11, 3])
    for layer in (0, 2)
    for name in ("q_proj", "v_proj")
    for side in "AB"
}


def write_weights(path: Path, shapes: dict[str, list[int]], *, missing_bytes: int = 0) -> None:
    """A safetensors file of zeros, written by hand from the format's description."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for key, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at - missing_bytes))


def write_adapter(folder: Path, shapes: dict[str, list[int]] = SHAPES, **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    write_weights(folder / "adapter_model.safetensors", shapes)
    return folder


def test_facts_of_an_adapter(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "good")
    card = "---\nlibrary_name: peft\n---\n\n# Good\n\nIt was taught  to\nlook left.\n\nMore.\n"
    (folder / "README.md").write_text(card)
    facts = read_adapter(folder)
    assert facts.problems == ()
    assert (facts.name, facts.kind, facts.base, facts.rank, facts.alpha) == ("good", "LORA", "owner/base", 3, 7.0)
    assert (facts.modules, facts.towers, facts.layers) == (("q_proj", "v_proj"), ("text",), (0, 2))
    assert facts.description == "It was taught to look left."
    assert len(facts.sha256) == 64


def test_both_towers_are_told(tmp_path: Path) -> None:
    visual = {key.replace("language_model.layers", "visual.blocks"): shape for key, shape in SHAPES.items()}
    assert read_adapter(write_adapter(tmp_path / "v", visual)).towers == ("vision",)
    both = read_adapter(write_adapter(tmp_path / "b", SHAPES | visual))
    assert (both.towers, both.layers) == (("text", "vision"), (0, 2))


def test_a_folder_of_adapters_is_listed_by_name_with_its_broken_ones(tmp_path: Path) -> None:
    write_adapter(tmp_path / "b")
    write_adapter(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.txt").write_text("no adapter")
    found = find_adapters(tmp_path)
    assert [facts.name for facts in found] == ["a", "b", "empty"]
    assert found[2].problems == ("The folder is empty.",)
    assert [facts.name for facts in find_adapters(tmp_path / "a")] == ["a"]
    assert find_adapters(tmp_path / "nowhere") == ()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    assert read_adapter(tmp_path / "gone").problems == ("There is no folder 'gone'.",)


def test_a_file_that_changes_gets_another_hash(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    first = read_adapter(folder).sha256
    write_weights(folder / "adapter_model.safetensors", {key: [3, 6] for key in SHAPES})
    assert read_adapter(folder).sha256 != first


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"peft_type": "IA3"}, "It is of the kind 'IA3'; only LORA is supported."),
        ({"init_lora_weights": "pissa_niter_4"}, "It was started with 'pissa_niter_4', which changes the base's own"),
        ({"init_lora_weights": "olora"}, "It was started with 'olora', which changes the base's own weights"),
        ({"bias": "all"}, "It changes biases of the base (bias)."),
        ({"modules_to_save": ["lm_head"]}, "It brings whole layers of its own (modules_to_save)"),
        ({"layer_replication": [[0, 4]]}, "It repeats layers of the base (layer_replication)."),
        ({"trainable_token_indices": [1]}, "It changes word embeddings (trainable_token_indices)."),
        ({"r": 1_000_000}, "Its rank is not a whole number from 1 to 1024."),
        ({"r": True}, "Its rank is not a whole number from 1 to 1024."),
        ({"r": "8"}, "Its rank is not a whole number from 1 to 1024."),
        ({"rank_pattern": {"q_proj": 200_000}}, "Its rank is not a whole number from 1 to 1024."),
        ({"rank_pattern": [1]}, "Its rank is not a whole number from 1 to 1024."),
        ({"lora_alpha": None}, "Its alpha is not a number up to 1e+06."),
        ({"lora_alpha": float("inf")}, "Its alpha is not a number up to 1e+06."),
        ({"alpha_pattern": {"q_proj": "big"}}, "Its alpha is not a number up to 1e+06."),
        ({"target_modules": None}, "It names no target modules."),
        ({"target_modules": 7}, "It names no target modules."),
        ({"target_modules": "(.+)+#"}, "A pattern for its modules has more than"),
        ({"target_modules": "((a|b)*c){9}"}, "A pattern for its modules has more than"),
        ({"target_modules": ".*.*.*.*.*.*x"}, "A pattern for its modules has more than"),
        ({"target_modules": "q" * (MAX_PATTERN_CHARS + 1)}, "A pattern for its modules has more than"),
        ({"target_modules": "("}, "A pattern for its modules has more than"),
        ({"target_modules": [1]}, "A pattern for its modules has more than"),
        ({"exclude_modules": "(x+)*"}, "A pattern for its modules has more than"),
        ({"alpha_pattern": {"(x+)*": 1}}, "A pattern for its modules has more than"),
        ({"layers_pattern": "(x+)*"}, "A pattern for its modules has more than"),
    ],
)
def test_a_config_that_cannot_be_used_is_told(tmp_path: Path, config: dict[str, Any], problem: str) -> None:
    (found,) = read_adapter(write_adapter(tmp_path / "odd", **config)).problems
    assert found.startswith(problem)


UNSLOTH = (
    r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?(?:q_proj|k_proj|v_proj|o_proj|"
    r"gate_proj|up_proj|down_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn|mlp|feed_forward|ffn|"
    r"dense)\.(?:(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)))"
)


@pytest.mark.parametrize("pattern", [UNSLOTH, r".*\.language_model\..*(q|v)_proj", "all-linear"])
def test_patterns_in_common_use_are_taken(tmp_path: Path, pattern: str) -> None:
    assert read_adapter(write_adapter(tmp_path / "common", target_modules=pattern)).problems == ()


STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**400,
    float("nan"),
    "",
    "x",
    [],
    [1],
    [["x"]],
    {},
    {"a": "b"},
    {"a": None},
)


@pytest.mark.parametrize("field", [*CONFIG, "rank_pattern", "alpha_pattern", "exclude_modules", "layers_pattern"])
def test_no_value_of_any_field_breaks_the_reading(tmp_path: Path, field: str) -> None:
    folder = write_adapter(tmp_path / "odd")
    for value in STRANGE:
        (folder / "adapter_config.json").write_text(json.dumps(CONFIG | {field: value}))
        assert read_adapter(folder).name == "odd"


def broken(name: str, content: bytes | None) -> dict[str, bytes | None]:
    return {name: content}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (broken("adapter_config.json", None), "adapter_config.json is missing."),
        (broken("adapter_config.json", b"{"), "adapter_config.json is not readable JSON."),
        (broken("adapter_config.json", b"[1]"), "adapter_config.json holds no JSON object."),
        (broken("adapter_config.json", b"[" * 100_000), "adapter_config.json is not readable JSON."),
        (broken("adapter_config.json", b"\xff\xfe"), "adapter_config.json is not readable JSON."),
        (broken("adapter_config.json", b" " * 4_000_001), "adapter_config.json is larger than 4,000,000 bytes."),
        (broken("adapter_model.safetensors", None), "adapter_model.safetensors is missing."),
        (broken("adapter_model.safetensors", b""), "adapter_model.safetensors is not a readable safetensors file."),
        (broken("adapter_model.safetensors", b"x" * 99), "adapter_model.safetensors is cut short or not safetensors."),
        (
            broken("adapter_model.safetensors", struct.pack("<Q", 3) + b"[1]"),
            "adapter_model.safetensors is not a readable safetensors file.",
        ),
        (
            broken("adapter_model.safetensors", struct.pack("<Q", 2) + b"{}"),
            "adapter_model.safetensors holds no weights.",
        ),
    ],
)
def test_files_that_cannot_be_read_are_told(tmp_path: Path, files: dict[str, bytes | None], problem: str) -> None:
    folder = write_adapter(tmp_path / "odd")
    for name, content in files.items():
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    assert read_adapter(folder).problems == (problem,)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "odd")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert read_adapter(folder).problems == (
        "adapter_model.bin is a pickle, which can run code; save the adapter as adapter_model.safetensors.",
    )


def test_a_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "odd")
    write_weights(folder / "adapter_model.safetensors", SHAPES, missing_bytes=1)
    assert read_adapter(folder).problems == ("adapter_model.safetensors is cut short or damaged.",)


def test_weights_that_are_no_lora_are_told(tmp_path: Path) -> None:
    (problem,) = read_adapter(write_adapter(tmp_path / "odd", SHAPES | {"lm_head.weight": [2, 2]})).problems
    assert problem == "It holds 1 weights that are no part of a LoRA, such as 'lm_head.weight'."
    high = {"base_model.model.x.lora_A.weight": [1025, 2000]}
    (problem,) = read_adapter(write_adapter(tmp_path / "high", high)).problems
    assert problem == "One of its matrices has rank 1025, above 1024."


@pytest.mark.parametrize("name", ["base", "a@1", "a+b", "a,b"])
def test_a_name_that_no_label_can_hold_is_told(tmp_path: Path, name: str) -> None:
    (problem,) = read_adapter(write_adapter(tmp_path / name)).problems
    assert problem.startswith("Its folder's name is taken")


def test_hostile_adapters_are_refused_at_once(tmp_path: Path) -> None:
    write_adapter(tmp_path / "a", target_modules="(a|a)*" * 50 + "#")
    write_adapter(tmp_path / "b", r=10**9)
    started = time.monotonic()
    assert all(facts.problems for facts in find_adapters(tmp_path))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("card", ["", "# Only a heading\n", "<!-- a remark -->\n", "- **Developed by:** x\n"])
def test_a_card_without_a_paragraph_gives_no_description(tmp_path: Path, card: str) -> None:
    folder = write_adapter(tmp_path / "plain")
    (folder / "README.md").write_text(card)
    assert read_adapter(folder).description == ""
