"""A report as tables: a line for each picture and variant, a line for each head, and a few lines for people."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence

from inference.study.report import Estimate, Hits, Item, Look, Part, Report, Summary

_Cell = str | int | float | bool | None

ITEM_COLUMNS = (
    "set",
    "number",
    "picture",
    "question",
    "expected",
    "words",
    "variant",
    "answer",
    "right",
    "logprob",
    "expected_logprob",
    "picture_share",
    "box_share",
    "lift",
    "hit",
    "box_drop",
    "random_drop",
    "depends",
    "agrees",
    "share_change",
    "variation",
    "heads_variation",
    "divergence",
    "logprob_change",
    "answer_changed",
)
HEAD_COLUMNS = ("set", "variant", "layer", "head", "share_change", "p", "p_corrected", "pictures")


def items_csv(report: Report) -> str:
    """A line for each line of data and variant; empty where there is no such value."""
    rows = (
        _item_row(part, item, label, look)
        for part in _parts(report)
        for item in part.items
        for label, look in zip(report.variants, item.looks, strict=True)
    )
    return _csv(ITEM_COLUMNS, rows)


def heads_csv(report: Report) -> str:
    """A line for each variant, layer and head that was tested."""
    return _csv(
        HEAD_COLUMNS, (row for part in _parts(report) for one in part.summaries for row in _head_rows(part, one))
    )


def report_text(report: Report) -> str:
    """The summaries as a table for people, set by set."""
    return "\n\n".join(_part_text(part) for part in _parts(report))


def _parts(report: Report) -> tuple[Part, ...]:
    return (report.data, report.general) if report.general else (report.data,)


def _item_row(part: Part, item: Item, label: str, look: Look) -> list[_Cell]:
    box, need, change = look.box, look.need, look.change
    random = sum(need.random) / len(need.random) if need and need.random else None
    row: list[_Cell] = [part.name, item.number, item.picture, item.question, " | ".join(item.expected), item.words]
    row += [label, look.answer, look.right, look.logprob, look.expected_logprob, look.share]
    row += [box.share, box.lift, box.hit] if box else [None] * 3
    row += [need.box, random, need.depends, need.agrees] if need else [None] * 4
    if change is None:
        return [*row, *[None] * 6]
    return [*row, change.share, change.variation, change.heads, change.divergence, change.logprob, change.answer]


def _head_rows(part: Part, summary: Summary) -> Iterable[list[_Cell]]:
    test = summary.heads
    if test is None:
        return
    for layer, (changes, ps, corrected) in enumerate(zip(test.change, test.p, test.corrected, strict=True)):
        for head, values in enumerate(zip(changes, ps, corrected, strict=True)):
            yield [part.name, summary.variant, layer, head, *values, test.n]


def _csv(columns: Sequence[str], rows: Iterable[Sequence[_Cell]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: _Cell) -> _Cell:
    """What a spreadsheet shows and does not run: a text that could be read as a formula gets a mark before it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def _part_text(part: Part) -> str:
    told = f"{part.name}: {_count(len(part.items), 'line')} about {_count(part.pictures, 'picture')}"
    told += f", {len(part.skipped)} skipped" if part.skipped else ""
    told += f", {part.remaining} not asked yet" if part.remaining else ""
    return "\n".join([told, *(line for one in part.summaries for line in _summary_lines(one))])


def _count(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


def _summary_lines(summary: Summary) -> list[str]:
    rows = [(name, read(summary)) for name, read in _ROWS]
    width = max(len(name) for name, _ in _ROWS)
    return ["", summary.variant, *(f"  {name.ljust(width)}  {value}" for name, value in rows if value)]


def _told(value: Estimate | None, unit: str = "") -> str:
    """`52 % (45 to 60)`, n behind it; a share in the unit `%` or, of a change, `points`."""
    if value is None:
        return ""
    scale, places = (100, 1) if unit else (1, 3)
    numbers = [value.mean] if value.low is None or value.high is None else [value.mean, value.low, value.high]
    first, *between = (f"{scale * one:.{places}f}" for one in numbers)
    return f"{first}{f' {unit}' if unit else ''}{f' ({between[0]} to {between[1]})' if between else ''}, n {value.n}"


def _hits_told(hits: Hits | None) -> str:
    if hits is None:
        return ""
    shuffled = "" if hits.shuffled is None else f", next box {100 * hits.shuffled:.1f} %"
    where = "" if hits.layer is None else f", layer {hits.layer} head {hits.head}"
    return f"{_told(hits.rate, '%')}{where}; chance {100 * hits.chance:.1f} %{shuffled}"


def _heads_told(summary: Summary) -> str:
    if summary.heads is None:
        return ""
    top = summary.heads.top[0]
    most = f"most: layer {top.layer} head {top.head}, {100 * top.change.mean:+.1f} points, {_p_told(top.corrected)}"
    return f"{summary.heads.significant} at p 0.05 corrected, {summary.heads.n} pictures; {most}"


def _p_told(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


_ROWS: tuple[tuple[str, Callable[[Summary], str]], ...] = (
    ("right", lambda one: _told(one.accuracy, "%")),
    ("log-probability of the base's words, nats", lambda one: _told(one.logprob)),
    ("of the expected answer, nats", lambda one: _told(one.expected_logprob)),
    ("attention on the picture", lambda one: _told(one.share, "%")),
    ("attention in the box", lambda one: _told(one.box_share, "%")),
    ("lift over the box's area", lambda one: _told(one.lift)),
    ("hits, mean map", lambda one: _hits_told(one.hits)),
    ("hits, best head", lambda one: _hits_told(one.best_head)),
    ("hits, calibrated head", lambda one: _hits_told(one.calibrated)),
    ("drop without the box, nats", lambda one: _told(one.box_drop)),
    ("drop without random boxes, nats", lambda one: _told(one.random_drop)),
    ("answers that depend on the box", lambda one: _told(one.depends, "%")),
    ("mean map agrees with knock-out", lambda one: _told(one.agreement.rate if one.agreement else None, "%")),
    (
        "best head agrees with knock-out",
        lambda one: _told(one.head_agreement.rate if one.head_agreement else None, "%"),
    ),
    (
        "calibrated head agrees with knock-out",
        lambda one: _told(one.calibrated_agreement.rate if one.calibrated_agreement else None, "%"),
    ),
    ("answers changed", lambda one: _told(one.drift.answers if one.drift else None, "%")),
    ("KL from the base, nats a token", lambda one: _told(one.drift.divergence if one.drift else None)),
    ("map moved (total variation)", lambda one: _told(one.drift.variation if one.drift else None, "%")),
    ("change of attention on the picture", lambda one: _told(one.drift.share if one.drift else None, "points")),
    ("heads that changed", _heads_told),
)
