"""Which parts of an adapter carry the change: each switched off alone, and each on alone. Knows no model.

Notation: D = log p(words | adapter) - log p(words | base), in nats, of the words that the adapter's run said. A part
*loses* what the adapter falls short of without it, and *brings* what the base gains with it alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inference.errors import SettingsError
from inference.evidence.drops import LEAST_DROP
from inference.evidence.trials import KIND_OF_MODULE, KINDS, Findings, Kind, Outcome, Probe, Switch, Trial, Watch
from inference.evidence.words import adapter_run, said_ids
from inference.trace.compare import total_variation
from inference.trace.request import BASE
from inference.trace.session import AdapterFacts, Run, Session, Token

LEAST_NATS = 0.01
"""A smaller change is not divided among parts."""
_CARRIES = 0.5


@dataclass(frozen=True)
class Moves:
    """How far a watched map lies, within the picture, from the adapter's and from the base's: total variation, 0 to 1.

    None where nothing was watched, or the map is empty of attention.
    """

    from_adapter: float | None
    from_base: float | None


@dataclass(frozen=True)
class PartEffect:
    """One part: a layer, or a kind of module in all layers.

    `loses`, `brings`: in nats; the shares are of the whole change, None where that is too small to be divided. `off`:
    the map without it; `alone`: the map with it alone.
    """

    name: str
    layer: int | None
    kind: Kind | None
    loses: float
    brings: float
    loses_share: float | None
    brings_share: float | None
    off: Moves
    alone: Moves


@dataclass(frozen=True)
class Watched:
    """Whose map was watched: the text of a token, a layer and a head (None: the mean over all)."""

    token: str
    layer: int | None
    head: int | None


@dataclass(frozen=True)
class Parted:
    """What the parts of one adapter carry. `change`: D; `whole`: how far the adapter's map lies from the base's."""

    variant: str
    words: str
    base_logprob: float
    variant_logprob: float
    change: float
    whole: float | None
    effects: tuple[PartEffect, ...]
    sentence: str
    notes: tuple[str, ...]
    passes: int
    seconds: float
    watched: Watched | None = None
    """None without a picture."""


@dataclass(frozen=True)
class SwitchParts:
    """Every layer and every kind of module that the variant's adapters touch, off alone and on alone.

    The map watched is that of `token`, a place among the run's kept tokens (None: the first that it said), in `layer`
    and `head` (None: the mean over all).
    """

    variant: str
    token: int | None = None
    layer: int | None = None
    head: int | None = None
    image: int = 0

    def runs(self, session: Session) -> int:
        """How many forward passes it takes."""
        return len(self.probe(session).trials)

    def probe(self, session: Session) -> Probe:
        """The base, the adapter, then each part off and on alone.

        Raises:
            SettingsError: no such adapter in the session, nothing known of its parts, or a token that was not kept.
        """
        run = adapter_run(session, self.variant)
        said, variant = said_ids(run), run.variant
        trials = [Trial(said, BASE), Trial(said, variant)]
        for switch in self._switches(session, run):
            off, alone = (Switch(switch.layers, switch.kinds, keep) for keep in (False, True))
            trials += [Trial(said, variant, off), Trial(said, variant, alone)]
        return Probe(session.request, tuple(trials), watch=self._watch(run))

    def read(self, session: Session, findings: Findings) -> Parted:
        """What each part loses and brings, and how the watched map moves."""
        run = adapter_run(session, self.variant)
        base, full, *rest = findings.outcomes
        change, moves = full.total - base.total, _mover(base, full)
        effects = tuple(
            _effect(switch, (full.total - off.total, alone.total - base.total), change, (moves(off), moves(alone)))
            for switch, off, alone in zip(self._switches(session, run), rest[::2], rest[1::2], strict=True)
        )
        return Parted(
            variant=self.variant,
            words=run.answer,
            base_logprob=base.total,
            variant_logprob=full.total,
            change=change,
            whole=moves(full).from_base,
            effects=effects,
            sentence=_sentence(self.variant, change, effects),
            notes=(*findings.notes, *_notes(_adapters(session, run))),
            passes=findings.passes,
            seconds=findings.seconds,
            watched=Watched(self._token(run).text, self.layer, self.head) if run.trace.images else None,
        )

    def _switches(self, session: Session, run: Run) -> list[Switch]:
        """One for each part, kept on."""
        adapters = _adapters(session, run)
        layers = sorted({layer for facts in adapters for layer in facts.layers})
        kinds = {KIND_OF_MODULE[name] for facts in adapters for name in facts.modules if name in KIND_OF_MODULE}
        kinds |= {kind for facts in adapters for kind in KINDS if kind in facts.towers}
        if not layers and not kinds:
            touched = ", ".join(sorted({name for facts in adapters for name in facts.modules}))
            if not touched:
                raise SettingsError("an adapter whose parts are known", self.variant, "ask this question anew")
            raise SettingsError(
                "an adapter on text layers or the vision tower",
                f"{self.variant}, which touches {touched}",
                "choose another variant",
            )
        by_layer = [Switch((layer,), None, True) for layer in layers]
        return by_layer + [Switch(None, (kind,), True) for kind in KINDS if kind in kinds]

    def _watch(self, run: Run) -> Watch | None:
        if not run.trace.images:
            return None
        return Watch(self._token(run).row_at, self.layer, self.head, self.image)

    def _token(self, run: Run) -> Token:
        tokens = run.trace.tokens
        said = [token for token in tokens if token.part in ("answer", "thinking")]
        if self.token is not None and not 0 <= self.token < len(tokens):
            raise SettingsError(f"a token from 0 to {len(tokens) - 1}", str(self.token), "choose one that was kept")
        return said[0] if self.token is None else tokens[self.token]


def _adapters(session: Session, run: Run) -> list[AdapterFacts]:
    names = [adapter.name for adapter in run.variant.adapters]
    return [facts for facts in session.adapters if facts.name in names]


def _effect(switch: Switch, nats: tuple[float, float], change: float, moves: tuple[Moves, Moves]) -> PartEffect:
    (loses, brings), divided = nats, abs(change) >= LEAST_NATS
    layer = switch.layers[0] if switch.layers else None
    kind = switch.kinds[0] if switch.kinds else None
    return PartEffect(
        name=f"layer {layer}" if kind is None else f"{kind} in all layers",
        layer=layer,
        kind=kind,
        loses=loses,
        brings=brings,
        loses_share=loses / change if divided else None,
        brings_share=brings / change if divided else None,
        off=moves[0],
        alone=moves[1],
    )


def _mover(base: Outcome, full: Outcome) -> Callable[[Outcome], Moves]:
    """How far another outcome's map lies from these two."""
    return lambda outcome: Moves(_variation(outcome, full), _variation(outcome, base))


