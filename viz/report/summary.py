"""The figures of every variant over a set of pictures, row by row, and what was not measured, with the reason.

Knows no HTML and no page.
"""

from dataclasses import dataclass
from typing import Any

from inference.study.report import Agreement, Estimate, Hits, Part, Summary
from viz.report.numbers import Unit, figure_cell, share, track_of, track_told
from viz.report.view import Cell, Row

NO_ANSWER = "no line gives an expected answer"
NO_BOX = "no line gives a box"
NO_BLOCK = "blocking the box was not asked for"
TOO_FEW = "there are too few pictures with a box"
NOT_CALIBRATED = "the model is not calibrated for these questions"
NO_ADAPTER = "no adapter was asked"


@dataclass(frozen=True)
class Measure:
    """One row: which figure it is, in which unit, how it is read, and why it may be missing.

    of: the field of `Summary` that holds it, with dots. whole: its bars run from 0 to 1 whatever the values, as of
    shares of lines; track: rows of the same word have one track.
    """

    group: str
    name: str
    unit: Unit
    of: str
    how: str
    why: str = ""
    whole: bool = False
    track: str = ""

    def figure(self, summary: Summary) -> Estimate | None:
        """The figure of a variant, None where it has none."""
        estimate: Estimate | None = _field(summary, self.of)
        return estimate

    def beside(self, summary: Summary) -> tuple[tuple[tuple[float, str], ...], str]:
        """What a variant's figure is to be read against: marks on its bar, and words."""
        holder = _field(summary, self.of.rpartition(".")[0])
        if isinstance(holder, Hits):
            return _beside_hits(holder)
        if isinstance(holder, Agreement):
            return (), (
                f"both {holder.both}, map alone {holder.map_only}, hiding alone {holder.need_only}, "
                f"neither {holder.neither}"
            )
        return (((1.0, "an even map"),), "") if self.of == "lift" else ((), "")


MEASURES = (
    Measure("Answers", "Right answers", "share", "accuracy",
            "Share of lines whose own answer is the expected one.", NO_ANSWER, True),
    Measure("Answers", "Other answers than the base's", "share", "drift.answers",
            "Share of lines with another own answer.", NO_ADAPTER, True),
    Measure("Answers", "Expected answer", "nats", "expected_logprob",
            "Its log-probability: 0 is certain, the further below, the less sure.", NO_ANSWER, track="words"),
    Measure("Answers", "The base's words", "nats", "logprob",
            "Log-probability of what the base answered, said by each variant.", track="words"),
    Measure("Answers", "Distance from the base", "nats", "drift.divergence",
            "KL(variant || base), mean over the words; 0: the same.", NO_ADAPTER),
    Measure("Looking", "Attention on the picture", "share", "share",
            "Share of all attention, mean over layers and heads."),
    Measure("Looking", "Change on the picture", "points", "drift.share",
            "Share on the picture, variant less base.", NO_ADAPTER),
    Measure("Looking", "How far the map moved", "number", "drift.variation",
            "Total variation within the picture: 0 the same, 1 elsewhere.", NO_ADAPTER, True),
    Measure("Looking", "How far heads' maps moved", "number", "drift.heads",
            "The same of every head by itself, then the mean.", NO_ADAPTER, True),
    Measure("The box", "Attention on the box", "share", "box_share",
            "Share of all attention. Agreement with the box, no proof of use.", NO_BOX),
    Measure("The box", "Lift", "times", "lift",
            "Times what an even map has in the box; 1: no better than even.", NO_BOX),
    Measure("The box", "Pointing hits", "share", "hits.rate",
            "How often the map's brightest cell lies in the box.", NO_BOX, True),
    Measure("The box", "Pointing hits of the best head", "share", "best_head.rate",
            "The head is chosen on some lines; this is of the others.", TOO_FEW, True),
    Measure("The box", "Pointing hits of the calibrated head", "share", "calibrated.rate",
            "Chosen for the wording, without boxes, on other pictures.", NOT_CALIBRATED, True),
    Measure("Does it matter", "Cost of hiding the box", "nats", "box_drop",
            "What its own answer loses when nothing may look at the box.", NO_BLOCK, track="cost"),
    Measure("Does it matter", "Cost of hiding random boxes", "nats", "random_drop",
            "The same for boxes of that size anywhere.", NO_BLOCK, track="cost"),
    Measure("Does it matter", "Answers that need the box", "share", "depends",
            "Hiding it costs half a nat or more, and more than every random box.", NO_BLOCK, True),
    Measure("Does it matter", "Map and hiding agree", "share", "agreement.rate",
            "The map's peak lies in the box just where the answer needs it.", NO_BLOCK, True),
    Measure("Does it matter", "Best head and hiding agree", "share", "head_agreement.rate",
            "The same for the peak of the best head, over its own lines.", TOO_FEW, True),
    Measure("Does it matter", "Calibrated head and hiding agree", "share", "calibrated_agreement.rate",
            "The same for the peak of the calibrated head.", NOT_CALIBRATED, True),
)  # fmt: skip
_OF_BOXES = ("The box", "Does it matter")


