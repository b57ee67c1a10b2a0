"""What is told of a set, from records whose truth is known."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from inference.study.hits import best_head
from inference.study.lots import make_lot
from inference.study.records import HeadFigures, Record
from inference.study.report import Change, Look, Need, Part
from inference.study.summary import summarise_set
from inference.study.tables import heads_csv, items_csv, report_text
from inference.trace.metrics import BoxFigures
from tests.inference.study.made import COLS, HEADS, LAYERS, ROWS, make_report

VARIANTS = ("base", "other")
CELL_PX = 32


def records(count: int, *, boxes: bool = True, seed: int = 0) -> list[Record]:
    """Lines about one picture each; shares are noise, but in layer 3, head 1, where the adapter adds a tenth.

    With boxes of one cell: the peak of layer 4, head 2 lies in it; that of layer 1, head 0 always in cell 0, and so do
    those of all other heads but one that sees nothing. The adapter's peaks are the base's.
    """
    rng = np.random.default_rng(seed)
    report = make_report(items=1, general=False)
    template = report.data.items[0]
    made = []
    for number in range(1, count + 1):
        cell = int(rng.integers(1, ROWS * COLS)) if number % 4 else 0
        left, top = cell % COLS * CELL_PX, cell // COLS * CELL_PX
        box = (float(left), float(top), left + float(CELL_PX), top + float(CELL_PX))
        shares = rng.normal(0.4, 0.01, (2, LAYERS, HEADS))
        shares[1, 3, 1] += 0.1
        peaks = np.zeros((2, LAYERS, HEADS), np.int32)
        peaks[:, 4, 2] = cell
        peaks[:, 0, 0] = -1
        heads = HeadFigures((ROWS, COLS), np.full(2, cell if number % 2 else 5), shares, peaks, peaks, None)
        hit = bool(number % 2) or cell == 5
        looks = tuple(_look(place, hit=hit, depends=number % 3 > 0) for place in range(2))
        item = replace(template, number=number, box=box, looks=looks)
        if not boxes:
            bare = tuple(replace(look, box=None, need=None) for look in looks)
            item = replace(item, box=None, looks=bare)
            heads = replace(heads, own_peaks=None)
        made.append(Record(f"key {number}", f"picture {number}", item, heads, report.model, report.adapters))
    return made


def _look(place: int, *, hit: bool, depends: bool) -> Look:
    grid = ((0.1,) * COLS,) * ROWS
    change = Change(-0.02, 0.3, None, 0.5, -1.5, depends) if place else None
    figures = BoxFigures(0.2, 0.4, 1 / (ROWS * COLS), 5.6, hit)
    return Look("star", depends, -0.1, None, 0.5, grid, figures, Need(2.0, (0.5, 1.0), depends, hit), change)


def told(made: list[Record], seed: int = 0) -> Part:
    return summarise_set("set", made, (), lines=len(made), variants=VARIANTS, seed=seed)


def test_the_head_that_changed_is_found_and_no_other() -> None:
    base, other = told(records(20)).summaries
    assert base.heads is None and base.drift is None
    test = other.heads
    assert test is not None and (test.n, test.exact, test.significant) == (20, False, 1)
    assert (test.top[0].layer, test.top[0].head) == (3, 1)
    top = test.top[0].change
    assert top.mean == pytest.approx(0.1, abs=0.02) and top.low is not None and top.low > 0.08 and top.n == 20
    assert test.corrected[3][1] < 0.001 and test.corrected[0][0] > 0.05
    assert test.change[3][1] == pytest.approx(top.mean)


def test_under_five_pictures_nothing_is_tested_and_no_interval_told() -> None:
    made = records(8)
    alike = [replace(record, picture=f"picture {place % 4}") for place, record in enumerate(made)]
    part = told(alike)
    assert part.pictures == 4
    for summary in part.summaries:
        assert summary.heads is None and summary.share.low is None and summary.share.n == 8
        assert summary.best_head is None


def test_the_best_head_is_chosen_on_one_half_and_told_of_the_other() -> None:
    part = told(records(21))
    best = part.summaries[0].best_head
    assert best is not None
    assert (best.layer, best.head, best.chosen_on, best.rate.n, best.rate.mean) == (4, 2, 10, 11, 1.0)
    assert best.chance == pytest.approx(1 / (ROWS * COLS))
    assert best.shuffled is not None and best.shuffled < 0.4
    assert told(records(9)).summaries[0].best_head is None


def test_a_head_that_is_best_by_luck_is_told_as_it_is_elsewhere() -> None:
    rates = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        made = []
        for record in records(30, seed=seed):
            peaks = rng.integers(0, ROWS * COLS, (2, LAYERS, HEADS)).astype(np.int32)
            made.append(replace(record, heads=replace(record.heads, peaks=peaks)))
        best = best_head(make_lot(made, 0, seed))
        assert best is not None
        rates.append(best[0].rate.mean)
    # On the half that it was chosen on, the best of fifteen heads hits in a quarter of the pictures.
    assert np.mean(rates) == pytest.approx(1 / (ROWS * COLS), abs=0.04)


def test_hits_of_the_mean_map_stand_beside_chance_and_the_next_box() -> None:
    made = records(6)
    cells = [0, 3, 3, 9, 13, 1]
    pointed = [0, 3, 9, 9, 1, 0]  # hits at 0, 1 and 3; the next picture's box at 1, 2, 4, and at the end
    fitted = []
    for record, cell, peak in zip(made, cells, pointed, strict=True):
        left, top = cell % COLS * CELL_PX, cell // COLS * CELL_PX
        box = (float(left), float(top), left + 32.0, top + 32.0)
        heads = replace(record.heads, map_peaks=np.full(2, peak))
        fitted.append(replace(record, item=replace(record.item, box=box), heads=heads))
    hits = told(fitted).summaries[0].hits
    assert hits is not None and hits.shuffled is not None
    assert (hits.rate.mean, hits.shuffled, hits.chosen_on, hits.layer) == (0.5, 4 / 6, 0, None)


def test_the_next_box_is_that_of_another_picture() -> None:
    made = records(4)
    alike = [replace(record, picture="one") for record in made]
    hits = told(alike).summaries[0].hits
    assert hits is not None and hits.shuffled is None
    # Two lines about each of two pictures: every peak lies in its own picture's boxes, and in none of the other's.
    corner = replace(made[0].item, box=(0.0, 0.0, 32.0, 32.0))
    other = replace(made[0].item, box=(64.0, 0.0, 96.0, 32.0))
    pairs = [
        replace(
            record,
            picture=f"picture {place // 2}",
            item=other if place // 2 else corner,
            heads=replace(record.heads, map_peaks=np.full(2, 2 if place // 2 else 0)),
        )
        for place, record in enumerate(made)
    ]
    hits = told(pairs).summaries[0].hits
    assert hits is not None and (hits.rate.mean, hits.shuffled) == (1.0, 0.0)


def test_map_and_knock_out_are_counted_four_ways() -> None:
    part = told(records(12))
    agreement = part.summaries[0].agreement
    assert agreement is not None
    counts = (agreement.both, agreement.map_only, agreement.need_only, agreement.neither)
    assert sum(counts) == agreement.rate.n == 12
    assert agreement.rate.mean == pytest.approx((agreement.both + agreement.neither) / 12)
    head = part.summaries[0].head_agreement
    best = part.summaries[0].best_head
    assert head is not None and best is not None
    # Its peak always lies in the box, so it agrees wherever the answer depends on the box.
    assert (head.need_only, head.neither, head.both + head.map_only) == (0, 0, best.rate.n)


def test_a_calibrated_head_is_told_over_the_lines_that_it_is_for() -> None:
    made = [
        replace(
            record, heads=replace(record.heads, calibrated_peaks=record.heads.peaks[:, 4, 2] if place < 5 else None)
        )
        for place, record in enumerate(records(8))
    ]
    base = told(made).summaries[0]
    assert base.calibrated is not None and base.calibrated_agreement is not None
    assert (base.calibrated.rate.mean, base.calibrated.rate.n, base.calibrated.layer) == (1.0, 5, None)
    depends = [record.item.looks[0].need for record in made[:5]]
    counts = (base.calibrated_agreement.both, base.calibrated_agreement.map_only)
    assert counts == (sum(one.depends for one in depends if one), sum(not one.depends for one in depends if one))
    assert told(records(8)).summaries[0].calibrated is None


def test_lines_without_boxes_leave_out_what_needs_them() -> None:
    mixed = [*records(6), *records(3, boxes=False, seed=1)]
    for summary in told(mixed).summaries:
        assert summary.share.n == 9 and summary.box_share is not None and summary.box_share.n == 6
        assert summary.random_drop is not None and summary.random_drop.mean == 0.75
        assert summary.expected_logprob is None
    bare = told(records(6, boxes=False)).summaries[1]
    assert (bare.hits, bare.best_head, bare.lift, bare.box_drop, bare.agreement, bare.depends) == (None,) * 6
    assert bare.drift is not None and bare.drift.heads is None and bare.drift.answers.n == 6


def test_a_set_of_which_nothing_was_asked_has_no_summaries() -> None:
    part = summarise_set("set", [], (), lines=3, variants=VARIANTS, seed=0)
    assert (part.summaries, part.items, part.remaining) == ((), (), 3)


def test_tables_have_a_line_for_each_picture_and_variant_and_for_each_head() -> None:
    report = make_report()
    rows = list(csv.DictReader(io.StringIO(items_csv(report))))
    assert len(rows) == (6 + 3) * 2
    assert (rows[1]["variant"], rows[1]["number"], rows[1]["answer"], rows[1]["right"]) == ("other", "1", "circle", "1")
    assert (rows[0]["variation"], rows[1]["variation"], rows[-1]["lift"]) == ("", "0.1", "")
    heads = list(csv.DictReader(io.StringIO(heads_csv(report))))
    assert len(heads) == LAYERS * HEADS
    planted = heads[4 * HEADS]
    assert (planted["layer"], planted["head"], planted["p_corrected"], planted["pictures"]) == ("4", "0", "0.03", "6")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@cmd", "\tx"])
def test_no_text_of_a_stranger_is_a_formula_to_a_spreadsheet(text: str) -> None:
    report = make_report(items=1, general=False)
    item = replace(report.data.items[0], question=text)
    (row, _) = csv.DictReader(io.StringIO(items_csv(replace(report, data=replace(report.data, items=(item,))))))
    assert row["question"] == f"'{text}"
    assert row["logprob"] == "-0.1"


def test_the_text_tells_every_set_and_variant_with_its_n() -> None:
    text = report_text(make_report())
    assert text.startswith("made: 6 lines about 6 pictures, 1 skipped, 1 not asked yet\n\nbase\n")
    assert "\n\ngeneral: 3 lines" in text
    assert report_text(make_report(items=1)).startswith("made: 1 line about 1 picture, 1 skipped")
    assert "50.0 % (40.0 to 60.0), n 6" in text and "50.0 %, n 3" in text
    assert "90.0 % (80.0 to 100.0), n 6, layer 3 head 1; chance 14.0 %, next box 10.0 %" in text
    assert "1 at p 0.05 corrected, 6 pictures; most: layer 4 head 0, +4.0 points, p 0.030" in text
