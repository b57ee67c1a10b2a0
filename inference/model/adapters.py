"""LoRA adapters on one model: loaded whole or not at all, off unless switched on, the base untouched.

An adapter is loaded when it is first asked for and stays. Knows no request and holds no lock: the engine's lock is
round every call.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer

from inference.errors import AdapterError
from inference.evidence.trials import Switch
from inference.model.adapter_files import make_config, read_adapter_files, read_weights
from inference.model.fit import fit_adapter
from inference.model.parts import Parts, is_on
from inference.model.shuffle import shuffled
from inference.protocol import AdapterFacts
from inference.weights.places import Place, place_of

Chosen = Sequence[tuple[AdapterFacts, float]]
"""The loaded adapters of one variant, each at its scale."""

_Key = tuple[str, str, int]
"""What tells adapters apart: folder, hash of the weights, and the seed that they are shuffled by."""

_BASE_ROW = "__base__"
"""What the library calls a row of a batch that no adapter takes part in."""

# Names on the model are ours, for a visitor's may hold signs that the library cannot take; no two banks share one.
_numbers = itertools.count(1)


@dataclass(frozen=True)
class _Loaded:
    """An adapter on the model, by the name it has there: the layers that hold it, and what they tell of it."""

    inner: str
    note: str
    layers: dict[Place, Any]
    sees: bool
    is_dora: bool

    @classmethod
    def found(cls, model: Any, inner: str, note: str) -> "_Loaded":
        named = [(place_of(path), layer) for path, layer in model.named_modules() if isinstance(layer, LoraLayer)]
        layers = {place: layer for place, layer in named if inner in layer.scaling}
        sees = any(place.tower == "vision" for place in layers)
        return cls(inner, note, layers, sees, any(layer.use_dora.get(inner, False) for layer in layers.values()))


class AdapterBank:
    """The adapters of one model. Outside of `active`, `wearing` and `mixed` the model is the base, bit for bit."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._linears = {
            name.removesuffix(".base_layer"): tuple(module.weight.shape)
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and ".lora_" not in name
        }
        self._loaded: dict[_Key, _Loaded] = {}

    def fit_problem(self, facts: AdapterFacts) -> str:
        """What keeps this adapter from fitting the model, as a sentence; empty if it fits."""
        try:
            fit_adapter(facts.name, read_adapter_files(facts), self._linears)
        except AdapterError as error:
            return str(error)
        return ""

    def load(self, facts: AdapterFacts) -> str:
        """Puts the adapter onto the model, switched off, unless it is there; what the person should know of it.

        Raises:
            AdapterError: it does not fit, or is damaged; the model is as it was.
        """
        key = _key(facts)
        if key not in self._loaded:
            inner = f"adapter_{next(_numbers)}"
            note = self._inject(inner, facts)
            self._loaded[key] = _Loaded.found(self._model, inner, note)
        return self._loaded[key].note

    def parts(self, chosen: Chosen, switch: Switch | None = None) -> Parts:
        """Where these loaded adapters are on under a switch; None: wherever they are.

        An adapter at scale 0 is left out, so that it is the base exactly, whatever its kind.
        """
        return Parts.of(
            (one.inner, scale, [place for place in one.layers if is_on(place, switch)])
            for one, scale in self._on(chosen)
        )

    def active(self, chosen: Chosen) -> AbstractContextManager[None]:
        """The model with these loaded adapters on, each at its scale, until the block ends, however it ends."""
        return self.wearing(self.parts(chosen))

    @contextmanager
    def wearing(self, parts: Parts) -> Iterator[None]:
        """The model with these parts of loaded adapters on, until the block ends, however it ends."""
        layers: dict[int, tuple[Any, dict[str, float]]] = {}
        by_name = {one.inner: one.layers for one in self._loaded.values()}
        for inner, scale, places in parts.on:
            for layer in (by_name[inner][place] for place in places):
                layers.setdefault(id(layer), (layer, {}))[1][inner] = layer.scaling[inner] * scale
        with ExitStack() as stack:
            for layer, scaled in layers.values():
                layer.set_adapter(list(scaled), inference_mode=True)
                stack.enter_context(_switched_on(layer, scaled))
            yield

    @contextmanager
    def mixed(self, rows: Sequence[Chosen]) -> Iterator[None]:
        """The model for batches of so many rows, each with its own adapter on at its own scale, until the block ends.

        A row without an adapter, or with one at scale 0, is the base. The vision tower is the base for all of them.

        Raises:
            ValueError: a row that `mixing_problem` has something against.
        """
        if problem := next(filter(None, map(self.mixing_problem, rows)), ""):
            raise ValueError(f"a row of a batch that {problem}")
        ons = [self._on(chosen) for chosen in rows]
        named = [(on[0][0].inner, on[0][1]) if on else (_BASE_ROW, 1.0) for on in ons]
        names = [name for name, _ in named]
        with ExitStack() as stack:
            for layer in _layers_of(one for on in ons for one, _ in on):
                # The library's own wrapper hands the names of the rows to its layers by such hooks.
                hook = layer.register_forward_pre_hook(functools.partial(_name_rows, names), with_kwargs=True)
                stack.callback(hook.remove)
                scaled = _row_scalings(layer.scaling, named, layer.get_base_layer().weight.device)
                stack.enter_context(_switched_on(layer, scaled))
            yield

    def mixing_problem(self, chosen: Chosen) -> str:
        """What keeps these loaded adapters from being a row among others in a batch, as the end of a sentence.

        Empty where nothing does.
        """
        on = [one for one, _ in self._on(chosen)]
        if len(on) > 1:
            return "has several adapters at once"
        if not self.leaves_pictures_alone(chosen):
            return "has a part in the vision tower"
        return "is a DoRA" if any(one.is_dora for one in on) else ""

    def leaves_pictures_alone(self, chosen: Chosen) -> bool:
        """Whether none of these loaded adapters, at its scale, has a part in the vision tower."""
        return not any(one.sees for one, _ in self._on(chosen))

    def _on(self, chosen: Chosen) -> list[tuple["_Loaded", float]]:
        """The loaded adapters that are not switched off by their scale, each with it."""
        return [(self._loaded[_key(facts)], scale) for facts, scale in chosen if scale != 0]

    def _inject(self, inner: str, facts: AdapterFacts) -> str:
        files = read_adapter_files(facts)
        fit = fit_adapter(facts.name, files, self._linears)
        weights = read_weights(facts, fit)
        if facts.shuffle:
            weights = shuffled(weights, facts.shuffle)
        try:
            inject_adapter_in_model(make_config(files, fit), self._model, inner)
            report = set_peft_model_state_dict(self._model, weights, inner)
            missing = [key for key in report.missing_keys if inner in key]
            if missing or report.unexpected_keys:
                raise AdapterError(
                    "an adapter whose weights all fit",
                    f"{facts.name} with {len(missing)} missing and {len(report.unexpected_keys)} unknown, such as "
                    f"{[*missing, *report.unexpected_keys][0]}",
                    "save the adapter again",
                )
        except BaseException:
            self._remove(inner)
            raise
        finally:
            # The library leaves its config on the model and warns of it at the next adapter.
            vars(self._model).pop("peft_config", None)
        for layer in _lora_layers(self._model):
            layer.enable_adapters(False)
        self._model.eval()
        return fit.renamed

    def _remove(self, inner: str) -> None:
        """Takes all that was put in under this name out again, and the wrappers that then hold nothing."""
        for path, module in list(self._model.named_modules()):
            if not isinstance(module, LoraLayer):
                continue
            # Deleting an active adapter would make the library switch another one on.
            module.set_adapter([name for name in module.active_adapters if name != inner])
            module.delete_adapter(inner)
            if not module.r:
                parent, _, child = path.rpartition(".")
                setattr(self._model.get_submodule(parent), child, module.get_base_layer())
            else:
                module.enable_adapters(False)


