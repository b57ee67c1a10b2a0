"""The spot is where maps are sharp and move with the picture; and what is kept of it can be read again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import SettingsError
from inference.evidence.calibration import (
    LEAST_PICTURES,
    Calibration,
    calibrate,
    find_calibration,
    load_calibrations,
    save_calibrations,
)
from inference.trace.session import Session
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_session

SPOT = Calibration("color", "What is {}?", 3, 1, 4, 3.5, 30, LAYERS, HEADS)


def looking(session: Session, number: int) -> Session:
    """Of its second question token, layer 3 head 1 looks where the number says; layer 0 head 2 always at one cell."""
    run = session.runs[0]
    rows, columns = np.array(run.trace.rows), run.trace.columns(0)
    cell = int(np.random.default_rng(number).integers(ROWS * COLS))
    for layer, head, at, bright in ((3, 1, cell, 0.5), (0, 2, 5, 0.9)):
        rows[1, layer, head, columns] = 0.001
        rows[1, layer, head, columns.start + at] = bright
    question = replace(session.request, question=f"What is thing{number}?")
    return replace(session, request=question, runs=(replace(run, trace=replace(run.trace, rows=rows)),))


@pytest.fixture(scope="module")
def sessions() -> list[Session]:
    plain = make_session()
    return [looking(plain, number) for number in range(LEAST_PICTURES)]


def test_the_head_that_moves_with_the_picture_is_chosen(sessions: list[Session]) -> None:
    found = calibrate(sessions, "color")
    tokens = sessions[0].runs[0].trace.tokens
    assert (found.layer, found.head) == (3, 1)
    assert found.token_of(sessions[0].runs[0]) == 1
    assert tokens[4].row_at - tokens[1].row_at == found.back
    assert 0 < found.sharpness <= np.log2(LEAST_PICTURES)
    assert (found.wording, found.pictures, found.layers, found.heads) == ("What is {}?", 30, LAYERS, HEADS)


def test_its_map_is_that_of_the_run(sessions: list[Session]) -> None:
    run = sessions[0].runs[0]
    found = calibrate(sessions, "color").map_of(run)
    assert found is not None and found.shape == (ROWS, COLS)
    cell = int(np.random.default_rng(0).integers(ROWS * COLS))
    assert int(found.argmax()) == cell and found.max() == pytest.approx(0.5)


def test_pictures_of_other_grids_are_made_alike(sessions: list[Session]) -> None:
    """A grid of the same cells with other sides: shares are added up in 7 x 7 cells."""
    run = sessions[0].runs[0]
    (span,) = run.trace.images
    turned = replace(run, trace=replace(run.trace, images=(replace(span, rows=COLS, cols=ROWS),)))
    found = calibrate([*sessions[1:], replace(sessions[0], runs=(turned,))], "color")
    assert (found.layer, found.head) == (3, 1)


def test_too_few_pictures_several_wordings_or_no_rows_are_refused(sessions: list[Session]) -> None:
    with pytest.raises(SettingsError, match="30 pictures"):
        calibrate(sessions[1:], "color")
    longer = replace(sessions[0], request=replace(sessions[0].request, question="What is this thing?"))
    with pytest.raises(SettingsError, match="wording"):
        calibrate([*sessions[1:], longer], "color")
    run = sessions[0].runs[0]
    answer = replace(run, trace=replace(run.trace, tokens=run.trace.tokens[4:], rows=run.trace.rows[4:]))
    with pytest.raises(SettingsError, match="kept the rows"):
        calibrate([*sessions[1:], replace(sessions[0], runs=(answer,))], "color")


def test_only_the_same_wording_and_model_are_calibrated(sessions: list[Session]) -> None:
    session = sessions[0]
    assert find_calibration([replace(SPOT, wording="Where is {}?"), SPOT], session) is SPOT
    for other in (
        {"wording": "What is"},
        {"wording": "What is {} {}"},
        {"wording": "What is {}!"},
        {"layers": 9},
        {"heads": 1},
    ):
        assert find_calibration([replace(SPOT, **other)], session) is None


def test_what_is_kept_can_be_read_again(tmp_path: Path) -> None:
    assert load_calibrations(tmp_path) == ()
    save_calibrations([SPOT, replace(SPOT, back=1)], tmp_path / "calibration.json")
    assert load_calibrations(tmp_path) == load_calibrations(tmp_path / "calibration.json")
    assert load_calibrations(tmp_path) == (SPOT, replace(SPOT, back=1))


@pytest.mark.parametrize("text", ["", "{}}", "[1]", '[{"label": "x"}]', "5"])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "calibration.json").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"calibration\.json"):
        load_calibrations(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load_calibrations(tmp_path / "none.json")
