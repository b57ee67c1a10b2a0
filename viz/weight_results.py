"""What the weights of adapters say, for the command line: a text for people, JSON, a table and a chart as files.

Reads adapters and the base's files; runs no model and knows no page.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import get_args

from inference.catalog import find_adapters
from inference.errors import AdapterError, SettingsError
from inference.protocol import AdapterFacts
from inference.weights.adapter import open_adapter
from inference.weights.base import BaseWeights
from inference.weights.overlap import AdapterOverlap, compare_adapters
from inference.weights.places import module_order
from inference.weights.report import AdapterWeights, Change, weigh_adapter
from inference.weights.summary import OVERLAP_NOTE, overlap_summary, weights_summary
from inference.weights.table import weights_csv, weights_values
from viz.drawing import FileKind, saved
from viz.weight_charts import weight_figure
from viz.words import percent

MOST_ADAPTERS = 12
"""So many are weighed at once: each is compared with each."""


@dataclass(frozen=True)
class Weighed:
    """Adapters in the order in which they were named, and every pair of them."""

    adapters: tuple[AdapterWeights, ...]
    overlaps: tuple[AdapterOverlap, ...]


def find_folders(named: Sequence[str], known: Sequence[AdapterFacts]) -> list[Path]:
    """The folders of adapters given by name or by path; a folder of adapters stands for all in it.

    Raises:
        AdapterError: nothing there, or more than `MOST_ADAPTERS`.
    """
    folders = {facts.name: Path(facts.folder) for facts in known}
    found: list[Path] = []
    for name in named:
        path = Path(name).expanduser()
        here = [Path(facts.folder) for facts in find_adapters(path)] if name and path.is_dir() else [folders.get(name)]
        if not here or None in here:
            raise AdapterError(
                "an adapter's folder" + (f" or one of {', '.join(folders)}" if folders else ""),
                repr(name),
                "correct it",
            )
        found += [folder.resolve() for folder in here if folder]
    if len(found) > MOST_ADAPTERS:
        raise AdapterError(f"at most {MOST_ADAPTERS} adapters", f"{len(found)}", "name the ones to compare")
    return list(dict.fromkeys(found))


def weigh_folders(folders: Sequence[Path], base: Path | None = None) -> Weighed:
    """What each adapter changes, and how alike they are in pairs; with the base's folder, also in relation to it.

    Raises:
        AdapterError: an adapter cannot be read, or two are of different bases.
        ModelError: the base cannot be read.
    """
    weights = BaseWeights(base) if base else None
    opened = [open_adapter(folder, weights, name=name) for folder, name in zip(folders, _names(folders), strict=True)]
    overlaps = tuple(compare_adapters(first, second) for first, second in combinations(opened, 2))
    return Weighed(tuple(map(weigh_adapter, opened)), overlaps)


def weights_text(weighed: Weighed) -> str:
    """A sentence and a table of kinds of module for each adapter, then a sentence for each pair."""
    parts = []
    for adapter in weighed.adapters:
        lines = [weights_summary(adapter), *(f"  {note}" for note in adapter.notes), *_kinds(adapter)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *map(overlap_summary, weighed.overlaps), *[OVERLAP_NOTE] * bool(weighed.overlaps)])


def weights_json(weighed: Weighed) -> str:
    """All figures as JSON."""
    told = weights_values(weighed.adapters, weighed.overlaps)
    return json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False)


def write_weights(weighed: Weighed, *, csv: Path | None = None, chart: Path | None = None) -> list[Path]:
    """Writes the table and the chart where a path is given; of adapters with a base the chart is of the ratio.

    Raises:
        SettingsError: the chart's name ends in no kind of picture, or a file cannot be written.
    """
    if chart:
        kind = chart_kind(chart)
        has_base = any(change.ratio is not None for adapter in weighed.adapters for change in adapter.changes)
        _write(chart, saved(weight_figure(weighed.adapters, "ratio" if has_base else "frobenius"), kind))
    if csv:
        _write(csv, weights_csv(weighed.adapters).encode())
    return [path for path in (chart, csv) if path]


def chart_kind(chart: Path) -> FileKind:
    """The kind of file by the ending of its name.

    Raises:
        SettingsError: no kind that a chart can be.
    """
    kinds: tuple[FileKind, ...] = get_args(FileKind)
    for kind in kinds:
        if chart.suffix.lower() == f".{kind}":
            return kind
    raise SettingsError(f"a chart whose name ends in {', '.join(kinds)}", repr(chart.name), "name it so")


def _names(folders: Sequence[Path]) -> list[str]:
    """A name for each adapter; folders of one name are told apart by the folders that they lie in."""
    names = [folder.name for folder in folders]
    return [
        f"{folder.parent.name}/{folder.name}" if names.count(folder.name) > 1 else folder.name for folder in folders
    ]


def _kinds(adapter: AdapterWeights) -> list[str]:
    """A line for each kind of module, under a heading."""
    shares = adapter.shares(lambda place: place.kind)
    rows = [("module", "share", "norm", "of base", "effective rank", "largest in")]
    for kind in sorted(shares, key=lambda kind: (kind.startswith("vision "), module_order(kind))):
        changes = [change for change in adapter.changes if change.place.kind == kind]
        rows.append((kind, percent(shares[kind]), *_kind_row(changes)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _kind_row(changes: Sequence[Change]) -> tuple[str, str, str, str]:
    """Norm over all layers, its ratio to the base's, least to largest effective rank of the rank, largest layer."""
    norm = math.hypot(*(change.frobenius for change in changes))
    base = math.hypot(*(change.base_norm or 0.0 for change in changes))
    ranks = [change.effective_rank for change in changes]
    largest = max(changes, key=lambda change: change.frobenius)
    return (
        f"{norm:.3g}",
        percent(norm / base) if base else "-",
        f"{min(ranks):.1f} to {max(ranks):.1f} of {max(change.rank for change in changes)}",
        largest.place.level if norm else "-",
    )


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise SettingsError("a file that can be written", f"{path} ({error.strerror})", "name another one") from error
