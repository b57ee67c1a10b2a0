"""One variant's numbers for one choice, and the sentences that tell them: what maps, charts and figures are made of.

Slices of numpy arrays and words; knows no colours, no picture's pixels and no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from inference.trace import maps
from inference.trace.session import ImageSpan, Run, Session, Token
from viz import words
from viz.slots import Overview, overview, tokens_at
from viz.view import Choice


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

    @property
    def chosen(self) -> tuple[Token, ...]:
        """The chosen tokens of this variant; empty if its answer has none at those places."""
        return self.run.trace.tokens[self.tokens]


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
    if not seen.chosen:
        return []
    mean = at_spot(seen.overview.shares, choice)[seen.tokens].mean((0, 1, 2), dtype=np.float64)
    return [float(share) for share in mean]


def peak_of(grid: Float[np.ndarray, "rows cols"]) -> tuple[int, int]:
    """(row, col) of the brightest cell, the first one on a tie."""
    row, col = np.unravel_index(int(grid.argmax()), grid.shape)
    return int(row), int(col)


def why_missing(session: Session, seen: Seen, choice: Choice) -> str:
    """Why this variant has no map for the choice; empty if it has one."""
    if not seen.run.trace.images:
        return "No map: the question was asked without a picture."
    if not seen.chosen:
        places = "these places" if choice.token_to > choice.token else "this place"
        return f"No map: the answer of {seen.run.variant.label} has no token at {places}."
    return ""


def chosen_name(seen: Sequence[Seen]) -> str:
    """The chosen tokens in quotes; where variants' answers differ, each text once: 'circle' / 'star'."""
    texts = [words.named(one.chosen) for one in seen if one.chosen]
    return " / ".join(dict.fromkeys(texts)) or "no token"


def summary(seen: Seen, choice: Choice) -> str:
    """One line of where the attention of the chosen tokens went; empty if they are not there."""
    shares = shares_of(seen, choice)
    if not shares:
        return ""
    picture, question, first, _ = (words.percent(share) for share in shares)
    several = len(seen.run.trace.images) > 1
    part = ""
    if several:
        on_this = float(at_spot(seen.overview.pictures[choice.image], choice)[seen.tokens].mean())
        part = f" ({words.percent(on_this)} to picture {choice.image + 1})"
    looked = words.named(seen.chosen)
    return (
        f"{looked} gives {picture} of its attention to the {'pictures' if several else 'picture'}{part}, "
        f"{question} to the question, {first} to the first token."
    )


def alt_text(seen: Seen, choice: Choice) -> str:
    row, col = peak_of(seen.grid)
    where = words.place(row, col, *seen.grid.shape)
    brightest = words.percent(float(seen.grid[row, col]))
    of_what = "of the attention on this picture" if choice.within else "of its attention"
    return (
        f"Map for {seen.run.variant.label}: where {words.named(seen.chosen)} looked in the "
        f"picture, {words.where(choice)}. Brightest cell: {where}, {brightest} {of_what}."
    )


def notes(session: Session, choice: Choice) -> list[str]:
    """What to know when reading the maps; the first says what attention can tell."""
    cell = session.model.cell_px
    lines = [
        "Attention is where the model looked, not proof of why it answered. "
        f"A cell is no finer than {cell} px of the resized picture and has heard of its surroundings."
    ]
    span = span_of(session, choice)
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


def span_of(session: Session, choice: Choice) -> ImageSpan | None:
    images = session.runs[0].trace.images
    return images[choice.image] if images else None


def at_spot(table: Float[np.ndarray, "tokens layers heads *more"], choice: Choice) -> Float[np.ndarray, "t l h *more"]:
    """The table at the chosen layer and head, its axes kept."""
    layer = slice(None) if choice.layer is None else slice(choice.layer, choice.layer + 1)
    head = slice(None) if choice.head is None else slice(choice.head, choice.head + 1)
    return table[:, layer, head]
