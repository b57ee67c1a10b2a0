"""All that the page shows for one choice: maps, chart, strips, numbers and sentences of every variant.

Slices of numpy arrays become small pictures and words here; no model, no Gradio, no file. Whatever stands together
(the maps, the charts, the layer strips ...) shares one colour scale over all variants shown.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize

from inference.trace import maps
from inference.trace.session import ImageSpan, Run, Session
from viz import overlay, words
from viz.slots import Overview, overview, slot_count, slots_of, tokens_at
from viz.view import Choice, Look, Panel, Scale, Sprite, StripToken

PICTURE = maps.SHARES.index("picture")


def _none() -> Float[np.ndarray, "0 0"]:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Seen:
    """One variant's numbers for a choice; without a picture all arrays are empty, without the token all but one."""

    run: Run
    overview: Overview
    tokens: slice
    grid: Float[np.ndarray, "rows cols"] = field(default_factory=_none)
    chart: Float[np.ndarray, "layers heads"] = field(default_factory=_none)
    layers: Float[np.ndarray, "layers rows cols"] = field(default_factory=_none)
    heads: Float[np.ndarray, "heads rows cols"] = field(default_factory=_none)
    sequence: Float[np.ndarray, "tokens rows cols"] = field(default_factory=_none)


def look(session_id: str, session: Session, choice: Choice, reason: str = "") -> Look:
    """What the page shows for a choice that `check_choice` has let through; `session_id` is handed on as it is."""
    runs = [run for run in session.runs if run.variant.label not in choice.hidden]
    seen = [see(session, run, choice) for run in runs]
    scales = {name: overlay.colour_scale([getattr(one, name) for one in seen]) for name in _DRAWN}
    labels = [run.variant.label for run in session.runs]
    colours = overlay.variant_colours(labels)
    span = _span(session, choice)
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


def see(session: Session, run: Run, choice: Choice) -> Seen:
    """The variant's numbers for the choice, each read from the slices that it needs."""
    trace, sums = run.trace, overview(run.trace)
    tokens = tokens_at(session, trace, choice.token, choice.token_to)
    if not trace.images:
        return Seen(run, sums, tokens)
    pooled = sums.pooled if choice.layer is None and choice.head is None else trace
    layer, head, image, within = choice.layer, choice.head, choice.image, choice.within
    sequence = maps.token_maps(pooled, layer=layer, head=head, image=image, within=within)
    if tokens.start == tokens.stop:
        return Seen(run, sums, tokens, sequence=sequence)
    return Seen(
        run,
        sums,
        tokens,
        grid=maps.image_map(pooled, tokens=tokens, layer=layer, head=head, image=image, within=within),
        chart=sums.pictures[image, tokens].mean(0),
        layers=maps.layer_maps(trace, tokens=tokens, head=head, image=image, within=within),
        heads=maps.head_maps(trace, tokens=tokens, layer=layer, image=image, within=within),
        sequence=sequence,
    )


def shares_of(seen: Seen, choice: Choice) -> list[float]:
    """Where the attention of the chosen tokens went, in the order of `maps.SHARES`; empty if they are not there."""
    if seen.tokens.start == seen.tokens.stop:
        return []
    mean = _at(seen.overview.shares, choice)[seen.tokens].mean((0, 1, 2), dtype=np.float64)
    return [float(share) for share in mean]


def peak_of(grid: Float[np.ndarray, "rows cols"]) -> tuple[int, int]:
    """(row, col) of the brightest cell, the first one on a tie."""
    row, col = np.unravel_index(int(grid.argmax()), grid.shape)
    return int(row), int(col)


def why_missing(session: Session, seen: Seen, choice: Choice) -> str:
    """Why this variant has no map for the choice; empty if it has one."""
    if not seen.run.trace.images:
        return "No map: the question was asked without a picture."
    if seen.tokens.start == seen.tokens.stop:
        places = "these places" if choice.token_to > choice.token else "this place"
        return f"No map: the answer of {seen.run.variant.label} has no token at {places}."
    return ""


def notes(session: Session, choice: Choice) -> list[str]:
    """What to know when reading the maps; the first says what attention can tell."""
    cell = session.model.cell_px
    lines = [
        "Attention is where the model looked, not proof of why it answered. "
        f"A cell is no finer than {cell} px of the resized picture and has heard of its surroundings."
    ]
    span = _span(session, choice)
    if span:
        (width, height), (original_width, original_height) = span.resized_wh, span.original_wh
        lines.append(
            f"The model saw the picture at {width} x {height} px (original {original_width} x {original_height} px), "
            f"as {span.rows} rows of {span.cols} cells."
        )
        lines += [f"Picture: {note}." for note in session.request.images[choice.image].notes]
    for run in session.runs:
        if run.finish == "length":
            lines.append(f"The answer of {run.variant.label} was cut off at the limit of answer tokens.")
    return lines + list(session.notes)


