"""What the part Parts shows: bars of what each part of an adapter carries, and why a head moved, as plain data.

Every field goes to the browser as JSON. Bars of one unit share one axis. Knows no Gradio and no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.evidence.exchange import Exchanged, PieceCarries, UpTo
from inference.evidence.parts import Moves, Parted, PartEffect
from inference.evidence.reasons import Moved
from inference.trace.maps import listed
from viz import words
from viz.view import Choice

_BRINGS, _LOSES, _TOGETHER = "#0072b2", "#d55e00", "#00a077"
_MAP = "#cc4fd8"
_NATS = "nats"
_CARRIES = 0.5


@dataclass(frozen=True)
class Bar:
    """One bar: where it ends, in the unit of its column, and the same in words; `strong`: half of the change or more.

    value None: there is none.
    """

    value: float | None
    told: str
    strong: bool = False


@dataclass(frozen=True)
class BarColumn:
    """The bars below one another; from `low` to `high` is the whole width, and 0 lies between them."""

    title: str
    meaning: str
    colour: str
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class BarRow:
    """One part. `group`: what begins a new group of rows has another one. `layer`: whose heads may be asked for."""

    name: str
    group: str
    bars: list[Bar]
    layer: int | None = None


@dataclass(frozen=True)
class PartsView:
    """Bars with what is to be said above and below them."""

    title: str
    sentences: list[str]
    columns: list[BarColumn]
    rows: list[BarRow]
    notes: list[str]
    cost: str


@dataclass(frozen=True)
class Slice:
    """One of the parts that moved a head: where its piece of the bar begins and ends, 0 to 1 of its width."""

    name: str
    meaning: str
    colour: str
    left: float
    right: float
    told: str


@dataclass(frozen=True)
class ReasonView:
    """Why one head moved; `zero`: where the bar's 0 lies, `one` where its 1; no slices where it did not move."""

    title: str
    sentence: str
    slices: list[Slice]
    zero: float
    one: float


def parted_view(found: Parted) -> PartsView:
    """Each layer and kind of module: what is lost without it, what it brings alone, and what that does to the map."""
    nats = [number for effect in found.effects for number in (effect.loses, effect.brings)]
    low, high = _ends([*nats, found.change])
    tops = [number for effect in found.effects for number in (effect.off.from_adapter, effect.alone.from_base)]
    highest = max([number for number in (*tops, found.whole) if number is not None], default=0.0) or 1.0
    columns = [
        BarColumn("lost without it", "nats that the adapter's words fall by if it is off", _LOSES, low, high, _NATS),
        BarColumn("brought alone", "nats that the base's words rise by if only it is on", _BRINGS, low, high, _NATS),
    ]
    if any(number is not None for number in tops):
        columns += [
            BarColumn("map without it", _VARIATION.format("the adapter's"), _MAP, 0.0, highest, ""),
            BarColumn("map by it alone", _VARIATION.format("the base's"), _MAP, 0.0, highest, ""),
        ]
    rows = [_effect_row(effect, len(columns)) for effect in found.effects]
    return PartsView(
        f"{found.variant}: switched off by parts",
        [found.sentence],
        columns,
        rows,
        [*_map_note(found), *found.notes],
        _cost(found.passes, found.seconds),
    )


def _map_note(found: Parted) -> list[str]:
    """Whose maps these are, since what is chosen on the page may be another by now."""
    if found.watched is None:
        return []
    where = words.where(Choice(layer=found.watched.layer, head=found.watched.head))
    return [f"Map: where {words.quoted(found.watched.token)} looks, {where}."]


_VARIATION = "total variation between the map and {} map within the picture: 0 alike, 1 nothing in common"


def exchanged_view(found: Exchanged) -> PartsView:
    """Each piece alone, without it, and all from the first layer up; of single heads, the first two."""
    low, high = _ends(
        [
            found.change,
            *(number for piece in found.pieces for number in (piece.brings, piece.loses)),
            *(upto.carries for upto in found.cumulative),
        ]
    )
    columns = [
        BarColumn("alone", "nats that the base gains with the adapter's piece in it", _BRINGS, low, high, _NATS),
        BarColumn("without", "nats that the adapter loses with the base's piece in it", _LOSES, low, high, _NATS),
    ]
    if found.cumulative:
        into = "adapter's into the base" if found.donor == "adapter" else "base's into the adapter"
        meaning = f"nats by all pieces from the first up to here together, the {into}; they end at the whole change"
        columns.append(BarColumn("cumulative", meaning, _TOGETHER, low, high, _NATS))
    rows = [_piece_row(piece, found.cumulative) for piece in found.pieces]
    heads = {piece.layer for piece in found.pieces if piece.head is not None}
    what = f"heads of {listed('layer', tuple(layer for layer in heads if layer is not None))}" if heads else "pieces"
    return PartsView(
        f"{found.variant}: {what} exchanged with the base",
        list(found.sentences),
        columns,
        rows,
        list(found.notes),
        _cost(found.runs, found.seconds),
    )


