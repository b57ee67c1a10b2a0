"""What switching adapters costs, and whether the base is the base after it, on the miniature."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from inference.catalog import find_adapters
from inference.errors import AdapterError
from inference.mini import ADAPTERS_DIR
from inference.model.adapters import AdapterBank, Chosen
from inference.model.load import LoadedModel
from inference.protocol import AdapterFacts

SWITCHES = 100


class _Failure(Exception):
    """One that the benchmark raises on purpose."""


def load_all(loaded: LoadedModel) -> tuple[AdapterBank, Sequence[AdapterFacts]]:
    """The shipped adapters, loaded and switched off."""
    bank, adapters = AdapterBank(loaded.model), find_adapters(ADAPTERS_DIR)
    for facts in adapters:
        bank.load(facts)
    return bank, adapters


def switch_ms(loaded: LoadedModel, switches: int = SWITCHES) -> float:
    """The median of what it takes to put one adapter on and off again, each time another one."""
    bank, adapters = load_all(loaded)
    taken = []
    for number in range(switches):
        chosen = [(adapters[number % len(adapters)], 1.0 + number / switches)]
        started = time.perf_counter()
        with bank.active(chosen):
            pass
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


def base_intact(loaded: LoadedModel, switches: int = SWITCHES) -> bool:
    """Whether the base's logits are bit-equal before any adapter is loaded and after each of so many switches.

    They are to one adapter, to two at once and to mixed batches in turn; every third ends in an error, and before
    every tenth an adapter that is not there fails to load.
    """
    pure = _logits(loaded, 1)
    bank, adapters = load_all(loaded)
    first, second = adapters[:2]
    ways: list[list[Chosen]] = [
        [[(first, 1.0)]],
        [[(second, -1.5)]],
        [[(first, 0.3), (second, 1.1)]],
        [[], [(first, 0.7)], [(second, 1.3)], [(first, -0.1)]],
    ]
    is_equal = torch.equal(_logits(loaded, 1), pure)
    for number in range(switches):
        if number % 10 == 0:
            _fail_to_load(bank, first)
        _switch_once(loaded, bank, ways[number % len(ways)], fails=number % 3 == 0)
        is_equal = is_equal and torch.equal(_logits(loaded, 1), pure)
    return is_equal


def _switch_once(loaded: LoadedModel, bank: AdapterBank, rows: list[Chosen], *, fails: bool) -> None:
    switched = bank.active(rows[0]) if len(rows) == 1 else bank.mixed(rows)
    try:
        with switched:
            _logits(loaded, len(rows))
            if fails:
                raise _Failure
    except _Failure:
        pass


def _fail_to_load(bank: AdapterBank, facts: AdapterFacts) -> None:
    try:
        bank.load(replace(facts, folder=f"{facts.folder}-not-there"))
    except AdapterError:
        return
    raise RuntimeError("an adapter that is not there was loaded")


def _logits(loaded: LoadedModel, rows: int) -> torch.Tensor:
    ids = torch.arange(7, 40, device=loaded.device).expand(rows, -1)
    with torch.inference_mode():
        logits: torch.Tensor = loaded.model(input_ids=ids).logits
    return logits