def _key(facts: AdapterFacts) -> _Key:
    return facts.folder, facts.sha256, facts.shuffle


def _lora_layers(model: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def _layers_of(loaded: Iterable[_Loaded]) -> list[Any]:
    """Every layer that holds any of these, once."""
    return list({id(layer): layer for one in loaded for layer in one.layers.values()}.values())


@contextmanager
def _switched_on(layer: Any, scalings: Mapping[str, float | torch.Tensor]) -> Iterator[None]:
    """The layer with its adapters on, some of them at other scalings than their own."""
    before = dict(layer.scaling)
    try:
        layer.scaling.update(scalings)
        # Not by `enable_adapters`, which walks all weights to say which may be trained: none is, ever.
        layer._disable_adapters = False
        yield
    finally:
        layer._disable_adapters = True
        layer.scaling.update(before)


def _name_rows(names: list[str], _layer: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What a layer is called with, and whose row is whose beside it."""
    return given, {**named, "adapter_names": names}


def _row_scalings(
    trained: Mapping[str, float], rows: Sequence[tuple[str, float]], device: torch.device
) -> dict[str, float | torch.Tensor]:
    """Each adapter's scaling; where several rows have the adapter, one number for each of them, in their order.

    The library multiplies what an adapter adds to all of its rows, (rows, tokens, width), by it.
    """
    scalings: dict[str, float | torch.Tensor] = {}
    for name in {name for name, _ in rows if name in trained}:
        own = [trained[name] * scale for row, scale in rows if row == name]
        scalings[name] = torch.tensor(own, device=device)[:, None, None] if len(own) > 1 else own[0]
    return scalings
