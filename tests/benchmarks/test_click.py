"""The benchmark of clicks: what it changes, what it reports, and a made session that passes as a real one."""

import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import made
from benchmarks.click import HUGE, changed, click_handlers, figures, percentile
from benchmarks.clicks import KINDS, Click
from inference.trace.files import save_session
from tests.fakes import make_session
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


def test_the_made_session_holds_attention_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in {"LAYERS": 3, "HEADS": 2, "SIDE_PX": 160, "QUESTION": 4, "ANSWER": 3}.items():
        monkeypatch.setattr(made, name, small)
    session = made.make_large_session()
    for run in session.runs:
        assert run.trace.rows.shape[:3] == (7, 3, 2)
        assert np.allclose(run.trace.rows.sum(-1), 1, atol=1e-5)
        for token, rows in zip(run.trace.tokens, run.trace.rows, strict=True):
            assert not rows[..., token.row_at + 1 :].any()
    assert session.runs[0].trace.images[0].rows == 5
    assert session.request.images[0].width == 160
