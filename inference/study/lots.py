"""One variant's part of a set's records, and means over it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from inference.study.records import Record
from inference.study.report import Estimate, Look
from inference.study.statistics import estimate


@dataclass(frozen=True)
class Lot:
    """Records, and which of their looks are meant; `groups` numbers their pictures, `seed` is of all chance here."""

    records: tuple[Record, ...]
    groups: Int[np.ndarray, "lines"]
    place: int
    seed: int

    @property
    def looks(self) -> tuple[Look, ...]:
        """What the variant did, line by line."""
        return tuple(record.item.looks[self.place] for record in self.records)

    def mean(self, value: Callable[[Look], float | None]) -> Estimate | None:
        """The mean over the lines that have this value; None where none has."""
        return self.mean_of([value(look) for look in self.looks])

    def mean_of(self, values: Sequence[float | None]) -> Estimate | None:
        """The mean of values given line by line, over those that there are; None where there is none."""
        has = np.array([one is not None for one in values], bool)
        if not has.any():
            return None
        return estimate(np.array([one for one in values if one is not None]), self.groups[has], seed=self.seed)

    def only(self, chosen: Int[np.ndarray, "few"] | Bool[np.ndarray, "lines"]) -> "Lot":
        """These lines alone."""
        numbers = np.arange(len(self.records))[chosen]
        return Lot(tuple(self.records[at] for at in numbers), self.groups[numbers], self.place, self.seed)


def make_lot(records: Sequence[Record], place: int, seed: int) -> Lot:
    """All of the records, for the variant at this place."""
    _, groups = np.unique([record.picture for record in records], return_inverse=True)
    return Lot(tuple(records), groups, place, seed)
