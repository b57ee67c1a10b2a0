"""What must hold exactly, on adapters that are made on the spot and on exchanges; all variants over the same words.

Variants run one after another: side by side, the shape of the batch alone moves a logit by a few millionths.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.change_scenes import Asker, draw
from benchmarks.variants_ways import TRAINED, draw_adapter
from inference.evidence.exchange import LEAST_NATS, ExchangePieces
from inference.evidence.knockout import KnockOut
from inference.evidence.trials import Exchange, Findings, Probe, Trial
from inference.evidence.words import said_ids
from inference.intake import picture_from_array
from inference.mini.scenes import Scene
from inference.model.load import LoadedModel
from inference.trace.compare import head_change
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Keep, Picture, Request
from inference.trace.session import Run, Session

SCENES = 5
LARGE = 5 * TRAINED
LONG = "a red circle and a blue square on a plain background, and one small mark"


def zero_adapter_change(loaded: LoadedModel, room: Path, seed: int) -> float:
    """The largest change of anything, attention or log-probability, under an adapter whose change is zero."""
    draw_adapter(loaded.model, room / "zero", seed=seed, size=0.0)
    changes = [_changes(session) for session in _beside_base(loaded, room, ["zero"] * SCENES, seed)]
    return max(max(pair) for pair in changes)


def vo_only_changes(loaded: LoadedModel, room: Path, seed: int) -> tuple[float, float]:
    """The largest change of attention and the smallest of a scene's log-probabilities, under adapters on v and o of
    the last layer alone."""
    last = loaded.text_config.num_hidden_layers - 1
    names = [f"vo-{number}" for number in range(SCENES)]
    for number, name in enumerate(names):
        folder, modules = room / name, ("v_proj", "o_proj")
        draw_adapter(loaded.model, folder, seed=seed + number, modules=modules, layers=(last,), size=LARGE)
    changes = [_changes(session) for session in _beside_base(loaded, room, names, seed)]
    return max(attention for attention, _ in changes), min(logits for _, logits in changes)


def planted_layer_first(loaded: LoadedModel, room: Path, seed: int, each: int) -> float:
    """How often the layer whose q and k were changed at random is the one whose heads' maps changed most.

    As the room Compare has it: total variation of each head's map, mean over heads. Layers above change as well, for
    they read what the changed one wrote.
    """
    layers = range(loaded.text_config.num_hidden_layers)
    planted = [(layer, f"planted-{layer}-{number}") for layer in layers for number in range(each)]
    for number, (layer, name) in enumerate(planted):
        folder, modules = room / name, ("q_proj", "k_proj")
        draw_adapter(loaded.model, folder, seed=seed + number, modules=modules, layers=(layer,), size=LARGE)
    sessions = _beside_base(loaded, room, [name for _, name in planted], seed)
    hits = [_most_changed_layer(session) == layer for (layer, _), session in zip(planted, sessions, strict=True)]
    return float(np.mean(hits))


def blocked_picture_effect(loaded: LoadedModel, room: Path, seed: int) -> float:
    """The largest change of a log-probability when a picture that is blocked as a whole is another one."""
    asker, rng, most = Asker(loaded, room), np.random.default_rng(seed), 0.0
    for _ in range(SCENES):
        (scene, asked), (other, _) = draw(rng, "base"), draw(rng, "base")
        session = asker.run(Request(asked.text, (_picture(scene),), forced_answer=LONG))
        exchanged = replace(session, request=replace(session.request, images=(_picture(other),)))
        inquiry = KnockOut(targets=("whole",), draws=0)
        one, two = (np.array(asker.find(each, inquiry).knocked[0].after) for each in (session, exchanged))
        most = max(most, float(np.abs(one - two).max()))
    return most


def exchanges(loaded: LoadedModel, room: Path, seed: int) -> tuple[float, float]:
    """The share that all pieces together carry, the one farthest from 1; and what an exchange of none changes."""
    asker, rng = Asker(loaded, room), np.random.default_rng(seed)
    shares, none = [], 0.0
    for learner in ("shortcut", "other", "renamed"):
        for _ in range(SCENES):
            scene, asked = draw(rng, learner)
            session = asker.session(scene, asked.text, ["base", learner])
            told = asker.find(session, ExchangePieces(learner))
            if abs(told.change) >= LEAST_NATS and told.cumulative[-1].share is not None:
                shares.append(told.cumulative[-1].share)
            none = max(none, _exchange_of_none(asker, session, learner))
    return max(shares, key=lambda share: abs(share - 1)), none


def _exchange_of_none(asker: Asker, session: Session, learner: str) -> float:
    """By how much a run in which nothing is exchanged differs from a plain one."""
    run = session.run(learner)
    trial = Trial(said_ids(run), run.variant)
    trials = (trial, replace(trial, change=Exchange(BASE, ())))
    differences = []
    for one in trials:
        *_, found = asker.engine.probe(Probe(session.request, (one,)))
        assert isinstance(found, Findings)
        differences.append(np.array(found.outcomes[0].logprobs))
    return float(np.abs(differences[0] - differences[1]).max())


def _beside_base(loaded: LoadedModel, room: Path, names: Sequence[str], seed: int) -> Iterator[Session]:
    """For each adapter of this folder a scene, the base's answer to it, and the same words under the adapter."""
    asker = Asker(loaded, room, most_rows=1, adapters=room)
    rng = np.random.default_rng(seed)
    for name in names:
        scene, asked = draw(rng, "base")
        variants = (BASE, parse_variant(name))
        keep = Keep(numbers="float32")
        yield asker.run(Request(asked.text, (_picture(scene),), variants, words="base", keep=keep))


def _changes(session: Session) -> tuple[float, float]:
    """Of the second run against the first: the largest change of any share of attention, and of a log-probability."""
    base, other = session.runs
    arrays = ("rows", "layer_means", "head_means", "means", "sums")
    attention = max(float(np.abs(getattr(base.trace, name) - getattr(other.trace, name)).max()) for name in arrays)
    return attention, float(np.abs(_logprobs(base) - _logprobs(other)).max())


def _logprobs(run: Run) -> np.ndarray:
    return np.array([token.scores.logprob for token in run.trace.tokens if token.scores])


def _most_changed_layer(session: Session) -> int:
    base, other = session.runs
    values = head_change(base.trace, other.trace, "variation", tokens=slice(None))
    return int(np.nanmean(values, axis=1).argmax())


def _picture(scene: Scene) -> Picture:
    return picture_from_array(scene.pixels, name="scene.png", megapixels=1)
