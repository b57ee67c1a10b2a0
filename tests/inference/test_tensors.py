"""Tensors read from files: against the library that writes them, and files that promise what they do not hold."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from inference import tensors
from inference.tensors import UnusableError, read_blocks, read_header, read_tensor

SHAPE = (3, 5, 7)


def write(path: Path, header: dict[str, Any], data: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def one(dtype: str = "F32", shape: object = (2, 3), offsets: object = (0, 24)) -> dict[str, Any]:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("block", [1, 11, 1000])
def test_tensors_are_those_that_the_library_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, block: int
) -> None:
    monkeypatch.setattr(tensors, "BLOCK_NUMBERS", block)
    torch.manual_seed(2)
    first, second = (torch.randn(SHAPE).to(dtype), torch.randn(13).to(dtype))
    first[0, 0, :3] = torch.tensor([float("inf"), float("-inf"), 0.0]).to(dtype)
    save_file({"b": first, "a": second}, tmp_path / "x.safetensors", metadata={"format": "pt"})
    header = read_header(tmp_path / "x.safetensors")
    assert set(header) == {"a", "b"}
    for key, tensor in (("b", first), ("a", second)):
        found = read_tensor(header[key])
        assert found.dtype == np.float64
        assert np.array_equal(found, tensor.double().numpy())
    blocks = list(read_blocks(header["b"]))
    assert max(part.size for part in blocks) == min(block, first.numel())
    assert np.array_equal(np.concatenate(blocks), first.double().numpy().ravel())


def test_nan_and_empty_come_as_they_are(tmp_path: Path) -> None:
    save_file({"n": torch.full((2,), float("nan")), "e": torch.zeros(0, 5)}, tmp_path / "x.safetensors")
    header = read_header(tmp_path / "x.safetensors")
    assert np.isnan(read_tensor(header["n"])).all()
    assert read_tensor(header["e"]).shape == (0, 5)


def test_a_scalar_has_no_side(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "x", one(shape=[], offsets=(0, 4)), struct.pack("<f", 2.5)))
    assert read_tensor(header["x"]) == np.array(2.5)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (one(shape=[2, 4]), "x is cut short or damaged."),
        (one(shape=[10**12], dtype="BF16"), "x is cut short or damaged."),
        (one(shape=[-2, -3]), "x is cut short or damaged."),
        (one(shape=[2, 3.0]), "x is cut short or damaged."),
        (one(offsets=(24, 0)), "x is cut short or damaged."),
        (one(offsets=(0, 25)), "x is cut short or damaged."),
        (one(offsets=(0, 24.0)), "x is cut short or damaged."),
        (one(offsets=(-8, 24), shape=[2, 4]), "x is not a readable safetensors file."),
        (one(offsets=(0,)), "x is not a readable safetensors file."),
        (one(offsets=None), "x is not a readable safetensors file."),
        (one(shape=None), "x is not a readable safetensors file."),
        ({"x": 3}, "x is not a readable safetensors file."),
        ({"x": {"dtype": "F32"}}, "x is not a readable safetensors file."),
    ],
)
def test_a_header_that_promises_what_is_not_there_is_refused(tmp_path: Path, header: dict[str, Any], says: str) -> None:
    with pytest.raises(UnusableError) as caught:
        read_header(write(tmp_path / "x", header, bytes(24)))
    assert str(caught.value) == says


def test_what_is_no_floating_point_number_is_refused_before_room_is_made_for_it(tmp_path: Path) -> None:
    entry = read_header(write(tmp_path / "x", one("U8", [10**15]), bytes(24)))["x"]
    with pytest.raises(UnusableError, match=r"'x' is stored as U8; only F64, F32, F16, BF16 can be read\."):
        read_tensor(entry)


def test_a_file_that_shrank_since_or_is_gone_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "x", one(), bytes(24))
    entry = read_header(path)["x"]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UnusableError, match="cut short or damaged"):
        read_tensor(entry)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnusableError, match="cannot be read"):
        read_tensor(entry)
    path.unlink()
    with pytest.raises(UnusableError, match="cannot be read"):
        read_tensor(entry)
