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
from inference.trace.session import Session
from viz import overlay, words
from viz.change_aids import Aids
from viz.change_box import box_view
from viz.change_shown import (
    ShownHeads,
    ShownMaps,
    chart_colours,
    formula_told,
    heads_scale,
    is_relative,
    map_scales,
    shown_heads,
    shown_maps,
)
from viz.change_told import cell_told, floor_view, on_picture, ranked_told, sink_view
from viz.change_view import Chance, Change, Column, Overlaid, Pair, Parting, Place
from viz.changed import FORMULAS, MOST_RANKED, Changed, changed, parting_at, parting_told
from viz.seen import span_of, words_told
from viz.slots import slots_of, tokens_at
from viz.view import Choice, Scale, Sprite

Heads = Float[np.ndarray, "layers heads"]
Grid = Float[np.ndarray, "rows cols"]


def change(session_id: str, session: Session, choice: Choice, pair: Pair, aids: Aids | None = None) -> Change:
    """What the room shows for a choice and a pair that were checked; `session_id` is handed on as it is."""
    aids = aids or Aids()
    labels = [run.variant.label for run in session.runs]
    colours = overlay.variant_colours(labels)
    others = [label for label in labels if label != pair.a and (label == pair.b or label not in choice.hidden)]
    columns = {label: changed(session, choice, pair.a, label) for label in others}
    heads = {label: shown_heads(session, one, choice, pair, aids) for label, one in columns.items()}
    found = columns.get(pair.b) or changed(session, choice, pair.a, pair.b)
    of_pair = heads.get(pair.b) or shown_heads(session, found, choice, pair, aids)
    scale = heads_scale([one.drawn for one in heads.values()], pair)
    ranked = [] if found.missing else compare.rank_heads(of_pair.values, MOST_RANKED)
    differences = [_difference(found, choice, one, pair, aids) for one in ranked]
    cells = {label: shown for label, one in columns.items() if (shown := shown_maps(one, choice, pair, aids))}
    relative = is_relative(pair, aids)
    scales = map_scales(list(cells.values()), signed=relative)
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
        formula=formula_told(pair, aids),
        columns=[_column(label, heads[label], scale, choice, pair, colours[label]) for label in others],
        chart_scale=_shown(scale, pair, choice),
        cell=_cell(found, cells.get(pair.b), scales, choice, colours, relative=relative),
        rows=span.rows if span else 0,
        cols=span.cols if span else 0,
        map_scale=_map_scale(scales[0], words.unit(choice), choice.colormap, relative=relative),
        difference_scale=_map_scale(scales[1], _points(choice), overlay.DIVERGING, relative=relative),
        cell_told=found.missing or found.blind or cell_told(found, choice, pair, cells.get(pair.b)),
        ranked=[ranked_told(one, of_pair, pair) for one in ranked],
        ranked_maps=_ranked_maps(differences, ranked, ranked_scale),
        ranked_scale=_map_scale(ranked_scale, _points(choice), overlay.DIVERGING, relative=relative),
        agreement=_agreement({label: one.values for label, one in heads.items()}),
        box=box_view(session, choice, pair.box, colours) if pair.box else None,
        floor=floor_view(of_pair, aids, pair),
        sinks=sink_view(found, choice, cells.get(pair.b), pair, aids),
    )


def _column(label: str, shown: ShownHeads, scale: Normalize, choice: Choice, pair: Pair, colour: str) -> Column:
    colormap = chart_colours(pair, choice)
    png = "" if shown.missing else overlay.data_address(_chart_png(shown, scale, colormap, pair))
    layers, heads = shown.values.shape
    chart = Sprite(png, layers, heads, ["layers downwards, heads to the right"], [])
    return Column(label, colour, chart, shown.missing)


def _chart_png(shown: ShownHeads, scale: Normalize, colormap: str, pair: Pair) -> bytes:
    if pair.unit == "floor":
        return overlay.greyed_png(shown.drawn, scale, colormap, shown.under)
    return overlay.sprite_png(shown.drawn[None], scale, colormap)


def _cell(
    found: Changed,
    maps_shown: ShownMaps | None,
    scales: tuple[Normalize, Normalize],
    choice: Choice,
    colours: Mapping[str, str],
    *,
    relative: bool,
) -> list[Overlaid]:
    if maps_shown is None:
        return []
    labels = [run.variant.label for run in (found.a, found.b)]
    shown = []
    for run, label, grid in zip((found.a, found.b), labels, (maps_shown.a, maps_shown.b), strict=True):
        share = words.percent(on_picture(run.trace, found.tokens, choice))
        told = f"{share} of its attention on the picture, {words.percent(float(grid.max()))} in the brightest cell"
        png = overlay.map_png(grid, scales[0], choice.colormap)
        if relative:
            told, png = _range_told(grid), overlay.difference_png(grid, scales[0])
        shown.append(Overlaid(label, colours[label], overlay.data_address(png), told))
    difference = maps_shown.difference
    told = f"from {100 * float(difference.min()):+.2g} to {100 * float(difference.max()):+.2g} points in a cell"
    png = overlay.difference_png(difference, scales[1])
    title = f"{labels[1]} less {labels[0]}"
    told = _range_told(difference) if relative else told
    return [*shown, Overlaid(title, colours[labels[1]], overlay.data_address(png), told)]


def _range_told(grid: Grid) -> str:
    return f"from {float(grid.min()):+.2g} to {float(grid.max()):+.2g} in a cell, as log2"


def _difference(found: Changed, choice: Choice, one: RankedHead, pair: Pair, aids: Aids) -> Grid:
    """What b has more than a in one head's map; NaN if its rows were not kept."""
    at = replace(choice, layer=one.layer, head=one.head)
    if not maps.is_kept(found.a.trace, one.layer, one.head):
        span = found.a.trace.images[choice.image]
        return np.full((span.rows, span.cols), np.nan, np.float32)
    shown = shown_maps(replace(found, blind=""), at, pair, aids)
    assert shown is not None
    return shown.difference


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
    """The charts' scale: percentage points for shares, plain numbers for distances, or multiples of the floor."""
    bar = _bar(chart_colours(pair, choice))
    if pair.unit == "floor":
        most = _rounded(10.0 ** (scale.vmax or 0.0))
        low = -most if pair.measure == "share" else 1.0
        return Scale(low, most, "times the noise floor (even steps are even factors; grey: under it)", bar)
    if pair.measure == "share":
        return _percent_scale(scale, "points of all the token's attention", overlay.DIVERGING)
    return Scale(0.0, _rounded(scale.vmax), f"({FORMULAS[pair.measure][0]})", bar)


def _map_scale(scale: Normalize, unit: str, colormap: str, *, relative: bool) -> Scale:
    if relative:
        ends = (_rounded(scale.vmin), _rounded(scale.vmax))
        return Scale(*ends, "log2 against the neutral question", _bar(overlay.DIVERGING))
    return _percent_scale(scale, unit, colormap)


def _percent_scale(scale: Normalize, unit: str, colormap: str) -> Scale:
    return Scale(_rounded(100 * (scale.vmin or 0.0)), _rounded(100 * (scale.vmax or 0.0)), unit, _bar(colormap))


def _points(choice: Choice) -> str:
    return f"points{words.unit(choice).removeprefix('%')}"


def _rounded(number: float | None) -> float:
    return float(f"{number or 0.0:.3g}")


def _bar(colormap: str) -> str:
    return overlay.data_address(overlay.bar_png(colormap))
