"""Trials in, findings out: which trials run side by side, in which order, and what each gave.

Trials whose model is the same (equal parts of the same adapters on) and whose words are as many run as the rows of one
batch, each with its own words, pictures and block.
"""

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from inference.evidence.trials import Block, Erase, Exchange, Findings, Outcome, Probe, Shares, Switch, Trial
from inference.evidence.validate import Frame, all_said, check_places
from inference.model.parts import Parts
from inference.model.prepare import check_length
from inference.model.probe import exchange, reasons
from inference.model.probe.outcomes import read_outcomes
from inference.model.probe.stage import Stage
from inference.protocol import Progress

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Pass:
    """Trials, by their numbers, that run as the rows of one pass with these parts on."""

    parts: Parts
    numbers: tuple[int, ...]


def run_probe(stage: Stage, probe: Probe, notes: Sequence[str]) -> Generator[Progress | Findings, None, None]:
    """Progress, one step a pass, and at last the findings; closing it stops between two passes.

    Raises:
        VisualizerError: words, cells, layers or heads that are not there, or more tokens than the model can read.
    """
    started = time.perf_counter()
    _check(stage, probe)
    trials = dict(enumerate(probe.trials))
    swaps = exchange.plan_exchanges(stage, trials)
    passes = _plan(stage, {number: trial for number, trial in trials.items() if not isinstance(trial.change, Exchange)})
    total = len(passes) + sum(one.passes for one in swaps) + reasons.count_passes(probe.reasons)
    with stage.open():
        outcomes, shares = yield from _told(_run_all(stage, probe, passes, swaps), total=total)
    in_order = tuple(outcomes[number] for number in range(len(probe.trials)))
    # The same note from two variants is told once.
    told = tuple(dict.fromkeys(notes))
    yield Findings(in_order, tuple(shares), stage.passes, time.perf_counter() - started, told)


def _told(steps: Generator[None, None, _Result], *, total: int) -> Generator[Progress, None, _Result]:
    """Progress before the first pass and after each, of work that takes so many."""
    done = 0
    yield Progress("trials", done=done, total=total)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result
        done += 1
        yield Progress("trials", done=done, total=total)


def _check(stage: Stage, probe: Probe) -> None:
    loaded = stage.task.loaded
    config = loaded.model.config
    frame = Frame(
        layers=loaded.text_config.num_hidden_layers,
        heads=loaded.text_config.num_attention_heads,
        vocabulary=loaded.text_config.vocab_size,
        picture_ids=frozenset((config.image_token_id, config.video_token_id)),
        images=stage.images,
        prompt_length=len(stage.prompt),
    )
    check_places(probe, frame)
    check_length(loaded, len(stage.prompt) + max(map(len, all_said(probe))))


def _plan(stage: Stage, trials: Mapping[int, Trial]) -> list[_Pass]:
    """The passes: the first of every group, then the second of every group, so that what is painted serves them all."""
    groups: dict[tuple[Parts, int], list[int]] = {}
    for number, trial in trials.items():
        switch = trial.change if isinstance(trial.change, Switch) else None
        key = (stage.parts(trial.variant, switch), len(trial.said))
        groups.setdefault(key, []).append(number)
    passes = []
    for (parts, said), numbers in groups.items():
        most = stage.rows_at_once(said, by_head=any(_names_heads(trials[number]) for number in numbers))
        for turn, at in enumerate(range(0, len(numbers), most)):
            passes.append((turn, _Pass(parts, tuple(numbers[at : at + most]))))
    return [one for _, one in sorted(passes, key=lambda turned: turned[0])]


def _run_all(
    stage: Stage, probe: Probe, passes: Sequence[_Pass], swaps: Sequence[exchange.Swaps]
) -> Generator[None, None, tuple[dict[int, Outcome], list[Shares]]]:
    """Pauses after each pass, and returns outcomes by their trials' numbers, and shares."""
    outcomes = yield from _run_passes(stage, probe, passes)
    exchanged = yield from exchange.run_exchanges(stage, swaps, probe.watch)
    shares = yield from reasons.run_reasons(stage, probe.reasons)
    return outcomes | exchanged, shares


def _run_passes(stage: Stage, probe: Probe, passes: Sequence[_Pass]) -> Generator[None, None, dict[int, Outcome]]:
    """Pauses after each pass, and returns what came out by the trials' numbers."""
    outcomes: dict[int, Outcome] = {}
    for one in passes:
        outcomes |= _run_pass(stage, probe, one)
        yield
    return outcomes


def _run_pass(stage: Stage, probe: Probe, one: _Pass) -> dict[int, Outcome]:
    trials = [probe.trials[number] for number in one.numbers]
    pictures = stage.see_each(
        one.parts, [trial.change if isinstance(trial.change, Erase) else None for trial in trials]
    )
    blocks = [trial.change if isinstance(trial.change, Block) else None for trial in trials]
    said = [trial.said for trial in trials]
    with stage.wearing(one.parts):
        logits, maps = stage.forward(said, pictures, blocks=blocks, watch=probe.watch)
    return dict(zip(one.numbers, read_outcomes(stage, said, logits, probe.watch, maps), strict=True))


def _names_heads(trial: Trial) -> bool:
    return isinstance(trial.change, Block) and bool(trial.change.heads)
