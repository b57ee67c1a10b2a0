"""The drawings of a report's HTML page: bars, colour scales, maps over pictures, charts of heads. Inline SVG and HTML.

A picture stands in the file once: maps of it lie over a reference to it.
"""

from viz.report.markup import Markup, Value, tag
from viz.report.view import Cell, HeadsView, PictureView
from viz.view import Scale

_LABEL_PX = 26


def dot(colour: str) -> Markup:
    """A dot in a variant's colour."""
    return tag("i", class_="dot", style=f"--variant:{colour}")


def bar(cell: Cell, colour: str) -> Markup:
    """The interval as a band, the mean as a dot, and marks to read them against; the numbers stand beside it."""
    low, mean, high = (100 * place for place in cell.span)
    marks = [tag("i", class_="at", style=f"left:{100 * place:.5g}%", title=name) for place, name in cell.marks]
    return tag(
        "span",
        tag("i", class_="band", style=f"left:{low:.5g}%;width:{high - low:.5g}%"),
        *marks,
        tag("i", class_="mean", style=f"left:{mean:.5g}%"),
        class_="bar",
        style=f"--variant:{colour}",
        aria_hidden="true",
    )


def legend(scale: Scale) -> Markup:
    """A colour bar with its two ends and its unit."""
    return tag(
        "span",
        tag("span", f"{scale.low:g}"),
        tag("img", src=scale.bar, alt="to"),
        tag("span", f"{scale.high:g} {scale.unit}"),
        class_="legend",
    )


def layered(one: PictureView, name: str, over: str, told: str, *, first: bool = False) -> Markup:
    """The picture with a map over it and the box round what it asks for; `told` says it in words, below.

    The first drawing of a picture holds it, under a name made of `name`; the others refer to it.
    """
    size: dict[str, Value] = {"width": one.width, "height": one.height, "preserveAspectRatio": "none"}
    held = f"{name}-photo"
    photo = tag("image", id=held, href=one.address, **size) if first else tag("use", href=f"#{held}")
    box = dict(zip(("x", "y", "width", "height"), one.box, strict=True)) if one.box else {}
    drawing = tag(
        "svg",
        photo if one.address else tag("rect", width=one.width, height=one.height, class_="none"),
        tag("image", href=over, class_="map", **size) if over else None,
        tag("rect", class_="box under", **box) if box else None,
        tag("rect", class_="box", **box) if box else None,
        viewBox=f"0 0 {one.width} {one.height}",
        role="img",
        aria_label=f"{one.name}: {told}",
        style=f"--ratio:{one.width / one.height:.4g}",
    )
    return tag("figure", drawing, tag("figcaption", told))


def heads_chart(one: HeadsView) -> Markup:
    """Layers downwards, heads to the right, counted from 0; a cell that changed by more than chance is framed."""
    wide, high = min(46, max(14, 360 // one.heads)), min(26, max(9, 240 // one.layers))
    width, height = one.heads * wide, one.layers * high
    frames = [
        tag("rect", x=_LABEL_PX + head * wide + 1, y=layer * high + 1, width=wide - 2, height=high - 2, class_="sure")
        for layer, head in one.sure
    ]
    step = max(1, one.layers // 12)
    layers = [
        tag("text", str(layer), x=_LABEL_PX - 5, y=(layer + 0.5) * high, class_="end")
        for layer in range(0, one.layers, step)
    ]
    heads = [
        tag("text", str(head), x=_LABEL_PX + (head + 0.5) * wide, y=height + 11.0, class_="middle")
        for head in range(0, one.heads, max(1, one.heads // 12))
    ]
    chart = tag(
        "svg",
        tag("image", href=one.png, x=_LABEL_PX, width=width, height=height, preserveAspectRatio="none", class_="map"),
        *frames,
        *layers,
        *heads,
        viewBox=f"0 0 {_LABEL_PX + width} {height + 18}",
        style=f"max-width:{_LABEL_PX + width}px",
        role="img",
        aria_label=f"{one.variant}: {one.told}",
        class_="chart",
    )
    return tag("figure", chart, tag("figcaption", "layers downwards, heads to the right"))
