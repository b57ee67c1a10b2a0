"""The engine in this process: the model is loaded in the background, once, when it is first wanted.

Importing this module, and making the engine, loads no library of models; the page is up before the model is.
"""

import logging
import threading
from collections.abc import Generator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from inference.catalog import find_adapters, read_adapter
from inference.errors import ModelError
from inference.evidence.trials import Findings, Probe
from inference.evidence.validate import check_probe
from inference.mini import ADAPTERS_DIR, BASE_DIR, BASE_NAME
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace.request import Request
from inference.trace.session import AdapterFacts, ModelFacts, Session
from inference.trace.validate import check_request

if TYPE_CHECKING:
    from inference.model.engine import ModelEngine

MINIATURE = "miniature Qwen3-VL"
POLL_S = 0.2

_log = logging.getLogger(__name__)


class InProcessEngine:
    """Answers with the model that the settings name; `folders` are adapters besides those of the settings' folder."""

    def __init__(self, settings: Settings, *, folders: tuple[Path, ...] = ()) -> None:
        self._settings = settings
        self._folders = folders
        self._start_lock = threading.Lock()
        self._loading: Future[ModelEngine] | None = None

    @property
    def model_name(self) -> str:
        """The model's name for people: of a folder its last part; known before the model is loaded."""
        named = self._settings.model
        if not named:
            return MINIATURE
        return Path(named).resolve().name if Path(named).exists() else named

    def facts(self) -> ModelFacts | None:
        """The model's facts, or None while it is not loaded."""
        engine = self._loaded()
        return engine.facts() if engine else None

    def adapters(self) -> tuple[AdapterFacts, ...]:
        """All adapters found, by name; once the model is loaded, with a problem for each that does not fit it."""
        engine = self._loaded()
        return engine.adapters() if engine else self._catalog()

    def base_folder(self) -> Path | None:
        """The model's folder; None for a model that is named by its place on the hub."""
        folder = Path(self._settings.model) if self._settings.model else BASE_DIR
        return folder if folder.is_dir() else None

    def warm_up(self) -> None:
        """Begins to load the model, in the background; a failure is logged here and told by the next run."""
        self._start()

    def run(self, request: Request, folder: Path) -> Generator[Progress | Session, None, None]:
        """Progress, then one Session, written to `folder`; closing the iterator stops the work within one token.

        Raises:
            VisualizerError: what was asked cannot be done; the next question may be asked all the same.
        """
        check_request(request, self._settings.limits())
        engine = yield from self._wait()
        yield from engine.run(request, folder)

    def probe(self, probe: Probe) -> Generator[Progress | Findings, None, None]:
        """Progress, then one Findings; closing the iterator stops the work between two passes.

        Raises:
            VisualizerError: what was asked cannot be done; the next question may be asked all the same.
        """
        check_probe(probe, self._settings.limits())
        engine = yield from self._wait()
        yield from engine.probe(probe)

    def _wait(self) -> "Generator[Progress, None, ModelEngine]":
        """Progress until the model is loaded, and at last the engine that has it."""
        loading = self._start()
        while not loading.done():
            yield Progress("loading")
            wait([loading], timeout=POLL_S)
        return loading.result()

    def _loaded(self) -> "ModelEngine | None":
        loading = self._loading
        if loading is None or not loading.done() or loading.exception():
            return None
        return loading.result()

    def _start(self) -> "Future[ModelEngine]":
        """The load that is under way or done; a failed one is tried again."""
        with self._start_lock:
            if self._loading is None or (self._loading.done() and self._loading.exception()):
                self._loading = Future()
                threading.Thread(target=self._fill, args=(self._loading,), name="load-model", daemon=True).start()
            return self._loading

    def _fill(self, loading: "Future[ModelEngine]") -> None:
        try:
            loading.set_result(self._load())
        except BaseException as error:  # The thread's edge: whoever waits is told, whatever it was.
            _log.error("The model could not be loaded: %s", error)
            loading.set_exception(error)

    def _load(self) -> "ModelEngine":
        try:
            from inference.model.engine import ModelEngine
            from inference.model.load import load_model
        except ModuleNotFoundError as error:
            raise ModelError(
                "the libraries of the extra `model`", f"none called {error.name}", "install with pip install '.[model]'"
            ) from error
        settings = self._settings
        source = settings.model or str(BASE_DIR)
        loaded = load_model(source, name=self.model_name, device=settings.device, dtype=settings.dtype)
        return ModelEngine(loaded, settings, self._catalog, aliases=() if settings.model else (BASE_NAME,))

    def _catalog(self) -> tuple[AdapterFacts, ...]:
        found = {facts.name: facts for facts in find_adapters(self._adapters_folder())}
        found |= {facts.name: facts for facts in map(read_adapter, self._folders)}
        return tuple(found[name] for name in sorted(found))

    def _adapters_folder(self) -> Path:
        if self._settings.adapters is not None:
            return self._settings.adapters
        return Path(self._settings.model) / "adapters" if self._settings.model else ADAPTERS_DIR