_DRAWN = ("grid", "chart", "layers", "heads", "sequence")


def _panel(session: Session, seen: Seen, choice: Choice, scales: dict[str, Normalize], colour: str) -> Panel:
    run, chosen = seen.run, seen.run.trace.tokens[seen.tokens]
    thinking, answer = words.split_thinking(run.answer)
    missing = why_missing(session, seen, choice)
    sprites = {
        name: _sprite(getattr(seen, name), scales[name], choice.colormap, titles)
        for name, titles in _titles(session, run).items()
    }
    return Panel(
        variant=run.variant.label,
        colour=colour,
        answer=words.visible(answer),
        thinking=words.visible(thinking) if thinking else "",
        token_text=words.visible("".join(token.text for token in chosen)) if chosen else "",
        probability=words.probability(chosen[0].scores) if len(chosen) == 1 else "",
        shares=shares_of(seen, choice),
        summary=summary(seen, choice),
        map="" if missing else overlay.data_address(overlay.map_png(seen.grid, scales["grid"], choice.colormap)),
        alt=missing or _alt(seen, choice),
        peak=[] if missing else _peak_box(seen.grid),
        missing=missing,
        tokens=_strip(session, seen, choice),
        chart=_sprite(seen.chart[None], scales["chart"], choice.colormap, ["layers downwards, heads to the right"]),
        **sprites,
    )


def summary(seen: Seen, choice: Choice) -> str:
    """One line of where the attention of the chosen tokens went; empty if they are not there."""
    shares = shares_of(seen, choice)
    if not shares:
        return ""
    picture, question, first, _ = (words.percent(share) for share in shares)
    several = len(seen.run.trace.images) > 1
    part = ""
    if several:
        on_this = float(_at(seen.overview.pictures[choice.image], choice)[seen.tokens].mean())
        part = f" ({words.percent(on_this)} to picture {choice.image + 1})"
    looked = words.named(seen.run.trace.tokens[seen.tokens])
    return (
        f"{looked} gives {picture} of its attention to the {'pictures' if several else 'picture'}{part}, "
        f"{question} to the question, {first} to the first token."
    )


def _alt(seen: Seen, choice: Choice) -> str:
    row, col = peak_of(seen.grid)
    where = words.place(row, col, *seen.grid.shape)
    brightest = words.percent(float(seen.grid[row, col]))
    of_what = "of the attention on this picture" if choice.within else "of its attention"
    return (
        f"Map for {seen.run.variant.label}: where {words.named(seen.run.trace.tokens[seen.tokens])} looked in the "
        f"picture, {words.where(choice)}. Brightest cell: {where}, {brightest} {of_what}."
    )


def _peak_box(grid: Float[np.ndarray, "rows cols"]) -> list[float]:
    (row, col), (rows, cols) = peak_of(grid), grid.shape
    return [col / cols, row / rows, (col + 1) / cols, (row + 1) / rows]


def _strip(session: Session, seen: Seen, choice: Choice) -> list[StripToken]:
    tokens = seen.run.trace.tokens
    shades = _at(seen.overview.shares[..., PICTURE], choice).mean((1, 2))
    slots = slots_of(session, seen.run.trace)
    return [
        StripToken(words.visible(token.text), token.part, float(shade), words.hover(token, float(shade)), slot)
        for token, shade, slot in zip(tokens, shades, slots, strict=True)
    ]


def _titles(session: Session, run: Run) -> dict[str, list[str]]:
    return {
        "layers": [f"layer {layer}" for layer in range(session.model.layers)],
        "heads": [f"head {head}" for head in range(session.model.heads)],
        "sequence": [words.visible(token.text) for token in run.trace.tokens],
    }


def _sprite(maps_: Float[np.ndarray, "maps rows cols"], scale: Normalize, colormap: str, titles: list[str]) -> Sprite:
    if not maps_.size:
        return Sprite("", 0, 0, [])
    png = overlay.sprite_png(maps_, scale, colormap)
    return Sprite(overlay.data_address(png), maps_.shape[1], maps_.shape[2], titles)


def _scale(scale: Normalize, unit: str, colormap: str) -> Scale:
    high = 100 * float(scale.inverse(1.0))
    return Scale(0.0, float(f"{high:.3g}"), unit, overlay.data_address(overlay.bar_png(colormap)))


def _at(table: Float[np.ndarray, "tokens layers heads *more"], choice: Choice) -> Float[np.ndarray, "t l h *more"]:
    """The table at the chosen layer and head, its axes kept."""
    layer = slice(None) if choice.layer is None else slice(choice.layer, choice.layer + 1)
    head = slice(None) if choice.head is None else slice(choice.head, choice.head + 1)
    return table[:, layer, head]


def _span(session: Session, choice: Choice) -> ImageSpan | None:
    images = session.runs[0].trace.images
    return images[choice.image] if images else None
