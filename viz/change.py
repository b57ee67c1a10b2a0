"""All that the Compare room shows for one choice: charts of change, maps and their difference, heads that changed most.

What `viz.changed` worked out becomes small pictures and plain data here; no model, no Gradio, no file. Differences have
a diverging scale round zero, all other pictures that stand together one from 0 to their common maximum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize

from inference.trace import compare, maps
from inference.trace.compare import RankedHead
from inference.trace.session import PARTS, Session, Trace
from viz import overlay, words
from viz.change_box import box_view
from viz.change_view import Chance, Change, Column, Overlaid, Pair, Parting, Place, Ranked
from viz.changed import (
    FORMULAS,
    MOST_RANKED,
    Changed,
    cell_maps,
    changed,
    head_values,
    parting_at,
    parting_told,
)
from viz.seen import span_of, words_told
from viz.slots import slots_of, tokens_at
from viz.sums import parts_at
from viz.view import Choice, Scale, Sprite

Heads = Float[np.ndarray, "layers heads"]
Grid = Float[np.ndarray, "rows cols"]


def change(session_id: str, session: Session, choice: Choice, pair: Pair) -> Change:
    """What the room shows for a choice and a pair that were checked; `session_id` is handed on as it is."""
    labels = [run.variant.label for run in session.runs]
    colours = overlay.variant_colours(labels)
    others = [label for label in labels if label != pair.a and (label == pair.b or label not in choice.hidden)]
    columns = {label: changed(session, choice, pair.a, label) for label in others}
    values = {label: head_values(found, pair.measure, choice.image) for label, found in columns.items()}
    found = columns.get(pair.b) or changed(session, choice, pair.a, pair.b)
    scale = heads_scale(list(values.values()), pair)
    ranked = [] if found.missing else compare.rank_heads(values[pair.b], MOST_RANKED)
    differences = [_difference(found, choice, one) for one in ranked]
    cells = {label: cell_maps(one, choice) for label, one in columns.items() if not one.blind}
    map_scale, difference_scale = _cell_scales(cells)
    ranked_scale = overlay.difference_scale(differences)
    span = span_of(session, choice)
    return Change(
        session=session_id,
        pair=pair,
        variants=labels,
        words=words_told(session),
        same_words=session.request.same_words,
        partings=_partings(session, pair.a, others),
        missing=found.missing,
        chances=_chances(session, choice, [label for label in labels if label in (pair.a, *others)], colours),
        measure_name=FORMULAS[pair.measure][0],
        formula=FORMULAS[pair.measure][1],
        columns=[_column(columns[label], values[label], scale, choice, pair, colours[label]) for label in others],
        chart_scale=_shown(scale, pair, choice),
        cell=_cell(found, cells.get(pair.b), (map_scale, difference_scale), choice, colours),
        rows=span.rows if span else 0,
        cols=span.cols if span else 0,
        map_scale=_percent_scale(map_scale, words.unit(choice), choice.colormap),
        difference_scale=_percent_scale(difference_scale, _points(choice), overlay.DIVERGING),
        cell_told=found.missing or found.blind or _cell_told(found, choice, cells[pair.b]),
        ranked=[Ranked(one.layer, one.head, told_value(one.value, pair)) for one in ranked],
        ranked_maps=_ranked_maps(differences, ranked, ranked_scale),
        ranked_scale=_percent_scale(ranked_scale, _points(choice), overlay.DIVERGING),
        agreement=_agreement(values),
        box=box_view(session, choice, pair.box, colours) if pair.box else None,
    )


def heads_scale(values: Sequence[Heads], pair: Pair) -> Normalize:
    """The one scale of all columns: round zero for what is signed, else from 0 to the largest."""
    return overlay.difference_scale(values) if pair.measure == "share" else overlay.colour_scale(values)


def told_value(value: float, pair: Pair) -> str:
    """A change of a head in words: signed percentage points, or a number from 0 to 1."""
    return f"{100 * value:+.2g} points" if pair.measure == "share" else f"{value:.2f}"


def _column(found: Changed, values: Heads, scale: Normalize, choice: Choice, pair: Pair, colour: str) -> Column:
    colormap = overlay.DIVERGING if pair.measure == "share" else choice.colormap
    png = "" if found.missing else overlay.data_address(overlay.sprite_png(values[None], scale, colormap))
    layers, heads = values.shape
    chart = Sprite(png, layers, heads, ["layers downwards, heads to the right"], [])
    return Column(found.b.variant.label, colour, chart, found.missing)


def _cell_scales(cells: Mapping[str, tuple[Grid, Grid]]) -> tuple[Normalize, Normalize]:
    """Of the maps, and of their differences, over all variants compared, so that the choice of B changes no colour."""
    grids = [grid for pair in cells.values() for grid in pair]
    return overlay.colour_scale(grids), overlay.difference_scale([b - a for a, b in cells.values()])


def _cell(
    found: Changed,
    grids: tuple[Grid, Grid] | None,
    scales: tuple[Normalize, Normalize],
    choice: Choice,
    colours: Mapping[str, str],
) -> list[Overlaid]:
    if grids is None:
        return []
    labels = [run.variant.label for run in (found.a, found.b)]
    shown = []
    for run, label, grid in zip((found.a, found.b), labels, grids, strict=True):
        share = words.percent(_on_picture(run.trace, found.tokens, choice))
        told = f"{share} of its attention on the picture, {words.percent(float(grid.max()))} in the brightest cell"
        png = overlay.map_png(grid, scales[0], choice.colormap)
        shown.append(Overlaid(label, colours[label], overlay.data_address(png), told))
    difference = grids[1] - grids[0]
    told = f"from {100 * float(difference.min()):+.2g} to {100 * float(difference.max()):+.2g} points in a cell"
    png = overlay.difference_png(difference, scales[1])
    title = f"{labels[1]} less {labels[0]}"
    return [*shown, Overlaid(title, colours[labels[1]], overlay.data_address(png), told)]


def _cell_told(found: Changed, choice: Choice, grids: tuple[Grid, Grid]) -> str:
    """The change at the chosen layer and head by each measure."""
    within_a, within_b = (
        grid.ravel() / total if (total := float(grid.sum())) > 0 else np.full(grid.size, np.nan) for grid in grids
    )
    before, after = (_on_picture(run.trace, found.tokens, choice) for run in (found.a, found.b))
    share = after - before
    apart = float(compare.total_variation(within_a, within_b))
    if np.isnan(apart):
        return f"Share on the picture {100 * share:+.2g} points; one of the two does not look at it at all."
    distance = float(compare.shannon_distance(within_a, within_b))
    return (
        f"Share on the picture {100 * share:+.2g} points, total variation {apart:.2f}, "
        f"Jensen-Shannon distance {distance:.2f}."
    )


def _on_picture(trace: Trace, tokens: slice, choice: Choice) -> float:
    """The share of all the attention at the chosen layer and head that goes to the chosen picture."""
    return float(parts_at(trace, choice.layer, choice.head)[tokens, len(PARTS) + choice.image].mean())


def _difference(found: Changed, choice: Choice, one: RankedHead) -> Grid:
    """What b has more than a in one head's map; NaN if its rows were not kept."""
    at = replace(choice, layer=one.layer, head=one.head)
    if not maps.is_kept(found.a.trace, one.layer, one.head):
        span = found.a.trace.images[choice.image]
        return np.full((span.rows, span.cols), np.nan, np.float32)
    map_a, map_b = cell_maps(found, at)
    return np.asarray(map_b - map_a)


