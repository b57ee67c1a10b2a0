"""From the records of a set to what is told of it: one summary a variant, each figure over all lines that have it."""

from collections.abc import Sequence

import numpy as np

from inference.study.hits import (
    best_head,
    calibrated_agreement,
    calibrated_hits,
    head_agreement,
    map_agreement,
    map_hits,
)
from inference.study.lots import Lot, make_lot
from inference.study.records import Record
from inference.study.report import Drift, Estimate, HeadChange, HeadTest, Look, Part, Skipped, Summary
from inference.study.statistics import estimate, sign_flips
from inference.trace.compare import rank_heads

TOP = 10
"""How many heads are told as those that changed most."""
SURE = 0.05


def summarise_set(
    name: str,
    records: Sequence[Record],
    skipped: tuple[Skipped, ...],
    *,
    lines: int,
    variants: Sequence[str],
    seed: int,
) -> Part:
    """What is told of a set; `lines`: how many it has, skipped ones and those not asked yet among them."""
    lots = [make_lot(records, place, seed) for place in range(len(variants) if records else 0)]
    summaries = tuple(_summary(label, lot) for label, lot in zip(variants, lots, strict=bool(records)))
    pictures = len({record.picture for record in records})
    return Part(name, lines, pictures, tuple(record.item for record in records), skipped, summaries)


def _summary(label: str, lot: Lot) -> Summary:
    best = best_head(lot)
    hits, told = best or (None, None)
    head = None if hits is None or hits.layer is None or hits.head is None else (hits.layer, hits.head)
    return Summary(
        variant=label,
        share=_mean(lot, "share"),
        logprob=_mean(lot, "logprob"),
        expected_logprob=lot.mean(lambda look: look.expected_logprob),
        accuracy=lot.mean(lambda look: look.right),
        box_share=lot.mean(lambda look: look.box.share if look.box else None),
        lift=lot.mean(lambda look: look.box.lift if look.box else None),
        hits=map_hits(lot),
        best_head=hits,
        box_drop=lot.mean(lambda look: look.need.box if look.need else None),
        random_drop=lot.mean(_random_drop),
        depends=lot.mean(lambda look: look.need.depends if look.need else None),
        agreement=map_agreement(lot),
        head_agreement=head_agreement(told, *head) if told and head else None,
        drift=_drift(lot) if lot.place else None,
        heads=_test(lot) if lot.place else None,
        calibrated=calibrated_hits(lot),
        calibrated_agreement=calibrated_agreement(lot),
    )


def _mean(lot: Lot, field: str) -> Estimate:
    """Of a number that every look has."""
    values = np.array([getattr(look, field) for look in lot.looks])
    return estimate(values, lot.groups, seed=lot.seed)


def _random_drop(look: Look) -> float | None:
    return float(np.mean(look.need.random)) if look.need and look.need.random else None


def _drift(lot: Lot) -> Drift:
    changes = [look.change for look in lot.looks if look.change]

    def mean(field: str) -> Estimate:
        values = np.array([getattr(change, field) for change in changes], np.float64)
        return estimate(values, lot.groups, seed=lot.seed)

    return Drift(
        share=mean("share"),
        variation=mean("variation"),
        heads=lot.mean_of([change.heads for change in changes]),
        divergence=mean("divergence"),
        logprob=mean("logprob"),
        answers=mean("answer"),
    )


def _test(lot: Lot) -> HeadTest | None:
    """Of the change of every head's share on the picture."""
    shares = np.stack([record.heads.shares for record in lot.records]).astype(np.float64)
    changes = shares[:, lot.place] - shares[:, 0]
    found = sign_flips(changes, lot.groups, seed=lot.seed)
    if found is None:
        return None
    mean = changes.mean(0)
    top = [
        HeadChange(
            head.layer,
            head.head,
            estimate(changes[:, head.layer, head.head], lot.groups, seed=lot.seed),
            float(found.p[head.layer, head.head]),
            float(found.corrected[head.layer, head.head]),
        )
        for head in rank_heads(mean, TOP)
    ]
    rows = [tuple(tuple(map(float, row)) for row in grid) for grid in (mean, found.p, found.corrected)]
    significant = int((found.corrected <= SURE).sum())
    pictures = len(np.unique(lot.groups))
    return HeadTest(pictures, found.flips, found.exact, rows[0], rows[1], rows[2], significant, tuple(top))
