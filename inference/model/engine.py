"""Request in, session out: the order of a run, under the one lock round switching and answering.

The loaded model and the list of adapters are given; knows no page and no process boundary.
"""

import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch

from inference.errors import SettingsError
from inference.evidence.trials import Findings, Probe
from inference.evidence.validate import check_probe, probe_variants
from inference.model.adapters import AdapterBank, Chosen
from inference.model.answer import Batch, Spoken, Task, Turn, answer, extent
from inference.model.check import check_memory
from inference.model.decode import see_pictures
from inference.model.load import LoadedModel, read_facts
from inference.model.plan import plan_batches, rows_that_fit
from inference.model.precision import in_float32
from inference.model.prepare import check_length, prepare
from inference.model.probe.run import run_probe
from inference.model.probe.stage import Stage
from inference.model.roster import Roster
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace.files import write_session
from inference.trace.request import Request, Variant
from inference.trace.session import AdapterFacts, ModelFacts, Run, Session
from inference.trace.size import Extent, check_keep, check_size, describe_size, kept_bytes
from inference.trace.validate import check_request

WAITING_S = 0.2

_log = logging.getLogger(__name__)
_Step = TypeVar("_Step")


class ModelEngine:
    """Answers requests with one model, one at a time.

    `catalog` tells which adapters there are now; `aliases` are other names that adapters know the model by.
    `most_rows`: most variants that run side by side in one batch; None: as many as half of the free memory has room
    for; 1: all one after another.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        settings: Settings,
        catalog: Callable[[], tuple[AdapterFacts, ...]],
        *,
        aliases: tuple[str, ...] = (),
        most_rows: int | None = None,
    ) -> None:
        self._loaded = loaded
        self._settings = settings
        self._bank = AdapterBank(loaded.model)
        self._roster = Roster(loaded, self._bank, catalog, aliases)
        self._facts = read_facts(loaded)
        self._most_rows = most_rows
        self._lock = threading.Lock()

    def facts(self) -> ModelFacts:
        """The facts of the model."""
        return self._facts

    def adapters(self) -> tuple[AdapterFacts, ...]:
        """All adapters found; those that do not fit this model have a problem that says so."""
        return self._roster.all()

    def run(self, request: Request, folder: Path) -> Generator[Progress | Session, None, None]:
        """Progress, then exactly one session; waits for its turn, and stops within one token when it is closed.

        The session is written into the folder while it is made; `session.json` comes last.

        Raises:
            VisualizerError: what was asked cannot be done; the engine is as it was before.
        """
        check_request(request, self._settings.limits())
        yield from self._in_turn(self._answer(request, self._roster.choose(request.variants), folder))

    def probe(self, probe: Probe) -> Generator[Progress | Findings, None, None]:
        """Progress, then exactly one Findings; waits for its turn, and stops between two passes when it is closed.

        Raises:
            VisualizerError: what was asked cannot be done; the engine is as it was before.
        """
        check_probe(probe, self._settings.limits())
        variants = probe_variants(probe)
        chosen = dict(zip(variants, self._roster.choose(variants), strict=True))
        yield from self._in_turn(self._try(probe, chosen))

    def _in_turn(self, work: Generator[_Step, None, None]) -> Generator[Progress | _Step, None, None]:
        """The steps of the work, once the model is free; no other work begins before they end."""
        while not self._lock.acquire(timeout=WAITING_S):
            yield Progress("waiting")
        try:
            yield from work
        except torch.OutOfMemoryError as error:
            raise SettingsError(
                "a question that fits into the device's memory",
                "one that does not",
                "lower max_pixels or the number of answer tokens",
            ) from error
        finally:
            self._lock.release()

    def _try(self, probe: Probe, chosen: Mapping[Variant, Chosen]) -> Generator[Progress | Findings, None, None]:
        task = prepare(self._loaded, self._settings, probe.request)
        notes = [note for adapters in chosen.values() for note in self._roster.load(adapters)]
        stage = Stage(task, self._bank, chosen, most_rows=self._most_rows)
        yield from run_probe(stage, probe, notes)

    def _answer(
        self, request: Request, chosen: Sequence[Chosen], folder: Path
    ) -> Generator[Progress | Session, None, None]:
        if request.full_precision:
            for adapters in chosen:  # before, or those loaded inside would stay in float32
                self._roster.load(adapters)
        with in_float32(self._loaded) if request.full_precision else nullcontext(self._loaded) as loaded:
            yield from self._answer_with(loaded, request, chosen, folder)

    def _answer_with(
        self, loaded: LoadedModel, request: Request, chosen: Sequence[Chosen], folder: Path
    ) -> Generator[Progress | Session, None, None]:
        task = prepare(loaded, self._settings, request)
        asked = extent(task, self._facts)
        self._check_room(task, asked)
        yield Progress("size", total=kept_bytes(asked, request.keep), text=describe_size(asked, request.keep))
        runs, notes = yield from self._take_turns(task, chosen, folder, asked)
        session = self._session(task, chosen, runs, [*_request_notes(request, task, loaded), *notes])
        write_session(session, folder)
        yield session

    def _take_turns(
        self, task: Task, chosen: Sequence[Chosen], folder: Path, asked: Extent
    ) -> Generator[Progress, None, tuple[list[Run], list[str]]]:
        """Every variant's run, and what the person should know of them; pictures are seen once for all that share."""
        turns, notes = self._load_all(task.request, chosen)
        batches = self._plan(task, chosen, asked)
        variants = task.request.variants
        has_base = any(variant.is_base for variant in variants)
        base = Spoken() if has_base and len(batches) > 1 else None
        runs: list[tuple[int, Run]] = []
        features: Any = None
        for numbers in batches:
            switch = functools.partial(self._switch, chosen)
            batch = Batch(tuple(turns[number] for number in numbers), folder, switch, base=base)
            together = [adapter for number in numbers for adapter in chosen[number]]
            if task.pixels is not None and self._bank.leaves_pictures_alone(together):
                if features is None:
                    yield Progress("picture", variants[numbers[0]].label, 0, task.request.generation.max_new_tokens)
                    started = time.perf_counter()
                    features = see_pictures(task.loaded, task.pixels)
                    batch = replace(batch, picture_s=time.perf_counter() - started)
                batch = replace(batch, features=features)
            done = yield from answer(task, batch)
            runs += zip(numbers, done, strict=True)
        in_order = [run for _, run in sorted(runs, key=lambda numbered: numbered[0])]
        return in_order, [*notes, *(note for run in in_order for note in _run_notes(run))]

    def _load_all(self, request: Request, chosen: Sequence[Chosen]) -> tuple[list[Turn], list[str]]:
        """Each variant's turn once its adapters are loaded, and what the person should know of them."""
        turns, notes = [], []
        for number, (variant, adapters) in enumerate(zip(request.variants, chosen, strict=True)):
            started = time.perf_counter()
            notes += self._roster.load(adapters)
            turns.append(Turn(variant, number, time.perf_counter() - started))
        return turns, notes

    def _plan(self, task: Task, chosen: Sequence[Chosen], asked: Extent) -> list[list[int]]:
        """The numbers of the variants that run together, batch by batch; tells which run by themselves, and why."""
        problems = [self._bank.mixing_problem(adapters) for adapters in chosen]
        variants = task.request.variants
        for variant, problem in zip(variants, problems, strict=True):
            if problem and len(chosen) > 1:
                _log.info("%s runs by itself, for it %s", variant.label, problem)
        most = self._most_rows or rows_that_fit(task.loaded, asked)
        return plan_batches(variants, [not problem for problem in problems], most=most)

    def _switch(self, chosen: Sequence[Chosen], turns: Sequence[Turn]) -> AbstractContextManager[None]:
        """The adapters of these turns on, each in its own row."""
        rows = [chosen[turn.number] for turn in turns]
        return self._bank.active(rows[0]) if len(rows) == 1 else self._bank.mixed(rows)

    def _session(self, task: Task, chosen: Sequence[Chosen], runs: Sequence[Run], notes: Sequence[str]) -> Session:
        facts = {facts.name: replace(facts, folder="") for adapters in chosen for facts, _ in adapters}
        created = datetime.now(UTC).isoformat(timespec="seconds")
        # The same note from two variants is told once.
        told, model = tuple(dict.fromkeys(notes)), read_facts(task.loaded)
        return Session(task.request, model, tuple(runs), created, told, tuple(facts.values()))

    def _check_room(self, task: Task, asked: Extent) -> None:
        """Refuses what the model cannot read to its end, and rows that there is no room for."""
        check_length(self._loaded, asked.length)
        check_keep(task.request.keep, asked.layers, asked.heads)
        check_size(asked, task.request.keep, self._settings.rows_gb)
        if task.request.compare_eager:
            check_memory(self._loaded, asked.length)


