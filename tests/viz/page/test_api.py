"""The endpoints for programs, over the Gradio client and by hand; and what strangers send to the private ones."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from inference.mini import ADAPTERS_DIR, BASE_DIR
from inference.settings import Settings
from inference.trace.request import Keep
from inference.weights.adapter import open_adapter
from inference.weights.base import BaseWeights
from inference.weights.report import weigh_adapter
from inference.weights.table import weight_grid
from tests.viz.page.conftest import Served, in_loop, soon
from tests.viz.page.engines import ChoosyEngine
from viz.page.api import NAMES
from viz.page.blocks import MODEL, build_page
from viz.page.evidence import Results
from viz.page.shelf import Shelf
from viz.page.weights import WeightDesk

ASKING = ("ask", "swap", "same_words", "evidence", "analyze", "knockout", "sweep")
"""What uses the model."""
NAMED = ("shortcut", "other")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    client = Client(served.url, verbose=False)
    yield client
    client.close()


@pytest.fixture(scope="module")
def analyzed(client: Client, picture: Path) -> tuple[dict[str, Any], str]:
    summary, path = client.predict(
        image=handle_file(str(picture)),
        question="What is red?",
        variants=["base", "other@0.5"],
        settings={
            "answer_tokens": 3,
            "seed": 5,
            "keep_layers": "1-2",
            "keep_numbers": "float32",
            "compare_eager": True,
        },
        api_name="/analyze",
    )
    return summary, path


def test_the_readme_lists_every_endpoint_with_an_example_that_calls_it(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(/[a-z]+)` \|.*\| `(\w+\.py)` \|$", text, re.MULTILINE))
    assert sorted(listed) == sorted(named)
    for name, example in listed.items():
        assert f'"{name}"' in (ROOT / "examples" / example).read_text(encoding="utf-8")


def test_endpoints_have_these_parameters(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    shown = {
        name: ([each["parameter_name"] for each in one["parameters"]], [each["label"] for each in one["returns"]])
        for name, one in named.items()
    }
    assert shown == {
        "/analyze": (["image", "question", "variants", "settings"], ["summary", "session file"]),
        "/map": (
            ["session", "variant", "token", "token_to", "layer", "head", "pooling", "image", "colormap"],
            ["map", "numbers"],
        ),
        "/compare": (
            ["session", "a", "b", "token", "token_to", "layer", "head", "measure", "box", "pooling", "image"],
            ["change"],
        ),
        "/weights": (["adapters", "measure"], ["weights"]),
        "/adapters": ([], ["adapters"]),
        "/knockout": (
            ["session", "box", "targets", "way", "who", "heads", "layers", "top", "b", "draws", "seed", "image"],
            ["knocked"],
        ),
        "/sweep": (
            ["session", "adapter", "scales", "token", "token_to", "layer", "head", "box", "image"],
            ["strength"],
        ),
    }
    assert "other@0.5" in named["/analyze"]["description"]
    assert "Uses no model" in named["/map"]["description"]
    assert [name for name in NAMES if name not in named["/analyze"]["description"]] == []


def test_a_job_tells_what_it_will_keep_and_a_cancelled_one_leaves_nothing(
    client: Client, served: Served, picture: Path
) -> None:
    before = served.files()
    served.engine.closed.clear()
    job = client.submit(
        image=handle_file(str(picture)), question="slow", variants=["base"], settings={}, api_name="/analyze"
    )
    told = next(job)
    assert told[0] == {"progress": "Up to 6 tokens x 5 layers x 3 heads over 92 keys in float16: 1.2 MB."}
    job.cancel()
    assert served.engine.closed.wait(10)
    assert soon(lambda: served.files() <= before)


def test_analyze_gives_summary_and_session_file(analyzed: tuple[dict[str, Any], str], served: Served) -> None:
    summary, path = analyzed
    assert [run["variant"] for run in summary["runs"]] == ["base", "other@0.5"]
    assert served.store.get(summary["session"]).request.question == "What is red?"
    assert served.store.open(Path(path)) != summary["session"]
    request = served.engine.requests[-1]
    assert request.generation.max_new_tokens == 3
    assert (request.keep, request.compare_eager) == (Keep(layers=(1, 2), numbers="float32"), True)
    assert served.store.get(summary["session"]).runs[1].trace.layers == (1, 2)


def test_map_gives_picture_and_numbers(client: Client, analyzed: tuple[dict[str, Any], str]) -> None:
    path, numbers = client.predict(
        session=analyzed[0]["session"], variant="other@0.5", token=2, layer=4, pooling="picture", api_name="/map"
    )
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (352, 224))
    assert (len(numbers["grid"]), len(numbers["grid"][0])) == (7, 11)
    assert sum(map(sum, numbers["grid"])) == pytest.approx(1, abs=1e-4)
    assert (numbers["layer"], numbers["head"]) == (4, None)


def test_weights_gives_all_figures_and_no_folder(client: Client) -> None:
    told = client.predict(adapters=["shortcut", "broken", "other"], measure="ratio", api_name="/weights")
    weighed = [weigh_adapter(open_adapter(ADAPTERS_DIR / name, BaseWeights(BASE_DIR))) for name in NAMED]
    assert [one["adapter"]["name"] for one in told["adapters"]] == list(NAMED)
    assert told["adapters"][1]["changes"][0]["ratio"] == pytest.approx(weighed[1].changes[0].ratio)
    assert [(one["first"], one["second"]) for one in told["overlaps"]] == [NAMED]
    assert [one["of"] for one in told["problems"]] == ["broken"]
    grid = weight_grid(weighed, "ratio")
    assert told["charts"]["text"]["modules"] == list(grid.modules)
    np.testing.assert_allclose(np.array(told["charts"]["text"]["values"], float), grid.values)
    assert str(ADAPTERS_DIR.parent) not in json.dumps(told)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"adapters": ["nobody"]}, "one of other, shortcut, broken"),
        ({"adapters": []}, "1 to 6 adapters, got 0"),
        ({"adapters": "other"}, "adapters as a list of names"),
        ({"adapters": [["other"]]}, "adapters as a list of names"),
        ({"adapters": ["other"], "measure": "size"}, "a measure of frobenius"),
    ],
)
def test_weights_refuses_what_there_is_not(client: Client, sent: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        client.predict(**sent, api_name="/weights")


def test_compare_gives_the_numbers_of_a_change(client: Client, analyzed: tuple[dict[str, Any], str]) -> None:
    session = analyzed[0]["session"]
    found = client.predict(
        session=session, token=1, layer=2, head=0, measure="variation", box=[0, 0, 99, 99], api_name="/compare"
    )
    assert (found["a"], found["b"], found["missing"]) == ("base", "other@0.5", "")
    assert [sum(value is not None for value in line) for line in found["heads"]] == [0, 3, 3, 0, 0]
    assert (len(found["cell"]["difference"]), found["cell"]["moved"]["exact"]) == (7, True)
    assert [one["variant"] for one in found["box"]["variants"]] == ["base", "other@0.5"]
    turned = client.predict(session=session, a="other@0.5", b="base", token=1, token_to=3, api_name="/compare")
    assert (turned["a"], turned["measure"], turned["box"], turned["cell"]["moved"] is None) == (
        "other@0.5", "share", None, False,
    )  # fmt: skip
    with pytest.raises(Exception, match="a measure of share"):
        client.predict(session=session, measure="sum", api_name="/compare")


def test_adapters_are_listed_with_their_problems(client: Client) -> None:
    listed = client.predict(api_name="/adapters")
    assert [facts["name"] for facts in listed][:3] == ["other", "shortcut", "broken"]
    assert listed[2]["problems"] == ["adapter_config.json is missing."]
    assert "folder" not in listed[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"question": 5}, "text for the question"),
        ({"variants": ["other@nan"]}, "finite scale"),
        ({"variants": "base"}, "a list of labels"),
        ({"settings": {"answer_token": 3}}, "answer_token"),
        ({"settings": {"seed": 1.5}}, "a whole number for seed"),
        ({"settings": {"keep_heads": "7-3"}}, "heads as numbers from 0"),
        ({"settings": {"keep_tokens": "answer"}}, "a list of tokens to keep"),
        ({"image": None}, "a picture, got none"),
    ],
)
def test_bad_input_is_one_sentence(client: Client, picture: Path, changed: dict[str, Any], message: str) -> None:
    given = {"image": handle_file(str(picture)), "question": "What?", "variants": ["base"], "settings": {}} | changed
    with pytest.raises(Exception, match=message):
        client.predict(**given, api_name="/analyze")


def test_text_file_named_png_is_refused_by_name(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("hello")
    with pytest.raises(Exception, match=r"a text file named notes\.png"):
        client.predict(
            image=handle_file(str(path)), question="What?", variants=["base"], settings={}, api_name="/analyze"
        )


def test_example_client_runs(served: Served, picture: Path, tmp_path: Path) -> None:
    command = [sys.executable, "examples/client.py", served.url, "--picture", str(picture), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"summary.json", "session.zip", "map.png"}
    assert done.stdout.startswith("base: ")


def test_example_of_a_comparison_runs(served: Served, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "some" / "change.json"
    command = [sys.executable, "examples/compare.py", served.url, "--picture", str(picture), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    base, shortcut, *heads, moved, _ = done.stdout.splitlines()
    assert base.startswith("base: log-probability -0.10 of ")
    assert shortcut.startswith("shortcut: ")
    assert len(heads) == 3
    assert moved.startswith("The map of the first of them moved by ")
    written = json.loads(out.read_text(encoding="utf-8"))
    assert (written["heads"]["measure"], written["cell"]["measure"]) == ("variation", "share")
    assert served.engine.requests[-1].words == "base"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.png", "file:///etc/passwd", "ftp://host/x"])
def test_no_address_is_fetched(served: Served, address: str) -> None:
    upload = {"path": address, "meta": {"_type": "gradio.FileData"}}
    assert "upload the file itself" in _call(served, "analyze", [upload, "What?", ["base"], {}])


def test_no_file_of_the_server_is_read(served: Served) -> None:
    for meta in ({"meta": {"_type": "gradio.FileData"}}, {}):
        answer = _call(served, "analyze", [{"path": "/etc/hostname"} | meta, "What?", ["base"], {}])
        assert "a path or an address: upload the file itself" in answer
        assert "hostname" not in answer


@pytest.mark.parametrize("event", [{"index": -99999}, [1, "x", {}], None, {"index": True}])
def test_forged_event_data_gets_a_sentence(served: Served, event: Any) -> None:
    config = httpx.get(f"{served.url}/config").json()
    picked = [one["id"] for one in config["dependencies"] if any(target[1] == "pick" for target in one["targets"])]
    assert len(picked) == 2
    for number in picked:
        inputs = next(one["inputs"] for one in config["dependencies"] if one["id"] == number)
        body = {"data": [None] * len(inputs), "event_data": event, "fn_index": number, "session_hash": "forged"}
        answer = httpx.post(f"{served.url}/gradio_api/run/predict", json=body)
        assert "click one of the buttons" in answer.text, answer.text


def test_all_other_listeners_are_private(served: Served) -> None:
    config = httpx.get(f"{served.url}/config").json()
    public = {one["api_name"] for one in config["dependencies"] if one["api_visibility"] == "public"}
    assert public == {"analyze", "map", "compare", "weights", "adapters", "knockout", "sweep"}


def test_what_uses_the_model_runs_one_at_a_time(served: Served) -> None:
    engine, shelf = ChoosyEngine(), Shelf(served.store)
    page = in_loop(lambda: build_page(engine, Settings(), shelf, WeightDesk.of(shelf, engine), Results(shelf, {})))
    asking = [fn for fn in page.fns.values() if getattr(fn.fn, "__name__", "") in ASKING]
    assert len(asking) == len(ASKING)
    assert {fn.concurrency_id for fn in asking} == {MODEL}
    assert {fn.concurrency_limit for fn in asking} == {1}


def _call(served: Served, name: str, data: list[Any]) -> str:
    """Everything that the plain HTTP endpoint streams back."""
    started = httpx.post(f"{served.url}/gradio_api/call/{name}", json={"data": data})
    event = started.json().get("event_id") if started.status_code == 200 else None
    if event is None:
        return started.text
    return json.dumps(httpx.get(f"{served.url}/gradio_api/call/{name}/{event}", timeout=30).text)