def _variation(one: Outcome, other: Outcome) -> float | None:
    if one.map is None or other.map is None or not (one.map.sum() > 0 and other.map.sum() > 0):
        return None
    first, second = (np.asarray(each.map, np.float64).ravel() for each in (one, other))
    return float(total_variation(first / first.sum(), second / second.sum()))


def _sentence(variant: str, change: float, effects: Sequence[PartEffect]) -> str:
    moved = f"{variant} moves the log-probability of its words by {change:+.2f} nats"
    if abs(change) < LEAST_DROP:
        return f"{moved}, less than {LEAST_DROP}: no part is named."
    lost = _named([(effect.loses_share or 0, effect) for effect in effects])
    brought = _named([(effect.brings_share or 0, effect) for effect in effects])
    without = "Without any one part less than half of that is lost"
    if lost:
        without = f"Half of that or more is lost without {lost}"
    return f"{moved}. {without}; half or more is brought alone by {brought or 'no single part'}."


def _named(shares: Sequence[tuple[float, PartEffect]]) -> str:
    """The parts that carry half or more, the largest share first; empty if none does."""
    most = sorted((pair for pair in shares if pair[0] >= _CARRIES), key=lambda pair: -pair[0])
    return ", ".join(f"{effect.name} ({100 * share:.0f} %)" for share, effect in most)


def _notes(adapters: Sequence[AdapterFacts]) -> list[str]:
    """Which modules of the text side no part stands for."""
    others = {
        (facts.name, name)
        for facts in adapters
        if facts.towers == ("text",)
        for name in facts.modules
        if name not in KIND_OF_MODULE
    }
    return [f"{name} also touches {module}, which no kind of part stands for." for name, module in sorted(others)]
