"""What the page shows of a window moved over the picture: for each variant what it depends on, beside where it looked.

Plain data, every field goes to the browser as JSON. Two colour scales, each shared by all variants: nats for
dependence, shares for attention. Knows no Gradio and no model.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize

from inference.evidence.calibration import Calibration
from inference.evidence.dependence import Depended, Dependence, Swept
from inference.trace.session import Run, Session
from viz import overlay, words
from viz.knockout_view import inset, ran, without_label
from viz.seen import see, why_missing
from viz.slots import slots_of
from viz.view import Choice, Scale

Grid = Float[np.ndarray, "rows cols"]


@dataclass(frozen=True)
class DependsPanel:
    """One variant. `looked` is empty where there is no map of its attention; `looked_told` then says why."""

    variant: str
    colour: str
    png: str
    inset: list[float]
    """The costliest window in fractions of the picture; empty where none costs enough."""
    sentence: str
    looked: str
    looked_told: str
    pointing: str
    pointing_told: str


@dataclass(frozen=True)
class DependenceView:
    """All panels; maps have `rows` x `cols` cells."""

    how: str
    window: str
    valued: str
    rows: int
    cols: int
    scale: Scale
    looked_scale: Scale
    panels: list[DependsPanel]
    notes: list[str]
    told: str


@dataclass(frozen=True)
class _Looked:
    """A variant's map, empty if there is none, and what it is of, or why there is none."""

    grid: Grid
    told: str


def dependence_view(session: Session, choice: Choice, asked: Dependence, found: Depended) -> DependenceView:
    """The maps of all variants; those of attention are at the calibrated spot if there is one, else as chosen."""
    colours = overlay.variant_colours([run.variant.label for run in session.runs])
    grids = [np.asarray(one.grid, np.float64) for one in found.swept]
    looked = [_looked(session, session.run(one.label), choice, asked.calibration) for one in found.swept]
    scale, looked_scale = overlay.colour_scale(grids), overlay.colour_scale([one.grid for one in looked])
    own = _other_colormap(choice.colormap)

    def panel(one: Swept, grid: Grid, seen: _Looked) -> DependsPanel:
        return DependsPanel(
            variant=one.label,
            colour=colours[one.label],
            png=overlay.data_address(overlay.map_png(grid, scale, own)),
            inset=[] if one.costliest is None else inset(session, asked.image, found.windows[one.costliest]),
            sentence=without_label(one.label, one.sentence),
            looked=_png(seen.grid, looked_scale, choice.colormap),
            looked_told=seen.told,
            pointing=one.pointing,
            pointing_told=one.pointing_sentence,
        )

    return DependenceView(
        how=found.how,
        window=_window(found),
        valued=found.valued,
        rows=grids[0].shape[0],
        cols=grids[0].shape[1],
        scale=_scale(scale, 1, "nats lost", own),
        looked_scale=_scale(looked_scale, 100, words.unit(choice), choice.colormap),
        panels=[panel(*each) for each in zip(found.swept, grids, looked, strict=True)],
        notes=list(found.notes),
        told=ran(found.passes, found.seconds),
    )


def _looked(session: Session, run: Run, choice: Choice, calibration: Calibration | None) -> _Looked:
    at, spot = choice, "as chosen"
    if calibration is not None and (place := calibration.token_of(run)) is not None:
        slot = slots_of(session, run.trace)[place]
        at = replace(choice, token=slot, token_to=slot, layer=calibration.layer, head=calibration.head)
        spot = "calibrated"
    seen = see(session, run, at)
    if missing := why_missing(session, seen, at):
        return _Looked(np.zeros((0, 0), np.float32), missing)
    return _Looked(seen.grid, f"Attention of {words.named(seen.chosen)}, {words.where(at)} ({spot}).")


def _window(found: Depended) -> str:
    every = "every cell" if found.stride == 1 else f"every {found.stride} cells"
    return f"{len(found.windows)} windows of {found.rows} x {found.cols} cells, one at {every}."


def _png(grid: Grid, scale: Normalize, colormap: str) -> str:
    return overlay.data_address(overlay.map_png(grid, scale, colormap)) if grid.size else ""


def _scale(scale: Normalize, times: float, unit: str, colormap: str) -> Scale:
    high = float(f"{times * (scale.vmax or 0.0):.3g}")
    return Scale(0.0, high, unit, overlay.data_address(overlay.bar_png(colormap)))


def _other_colormap(taken: str) -> str:
    """Another one than that of attention, so that nobody takes nats for shares."""
    return "inferno" if taken != "inferno" else "viridis"
