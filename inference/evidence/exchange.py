"""What each piece of an adapter's run carries of its answer: pieces exchanged between its run and the base's.

Notation: D = log p(words | adapter) - log p(words | base), in nats. A piece *brings* what the base's run gains with the
adapter's piece in it; the adapter's run *loses* what it falls short of with the base's piece in it; both as nats, and
as shares of D. Knows no model: the runs are the engine's.

Source: Vig et al., "Investigating Gender Bias in Language Models Using Causal Mediation Analysis" (2020); Meng et al.,
"Locating and Editing Factual Associations in GPT" (2022), for exchanging what parts add to the residual stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from inference.errors import SettingsError
from inference.evidence.trials import Component, Exchange, Findings, Piece, Probe, Trial
from inference.evidence.words import adapter_run, base_run, said_ids
from inference.trace.request import BASE, Variant
from inference.trace.session import Run, Session

LEAST_NATS = 0.01
"""Under this change of the answer's log-probability nothing is shared out."""
SINGLE = "Single pieces do not add up: each is told by itself, and several may carry the same or undo one another."
_HEAD = "lm_head"
_FEW = 0.05

Words = Literal["own", "base"]
"""The adapter's own answer, or the base's."""
Donor = Literal["adapter", "base"]
"""Whose pieces are put into the other's run, from the first layer up."""


@dataclass(frozen=True)
class PieceCarries:
    """What one piece carries; the shares are None where the change is too small to share out."""

    component: Component
    layer: int | None
    head: int | None
    brings: float
    """In nats: the base's run with the adapter's piece, over the base's run."""
    loses: float
    """In nats: the adapter's run, over the adapter's run with the base's piece."""
    brings_share: float | None
    loses_share: float | None


@dataclass(frozen=True)
class UpTo:
    """What all pieces up to a layer carry together: the pictures' and those of layers 0 to this one.

    `layer` None: the pictures' alone.
    """

    layer: int | None
    carries: float
    """In nats."""
    share: float | None


