"""What the page shows of a knock-out, and of a word without the picture: plain data, every field goes there as JSON.

Knows no Gradio and no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.evidence.drops import LEAST_DROP
from inference.evidence.knockout import Knocked, KnockedOut
from inference.evidence.pictured import Pictured
from inference.trace.session import Session
from viz import overlay, words
from viz.view import Choice

_TARGETS = {"box": "the box", "rest": "the rest", "whole": "the whole picture"}


@dataclass(frozen=True)
class Told:
    """A word that was said, by how much it fell, and how that compares with the largest fall shown, 0 to 1."""

    text: str
    drop: str
    shade: float


@dataclass(frozen=True)
class Row:
    """One variant without one part of the picture. Places on the axis run from 0 to 1; `chance` is empty without any.

    `chance`: least, median and most of the chance picks.
    """

    variant: str
    colour: str
    target: str
    drop: str
    at: float
    chance: list[float]
    chance_told: str
    found: bool
    sentence: str
    words: list[Told]


@dataclass(frozen=True)
class KnockOutView:
    """All rows on one axis in nats, from `low` to `high`; `threshold` and `zero` are places on it."""

    how: str
    inset: list[float]
    """The blocked cells in fractions of the picture: left, top, right, bottom; empty without a box."""
    rows: list[Row]
    low: float
    high: float
    threshold: float
    zero: float
    notes: list[str]
    told: str


@dataclass(frozen=True)
class PicturedRow:
    """One variant's word with and without the picture."""

    variant: str
    colour: str
    depends: bool
    sentence: str


@dataclass(frozen=True)
class PicturedView:
    """`token` as `Choice.token`."""

    token: int
    rows: list[PicturedRow]


def knockout_view(session: Session, choice: Choice, found: KnockedOut) -> KnockOutView:
    """The drops of all variants beside their chance picks."""
    drops = [one.drop for one in found.knocked]
    chances = [number for one in found.knocked if one.random for number in (one.random.least, one.random.most)]
    low, high = _ends([*drops, *chances])
    most = max((drop for one in found.knocked for drop in one.drops), default=0.0)
    colours = overlay.variant_colours([run.variant.label for run in session.runs])

    def at(number: float) -> float:
        return min(1.0, max(0.0, (number - low) / (high - low)))

    def row(one: Knocked) -> Row:
        chance = one.random
        return Row(
            variant=one.label,
            colour=colours[one.label],
            target=_TARGETS[one.target],
            drop=nats(one.drop),
            at=at(one.drop),
            chance=[at(number) for number in (chance.least, chance.median, chance.most)] if chance else [],
            chance_told=f"{nats(chance.least)} to {nats(chance.most)}" if chance else "",
            found=one.finding in ("more than random", "nothing to compare with"),
            sentence=without_label(one.label, one.sentence),
            words=[_told(text, drop, most) for text, drop in zip(one.words, one.drops, strict=True)],
        )

    return KnockOutView(
        how=found.how,
        inset=inset(session, choice.image, found.box) if found.box else [],
        rows=[row(one) for one in found.knocked],
        low=low,
        high=high,
        threshold=at(LEAST_DROP),
        zero=at(0.0),
        notes=list(found.notes),
        told=ran(found.passes, found.seconds),
    )


def pictured_view(session: Session, token: int, found: Sequence[Pictured]) -> PicturedView:
    """A sentence for each variant."""
    colours = overlay.variant_colours([run.variant.label for run in session.runs])
    rows = [
        PicturedRow(
            one.label,
            colours[one.label],
            one.depends,
            _naming(one),
        )
        for one in found
    ]
    return PicturedView(token, rows)


def _naming(one: Pictured) -> str:
    """Its sentence with the word in it."""
    sentence = without_label(one.label, one.sentence).replace("This token", words.quoted(one.word))
    return sentence.replace(" p ", " p\u00a0").replace(" -> ", "\u00a0\N{RIGHTWARDS ARROW}\u00a0")


def without_label(label: str, sentence: str) -> str:
    """The sentence without the variant's name before it, where that stands beside it."""
    rest = sentence.removeprefix(f"{label}: ")
    return rest[:1].upper() + rest[1:]


def inset(session: Session, image: int, box: Sequence[float]) -> list[float]:
    """A box in pixels as fractions of the picture."""
    picture = session.request.images[image]
    left, top, right, bottom = box
    return [left / picture.width, top / picture.height, right / picture.width, bottom / picture.height]


def nats(number: float) -> str:
    """A number with two digits after the point, zero without a sign."""
    return f"{number:.2f}".replace("-0.00", "0.00")


def ran(passes: int, seconds: float) -> str:
    """How much was run, in words."""
    return f"{passes} pass{'es' if passes != 1 else ''} through the model in {seconds:.1f} s."


def _ends(numbers: Sequence[float]) -> tuple[float, float]:
    """The axis: zero and twice the least drop are always on it; what lies below zero by a hair is drawn at zero."""
    low, high = min(0.0, *numbers), max(2 * LEAST_DROP, *numbers)
    return low if low < -high / 50 else 0.0, high


def _told(text: str, drop: float, most: float) -> Told:
    return Told(words.visible(text), nats(drop), max(0.0, drop / most) if most > 0 else 0.0)
