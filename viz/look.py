"""All that the page shows for one choice: maps, chart, strips, numbers and sentences of every variant.

What `viz.seen` read becomes small pictures and plain data here; no model, no Gradio, no file. Whatever stands
together (the maps, the charts, the layer strips ...) shares one colour scale over all variants shown.
"""

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize

from inference.trace.session import Session
from viz import overlay, words
from viz.seen import Seen, alt_text, notes, peak_of, see, shades_of, shares_of, span_of, summary, why_missing
from viz.slots import slot_count
from viz.view import Choice, Look, Panel, Scale, Sprite, StripToken


def look(session_id: str, session: Session, choice: Choice, reason: str = "") -> Look:
    """What the page shows for a choice that `check_choice` has let through; `session_id` is handed on as it is."""
    runs = [run for run in session.runs if run.variant.label not in choice.hidden]
    seen = [see(session, run, choice) for run in runs]
    scales = {name: overlay.colour_scale([getattr(one, name) for one in seen]) for name in _DRAWN}
    labels = [run.variant.label for run in session.runs]
    colours = overlay.variant_colours(labels)
    span = span_of(session, choice)
    chart_unit = "% of all the token's attention on this picture"
    return Look(
        session=session_id,
        question=session.request.question,
        model=session.model.name,
        choice=choice,
        reason=reason,
        rows=span.rows if span else 0,
        cols=span.cols if span else 0,
        layer_count=session.model.layers,
        head_count=session.model.heads,
        image_count=len(session.request.images),
        map_scale=_scale(scales["grid"], words.unit(choice), choice.colormap),
        chart_scale=_scale(scales["chart"], chart_unit, choice.colormap),
        small_scale=_scale(scales["layers"], words.unit(choice), choice.colormap),
        heads_scale=_scale(scales["heads"], words.unit(choice), choice.colormap),
        sequence_scale=_scale(scales["sequence"], words.unit(choice), choice.colormap),
        panels=[_panel(session, one, choice, scales, colours[one.run.variant.label]) for one in seen],
        notes=notes(session, choice),
        variants=labels,
        colours=[colours[label] for label in labels],
        token_count=slot_count(session),
    )


_DRAWN = ("grid", "chart", "layers", "heads", "sequence")


def _panel(session: Session, seen: Seen, choice: Choice, scales: dict[str, Normalize], colour: str) -> Panel:
    run, chosen = seen.run, seen.chosen
    missing = why_missing(session, seen, choice)
    sprites = {
        name: _sprite(getattr(seen, name), scales[name], choice.colormap, titles)
        for name, titles in _titles(session, seen).items()
    }
    return Panel(
        variant=run.variant.label,
        colour=colour,
        answer=words.visible(run.answer) if run.answer else "",
        thinking=words.visible(run.thinking) if run.thinking else "",
        token_text=words.visible("".join(token.text for token in chosen)) if chosen else "",
        probability=words.probability(chosen[0].scores) if len(chosen) == 1 else "",
        shares=shares_of(seen),
        summary=summary(seen, choice),
        map="" if missing else overlay.data_address(overlay.map_png(seen.grid, scales["grid"], choice.colormap)),
        alt=missing or alt_text(seen, choice),
        peak=[] if missing else _peak_box(seen.grid),
        missing=missing,
        tokens=_strip(seen),
        chart=_sprite(seen.chart[None], scales["chart"], choice.colormap, ["layers downwards, heads to the right"]),
        stretch=seen.stretch.start,
        **sprites,
    )


def _peak_box(grid: Float[np.ndarray, "rows cols"]) -> list[float]:
    (row, col), (rows, cols) = peak_of(grid), grid.shape
    return [col / cols, row / rows, (col + 1) / cols, (row + 1) / rows]


def _strip(seen: Seen) -> list[StripToken]:
    return [
        StripToken(words.visible(token.text), token.part, shade, words.hover(token, shade), slot)
        for token, shade, slot in zip(seen.run.trace.tokens, shades_of(seen), seen.slots, strict=True)
    ]


def _titles(session: Session, seen: Seen) -> dict[str, list[str]]:
    return {
        "layers": [f"layer {layer}" for layer in range(session.model.layers)],
        "heads": [f"head {head}" for head in range(session.model.heads)],
        "sequence": [words.visible(token.text) for token in seen.run.trace.tokens[seen.stretch]],
    }


def _sprite(maps_: Float[np.ndarray, "maps rows cols"], scale: Normalize, colormap: str, titles: list[str]) -> Sprite:
    if not maps_.size:
        return Sprite("", 0, 0, [], [])
    _, rows, cols = maps_.shape
    blank: list[int] = np.flatnonzero(np.isnan(maps_[:, 0, 0])).tolist()
    told = [f"{title}, not kept" if index in blank else title for index, title in enumerate(titles)]
    return Sprite(overlay.data_address(overlay.sprite_png(maps_, scale, colormap)), rows, cols, told, blank)


def _scale(scale: Normalize, unit: str, colormap: str) -> Scale:
    high = 100 * float(scale.inverse(1.0))
    return Scale(0.0, float(f"{high:.3g}"), unit, overlay.data_address(overlay.bar_png(colormap)))
