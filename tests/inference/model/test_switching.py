"""Switching adapters: rows of a batch each with its own, one user of the model at a time, the base always itself."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer

from inference.catalog import read_adapter
from inference.errors import SettingsError
from inference.model import answer as answer_module
from inference.model.adapters import AdapterBank, Chosen
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel, load_model
from inference.protocol import AdapterFacts
from inference.trace.session import Session
from tests.inference.model.asking import check_equal, finish, make_request
from tests.inference.model.conftest import Room, save_adapter
from tests.inference.model.reference import load_reference

IDS = torch.tensor([[301, 290, 350, 333, 299, 310, 281]])


@pytest.fixture
def fresh(base_folder: Path) -> LoadedModel:
    return load_model(str(base_folder), device="cpu")


@pytest.fixture
def bank(fresh: LoadedModel) -> AdapterBank:
    return AdapterBank(fresh.model)


@pytest.fixture
def facts(bank: AdapterBank, adapters_folder: Path) -> dict[str, AdapterFacts]:
    found = {name: read_adapter(adapters_folder / name) for name in ("alpha", "beta")}
    for one in found.values():
        bank.load(one)
    return found


def logits(model: Any, rows: int = 1) -> torch.Tensor:
    with torch.inference_mode():
        output: torch.Tensor = model(input_ids=IDS.expand(rows, -1)).logits
    return output


def state(model: Any) -> list[tuple[bool, dict[str, Any], int]]:
    """All that switching changes in a layer."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    return [(layer.disable_adapters, dict(layer.scaling), len(layer._forward_pre_hooks)) for layer in layers]


def test_each_row_has_its_adapter_at_its_scale(
    fresh: LoadedModel, bank: AdapterBank, facts: dict[str, AdapterFacts], base_folder: Path
) -> None:
    """Against peft's own wrapper around a model of its own for each."""
    rows = [("alpha", 0.5), None, ("beta", 1.0), ("alpha", -2.0), ("alpha", 0.0), ("beta", 1.0)]
    chosen: list[Chosen] = [[(facts[row[0]], row[1])] if row else [] for row in rows]
    before = state(fresh.model)
    with bank.mixed(chosen):
        ours = logits(fresh.model, len(rows))
    assert state(fresh.model) == before
    for row, of_row in zip(rows, ours, strict=True):
        adapters = [(Path(facts[row[0]].folder), row[1])] if row else []
        theirs = logits(load_reference(base_folder, adapters).model)[0]
        torch.testing.assert_close(of_row, theirs, atol=1e-5, rtol=0)


def test_all_is_put_back_after_an_error(fresh: LoadedModel, bank: AdapterBank, facts: dict[str, AdapterFacts]) -> None:
    before, base = state(fresh.model), logits(fresh.model)
    with pytest.raises(ZeroDivisionError), bank.mixed([[(facts["alpha"], 2.0)], [], [(facts["alpha"], 1.0)]]):
        raise ZeroDivisionError
    assert state(fresh.model) == before
    assert torch.equal(logits(fresh.model), base)
    with (
        pytest.raises(ValueError, match="a row of a batch that has several adapters at once"),
        bank.mixed([[(facts["alpha"], 2.0)], [(facts["alpha"], 1.0), (facts["beta"], 1.0)]]),
    ):
        raise AssertionError("the block was entered")
    assert state(fresh.model) == before


def test_what_cannot_be_a_row_among_others(
    bank: AdapterBank, facts: dict[str, AdapterFacts], base_folder: Path, tmp_path: Path
) -> None:
    def made(name: str, **options: object) -> AdapterFacts:
        found = read_adapter(save_adapter(base_folder, tmp_path / name, seed=1, **options))
        bank.load(found)
        return found

    text = r".*language_model.*(q_proj|v_proj)"
    dora = made("dora", target_modules=text, use_dora=True)
    seeing = made("seeing", target_modules=rf"{text}|.*visual\.merger.*linear_fc1")
    alpha, beta = facts["alpha"], facts["beta"]
    problems: list[tuple[Chosen, str]] = [
        ([], ""),
        ([(alpha, 1.0)], ""),
        ([(alpha, 1.0), (beta, 0.0)], ""),
        ([(alpha, 1.0), (beta, 1.0)], "has several adapters at once"),
        ([(dora, 1.0)], "is a DoRA"),
        ([(dora, 0.0)], ""),
        ([(seeing, -1.0)], "has a part in the vision tower"),
        ([(seeing, 0.0), (alpha, 2.0)], ""),
    ]
    for chosen, problem in problems:
        assert bank.mixing_problem(chosen) == problem


def test_the_base_is_the_base_after_a_hundred_switches_failures_and_batches(
    fresh: LoadedModel, bank: AdapterBank, facts: dict[str, AdapterFacts]
) -> None:
    pure, before = logits(fresh.model), state(fresh.model)
    alpha, beta = facts["alpha"], facts["beta"]
    ways: list[list[Chosen]] = [
        [[(alpha, 1.0)]],
        [[(beta, -3.7)]],
        [[(alpha, 0.3), (beta, 1.1)]],
        [[], [(alpha, 0.7)], [(beta, 1.3)], [(alpha, -0.1)]],
        [[(beta, 1 / 3)], [(beta, 3.0)]],
    ]
    for number in range(100):
        rows = ways[number % len(ways)]
        switched = bank.active(rows[0]) if len(rows) == 1 else bank.mixed(rows)
        try:
            with switched:
                given = logits(fresh.model, len(rows))
                if number % 3 == 0:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        assert not torch.equal(given[-1:], pure)
        assert torch.equal(logits(fresh.model), pure)
    assert state(fresh.model) == before


def test_a_failed_or_closed_batch_leaves_the_base(
    engine: ModelEngine, loaded: LoadedModel, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ("base", "alpha", "alpha@0.5", "beta")
    finish(engine.run(make_request(*labels), room()))
    pure, before = logits(loaded.model), state(loaded.model)

    def breaks(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    for name in ("write_rows", "write_answers", "score_token", "sum_logprob", "largest_error"):
        with monkeypatch.context() as patch, pytest.raises(SettingsError):
            patch.setattr(answer_module, name, breaks)
            finish(engine.run(make_request(*labels, expected_answer="red", compare_eager=True), room()))
        assert state(loaded.model) == before
        assert torch.equal(logits(loaded.model), pure)
    for stop in range(1, 50, 6):
        run = engine.run(make_request(*labels, compare_eager=True), room())
        for _ in range(stop):
            next(run)
        run.close()
        assert state(loaded.model) == before
        assert torch.equal(logits(loaded.model), pure)


@pytest.mark.parametrize(
    "asked", [(("alpha@-2",), ("base",)), (("base", "alpha"), ("beta", "alpha@2"))], ids=["alone", "mixed"]
)
def test_two_threads_never_see_each_others_adapters(
    engine: ModelEngine, room: Room, asked: Sequence[tuple[str, ...]]
) -> None:
    """Without the lock round switch and forward one thread switches under the other, or finds the model watched."""
    alone = [finish(engine.run(make_request(*labels), room())) for labels in asked]
    barrier, folders = threading.Barrier(2), [[room() for _ in range(8)] for _ in asked]
    found: list[list[Session]] = [[], []]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait()
            for folder in folders[number]:
                found[number].append(finish(engine.run(make_request(*asked[number]), folder)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number, sessions in enumerate(found):
        assert len(sessions) == 8
        for session in sessions:
            check_equal(session, alone[number])