@dataclass(frozen=True)
class Exchanged:
    """What was found of one adapter's answer. `cumulative` is empty where single heads were asked for."""

    variant: str
    words: str
    """The answer whose log-probability is told, as text."""
    donor: Donor
    base_logprob: float
    variant_logprob: float
    change: float
    """D: log-probability under the adapter less that under the base, in nats."""
    pieces: tuple[PieceCarries, ...]
    cumulative: tuple[UpTo, ...]
    outside: str
    """Names of adapters that also touch the output head, which adds nothing to the residual stream; empty: none."""
    runs: int
    passes: int
    seconds: float
    notes: tuple[str, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class ExchangePieces:
    """Which pieces carry the change of an answer: of every layer, or of every head of some layers.

    variant: its label. heads_of: layers whose heads are exchanged one by one, beside each layer's attention as a whole;
    empty: attention and mlp of every layer, and the pictures, and all of them together from the first layer up.
    """

    variant: str
    words: Words = "own"
    donor: Donor = "adapter"
    heads_of: tuple[int, ...] = ()

    def runs(self, session: Session) -> int:
        """How many runs over the words it takes; one more of either variant notes what is exchanged.

        Raises:
            SettingsError: the options do not fit the session.
        """
        return len(self.probe(session).trials)

    def probe(self, session: Session) -> Probe:
        """The two runs as they are, each piece in either of them, and the pieces together.

        Raises:
            SettingsError: no such adapter in the session, a layer that the model lacks, or words that were not kept.
        """
        adapter = adapter_run(session, self.variant).variant
        said = said_ids(self._speaker(session))
        base, tuned = _Side(said, BASE, adapter), _Side(said, adapter, BASE)
        pieces = self._pieces(session)
        # The runs as they are go through the same batches, for another batch's shape moves logits a little.
        trials = [base.run(()), tuned.run(())]
        trials += [side.run((piece,)) for piece in pieces for side in (base, tuned)]
        together = base if self.donor == "adapter" else tuned
        trials += [together.run(upto) for _, upto in self._cumulative(session)]
        return Probe(session.request, tuple(trials))

    def read(self, session: Session, findings: Findings) -> Exchanged:
        """What the outcomes of that probe say."""
        base, tuned, *rest = (outcome.total for outcome in findings.outcomes)
        change = tuned - base
        pieces = self._pieces(session)
        singles, together = rest[: 2 * len(pieces)], rest[2 * len(pieces) :]
        carried = tuple(
            _carries(piece, gained - base, tuned - left, change)
            for piece, gained, left in zip(pieces, singles[::2], singles[1::2], strict=True)
        )
        cumulative = tuple(
            UpTo(layer, nats, _share(nats, change))
            for (layer, _), total in zip(self._cumulative(session), together, strict=True)
            for nats in [total - base if self.donor == "adapter" else tuned - total]
        )
        outside = _touching_head(session, adapter_run(session, self.variant).variant)
        return Exchanged(
            self.variant,
            self._speaker(session).answer,
            self.donor,
            base,
            tuned,
            change,
            carried,
            cumulative,
            outside,
            len(findings.outcomes),
            findings.passes,
            findings.seconds,
            findings.notes,
            _sentences(self, change, carried, cumulative, outside),
        )

    def _speaker(self, session: Session) -> Run:
        return base_run(session) if self.words == "base" else adapter_run(session, self.variant)

    def _pieces(self, session: Session) -> list[Piece]:
        layers, heads = session.model.layers, session.model.heads
        if not self.heads_of:
            return [piece for _, added in _steps(session) for piece in added]
        if outside := [layer for layer in self.heads_of if not 0 <= layer < layers]:
            raise SettingsError(f"layers from 0 to {layers - 1}", str(outside[0]), "choose layers of this model")
        chosen = sorted(set(self.heads_of))
        return [Piece("attention", layer, head) for layer in chosen for head in (None, *range(heads))]

    def _cumulative(self, session: Session) -> list[tuple[int | None, tuple[Piece, ...]]]:
        if self.heads_of:
            return []
        upto: list[tuple[int | None, tuple[Piece, ...]]] = []
        together: tuple[Piece, ...] = ()
        for layer, added in _steps(session):
            together += added
            upto.append((layer, together))
        return upto


@dataclass(frozen=True)
class _Side:
    """Runs of one variant with pieces of another in them."""

    said: tuple[int, ...]
    receiver: Variant
    donor: Variant

    def run(self, pieces: Sequence[Piece]) -> Trial:
        return Trial(self.said, self.receiver, Exchange(self.donor, tuple(pieces)))


def _steps(session: Session) -> list[tuple[int | None, tuple[Piece, ...]]]:
    """The pieces from the first layer up: the pictures', if there are any, then each layer's."""
    pictures: list[tuple[int | None, tuple[Piece, ...]]] = [(None, (Piece("pictures"),))]
    layers: list[tuple[int | None, tuple[Piece, ...]]] = [
        (layer, (Piece("attention", layer), Piece("mlp", layer))) for layer in range(session.model.layers)
    ]
    return (pictures if session.request.images else []) + layers


def _carries(piece: Piece, brings: float, loses: float, change: float) -> PieceCarries:
    shares = _share(brings, change), _share(loses, change)
    return PieceCarries(piece.component, piece.layer, piece.head, brings, loses, *shares)


def _share(nats: float, change: float) -> float | None:
    return None if abs(change) < LEAST_NATS else nats / change


def _touching_head(session: Session, variant: Variant) -> str:
    names = [adapter.name for adapter in variant.adapters]
    return " and ".join(facts.name for facts in session.adapters if facts.name in names and _HEAD in facts.modules)


def _sentences(
    asked: ExchangePieces, change: float, pieces: Sequence[PieceCarries], cumulative: Sequence[UpTo], outside: str
) -> tuple[str, ...]:
    whose = "the base's answer" if asked.words == "base" else "its own answer"
    way = "down" if change < 0 else "up"
    sentences = [f"{asked.variant} moves the log-probability of {whose} {way} by {abs(change):.2f} nats."]
    if abs(change) < LEAST_NATS:
        return (*sentences, f"Under {LEAST_NATS} nats it is too small a change to share out.")
    # A layer's attention as a whole is there to compare its heads with.
    single = [piece for piece in pieces if not asked.heads_of or piece.head is not None]
    brings = max(single, key=lambda piece: piece.brings / change)
    loses = max(single, key=lambda piece: piece.loses / change)
    sentences += [_brought(brings, change), _lost(loses, change), SINGLE]
    if cumulative:
        sentences.append(_half_way(change, cumulative))
    if outside:
        sentences.append(_told_apart(outside, change, cumulative))
    return tuple(filter(None, sentences))


def _brought(piece: PieceCarries, change: float) -> str:
    share = piece.brings / change
    if share < _FEW:
        return f"By itself, none of them brings {100 * _FEW:.0f} % of that."
    return f"By itself, {_name(piece)} brings most: {100 * share:.0f} % of that."


def _lost(piece: PieceCarries, change: float) -> str:
    share = piece.loses / change
    if share < _FEW:
        return f"Without any one of them it loses less than {100 * _FEW:.0f} %."
    return f"Without its {_name(piece)} it loses most: {100 * share:.0f} %."


def _half_way(change: float, cumulative: Sequence[UpTo]) -> str:
    """From where on at least half is carried, however many layers are added."""
    below = [number for number, upto in enumerate(cumulative) if upto.carries / change < 0.5]
    first = below[-1] + 1 if below else 0
    if first == len(cumulative):
        return ""
    layer = cumulative[first].layer
    where = "the pictures alone" if layer is None else f"all up to layer {layer}"
    return (
        f"Exchanged together from the first layer up, {where} carry {100 * cumulative[first].carries / change:.0f} %."
    )


def _told_apart(outside: str, change: float, cumulative: Sequence[UpTo]) -> str:
    told = f"{outside} also touches the output head ({_HEAD}), which adds nothing to the residual stream: "
    if not cumulative:
        return f"{told}no piece carries that part."
    rest = 1 - cumulative[-1].carries / change
    return f"{told}{100 * rest:.0f} % of the change is left when all pieces are exchanged, and is the head's."


def _name(piece: PieceCarries) -> str:
    if piece.layer is None:
        return "picture features"
    return (
        f"{piece.component} of layer {piece.layer}"
        if piece.head is None
        else f"head {piece.head} of layer {piece.layer}"
    )