def reason_view(found: Moved) -> ReasonView:
    """Four shares as one bar: what is above zero to the right of it, what is below to the left."""
    title = f"{found.variant}: why head {found.head} of layer {found.layer} moved, from {words.quoted(found.token)}"
    shares = (found.query, found.key, found.inputs, found.rest)
    known = [share for share in shares if share is not None]
    if len(known) < len(shares):
        return ReasonView(title, found.sentence, [], 0.0, 1.0)
    below, above = sum(min(share, 0.0) for share in known), sum(max(share, 0.0) for share in known)
    low, high = min(below, 0.0), max(above, 1.0)
    slices, left, right = [], 0.0, 0.0
    for share, (name, meaning, colour) in zip(known, _REASONS, strict=True):
        begin = right if share >= 0 else left + share
        slices.append(
            Slice(
                name,
                meaning,
                colour,
                (begin - low) / (high - low),
                (begin + abs(share) - low) / (high - low),
                f"{_percent(share)} %",
            )
        )
        left, right = left + min(share, 0.0), right + max(share, 0.0)
    return ReasonView(title, found.sentence, slices, -low / (high - low), (1 - low) / (high - low))


_REASONS = (
    ("its own query", "the adapter's change of this layer's query projection, on the base's inputs", _BRINGS),
    ("its own key", "the adapter's change of this layer's key projection, on the base's inputs", _LOSES),
    ("inputs from earlier layers", "what earlier layers changed, through the base's projections", _TOGETHER),
    ("the rest", "what none of the three does alone", "#8a8f98"),
)


def _effect_row(effect: PartEffect, columns: int) -> BarRow:
    bars = [_nats(effect.loses, effect.loses_share), _nats(effect.brings, effect.brings_share)]
    if columns > len(bars):
        bars += [_variation(effect.off, "from_adapter"), _variation(effect.alone, "from_base")]
    group = "layer" if effect.kind is None else "kind"
    return BarRow(effect.name, group, bars)


def _variation(moves: Moves, which: str) -> Bar:
    value: float | None = getattr(moves, which)
    return Bar(value, "" if value is None else f"{value:.2f}")


def _piece_row(piece: PieceCarries, cumulative: Sequence[UpTo]) -> BarRow:
    bars = [_nats(piece.brings, piece.brings_share), _nats(piece.loses, piece.loses_share)]
    if cumulative:
        # A layer's two pieces are added together, so the sum stands beside the later one.
        ends_here = piece.component != "attention"
        upto = next((each for each in cumulative if each.layer == piece.layer), None) if ends_here else None
        bars.append(_nats(upto.carries, upto.share) if upto else Bar(None, ""))
    if piece.layer is None:
        return BarRow("picture features", "pictures", bars)
    if piece.head is not None:
        return BarRow(f"layer {piece.layer}, head {piece.head}", f"heads of {piece.layer}", bars)
    name = f"layer {piece.layer}, {piece.component}"
    return BarRow(name, str(piece.layer), bars, piece.layer if piece.component == "attention" and cumulative else None)


def _nats(nats: float, share: float | None) -> Bar:
    told = f"{nats:+.2f}" if abs(nats) >= 0.005 else "0"
    if share is None:
        return Bar(nats, told)
    return Bar(nats, f"{told} ({_percent(share)} %)", share >= _CARRIES)


def _percent(share: float) -> int:
    return round(100 * share) or 0  # not -0


def _ends(numbers: Sequence[float]) -> tuple[float, float]:
    """An axis that holds all of them and zero."""
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    return (low, high) if high > low else (0.0, 1.0)


def _cost(runs: int, seconds: float) -> str:
    return f"{runs} run{'' if runs == 1 else 's'}, {seconds:.1f} s."
