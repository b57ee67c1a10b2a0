"""The sessions of one line -> its record: numbers, a small map and a thumbnail instead of rows."""

import io
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from inference.errors import QuestionError
from inference.evidence.calibration import Calibration
from inference.evidence.drops import LEAST_DROP
from inference.evidence.knockout import Knocked
from inference.study.lines import Line
from inference.study.records import HeadFigures, Record
from inference.study.report import Change, Item, Look, Need
from inference.trace.compare import head_change, total_variation
from inference.trace.maps import head_maps, image_map, layer_head_share
from inference.trace.metrics import Box, BoxFigures, box_figures
from inference.trace.request import Picture
from inference.trace.session import Run, Session, Trace

THUMBNAIL_PX = 256
MOST_CELLS = 32
"""Longest side of a map in a report; above, cells are put together."""


@dataclass(frozen=True)
class Asked:
    """What came of a line. same: all variants over the base's words; own: each over its own, in the same order.

    box: cut to the picture; knocked: what each variant lost without it, none without a knock-out. calibration: for
    this question, None where there is none.
    """

    line: Line
    box: Box | None
    same: Session
    own: Session
    knocked: tuple[Knocked, ...]
    calibration: Calibration | None = None


def condense(asked: Asked, *, key: str, picture: str) -> Record:
    """The record; `picture` is the hash of the line's picture."""
    session = asked.same
    shown = session.request.images[0]
    item = Item(
        number=asked.line.number,
        picture=shown.name,
        question=asked.line.question,
        expected=asked.line.answers,
        box=asked.box,
        size_wh=(shown.width, shown.height),
        words=session.runs[0].answer,
        thumbnail=thumbnail(shown),
        looks=tuple(_look(asked, place) for place in range(len(session.runs))),
    )
    return Record(key, picture, item, _head_figures(asked), session.model, session.adapters)


def said(run: Run) -> slice:
    """The kept tokens of the answer.

    Raises:
        QuestionError: there are none.
    """
    first = next((place for place, token in enumerate(run.trace.tokens) if token.part == "answer"), None)
    if first is None:
        raise QuestionError("an answer", f"none from {run.variant.label}", "ask something else, or allow more tokens")
    return slice(first, None)


def thumbnail(picture: Picture) -> bytes:
    """A JPEG of at most `THUMBNAIL_PX` a side."""
    with Image.open(io.BytesIO(picture.png)) as image:
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def is_right(answer: str, expected: tuple[str, ...]) -> bool | None:
    """Whether the answer is one of the expected, case, punctuation and articles left aside; None without any."""
    return _plain(answer) in map(_plain, expected) if expected else None


def _plain(text: str) -> str:
    words = re.sub(r"[^\w\s.%+-]|\.(?!\d)", " ", text.casefold()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the")) or text.strip().casefold()


def _look(asked: Asked, place: int) -> Look:
    run, own = asked.same.runs[place], asked.own.runs[place]
    tokens = said(run)
    grid = image_map(run.trace, tokens=tokens)
    return Look(
        answer=own.answer,
        right=is_right(own.answer, asked.line.answers),
        logprob=_logprob(run, tokens),
        expected_logprob=run.expected_logprob,
        share=float(grid.sum()),
        grid=small_map(grid),
        box=_in_box(asked, run),
        need=_need(asked, place),
        change=_change(asked, place) if place else None,
    )


def _in_box(asked: Asked, run: Run) -> BoxFigures | None:
    if asked.box is None:
        return None
    return box_figures(image_map(run.trace, tokens=said(run)), run.trace.images[0], asked.box)


def _need(asked: Asked, place: int) -> Need | None:
    if not asked.knocked:
        return None
    knocked = asked.knocked[place]
    random = knocked.random.drops if knocked.random else ()
    depends = knocked.drop >= LEAST_DROP and all(knocked.drop > drop for drop in random)
    figures = _in_box(asked, asked.own.runs[place])
    return Need(knocked.drop, random, depends, figures is not None and figures.hit)


def _change(asked: Asked, place: int) -> Change:
    """Of the variant against the base, over the same words."""
    base, run = asked.same.runs[0], asked.same.runs[place]
    tokens = said(base)
    maps = [image_map(one.trace, tokens=tokens, within=True).ravel() for one in (base, run)]
    heads = head_change(base.trace, run.trace, "variation", tokens=tokens)
    share = layer_head_share(run.trace, tokens) - layer_head_share(base.trace, tokens)
    apart = [token.scores.divergence for token in run.trace.tokens[tokens] if token.scores]
    return Change(
        share=float(share.mean()),
        variation=float(total_variation(*maps)),
        heads=None if np.isnan(heads).all() else float(np.nanmean(heads)),
        divergence=float(np.mean([one for one in apart if one is not None])),
        logprob=_logprob(run, tokens) - _logprob(base, tokens),
        answer=_plain(asked.own.runs[place].answer) != _plain(asked.own.runs[0].answer),
    )


def _logprob(run: Run, tokens: slice) -> float:
    return sum(token.scores.logprob for token in run.trace.tokens[tokens] if token.scores)


def _head_figures(asked: Asked) -> HeadFigures:
    runs = asked.same.runs
    span = runs[0].trace.images[0]
    return HeadFigures(
        (span.rows, span.cols),
        np.stack([_peak(image_map(run.trace, tokens=said(run))[None])[0] for run in runs]),
        np.stack([layer_head_share(run.trace, said(run)) for run in runs]).astype(np.float32),
        np.stack([_peaks(run.trace, said(run)) for run in runs]),
        np.stack([_peaks(run.trace, said(run)) for run in asked.own.runs]) if asked.knocked else None,
        _calibrated_peaks(asked),
    )


def _calibrated_peaks(asked: Asked) -> Int[np.ndarray, "variants"] | None:
    """The word is one of the question, so it has read the same whatever was said after it."""
    if asked.calibration is None:
        return None
    grids = [grid for run in asked.same.runs if (grid := asked.calibration.map_of(run)) is not None]
    # A word that is not among the kept ones of one run is not in any.
    return np.stack([_peak(grid[None])[0] for grid in grids]) if grids else None


def _peaks(trace: Trace, tokens: slice) -> Int[np.ndarray, "layers heads"]:
    """Every head's brightest cell."""
    return np.stack([_peak(head_maps(trace, tokens=tokens, layer=layer)) for layer in trace.layers])


def _peak(grids: Float[np.ndarray, "maps rows cols"]) -> Int[np.ndarray, "maps"]:
    """Each map's brightest cell; -1 where it gives the picture nothing."""
    flat = grids.reshape(len(grids), -1)
    return np.where(flat.sum(-1) > 0, flat.argmax(-1), -1).astype(np.int32)


def small_map(grid: Float[np.ndarray, "rows cols"]) -> tuple[tuple[float, ...], ...]:
    """The map with at most `MOST_CELLS` a side, cells' shares added up, to four digits."""
    down, across = (_gather(count) for count in grid.shape)
    return tuple(tuple(float(f"{value:.4g}") for value in row) for row in down @ grid.astype(np.float64) @ across.T)


def _gather(count: int) -> Float[np.ndarray, "few many"]:
    """The part of each of `count` cells in a row that falls to each of at most `MOST_CELLS`."""
    few = min(count, MOST_CELLS)
    edges, starts = np.linspace(0, count, few + 1), np.arange(count)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return np.asarray(np.clip(overlap, 0, None))
