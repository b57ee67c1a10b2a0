"""One variant's numbers for one choice, and the sentences that tell them: what maps, charts and figures are made of.

Slices of numpy arrays and words; knows no colours, no picture's pixels and no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from inference.errors import SettingsError
from inference.trace import maps
from inference.trace.session import PARTS, ImageSpan, Run, Session, Token
from viz import words
from viz.slots import slots_of, tokens_at
from viz.sums import parts_at
from viz.view import Choice

STRETCH = 96
"""Most tokens that have a small map each: a question and an answer of usual length. Longer ones are cut in stretches of
this many indices, so that what a click reads and draws does not grow with them."""


def _none() -> Float[np.ndarray, "0 0"]:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Seen:
    """One variant's numbers for a choice. Without a picture all maps are empty, without the token all but `sequence`.

    `slots`, `parts`: of every token, as `viz.slots.slots_of` and `viz.sums.parts_at` give them. `grid` and `sequence`
    are empty where the rows of the chosen head were not kept; in `layers` and `heads` single maps are then NaN.
    `sequence` has a map for each token of `stretch`.
    """

    run: Run
    slots: list[int]
    tokens: slice
    stretch: slice
    parts: Float[np.ndarray, "tokens parts"]
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
    trace, layer, head, image, within = run.trace, choice.layer, choice.head, choice.image, choice.within
    slots = slots_of(session, trace)
    tokens = tokens_at(slots, choice.token, choice.token_to)
    drawn = bool(trace.images) and maps.is_kept(trace, layer, head)
    stretch = _stretch(slots, choice.token) if drawn else slice(0, 0)
    sequence = _none()
    if stretch.stop > stretch.start:
        sequence = maps.token_maps(trace, tokens=stretch, layer=layer, head=head, image=image, within=within)
    seen = Seen(run, slots, tokens, stretch, parts_at(trace, layer, head), sequence=sequence)
    if not trace.images or not seen.chosen:
        return seen
    grid = _none()
    if drawn:
        grid = maps.image_map(trace, tokens=tokens, layer=layer, head=head, image=image, within=within)
    return replace(
        seen,
        grid=grid,
        chart=maps.layer_head_share(trace, tokens, image),
        layers=maps.layer_maps(trace, tokens=tokens, head=head, image=image, within=within),
        heads=maps.head_maps(trace, tokens=tokens, layer=layer, image=image, within=within),
    )


def _stretch(slots: Sequence[int], index: int) -> slice:
    """The places of the stretch that an index lies in; empty if this variant has no token there."""
    first = index - index % STRETCH
    return tokens_at(slots, first, first + STRETCH - 1)


def shares_of(seen: Seen) -> list[float]:
    """Where the attention of the chosen tokens went, in the order of `maps.SHARES`; empty if they are not there."""
    if not seen.chosen:
        return []
    mean = seen.parts[seen.tokens].mean(0, dtype=np.float64)
    return [float(share) for share in maps.shares_of_sums(mean)]


def shades_of(seen: Seen) -> list[float]:
    """Of each of the variant's tokens the share on all pictures, at the chosen layer and head."""
    return [float(share) for share in seen.parts[:, len(PARTS) :].sum(-1)]


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
    if not seen.grid.size:
        kept = kept_heads(session)
        remedy = f"choose from {kept}, or a mean over heads or layers" if kept else "choose a mean over heads or layers"
        return f"No map: head {choice.head} of layer {choice.layer} was not kept; {remedy}."
    return ""


def no_map(missing: str) -> SettingsError:
    """The refusal of what cannot be had without a map; `missing` as `why_missing` tells it."""
    return SettingsError("a choice that has a map", missing.removesuffix("."), "choose another token, head or variant")


def kept_heads(session: Session) -> str:
    """Which single heads were kept, in words, such as "layers 0 to 5 (of 28)"; empty if all of them were, or none."""
    trace, model = session.runs[0].trace, session.model
    if not (trace.layers and trace.heads):
        return ""
    axes = (("layer", trace.layers, model.layers), ("head", trace.heads, model.heads))
    return " and ".join(f"{maps.listed(what, some)} (of {count})" for what, some, count in axes if len(some) < count)


def chosen_name(seen: Sequence[Seen]) -> str:
    """The chosen tokens in quotes; where variants' answers differ, each text once: 'circle' / 'star'."""
    texts = [words.named(one.chosen) for one in seen if one.chosen]
    return " / ".join(dict.fromkeys(texts)) or "no token"


def summary(seen: Seen, choice: Choice) -> str:
    """One line of where the attention of the chosen tokens went; empty if they are not there."""
    shares = shares_of(seen)
    if not shares:
        return ""
    picture, question, first, _ = (words.percent(share) for share in shares)
    several = len(seen.run.trace.images) > 1
    part = ""
    if several:
        on_this = float(seen.parts[seen.tokens, len(PARTS) + choice.image].mean())
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
    return lines + _kept_notes(session) + list(session.notes)


def _kept_notes(session: Session) -> list[str]:
    """What was kept of single heads; nothing if it is everything."""
    trace = session.runs[0].trace
    if (len(trace.layers), len(trace.heads)) == (session.model.layers, session.model.heads):
        return []
    kept = kept_heads(session) or "no single heads"
    return [f"Kept: {kept}. Means over heads or layers, charts and shares are of all of them."]


def words_told(session: Session) -> str:
    """Which words the variants said, by name."""
    if session.request.forced_answer is not None:
        return "same words (the text that was given)"
    return "same words (the base's answer)" if session.request.words == "base" else "own answers"


def span_of(session: Session, choice: Choice) -> ImageSpan | None:
    images = session.runs[0].trace.images
    return images[choice.image] if images else None
