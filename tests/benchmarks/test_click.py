"""The benchmark of clicks: what it changes, what it reports, and a made session that passes as a real one."""

import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import made
from benchmarks.click import HUGE, changed, click_handlers, figures, percentile
from benchmarks.clicks import KINDS, Click
from inference.trace.files import check_rows, load_session, save_session
from inference.trace.request import Keep
from inference.trace.session import Session
from inference.trace.size import Extent, kept_bytes
from tests.fakes import make_session
from tests.inference.trace.alike import assert_alike
from viz.choices import check_choice
from viz.view import Choice


@pytest.mark.parametrize(("percent", "expected"), [(50, 3.0), (95, 5.0), (1, 1.0), (100, 5.0)])
def test_a_percentile_is_the_nearest_rank(percent: int, expected: float) -> None:
    assert percentile([Click("token", "", ms) for ms in (5.0, 1.0, 3.0, 2.0, 4.0)], percent) == expected


def test_each_kind_of_click_changes_its_own_thing_and_stays_allowed() -> None:
    session, start, rng = make_session(), Choice(2, 2, 1, 1), random.Random(3)
    own = {"token": {"token", "token_to"}, "variant": {"hidden"}, "colour": {"colormap"}}
    for kind in KINDS:
        for _ in range(20):
            after = changed(start, kind, session, 6, rng)
            differ = {name for name, value in asdict(after).items() if value != getattr(start, name)}
            assert differ <= own.get(kind, {kind})
            assert check_choice(session, after) == after


def test_handlers_are_clicked_as_often_as_asked(tmp_path: Path) -> None:
    save_session(make_session(), tmp_path / "session")
    clicks = click_handlers("made", tmp_path / "session", 3)
    assert [click.kind for click in clicks] == list(KINDS) * 3
    assert all(click.ms > 0 for click in clicks)


def test_the_huge_session_is_told_apart() -> None:
    clicks = [Click("token", name, ms) for name, ms in (("192 px", 2.0), ("1600 px", 3.0), (HUGE, 50.0))]
    told = figures(clicks, clicks[:2])
    assert told == {
        "p50_ms": 2.0,
        "p95_ms": 3.0,
        "page_p95_ms": 3.0,
        "huge_p50_ms": 50.0,
        "huge_p95_ms": 50.0,
        "huge_page_p95_ms": None,
    }


SMALL = made.Shape("small", layers=3, heads=2, kv_heads=1, rows=5, cols=7, question=11, answer=2)


def check_made(session: Session) -> None:
    """Three runs of thirteen tokens, whose rows are attention over a picture of 5 x 7 cells."""
    assert [run.variant.label for run in session.runs] == ["base", "shortcut", "other@0.5"]
    assert (session.request.images[0].width, session.request.images[0].height) == (224, 160)
    for run in session.runs:
        trace = run.trace
        assert trace.rows.shape == (13, 3, 2, 4 + 35 + 1 + 11 + 5 + 2) and trace.rows.dtype == np.float16
        assert np.allclose(trace.rows.sum(-1, dtype=np.float32), 1, atol=2e-3)
        assert np.allclose(trace.rows.mean((1, 2), dtype=np.float32), trace.means, atol=1e-3)
        assert np.allclose(trace.sums.sum(-1), 1, atol=1e-5)
        for token, rows in zip(trace.tokens, trace.rows, strict=True):
            assert not rows[..., token.row_at + 1 :].any()


def test_the_made_session_holds_attention_rows() -> None:
    check_made(made.make_large_session(SMALL))


def test_the_huge_session_is_written_and_opens_and_holds_attention_rows(tmp_path: Path) -> None:
    written = made.write_huge_session(tmp_path / "huge", SMALL)
    opened = load_session(tmp_path / "huge")
    check_made(opened)
    check_rows(opened)
    assert_alike(opened, written)
    assert isinstance(written.runs[2].trace.rows.base, np.memmap)


def test_the_shapes_are_as_large_as_they_are_called() -> None:
    for shape, gigabytes in ((made.LARGE, 0.3), (made.HUGE, 1.3)):
        cells = shape.rows * shape.cols
        keys = cells + shape.question + shape.answer + 10
        extent = Extent(shape.question + shape.answer, keys, cells, 1, shape.layers, shape.heads, len(made.VARIANTS))
        assert kept_bytes(extent, Keep()) / 1e9 == pytest.approx(gigabytes, rel=0.05)
