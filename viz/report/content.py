"""A report over many pictures, ready to be shown: what came out, what was asked, and what was not measured.

`report_view` is what both the page and the HTML file draw. Knows no HTML, no Gradio, no model.
"""

from collections.abc import Sequence

from inference.study.report import Estimate, Part, Report, Summary
from viz import overlay
from viz.report.heads import heads_views
from viz.report.help import HELP
from viz.report.numbers import interval, share
from viz.report.pictures import picture_views
from viz.report.summary import not_measured, summary_rows
from viz.report.view import PartView, ReportView


def report_view(report: Report) -> ReportView:
    """All that is shown of a report."""
    by_name = overlay.variant_colours(report.variants)
    colours = [by_name[variant] for variant in report.variants]
    adapters = list(report.variants[1:])
    return ReportView(
        title=f"What {_listed(adapters)} changed" if adapters else "Where the base looks",
        created=report.created,
        model=report.model.name,
        variants=report.variants,
        colours=tuple(colours),
        short=tuple(_short(report, summary) for summary in report.data.summaries),
        asked=_asked(report),
        data=_part(report.data, report.variants, colours),
        general=_part(report.general, report.variants, colours) if report.general else None,
        no_general=""
        if report.general
        else "No second set of general questions was given, so what was forgotten beside the task was not measured.",
        methods=report.methods,
        notes=report.notes,
        help=HELP,
    )


def _part(part: Part, variants: Sequence[str], colours: Sequence[str]) -> PartView:
    heads, heads_scale = heads_views(part, colours)
    pictures, map_scale, difference_scale = picture_views(part, variants, colours)
    return PartView(
        name=part.name,
        count=_count(part),
        rows=summary_rows(part),
        missing=not_measured(part),
        heads=heads,
        heads_scale=heads_scale,
        pictures=pictures,
        map_scale=map_scale,
        difference_scale=difference_scale,
        skipped=tuple(f"Line {one.number}: {one.reason}" for one in part.skipped),
    )


def _count(part: Part) -> str:
    told = [f"{len(part.items)} of {_count_of(part.lines, 'line')} asked, about {_count_of(part.pictures, 'picture')}"]
    if part.skipped:
        told.append(f"{len(part.skipped)} skipped")
    if part.remaining:
        told.append(f"{part.remaining} not asked yet: the same command goes on where it ended")
    return ", ".join(told)


def _count_of(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' if count != 1 else ''}"


def _short(report: Report, summary: Summary) -> str:
    """One variant's outcome in a sentence; a share of fewer lines than were asked says of how many."""
    told = []
    asked = summary.share.n
    if summary.accuracy is not None:
        among = _count_of(summary.accuracy.n, "line")
        told.append(f"right on {share(summary.accuracy.mean)} of {among}{_range(summary)}")
    if summary.drift is not None:
        told.append(f"answers otherwise than the base on {share(summary.drift.answers.mean)}")
    told.append(f"{share(summary.share.mean)} of its attention on the picture")
    if summary.hits is not None:
        chance = f"chance {share(summary.hits.chance)}"
        told.append(f"its map's peak in the box on {_share_of(summary.hits.rate, asked)} ({chance})")
    if summary.depends is not None:
        told.append(f"needs the box on {_share_of(summary.depends, asked)}")
    if summary.heads is not None:
        size = report.model.layers * report.model.heads
        told.append(f"{summary.heads.significant} of {size} heads changed by more than chance")
    return f"{summary.variant}: {'; '.join(told)}."


def _share_of(value: Estimate, asked: int) -> str:
    return share(value.mean) + (f" of {_count_of(value.n, 'line')}" if value.n != asked else "")


def _range(summary: Summary) -> str:
    told = interval(summary.accuracy, "share") if summary.accuracy else ""
    return f" (95 % interval {told})" if told else ""


def _asked(report: Report) -> tuple[tuple[str, str], ...]:
    """What was asked of what, for whoever wants to do it again."""
    model = report.model
    rows = [
        ("Variants", ", ".join(report.variants)),
        ("Model", f"{model.name}: {model.layers} layers, {model.heads} heads, {model.dtype} on {model.device}"),
    ]
    for adapter in report.adapters:
        file = f", file {adapter.sha256[:12]}" if adapter.sha256 else ""
        towers = " and ".join(adapter.towers) or "no"
        rows.append((f"Adapter {adapter.name}", f"rank {adapter.rank}, alpha {adapter.alpha:g}, {towers} tower{file}"))
    rows += [(name[:1].upper() + name[1:], value) for name, value in report.settings]
    rows += [
        ("Intervals", f"95 %, from {report.resamples:,} resamples of the pictures, seed {report.seed}"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in model.versions) or "not told"),
    ]
    return tuple(rows)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
