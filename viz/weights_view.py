"""What the page shows of adapters' weights: which there are, their figures, and charts as small pictures.

Plain data for the browser, as `viz.view` has it for maps; knows no Gradio and no model. All adapters shown share one
colour scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize

from inference.errors import AdapterError, SettingsError
from inference.protocol import AdapterFacts
from inference.trace.session import Session
from inference.weights.places import Tower
from inference.weights.report import AdapterWeights
from inference.weights.table import MEASURES, Grid, Measure, weight_grid, weights_values
from inference.weights.weigher import Weighing
from viz import overlay

MOST = 6
"""So many adapters stand side by side."""

NO_BASE = (
    "How large a change is beside the base's own weight cannot be told: the base's files are not where this page runs."
)

TOWERS: tuple[Tower, ...] = ("text", "vision")

_COLORMAP = "viridis"


@dataclass(frozen=True)
class Listed:
    """An adapter; those of the session come first. `problem` says why it has no figures, `note` what to know of it."""

    name: str
    colour: str
    chosen: bool
    problem: str
    note: str


@dataclass(frozen=True)
class Bar:
    """A colour scale from `low` to `high` in `unit`; `bar` is its picture."""

    low: float
    high: float
    unit: str
    bar: str


@dataclass(frozen=True)
class TowerChart:
    """One picture of layers (rows) x modules (columns) for each adapter that has figures, stacked downwards.

    Cells that an adapter does not touch are transparent. A layer of None stands for modules outside of all layers.
    """

    tower: Tower
    layers: list[int | None]
    modules: list[str]
    png: str


@dataclass(frozen=True)
class WeightsView:
    """All that the page shows but pairs; `adapters` as `weights_values` tells them, in the order of the charts."""

    listed: list[Listed]
    most: int
    measure: Measure
    measures: list[dict[str, str]]
    base_note: str
    scale: Bar
    charts: list[TowerChart]
    adapters: list[dict[str, Any]]


def check_measure(named: object) -> Measure:
    """The measure of that name.

    Raises:
        SettingsError: there is none.
    """
    measures: tuple[Measure, ...] = get_args(Measure)
    for measure in measures:
        if named == measure:
            return measure
    raise SettingsError(f"a measure of {', '.join(measures)}", repr(named)[:40], "choose one of them")


def choose_adapters(names: Sequence[str], adapters: Sequence[AdapterFacts]) -> list[AdapterFacts]:
    """The adapters of these names, each once.

    Raises:
        AdapterError: one is not there.
        SettingsError: none, or more than `MOST`.
    """
    known = {facts.name: facts for facts in adapters}
    for name in names:
        if name not in known:
            raise AdapterError(f"one of {', '.join(known) or 'no adapters'}", repr(name)[:60], "choose from the list")
    wanted = list(dict.fromkeys(names))
    if not 1 <= len(wanted) <= MOST:
        raise SettingsError(f"1 to {MOST} adapters", str(len(wanted)), "choose fewer" if wanted else "choose one")
    return [known[name] for name in wanted]


def first_names(session: Session, adapters: Sequence[AdapterFacts]) -> list[str]:
    """The names to begin with: the session's adapters that there are; of a session of the base alone, the first."""
    known = [facts.name for facts in adapters]
    usable = [facts.name for facts in adapters if not facts.problems]
    return ([name for name in _asked(session) if name in known] or usable or known)[:MOST]


def weights_view(
    session: Session,
    adapters: Sequence[AdapterFacts],
    chosen: Sequence[AdapterFacts],
    weighing: Weighing,
    measure: Measure,
    *,
    has_base: bool,
) -> WeightsView:
    """What is shown of the weighed adapters, beside all that there are; layers as many as the session's model has."""
    names = [facts.name for facts in chosen]
    grids = {tower: _grid(weighing.adapters, measure, tower, session.model.layers) for tower in TOWERS}
    scale = overlay.colour_scale([grid.values for grid in grids.values()])
    return WeightsView(
        listed=_list(session, adapters, names, weighing.problems),
        most=MOST,
        measure=measure,
        measures=_measures(has_base),
        base_note="" if has_base else NO_BASE,
        scale=_bar(scale, measure),
        charts=[_chart(tower, grid, scale) for tower, grid in grids.items() if grid.values.size],
        adapters=weights_values(weighing.adapters)["adapters"],
    )


def adapter_colours(session: Session, adapters: Sequence[AdapterFacts]) -> dict[str, str]:
    """By name the colour that its variant has in all other charts; those not asked follow."""
    alone = {run.variant.adapters[0].name: run.variant.label for run in session.runs if len(run.variant.adapters) == 1}
    labels = [run.variant.label for run in session.runs]
    every = dict.fromkeys([*(facts.name for facts in adapters), *_asked(session)])
    colours = overlay.variant_colours([*labels, *(name for name in every if name not in alone)])
    return {name: colours[alone.get(name, name)] for name in every}


def _asked(session: Session) -> list[str]:
    return list(dict.fromkeys(adapter.name for run in session.runs for adapter in run.variant.adapters))


def _measures(has_base: bool) -> list[dict[str, str]]:
    return [
        {"measure": measure, "title": title, "meaning": meaning}
        for measure, (title, meaning) in MEASURES.items()
        if has_base or measure != "ratio"
    ]


def _list(
    session: Session, adapters: Sequence[AdapterFacts], names: Sequence[str], problems: dict[str, str]
) -> list[Listed]:
    colours = adapter_colours(session, adapters)
    known = {facts.name: facts for facts in adapters}
    listed = []
    for name in dict.fromkeys([*_asked(session), *known]):
        problem = problems.get(name, "")
        if name not in known:
            problem = "Its files are not here, only what was seen of it."
        elif known[name].problems:
            problem = known[name].problems[0]
        listed.append(Listed(name, colours[name], name in names, problem, _note(session, known.get(name))))
    return listed


def _note(session: Session, facts: AdapterFacts | None) -> str:
    """That the adapter is another one by now than the session's of that name."""
    then = next((each for each in session.adapters if facts and each.name == facts.name), None)
    if facts is None or then is None or then.sha256 == facts.sha256:
        return ""
    return "Its weights are not those that this session was made with: they were changed since."


def _grid(adapters: Sequence[AdapterWeights], measure: Measure, tower: Tower, layers: int) -> Grid:
    """The measure of every adapter; in the text tower with all layers of the model, touched or not."""
    grid = weight_grid(adapters, measure, tower)
    numbered = sum(layer is not None for layer in grid.layers)
    missing = max(layers - numbered, 0) if tower == "text" and grid.values.size else 0
    values = np.insert(grid.values, [numbered] * missing, np.nan, axis=1)
    more = (*grid.layers[:numbered], *range(numbered, numbered + missing), *grid.layers[numbered:])
    return Grid(more, grid.modules, values)


def _chart(tower: Tower, grid: Grid, scale: Normalize) -> TowerChart:
    values: Float[np.ndarray, "adapters layers modules"] = grid.values
    png = overlay.data_address(overlay.sprite_png(values, scale, _COLORMAP))
    return TowerChart(tower, list(grid.layers), list(grid.modules), png)


def _bar(scale: Normalize, measure: Measure) -> Bar:
    percent = measure == "ratio"
    high = float(scale.inverse(1.0)) * (100 if percent else 1)
    unit = "% of the base's norm" if percent else MEASURES[measure][0]
    return Bar(0.0, float(f"{high:.3g}"), unit, overlay.data_address(overlay.bar_png(_COLORMAP)))
