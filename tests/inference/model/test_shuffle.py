"""Shuffled adapters: as large as the trained one in every module, and something else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer

from inference.catalog import read_adapter
from inference.model.adapters import AdapterBank
from inference.model.load import load_model
from inference.model.shuffle import product_norm, shuffled
from inference.protocol import AdapterFacts

MODULES = {"a.q_proj": (7, 3, 5), "b.v_proj": (11, 2, 13)}


def weights(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    found = {"a.q_proj.lora_magnitude_vector": torch.rand(7)}
    for name, (outputs, rank, inputs) in MODULES.items():
        found[f"{name}.lora_A.weight"] = torch.randn(rank, inputs).to(dtype)
        found[f"{name}.lora_B.weight"] = torch.randn(outputs, rank).to(dtype)
    return found


def product(given: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return given[f"{name}.lora_B.weight"].double() @ given[f"{name}.lora_A.weight"].double()


def test_the_norm_of_a_product_is_that_of_the_plain_one() -> None:
    up, down = torch.randn(7, 3).double(), torch.randn(3, 5).double()
    assert product_norm(up, down) == pytest.approx(float(torch.linalg.matrix_norm(up @ down)), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_module_keeps_its_norm_and_loses_its_directions(dtype: torch.dtype) -> None:
    before = weights(dtype)
    after = shuffled(before, 1)
    assert after.keys() == before.keys()
    for name in MODULES:
        was, now = product(before, name), product(after, name)
        assert float(now.norm()) == pytest.approx(float(was.norm()), rel=1e-6)
        assert abs(float((was * now).sum() / (was.norm() * now.norm()))) < 0.8
        down = f"{name}.lora_A.weight"
        assert torch.equal(after[down].flatten().sort().values, before[down].float().flatten().sort().values)
        assert not torch.equal(after[down], before[down].float())


def test_a_seed_gives_the_same_whatever_the_order_and_another_seed_another() -> None:
    before = weights()
    backwards = dict(reversed(before.items()))
    first, again, other = shuffled(before, 1), shuffled(backwards, 1), shuffled(before, 2)
    assert all(torch.equal(first[key], again[key]) for key in before)
    assert not torch.equal(first["a.q_proj.lora_A.weight"], other["a.q_proj.lora_A.weight"])


def test_what_is_no_factor_stays_and_zero_stays_zero() -> None:
    before = weights()
    before["a.q_proj.lora_B.weight"].zero_()
    after = shuffled(before, 3)
    assert torch.equal(after["a.q_proj.lora_magnitude_vector"], before["a.q_proj.lora_magnitude_vector"])
    assert not after["a.q_proj.lora_B.weight"].any()


def test_on_the_model_both_are_there_and_equally_large(base_folder: Path, adapters_folder: Path) -> None:
    model = load_model(str(base_folder), device="cpu").model
    bank = AdapterBank(model)
    trained = read_adapter(adapters_folder / "alpha")
    made = replace(trained, name="alpha~2", shuffle=2)
    ids = torch.tensor([[301, 290, 350]])

    def logits(*chosen: tuple[AdapterFacts, float]) -> torch.Tensor:
        with torch.inference_mode(), bank.active(chosen):
            output: torch.Tensor = model(input_ids=ids).logits
        return output

    base = logits()
    bank.load(trained)
    alone = logits((trained, 1.0))
    bank.load(made)
    assert torch.equal(logits((trained, 1.0)), alone)
    assert not torch.allclose(logits((made, 1.0)), alone, atol=1e-3)
    assert torch.equal(logits(), base)
    for layer in lora_layers(model):
        first, second = list(layer.scaling)
        sizes = [
            product_norm(layer.lora_B[name].weight.double(), layer.lora_A[name].weight.double())
            for name in (first, second)
        ]
        assert sizes[0] == pytest.approx(sizes[1], rel=1e-5)
        assert layer.scaling[first] == layer.scaling[second]


def lora_layers(model: Any) -> Iterator[Any]:
    return (module for module in model.modules() if isinstance(module, LoraLayer))
