"""The summary says what the session holds, in values that JSON takes as they are."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from inference.trace.geometry import box_of_cell
from inference.trace.request import Keep, Request
from inference.trace.session import AdapterFacts
from inference.trace.summary import summarise
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_picture, make_session


def test_a_summary_survives_json() -> None:
    told = summarise(make_session(images=2))
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_it_says_what_was_asked_and_answered() -> None:
    facts = AdapterFacts("other", "/home/someone/other", rank=8, alpha=16, modules=("q_proj",), sha256="ab12")
    session = replace(make_session(), adapters=(facts,), notes=("resized",))
    run = replace(session.runs[1], expected_logprob=-2.5, thinking="hm", eager_error=2.5e-7)
    told = summarise(replace(session, runs=(session.runs[0], run)))
    assert (told["question"], told["notes"]) == ("What is red?", ["resized"])
    assert told["model"]["name"] == "fake model" and told["model"]["versions"] == {"transformers": "5"}
    assert told["pictures"] == [{"name": "made.png", "width": 352, "height": 224, "notes": []}]
    assert told["adapters"][0]["sha256"] == "ab12"
    assert "/home/someone" not in json.dumps(told)
    assert [one["variant"] for one in told["runs"]] == ["base", "shortcut"]
    second = told["runs"][1]
    assert (second["answer"], second["thinking"], second["finish"]) == ("circle", "hm", "stop")
    assert (second["expected_logprob"], told["runs"][0]["expected_logprob"]) == (-2.5, None)
    assert (second["eager_error"], told["runs"][0]["eager_error"]) == (2.5e-7, None)
    assert second["timings"] == {"adapter_s": 0.01, "tokens_s": 0.2, "rows_s": 0.03}


def test_each_token_tells_how_sure_the_model_was_and_how_much_it_looked() -> None:
    session = make_session(images=2)
    trace = session.runs[0].trace
    tokens = summarise(session)["runs"][0]["tokens"]
    assert [token["text"] for token in tokens] == ["What", " is", " red", "?", " cir", "cle"]
    assert [token["index"] for token in tokens] == list(range(6))
    assert [token["part"] for token in tokens] == ["question"] * 4 + ["answer"] * 2
    assert "probability" not in tokens[0]
    assert tokens[4]["probability"] == pytest.approx(math.exp(-0.1))
    assert tokens[4]["runners_up"][1] == {"text": "other1", "probability": pytest.approx(math.exp(-4))}
    for token, row in zip(tokens, trace.rows, strict=True):
        on_pictures = sum(row[..., span.start : span.stop].sum(-1).mean() for span in trace.images)
        assert token["picture_share"] == pytest.approx(float(on_pictures), rel=1e-4)


def test_the_sharpest_spot_is_told_with_its_box_and_its_shares() -> None:
    session = make_session(images=2)
    trace = session.runs[2].trace
    found = trace.sharpest
    assert found is not None
    told = summarise(session)["runs"][2]["sharpest"]
    assert (told["token"], told["layer"], told["head"]) == (found.spot.token, found.spot.layer, found.spot.head)
    assert told["text"] == trace.tokens[found.spot.token].text
    assert tuple(told["box_xyxy"]) == box_of_cell(trace.images[found.image], found.row, found.col)
    assert sum(told["shares"].values()) == pytest.approx(1, rel=1e-4)
    assert told["shares"]["picture"] == pytest.approx(found.picture_share, rel=1e-5)


def test_what_was_kept_is_told() -> None:
    keep = Keep(layers=(4, 1), heads=(2,), keys="pictures")
    request = Request("What is red?", (make_picture(),), keep=keep)
    told = summarise(make_session(request))["runs"][0]["kept"]
    cells = ROWS * COLS
    size = 6 * ((2 * 1 + LAYERS + HEADS + 1) * cells * 2 + LAYERS * HEADS * 4 * 4)
    assert told == {"layers": [4, 1], "heads": [2], "keys": "pictures", "numbers": "float16", "bytes": size}


def test_no_row_is_read() -> None:
    session = make_session()
    trace = session.runs[0].trace
    unread = {
        name: np.full_like(getattr(trace, name), np.nan) for name in ("rows", "layer_means", "head_means", "means")
    }
    blind = replace(session.runs[0], trace=replace(trace, **unread))
    assert summarise(replace(session, runs=(blind, *session.runs[1:]))) == summarise(session)


def test_without_a_picture_there_is_no_sharpest_spot() -> None:
    told = summarise(make_session(images=0))
    assert told["pictures"] == []
    assert all(run["sharpest"] is None for run in told["runs"])
    assert all(token["picture_share"] == 0 for run in told["runs"] for token in run["tokens"])
