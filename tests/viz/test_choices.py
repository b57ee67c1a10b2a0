"""The first choice and its reason, and forged choices."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from inference.errors import SettingsError
from inference.trace.condense import condense
from inference.trace.request import Keep, Request
from inference.trace.session import Session
from tests.fakes import HEADS, LAYERS, make_picture, make_session
from viz.choices import check_choice, first_choice, run_of
from viz.view import Choice


def with_rows(session: Session, number: int, rows: np.ndarray) -> Session:
    """The session with one run's rows, and all that follows from them, changed."""
    run = session.runs[number]
    old = run.trace
    trace = condense(
        rows, tokens=old.tokens, images=old.images, question_span=old.question_span, keep=session.request.keep
    )
    return replace(session, runs=(*session.runs[:number], replace(run, trace=trace), *session.runs[number + 1 :]))


def flat_session(keep: Keep | None = None) -> Session:
    """All rows even over the keys they may see; nothing is sharp."""
    session = make_session()
    full = [run.trace.rows for run in session.runs]
    if keep is not None:
        session = replace(session, request=replace(session.request, keep=keep))
    for number, made in enumerate(full):
        rows = np.where(made > 0, 1, 0).astype(np.float32)
        session = with_rows(session, number, rows / rows.sum(-1, keepdims=True))
    return session


def pointed_rows() -> np.ndarray:
    """Even rows, but for one token that looks at one cell, top right, in layer 3, head 2, and less so in layer 1."""
    run = flat_session().runs[1]
    rows, key = run.trace.rows.copy(), run.trace.images[0].start + 2 * 11 + 9
    for layer, share in ((3, 0.83), (1, 0.5)):
        rows[4, layer, 2] = 0
        rows[4, layer, 2, key] = share
        rows[4, layer, 2, 0] = 1 - share
    return rows


def test_the_first_choice_is_the_sharpest_spot_of_all_variants_and_says_why() -> None:
    choice, reason = first_choice(with_rows(flat_session(), 1, pointed_rows()))
    assert choice == Choice(token=4, token_to=4, layer=3, head=2)
    assert reason.startswith("Chosen first: 'cir' in layer 3, head 2 (shortcut). Of all words and heads it picks out")
    assert "83 % of its attention on one cell (top right)" in reason


def test_the_first_choice_is_among_the_heads_that_were_kept_and_says_so() -> None:
    choice, reason = first_choice(with_rows(flat_session(Keep(layers=(0, 1), heads=(2,))), 1, pointed_rows()))
    assert (choice.token, choice.layer, choice.head) == (4, 1, 2)
    assert "Of all words and heads that were kept it picks out" in reason
    assert "50 % of its attention on one cell (top right)" in reason


def test_where_no_single_head_was_kept_the_mean_is_shown_first_and_the_reason_says_so() -> None:
    choice, reason = first_choice(flat_session(Keep(layers=())))
    assert choice == Choice()
    assert reason.startswith("No rows of single heads were kept: the first token is shown")


def test_without_a_picture_the_first_token_is_shown_and_the_reason_says_so() -> None:
    choice, reason = first_choice(make_session(Request("What is red?")))
    assert choice == Choice()
    assert "no picture" in reason


def test_a_whole_choice_passes_there_and_back() -> None:
    choice = Choice(1, 5, 4, 2, 0, True, "magma", ("shortcut",))
    session = make_session()
    assert check_choice(session, asdict(choice)) == choice
    assert check_choice(session, choice) == choice


def test_what_is_left_out_keeps_its_default_and_a_range_is_turned_round() -> None:
    session = make_session()
    assert check_choice(session, {}) == Choice()
    assert check_choice(session, {"token": 3}) == Choice(3, 3)
    assert check_choice(session, {"token": 5, "token_to": 2}) == Choice(2, 5)
    assert check_choice(session, {"layer": 3.0}).layer == 3
    assert check_choice(session, {"hidden": ["other@0.5", "base"]}).hidden == ("base", "other@0.5")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "Expected a choice with the fields token, token_to, .* got None"),
        ([1, "x", {}], r"got \[1, 'x', {}\]"),
        ("token", "got 'token'"),
        ({"token": -99999}, "Expected a token from 0 to 5, got -99999: choose one of the 6"),
        ({"token": 6}, "Expected a token from 0 to 5, got 6"),
        ({"token": [1]}, r"got \[1\]"),
        ({"token": "1"}, "got '1'"),
        ({"token": True}, "got True"),
        ({"token": math.nan}, "got nan"),
        ({"token": math.inf}, "got inf"),
        ({"token": 1.5}, "got 1.5"),
        ({"token_to": 10**30}, "Expected a token from 0 to 5"),
        ({"layer": LAYERS}, "Expected a layer from 0 to 4, got 5"),
        ({"layer": "all"}, "got 'all'"),
        ({"head": HEADS}, "Expected a head from 0 to 2, got 3"),
        ({"head": {}}, "got {}"),
        ({"image": 1}, "Expected a picture from 0 to 0, got 1"),
        ({"image": None}, "Expected a picture"),
        ({"within": 1}, "Expected true or false for within, got 1"),
        ({"colormap": "jet"}, "Expected one of viridis"),
        ({"colormap": ["viridis"]}, "Expected one of viridis"),
        ({"hidden": "base"}, "Expected a list of variants of base, shortcut, other@0.5 to hide, got 'base'"),
        ({"hidden": ["x"]}, "Expected a list of variants"),
        ({"hidden": [["base"]]}, "Expected a list of variants"),
        ({"hidden": ["base", "shortcut", "other@0.5"]}, "Expected at least one variant to show"),
        ({"tokens": 1}, "Expected fields of token, .* got 'tokens': leave the others out"),
        ({3: 1}, "got 3"),
        ({"token": "x" * 10_000}, "x\N{HORIZONTAL ELLIPSIS}: choose"),
    ],
)
def test_a_forged_choice_is_refused_with_what_was_expected(raw: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_choice(make_session(), raw)


def test_a_variant_is_found_by_its_label_or_refused() -> None:
    session = make_session(Request("What?", (make_picture(),)))
    assert run_of(session, "base") is session.runs[0]
    for wrong in ("shortcut", None, ["base"]):
        with pytest.raises(SettingsError, match="Expected a variant of base"):
            run_of(session, wrong)
