"""A small report made by hand, for tests of what reads reports."""

import io

import numpy as np
from PIL import Image

from inference.study.report import (
    Agreement,
    Change,
    Drift,
    Estimate,
    HeadChange,
    HeadTest,
    Hits,
    Item,
    Look,
    Need,
    Part,
    Report,
    Skipped,
    Summary,
)
from inference.trace.metrics import BoxFigures
from inference.trace.session import AdapterFacts, ModelFacts

LAYERS, HEADS, ROWS, COLS = 5, 3, 2, 7
VARIANTS = ("base", "other")


def make_report(*, items: int = 6, boxes: bool = True, general: bool = True) -> Report:
    """A report of two variants; without boxes nothing that needs one is told."""
    facts = ModelFacts("fake model", LAYERS, HEADS, 1, 16, 2, "float32", "cpu", (("transformers", "5"),))
    adapters = (AdapterFacts("other", "", rank=8, alpha=16, towers=("text",), sha256="ab" * 32),)
    settings = (("data", "made"), ("adapter", "other"), ("knockout", "20 draws" if boxes else "no"))
    data = make_part("made", items, boxes=boxes)
    second = make_part("general", 3, boxes=False) if general else None
    return Report("2026-11-24T12:00:00+00:00", facts, adapters, VARIANTS, settings, 0, 2_000, data, second, ("How.",))


def make_part(name: str, items: int, *, boxes: bool) -> Part:
    made = tuple(_item(number, boxes) for number in range(1, items + 1))
    skipped = (Skipped(items + 1, "Expected a picture, got no readable file gone.png: choose another."),)
    summaries = tuple(_summary(variant, items, boxes) for variant in VARIANTS) if items else ()
    return Part(name, items + 2, items, made, skipped, summaries)


def _item(number: int, boxes: bool) -> Item:
    buffer = io.BytesIO()
    Image.new("RGB", (COLS * 8, ROWS * 8), (40 * number % 256, 90, 120)).save(buffer, "JPEG")
    box = (32.0, 0.0, 96.0, 32.0) if boxes else None
    looks = tuple(_look(number, place, boxes) for place in range(len(VARIANTS)))
    return Item(
        number,
        f"picture-{number}.png",
        f"What shape is the <red> object {number}?",
        ("circle",),
        box,
        (COLS * 32, ROWS * 32),
        "circle",
        buffer.getvalue(),
        looks,
    )


def _look(number: int, place: int, boxes: bool) -> Look:
    grid = np.random.default_rng([number, place]).dirichlet(np.ones(ROWS * COLS)).reshape(ROWS, COLS) / 2
    figures = BoxFigures(0.2, 0.4, 0.14, 2.8, place == 0)
    need = Need(3.1, (0.1, 0.0, 0.4), True, place == 0)
    change = Change(-0.02, 0.1 * number, 0.2, 0.5, -1.5, number % 2 == 0)
    return Look(
        "circle" if place == 0 or number % 2 else "star",
        place == 0 or number % 2 == 1,
        -0.1 - place,
        -0.1 - place,
        0.5,
        tuple(tuple(map(float, row)) for row in grid),
        figures if boxes else None,
        need if boxes else None,
        change if place else None,
    )


def _summary(variant: str, n: int, boxes: bool) -> Summary:
    def told(mean: float) -> Estimate:
        return Estimate(mean, mean - 0.1, mean + 0.1, n) if n >= 5 else Estimate(mean, None, None, n)

    def boxed(mean: float) -> Estimate | None:
        return told(mean) if boxes else None

    adapted = variant != "base"
    drift = Drift(told(-0.02), told(0.3), told(0.2), told(0.5), told(-1.5), told(0.5))
    return Summary(
        variant,
        told(0.5),
        told(-1.1 if adapted else -0.1),
        told(-1.1 if adapted else -0.1),
        told(0.5 if adapted else 1.0),
        boxed(0.2),
        boxed(2.8),
        Hits(None, None, told(0.8), 0.14, 0.2, 0) if boxes else None,
        Hits(3, 1, told(0.9), 0.14, 0.1, n // 2) if boxes else None,
        boxed(3.1),
        boxed(0.2),
        boxed(1.0),
        Agreement(told(0.8), n - 1, 0, 1, 0) if boxes else None,
        Agreement(told(1.0), n - 1, 0, 0, 1) if boxes else None,
        drift if adapted else None,
        _test(n) if adapted and n >= 5 else None,
        Hits(None, None, told(1.0), 0.14, 0.3, 0) if boxes else None,
        Agreement(told(1.0), n, 0, 0, 0) if boxes else None,
    )


def _test(n: int) -> HeadTest:
    grid = tuple(tuple(0.01 * (layer - head) for head in range(HEADS)) for layer in range(LAYERS))
    sure = tuple(tuple(0.03 if (layer, head) == (4, 0) else 0.6 for head in range(HEADS)) for layer in range(LAYERS))
    top = (HeadChange(4, 0, Estimate(0.04, 0.02, 0.06, n), 0.03, 0.03),)
    return HeadTest(n, 2**n, True, grid, sure, sure, 1, top)
