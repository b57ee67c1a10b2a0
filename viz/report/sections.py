"""The parts of a report's HTML page, each a section with a heading. What they say comes ready from `report_view`."""

from itertools import groupby

from viz.report.drawings import bar, dot, heads_chart, layered, legend
from viz.report.markup import Markup, joined, tag
from viz.report.view import Cell, HeadRow, HeadsView, LookView, PartView, PictureView, ReportView, Row

_SORTS = (
    ("order", "how far the map moved"),
    ("drifted", "how much the words changed"),
    ("line", "the line of the data"),
)
_KINDS = (
    ("", "all pictures"),
    ("parted", "another answer than the base's"),
    ("worse", "the base right, another wrong"),
    ("better", "the base wrong, another right"),
    ("wrong", "any answer wrong"),
)


def short_section(view: ReportView) -> Markup:
    """What came out, a sentence a variant, and how many lines it stands on."""
    items = [tag("li", dot(colour), sentence) for sentence, colour in zip(view.short, view.colours, strict=False)] or [
        tag("li", "No picture was asked about, so there is nothing to tell.")
    ]
    return _section("short", "In short", tag("ul", *items, class_="plain"), _skipped(view.data))


def summary_section(view: ReportView) -> Markup:
    """The table of all figures, variants side by side, and what was not measured."""
    return _section("summary", "Figures", _figures(view, view.data))


def heads_section(view: ReportView) -> Markup:
    """Charts and lists of the heads that changed, one scale for all."""
    if not view.data.heads:
        return _section("heads", "Heads that changed most", tag("p", "No adapter was asked, so no head changed."))
    return _section(
        "heads",
        "Heads that changed most",
        _lead("Share on the picture against the base, mean over lines. Red: more, blue: less; framed: by more "
              "than chance.", legend(view.data.heads_scale)),
        tag("div", *(_heads(one) for one in view.data.heads), class_="columns"),
    )  # fmt: skip


def pictures_section(view: ReportView) -> Markup:
    """Every picture, those that changed most first."""
    return _section("pictures", "Pictures, those that changed most first", *_pictures(view.data, "p", tools=True))


def general_section(view: ReportView) -> Markup:
    """What happened beside the task: the second set."""
    title = "General questions: what changed beside the task"
    if view.general is None:
        return _section("general", title, tag("p", view.no_general))
    folded = tag(
        "details",
        tag("summary", f"Its {len(view.general.pictures)} pictures, those that changed most first"),
        *_pictures(view.general, "g", tools=False),
    )
    return _section(
        "general",
        title,
        tag("p", f"{view.general.name}: {view.general.count}.", class_="soft"),
        _figures(view, view.general),
        _skipped(view.general),
        folded if view.general.pictures else None,
    )


def help_section(view: ReportView) -> Markup:
    """How to read all this."""
    rows = [joined(tag("dt", heading), tag("dd", text)) for heading, text in view.help]
    return _section("help", "How to read this", tag("dl", *rows, class_="help"))


def asked_section(view: ReportView) -> Markup:
    """What was asked of what, and how the figures were made."""
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in view.asked]
    sentences = [tag("li", sentence) for sentence in (*view.methods, *view.notes)]
    return _section(
        "asked",
        "What was asked, and how it was measured",
        tag("table", tag("tbody", *rows), class_="asked"),
        tag("ul", *sentences) if sentences else None,
        tag("p", f"Made {view.created}.", class_="soft"),
    )


def _section(name: str, title: str, *children: Markup | str | None) -> Markup:
    return tag("section", tag("h2", title), *children, id=name, class_="card")


def _lead(text: str, *beside: Markup) -> Markup:
    return tag("div", tag("p", text, class_="soft"), *beside, class_="lead")


def _skipped(part: PartView) -> Markup | None:
    """Lines that could not be used; said also when there is none."""
    if not part.skipped:
        return tag("p", "No line was skipped.", class_="soft")
    count = len(part.skipped)
    return tag(
        "details",
        tag("summary", f"{count} line{'s' if count > 1 else ''} skipped: why"),
        tag("ul", *(tag("li", sentence) for sentence in part.skipped)),
    )


def _figures(view: ReportView, part: PartView) -> Markup:
    heads = [
        tag("th", dot(colour), name, scope="col") for name, colour in zip(view.variants, view.colours, strict=True)
    ]
    bodies = [
        tag(
            "tbody",
            tag("tr", tag("th", group, colspan=1 + len(heads), scope="rowgroup", class_="group")),
            *(_row(row, view) for row in rows),
        )
        for group, rows in groupby(part.rows, key=lambda row: row.group)
    ]
    head = tag("thead", tag("tr", tag("th", "mean over lines"), *heads))
    table = tag("table", head, *bodies, class_="figures", style=f"--columns:{len(heads)}")
    missing = [tag("li", sentence) for sentence in part.missing]
    return joined(
        tag("div", table, class_="wide", tabindex=0, role="region", aria_label="Figures of every variant")
        if bodies
        else None,
        tag("ul", *missing, class_="missing") if missing else None,
    )


