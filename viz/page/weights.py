"""What adapters' weights say, over plain routes and for programs: figures, charts and tables, with no model run.

Only adapters that the engine lists are read, by name; where they lie is told to nobody.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inference.errors import AdapterError, SettingsError
from inference.protocol import AdapterFacts, Engine
from inference.trace.session import Session
from inference.weights.table import Measure, weight_grid, weights_csv, weights_values
from inference.weights.weigher import Weigher, Weighing
from viz.drawing import FileKind, saved
from viz.layer_change import layer_changes
from viz.page.answers import answering, choice_of, download, json_answer, session_of
from viz.page.shelf import Shelf
from viz.weight_charts import weight_figure
from viz.weights_view import TOWERS, adapter_colours, check_measure, choose_adapters, first_names, weights_view


@dataclass(frozen=True)
class WeightDesk:
    """What routes and endpoint need: sessions, the adapters there are, and one weigher that remembers."""

    shelf: Shelf
    engine: Engine
    weigher: Weigher

    @classmethod
    def of(cls, shelf: Shelf, engine: Engine) -> "WeightDesk":
        """The desk of this engine; nothing is read before it is asked for."""
        return cls(shelf, engine, Weigher(engine.base_folder()))

    def values(self, adapters: Any, measure: Any) -> dict[str, Any]:
        """All figures of the named adapters for a program, and the chart of one measure in numbers.

        Raises:
            VisualizerError: names or a measure that there are not.
        """
        names = [] if adapters is None else adapters
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SettingsError("adapters as a list of names", repr(names)[:40], 'send for instance ["other"]')
        wanted = check_measure(measure or "frobenius")
        chosen = choose_adapters(names, self.engine.adapters())
        weighing, comparing = self.weigher.weigh(chosen, ratio=wanted == "ratio"), self.weigher.compare(chosen)
        told = weights_values(weighing.adapters, comparing.overlaps)
        found = weighing.problems | comparing.problems
        problems = [{"of": name, "problem": sentence} for name, sentence in found.items()]
        return told | {"problems": problems, "measure": wanted, "charts": _charts(weighing, wanted)}


def weight_routes(desk: WeightDesk) -> list[Route]:
    """The routes under /session/ID: figures and charts of weights, and what the layers' attention did beside them."""
    answers = {
        "weights": _weights,
        "alike": _alike,
        "weights.csv": _table,
        "weights.{kind}": _figure,
        "layers": _layers,
    }
    return [Route(f"/session/{{id}}/{path}", answering(desk, answer)) for path, answer in answers.items()]


def _weights(desk: WeightDesk, request: Request) -> Response:
    _, session = session_of(desk.shelf, request)
    adapters, measure = desk.engine.adapters(), _measure(request)
    chosen = _chosen(adapters, session, request)
    weighing = desk.weigher.weigh(chosen, ratio=measure == "ratio")
    view = weights_view(session, adapters, chosen, weighing, measure, has_base=desk.weigher.has_base)
    return json_answer(asdict(view))


def _alike(desk: WeightDesk, request: Request) -> Response:
    """Apart from the figures, since it takes as long as all of them for every pair."""
    _, session = session_of(desk.shelf, request)
    comparing = desk.weigher.compare(_chosen(desk.engine.adapters(), session, request))
    told = weights_values((), comparing.overlaps)
    return json_answer(
        {"overlaps": told["overlaps"], "note": told["overlap_note"], "problems": list(comparing.problems.values())}
    )


def _table(desk: WeightDesk, request: Request) -> Response:
    _, session = session_of(desk.shelf, request)
    weighing = _weigh(desk, desk.engine.adapters(), session, request)
    return download(weights_csv(weighing.adapters).encode(), "weights.csv", "csv")


def _figure(desk: WeightDesk, request: Request) -> Response:
    _, session = session_of(desk.shelf, request)
    kind = _file_kind(request.path_params["kind"])
    adapters = desk.engine.adapters()
    weighing = _weigh(desk, adapters, session, request)
    figure = weight_figure(weighing.adapters, _measure(request), colours=adapter_colours(session, adapters))
    return download(saved(figure, kind), f"weights.{kind}", kind)


def _layers(desk: WeightDesk, request: Request) -> Response:
    _, session = session_of(desk.shelf, request)
    return json_answer(asdict(layer_changes(session, choice_of(session, request))))


def _weigh(desk: WeightDesk, adapters: Sequence[AdapterFacts], session: Session, request: Request) -> Weighing:
    """What the address names, weighed; for a file there must be something.

    Raises:
        AdapterError: none of them can be weighed.
    """
    weighing = desk.weigher.weigh(_chosen(adapters, session, request), ratio=_measure(request) == "ratio")
    if not weighing.adapters:
        raise AdapterError(
            "an adapter without faults", next(iter(weighing.problems.values()), "none"), "choose another one"
        )
    return weighing


def _chosen(adapters: Sequence[AdapterFacts], session: Session, request: Request) -> list[AdapterFacts]:
    """The adapters that the address names; if it names none, those to begin with."""
    names = request.query_params.getlist("adapter") or first_names(session, adapters)
    return choose_adapters(names, adapters) if names else []


def _measure(request: Request) -> Measure:
    return check_measure(request.query_params.get("measure", "frobenius"))


def _file_kind(named: str) -> FileKind:
    kinds: tuple[FileKind, ...] = get_args(FileKind)
    for kind in kinds:
        if kind == named:
            return kind
    raise SettingsError(f"a file of {', '.join(('csv', *kinds))}", repr(named)[:20], "choose one of them")


def _charts(weighing: Weighing, measure: Measure) -> dict[str, Any]:
    """By tower the layers, the modules, and the measure of each adapter over both; None where it touches nothing."""
    charts: dict[str, Any] = {}
    for tower in TOWERS:
        grid = weight_grid(weighing.adapters, measure, tower)
        if grid.values.size:
            values = grid.values.astype(object)
            values[np.isnan(grid.values)] = None
            charts[tower] = {"layers": list(grid.layers), "modules": list(grid.modules), "values": values.tolist()}
    return charts