def _request_notes(request: Request, task: Task, loaded: LoadedModel) -> list[str]:
    notes = [f"{picture.name}: {note}." for picture in request.images for note in picture.notes]
    for picture, span in zip(request.images, task.images, strict=True):
        if span.resized_wh != span.original_wh:
            was, now = (" x ".join(map(str, wh)) for wh in (span.original_wh, span.resized_wh))
            notes.append(f"{picture.name}: the model saw {now} px of the {was} px.")
    if not request.images:
        notes.append("The question came without a picture, so there is no map.")
    if loaded.dtype != torch.float32:
        notes.append(
            f"The model ran in {str(loaded.dtype).removeprefix('torch.')} (8 to 11 bits): differences of less than "
            "about 0.01 between rows mean nothing."
        )
    return notes


def _run_notes(run: Run) -> list[str]:
    notes = []
    if run.eager_error is not None:
        notes.append(f"{run.variant.label}: rows differ from eager attention by at most {run.eager_error:.1e}.")
    if run.finish == "length":
        notes.append(f"{run.variant.label}: the answer was cut at the limit of answer tokens.")
    if run.thinking and not run.answer:
        notes.append(f"{run.variant.label}: there is reasoning and no answer.")
    if not all(math.isfinite(token.scores.logprob) for token in run.trace.tokens if token.scores):
        notes.append(f"{run.variant.label}: some probabilities are not finite numbers.")
    return notes