def _row(row: Row, view: ReportView) -> Markup:
    name = tag("th", row.name, tag("small", f"{row.how} Bar: {row.track}."), scope="row")
    cells = [tag("td", *_cell(cell, colour)) for cell, colour in zip(row.cells, view.colours, strict=True)]
    return tag("tr", name, *cells)


def _cell(cell: Cell, colour: str) -> list[Markup]:
    if not cell.told:
        return [tag("span", "\N{EN DASH}", class_="soft", title="not measured of this one")]
    count = f"n\N{NO-BREAK SPACE}{cell.n}"
    interval = f"{cell.interval}, {count}" if cell.interval else f"{count}, too few for an interval"
    told = [tag("b", cell.told), bar(cell, colour), tag("small", interval)]
    return [*told, tag("small", cell.note)] if cell.note else told


def _heads(one: HeadsView) -> Markup:
    title = tag("h3", dot(one.colour), one.variant)
    if one.missing:
        return tag("article", title, tag("p", one.missing))
    names = ("layer, head", f"change, {one.track}", "p", "corrected p")
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names))),
        tag("tbody", *(_head_row(row, one.colour) for row in one.top)),
        class_="heads",
    )
    wide = tag("div", table, class_="wide", tabindex=0, role="region", aria_label=f"Heads of {one.variant}")
    return tag("article", title, tag("p", one.told), heads_chart(one), wide if one.top else None)


def _head_row(row: HeadRow, colour: str) -> Markup:
    return tag(
        "tr",
        tag("th", f"{row.layer}, {row.head}", scope="row"),
        tag("td", *_cell(row.change, colour)),
        tag("td", row.p),
        tag("td", tag("b", row.corrected) if row.sure else row.corrected),
    )


def _pictures(part: PartView, prefix: str, *, tools: bool) -> list[Markup | None]:
    if not part.pictures:
        return [tag("p", "No picture was asked about.")]
    return [
        _lead("Maps: mean over the answer's tokens, layers and heads, on one scale.",
              legend(part.map_scale), legend(part.difference_scale)),
        _tools() if tools else None,
        tag("div", *(_picture(one, f"{prefix}{one.order}") for one in part.pictures), class_="pictures"),
    ]  # fmt: skip


def _tools() -> Markup:
    """Shown by the script alone, since without it they would do nothing."""
    sort = tag("select", *(tag("option", title, value=name) for name, title in _SORTS), id="sort")
    kind = tag("select", *(tag("option", title, value=name) for name, title in _KINDS), id="kind")
    return tag(
        "form",
        tag("label", "Order by ", sort),
        tag("label", "Show ", kind),
        tag("output", id="shown"),
        id="tools",
        hidden=True,
    )


def _picture(one: PictureView, name: str) -> Markup:
    told = [f"line {one.line}", one.name]
    if one.expected:
        told.append(f"expected: {one.expected}")
    told.append(f"all said: {one.words}")
    if one.change:
        told.append(one.change)
    return tag(
        "article",
        tag("h3", one.question),
        tag("p", " \N{MIDDLE DOT} ".join(told), class_="soft"),
        tag("div", *(_look(look, one, name, place) for place, look in enumerate(one.looks)), class_="looks"),
        id=name,
        class_="picture",
        data_order=one.order,
        data_line=one.line,
        data_drifted=one.drifted,
        data_kinds=" ".join(one.kinds),
    )


def _look(look: LookView, one: PictureView, name: str, place: int) -> Markup:
    mark = tag("span", look.mark, class_=f"mark {look.mark}") if look.mark else None
    below = (
        layered(one, name, look.difference, f"{look.variant} less base: {look.difference_told}")
        if look.difference
        else layered(one, name, "", "the picture")
    )
    return tag(
        "div",
        tag("h4", dot(look.colour), tag("span", look.variant), mark),
        tag("p", look.answer or "(no answer)", class_="answer parted" if look.parted else "answer"),
        layered(one, name, look.map, look.map_told, first=place == 0),
        tag("div", below, tag("ul", *(tag("li", fact) for fact in look.facts), class_="facts"), class_="below"),
        class_="look",
        style=f"--variant:{look.colour}",
    )