def _ranked_maps(differences: Sequence[Grid], ranked: Sequence[RankedHead], scale: Normalize) -> Sprite:
    if not differences:
        return Sprite("", 0, 0, [], [])
    stack = np.stack(differences)
    titles = [f"layer {one.layer}, head {one.head}" for one in ranked]
    blank: list[int] = np.flatnonzero(np.isnan(stack[:, 0, 0])).tolist()
    png = overlay.sprite_png(stack, scale, overlay.DIVERGING)
    _, rows, cols = stack.shape
    return Sprite(overlay.data_address(png), rows, cols, titles, blank)


def _partings(session: Session, a: str, others: Sequence[str]) -> list[Parting]:
    found = []
    for label in others:
        run_a, run_b = session.run(a), session.run(label)
        index = parting_at(session, run_a, run_b)
        if index is not None:
            found.append(Parting(label, index, parting_told(session, run_a, run_b, index)))
    return found


def _chances(session: Session, choice: Choice, labels: Sequence[str], colours: Mapping[str, str]) -> list[Place]:
    """Of each chosen place that has a score in any variant, how sure each of them was."""
    found: dict[int, list[Chance]] = {}
    for label in labels:
        trace = session.run(label).trace
        slots = slots_of(session, trace)
        for place in range(*tokens_at(slots, choice.token, choice.token_to).indices(len(slots))):
            token = trace.tokens[place]
            if token.scores is None:
                continue
            divergence = token.scores.divergence
            found.setdefault(slots[place], []).append(
                Chance(
                    label,
                    colours[label],
                    words.visible(token.text),
                    words.chance(token.scores.logprob),
                    "" if divergence is None else f"{divergence:.3g} nats",
                    words.runners_up(token.scores).removeprefix("instead: "),
                )
            )
    return [Place(index, found[index]) for index in sorted(found)]


def _agreement(values: Mapping[str, Heads]) -> list[str]:
    """For each two columns, how alike the order of their heads is."""
    told = []
    for first, second in combinations(values, 2):
        number = compare.rank_correlation(values[first], values[second])
        if not np.isnan(number):
            told.append(f"{first} and {second}: {number:+.2f}")
    return told


def _shown(scale: Normalize, pair: Pair, choice: Choice) -> Scale:
    """The charts' scale: percentage points for shares, plain numbers for distances."""
    if pair.measure == "share":
        return _percent_scale(scale, "points of all the token's attention", overlay.DIVERGING)
    return Scale(0.0, _rounded(scale.vmax), f"({FORMULAS[pair.measure][0]})", _bar(choice.colormap))


def _percent_scale(scale: Normalize, unit: str, colormap: str) -> Scale:
    return Scale(_rounded(100 * (scale.vmin or 0.0)), _rounded(100 * (scale.vmax or 0.0)), unit, _bar(colormap))


def _points(choice: Choice) -> str:
    return f"points{words.unit(choice).removeprefix('%')}"


def _rounded(number: float | None) -> float:
    return float(f"{number or 0.0:.3g}")


def _bar(colormap: str) -> str:
    return overlay.data_address(overlay.bar_png(colormap))