def summary_rows(part: Part) -> tuple[Row, ...]:
    """A row for each figure that any variant has."""
    return tuple(
        _row(part, measure)
        for measure in MEASURES
        if any(measure.figure(summary) is not None for summary in part.summaries)
    )


def not_measured(part: Part) -> tuple[str, ...]:
    """What no variant has, by reason: a sentence for each."""
    if not part.summaries:
        return ("Nothing was measured: no picture was asked about.",)
    reasons: dict[str, list[str]] = {}
    for measure in MEASURES:
        if all(measure.figure(summary) is None for summary in part.summaries):
            reasons.setdefault(_why(part, measure), []).append(measure.name)
    return tuple(f"Not measured, since {why}: {', '.join(names)}." for why, names in reasons.items())


def _why(part: Part, measure: Measure) -> str:
    """Why no variant has the figure: what all of its group lacks, else its own reason."""
    if measure.group in _OF_BOXES and all(item.box is None for item in part.items):
        return NO_BOX
    is_blocked = any(look.need is not None for item in part.items for look in item.looks)
    return NO_BLOCK if measure.group == _OF_BOXES[1] and not is_blocked else measure.why


def _row(part: Part, measure: Measure) -> Row:
    figures = [measure.figure(summary) for summary in part.summaries]
    sharing = [one for one in MEASURES if one.track and one.track == measure.track] or [measure]
    told = [found for one in sharing for summary in part.summaries if (found := one.figure(summary)) is not None]
    track = track_of(told, whole=measure.whole)
    cells = tuple(
        _cell(measure, summary, figure, track) for summary, figure in zip(part.summaries, figures, strict=True)
    )
    return Row(measure.group, measure.name, measure.how, track_told(track, measure.unit), cells)


def _cell(measure: Measure, summary: Summary, figure: Estimate | None, track: tuple[float, float]) -> Cell:
    marks, note = measure.beside(summary)
    return figure_cell(figure, measure.unit, track, marks=marks, note=note if figure else "")


def _beside_hits(hits: Hits) -> tuple[tuple[tuple[float, str], ...], str]:
    head = f"layer {hits.layer}, head {hits.head}, chosen on {hits.chosen_on}; " if hits.chosen_on else ""
    places = [(hits.chance, f"chance {share(hits.chance)}")]
    if hits.shuffled is not None:
        places.append((hits.shuffled, f"another picture's box {share(hits.shuffled)}"))
    return tuple(places), head + ", ".join(name for _, name in places)


def _field(holder: Any, path: str) -> Any:
    """What the path leads to, None where a part of the way is missing; the holder itself for an empty path."""
    for name in filter(None, path.split(".")):
        holder = None if holder is None else getattr(holder, name)
    return holder
