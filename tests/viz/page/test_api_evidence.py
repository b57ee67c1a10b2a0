"""The endpoints that ask the model once more about a session, over the Gradio client and as an example's script."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client

from inference.evidence.trials import Block
from tests.fakes import CELL, make_session
from tests.kept import keep_session
from tests.viz.page.conftest import Served
from viz import words

ROOT = Path(__file__).parents[3]
BOX = [3 * CELL, 2 * CELL, 6 * CELL, 4 * CELL]


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    client = Client(served.url, verbose=False)
    yield client
    client.close()


@pytest.fixture(scope="module")
def session(served: Served) -> str:
    return keep_session(served.store, make_session())


def test_knockout_gives_the_drops_of_all_variants(client: Client, served: Served, session: str) -> None:
    job = client.submit(session=session, box=BOX, targets=["box", "rest"], draws=3, api_name="/knockout")
    found = job.result()
    assert job.outputs()[0] == {"progress": "Asking again under a change: run 1 of 3."}
    assert [(one["label"], one["target"]) for one in found["knocked"]][:3] == [
        ("base", "box"), ("base", "rest"), ("shortcut", "box"),
    ]  # fmt: skip
    base, rest = found["knocked"][:2]
    assert (base["drop"], base["finding"]) == (pytest.approx(6), "more than random")
    assert (len(base["random"]["drops"]), rest["random"]) == (3, None)
    assert base["drops"] == pytest.approx([6, 0])
    assert len(served.engine.probes[-1].trials) == 3 * (2 + 3 + 1)


@pytest.mark.parametrize(
    ("sent", "heads"),
    [
        ({"heads": [[2, 1]]}, 1),
        ({"layers": [0, 3]}, 6),
        ({"heads": [[2, 1]], "layers": [2]}, 3),
        ({"top": 4, "b": "shortcut"}, 4),
    ],
)
def test_knockout_of_heads_alone(
    client: Client, served: Served, session: str, sent: dict[str, Any], heads: int
) -> None:
    client.predict(session=session, box=BOX, draws=0, **sent, api_name="/knockout")
    changes = [trial.change for trial in served.engine.probes[-1].trials]
    assert [len(change.heads or ()) for change in changes if isinstance(change, Block)] == [heads] * 3


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({}, "a box on the picture, got none"),
        ({"box": [0, 0, 0, 0]}, "a box with an area"),
        ({"box": BOX, "who": "nobody"}, "who as one of all"),
        ({"box": BOX, "heads": [[2]]}, r"a list of \[layer, head\]"),
        ({"box": BOX, "heads": [[99, 0]]}, "heads of 5 layers"),
        ({"box": BOX, "layers": "0-2"}, "a list of numbers"),
        ({"box": BOX, "top": 2, "b": "nobody"}, "a variant of base"),
        ({"box": BOX, "image": 3}, "from 0 to 0 for image"),
        ({"session": "gone", "box": BOX}, "a session's id"),
    ],
)
def test_bad_input_is_one_sentence(client: Client, session: str, sent: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        client.predict(**({"session": session} | sent), api_name="/knockout")


def test_example_of_a_knockout_runs(served: Served, picture: Path, tmp_path: Path) -> None:
    out, box = tmp_path / "some" / "knockout.json", [str(number) for number in BOX]
    command = [sys.executable, "examples/knockout.py", served.url, "--picture", str(picture), "--out", str(out)]
    done = subprocess.run([*command, "--box", *box], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    how, base, whole, *_ = done.stdout.splitlines()
    assert how == "No token outside it may look, in every layer."
    assert base.startswith("base: without the box its words fall by 6.00 nats, more than any of 20 random boxes")
    assert whole == "base: without the whole picture its words fall by 6.00 nats."
    assert len(json.loads(out.read_text(encoding="utf-8"))["knocked"]) == 4


def test_sweep_gives_curves_and_a_session_of_its_own(client: Client, served: Served, session: str) -> None:
    job = client.submit(session=session, adapter="shortcut", scales=[1, 0, -0.5], layer=2, box=BOX, api_name="/sweep")
    found = job.result()
    assert any("progress" in told for told in job.outputs())
    assert [point["scale"] for point in found["points"]] == [-0.5, 0, 1]
    assert found["variants"] == ["shortcut@-0.5", "base", "shortcut"]
    assert (found["adapter"], found["own_answer"]) == ("shortcut", "circle")
    assert 0 < found["points"][0]["in_box"] < found["points"][0]["on_picture"] < 1
    assert (found["points"][1]["variation"], found["points"][2]["variation"] > 0) == (0, True)
    asked = served.engine.requests[-1]
    assert (asked.words, asked.expected_answer, asked.keep.keys) == ("base", " circle", "pictures")
    _, numbers = client.predict(session=found["session"], variant="shortcut@-0.5", api_name="/map")
    assert numbers["variant"] == "shortcut@-0.5"
    tokens = served.store.get(found["session"]).runs[0].trace.tokens
    assert found["token"] == words.quoted(tokens[0].text)
    far = client.predict(session=session, adapter="shortcut", scales=[1], token=10_000, api_name="/sweep")
    assert far["token"] == words.quoted(tokens[-1].text)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"scales": "all"}, "scales as a list of numbers"),
        ({"scales": [0, None]}, "scales as a list of numbers"),
        ({"scales": [0.5, 0.5]}, "scales that are numbers, each once"),
        ({"scales": [9]}, "a scale between -4 and 4, got 9"),
        ({"scales": [step / 50 for step in range(50)]}, "1 to 16 variants, got 50"),
        ({"adapter": ""}, "the name of an adapter"),
        ({"session": "gone"}, "a session's id"),
    ],
)
def test_a_bad_sweep_is_one_sentence(client: Client, session: str, sent: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        client.predict(**({"session": session, "adapter": "shortcut"} | sent), api_name="/sweep")


def test_example_of_a_sweep_runs(served: Served, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "some" / "sweep.json"
    command = [sys.executable, "examples/sweep.py", served.url, "--picture", str(picture), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "scale 0.5: " in done.stdout
    assert len(json.loads(out.read_text(encoding="utf-8"))["points"]) == 7
