"""What several adapters change, weighed once for each state of their files: what the page asks for again and again.

Adapters that cannot be weighed are told beside those that can. Holds figures alone, a bounded number of them; may be
called from several threads.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from inference.catalog import CONFIG_FILE
from inference.errors import AdapterError, SettingsError
from inference.protocol import AdapterFacts
from inference.weights.adapter import OpenAdapter, open_adapter
from inference.weights.base import BaseWeights
from inference.weights.overlap import AdapterOverlap, compare_adapters
from inference.weights.report import AdapterWeights, weigh_adapter

KEPT = 128
"""So many adapters and pairs are kept; those asked for longest ago go first."""

Made = TypeVar("Made")


class _State(NamedTuple):
    """Tells apart all that an adapter's figures depend on."""

    name: str
    folder: Path
    sha256: str
    config_ns: int
    config_bytes: int
    with_base: bool


class _Weighed(NamedTuple):
    opened: OpenAdapter
    weights: AdapterWeights


@dataclass(frozen=True)
class Weighing:
    """What could be weighed, in the order asked for; `problems`: a sentence by name for each adapter that could not."""

    adapters: tuple[AdapterWeights, ...]
    problems: dict[str, str]


@dataclass(frozen=True)
class Comparing:
    """Every pair that could be compared; `problems`: a sentence for each that could not, though both can be weighed."""

    overlaps: tuple[AdapterOverlap, ...]
    problems: dict[str, str]


class Weigher:
    """Weighs adapters; `base` is the folder of their base's own weights, None where it cannot be read here."""

    def __init__(self, base: Path | None = None) -> None:
        self._base_folder = base
        self._base: BaseWeights | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    @property
    def has_base(self) -> bool:
        """Whether ratios to the base's weights can be told."""
        return self._base_folder is not None

    def weigh(self, adapters: Sequence[AdapterFacts], *, ratio: bool = False) -> Weighing:
        """What each of them changes; with `ratio` also in relation to the base.

        Only then are the base's weights read, those of the modules touched and each of them once.

        Raises:
            SettingsError: ratios are asked for and the base cannot be read here.
            ModelError: the base's files are damaged.
        """
        base = self._read_base() if ratio else None
        weighed, problems = self._weigh_each(adapters, base)
        return Weighing(tuple(each.weights for each in weighed.values()), problems)

    def compare(self, adapters: Sequence[AdapterFacts]) -> Comparing:
        """How alike the adapters are in pairs; takes seconds for a pair of a large model. Broken ones are left out."""
        weighed, _ = self._weigh_each(adapters, None)
        overlaps, problems = [], {}
        for (one, first), (other, second) in combinations(weighed.items(), 2):
            try:
                overlaps.append(self._keep((one, other), partial(compare_adapters, first.opened, second.opened)))
            except AdapterError as error:
                problems[f"{one.name} and {other.name}"] = str(error)
        return Comparing(tuple(overlaps), problems)

    def _weigh_each(
        self, adapters: Sequence[AdapterFacts], base: BaseWeights | None
    ) -> tuple[dict[_State, _Weighed], dict[str, str]]:
        """The figures of each by the state of its files, and by name what is wrong with the others."""
        weighed: dict[_State, _Weighed] = {}
        problems: dict[str, str] = {}
        for facts in adapters:
            try:
                state = _state_of(facts, with_base=base is not None)
                weighed[state] = self._keep(state, partial(_weigh, facts, base))
            except AdapterError as error:
                problems[facts.name] = str(error)
        return weighed, problems

    def _read_base(self) -> BaseWeights:
        if self._base_folder is None:
            raise SettingsError(
                "the base's own files where this page runs", "none that it can read", "choose another measure"
            )
        with self._lock:
            if self._base is None:
                self._base = BaseWeights(self._base_folder)
            return self._base

    def _keep(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made under this key, or is made now: one thing at a time, so that callers wait for one at most."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            made: Made = self._kept[key]
            return made


def _state_of(facts: AdapterFacts, *, with_base: bool) -> _State:
    """What its figures depend on: the weights by their hash, and the config, which scales them.

    Raises:
        AdapterError: it has a problem.
    """
    if facts.problems:
        raise AdapterError("an adapter without faults", f"{facts.name}: {facts.problems[0]}", "choose another one")
    folder = Path(facts.folder)
    try:
        config = (folder / CONFIG_FILE).stat()
    except OSError as error:
        raise AdapterError(f"{CONFIG_FILE} of {facts.name}", error.strerror or "none", "save it again") from error
    return _State(facts.name, folder, facts.sha256, config.st_mtime_ns, config.st_size, with_base)


def _weigh(facts: AdapterFacts, base: BaseWeights | None) -> _Weighed:
    opened = open_adapter(Path(facts.folder), base, name=facts.name)
    return _Weighed(opened, weigh_adapter(opened))
