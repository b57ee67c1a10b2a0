"""A model loads from its folder, or it is said in one sentence why not."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.errors import ModelError
from inference.model import load
from inference.model.load import load_model, read_facts


def copy(base_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base_folder, tmp_path / "copy"))


def test_the_cpu_gets_float32_and_this_is_logged(base_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        loaded = load_model(str(base_folder), device="cpu")
    assert loaded.dtype == torch.float32
    assert "Loading tiny-qwen3-vl on cpu in float32 with sdpa." in caplog.messages
    assert not loaded.model.training
    assert read_facts(loaded).name == "tiny-qwen3-vl"


def test_another_dtype_is_taken_and_told(base_folder: Path) -> None:
    loaded = load_model(str(base_folder), device="cpu", dtype="bfloat16")
    assert next(loaded.model.parameters()).dtype == torch.bfloat16
    assert read_facts(loaded).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("no/such/folder", {}, "Expected a model folder that exists, or a hub name such as"),
        ("/nowhere", {}, "Expected a model folder that exists, or a hub name such as"),
        ("", {}, "Expected a model folder with a config.json, got '' without one"),
        ("x", {"device": "abacus"}, "Expected a device such as cpu or cuda:1, got 'abacus'"),
        ("x", {"device": "cuda:99"}, "Expected a device that this machine has, got 'cuda:99' with"),
        ("x", {"device": "cpu", "dtype": "int4"}, "Expected a dtype among float32, bfloat16, float16, got 'int4'"),
    ],
)
def test_what_is_not_there_is_said(source: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(source, **options)
    assert str(caught.value).startswith(message)


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError) as caught:
        load_model("Qwen/Qwen3-VL-2B-Instruct#main", device="cpu")
    assert str(caught.value) == (
        "Expected a model that the Hugging Face hub gives to this machine, got Qwen/Qwen3-VL-2B-Instruct#main, which "
        "could not be fetched: check the name, the network and the access token, or give a local folder."
    )


@pytest.mark.parametrize("kind", ["qwen3_vl_moe", "llama"])
def test_another_kind_of_model_is_refused(base_folder: Path, tmp_path: Path, kind: str) -> None:
    folder = copy(base_folder, tmp_path)
    config = json.loads((folder / "config.json").read_text()) | {"model_type": kind, "auto_map": {"AutoConfig": "x.Y"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ModelError, match=f"dense Qwen3-VL model .model_type qwen3_vl., got model_type '{kind}' in copy"
    ):
        load_model(str(folder), device="cpu")


def test_damaged_files_are_told(base_folder: Path, tmp_path: Path) -> None:
    folder = copy(base_folder, tmp_path)
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="weights in safetensors that fit the config, got copy"):
        load_model(str(folder), device="cpu")
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"a readable config.json"):
        load_model(str(folder), device="cpu")


def test_a_model_with_a_part_missing_is_never_filled_with_noise(base_folder: Path, tmp_path: Path) -> None:
    folder = copy(base_folder, tmp_path)
    weights = load_file(folder / "model.safetensors")
    name = next(key for key in weights if "q_proj" in key)
    del weights[name]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ModelError, match=f"weights for every part of the model, got copy without 1 of them, such as {name}"
    ):
        load_model(str(folder), device="cpu")


def test_a_model_without_its_processor_is_told(base_folder: Path, tmp_path: Path) -> None:
    folder = copy(base_folder, tmp_path)
    for path in folder.iterdir():
        if path.name not in ("config.json", "model.safetensors", "generation_config.json"):
            path.unlink()
    with pytest.raises(ModelError, match="processor"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize(
    ("installed", "capability", "dtype", "device", "expected"),
    [
        ((True, True), 9, torch.bfloat16, "cuda", "flash_attention_3"),
        ((True, True), 8, torch.bfloat16, "cuda", "flash_attention_2"),
        ((False, True), 9, torch.float16, "cuda", "flash_attention_2"),
        ((True, True), 7, torch.float16, "cuda", "sdpa"),
        ((True, True), 9, torch.float32, "cuda", "sdpa"),
        ((False, False), 9, torch.bfloat16, "cuda", "sdpa"),
        ((True, True), 9, torch.bfloat16, "cpu", "sdpa"),
    ],
)
def test_flash_attention_is_taken_where_it_can_run(
    monkeypatch: pytest.MonkeyPatch,
    installed: tuple[bool, bool],
    capability: int,
    dtype: torch.dtype,
    device: str,
    expected: str,
) -> None:
    three, two = load._FLASH
    choices = ((three[0], lambda: installed[0], three[2]), (two[0], lambda: installed[1], two[2]))
    monkeypatch.setattr(load, "_FLASH", choices)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (capability, 0))
    assert load._choose_attention(torch.device(device), dtype) == expected


def test_the_attention_is_that_of_text_and_pictures(base_folder: Path) -> None:
    config = load_model(str(base_folder), device="cpu").model.config
    assert config.text_config._attn_implementation == config.vision_config._attn_implementation == "sdpa"
