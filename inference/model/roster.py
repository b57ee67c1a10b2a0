"""The adapters that variants name: which there are, found by name, and loaded when they are first asked for.

Knows no request and holds no lock: whoever loads has the engine's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from inference.errors import AdapterError
from inference.model.adapters import AdapterBank, Chosen
from inference.model.load import LoadedModel
from inference.trace.request import AdapterAt, Variant
from inference.trace.session import AdapterFacts


class Roster:
    """The adapters of a catalog, as one model's bank takes them; `aliases`: other names that they know the model by."""

    def __init__(
        self,
        loaded: LoadedModel,
        bank: AdapterBank,
        catalog: Callable[[], tuple[AdapterFacts, ...]],
        aliases: tuple[str, ...] = (),
    ) -> None:
        self._bank = bank
        self._catalog = catalog
        self._names = {_last_name(name) for name in (loaded.name, _source_name(loaded), *aliases)}
        self._problems: dict[tuple[str, str], str] = {}

    def all(self) -> tuple[AdapterFacts, ...]:
        """All adapters found; those that do not fit this model have a problem that says so."""
        return tuple(self._with_fit(facts) for facts in self._catalog())

    def choose(self, variants: Sequence[Variant]) -> list[Chosen]:
        """The adapters of each variant, each at its scale; nothing is loaded yet.

        Raises:
            AdapterError: there is none of a name, or it has faults.
        """
        # Reading the catalog takes longer than a base's trial.
        found = self._catalog() if any(variant.adapters for variant in variants) else ()
        known = {facts.name: facts for facts in found}
        return [_find(known, variant) for variant in variants]

    def load(self, chosen: Chosen) -> list[str]:
        """Loads these, switched off; what the person should know of them.

        Raises:
            AdapterError: one does not fit, or is damaged; the model is as it was.
        """
        return [note for facts, _ in chosen for note in self._load(facts)]

    def _load(self, facts: AdapterFacts) -> list[str]:
        notes = [self._bank.load(facts)]
        if facts.base and _last_name(facts.base) not in self._names:
            notes.append(
                f"{facts.name} says it was trained on {_last_name(facts.base)}; all its weights fit this model."
            )
        return [note for note in notes if note]

    def _with_fit(self, facts: AdapterFacts) -> AdapterFacts:
        if facts.problems:
            return facts
        key = (facts.folder, facts.sha256)
        if key not in self._problems:
            self._problems[key] = self._bank.fit_problem(facts)
        return replace(facts, problems=(self._problems[key],)) if self._problems[key] else facts


def _find(known: Mapping[str, AdapterFacts], variant: Variant) -> Chosen:
    for adapter in variant.adapters:
        if adapter.name not in known:
            raise AdapterError(
                f"an adapter among {', '.join(sorted(known)) or 'none'}", repr(adapter.name), "choose one of these"
            )
        if problems := known[adapter.name].problems:
            raise AdapterError("an adapter without faults", f"{adapter.name}: {problems[0]}", "choose another one")
    return [(_as_asked(known[adapter.name], adapter), adapter.scale) for adapter in variant.adapters]


def _as_asked(facts: AdapterFacts, adapter: AdapterAt) -> AdapterFacts:
    """The facts of an adapter, or of what is made of it by shuffling."""
    shuffle = adapter.shuffle
    return replace(facts, name=replace(adapter, scale=1.0).label, shuffle=shuffle) if shuffle else facts


def _source_name(loaded: LoadedModel) -> str:
    return str(getattr(loaded.model.config, "_name_or_path", ""))


def _last_name(name: str) -> str:
    """The part that a model keeps when it is copied: without owner, folder and revision."""
    return name.partition("#")[0].rstrip("/").rpartition("/")[2].lower()
