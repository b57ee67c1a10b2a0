"""The plain routes about adapters' weights, without a browser: figures, files, and what strangers send."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inference.catalog import find_adapters
from inference.mini import ADAPTERS_DIR
from inference.protocol import AdapterFacts
from inference.store import SessionStore
from inference.weights.summary import OVERLAP_NOTE
from tests.fakes import FakeEngine, make_session
from tests.inference.weights.made import LAYERS, write_adapter
from tests.viz.page.conftest import Served
from viz.page.shelf import Shelf
from viz.page.weights import WeightDesk, weight_routes

ROOT = Path(__file__).parents[3]


class Listing(FakeEngine):
    """An engine with the adapters of one folder."""

    def __init__(self, folder: Path, base: Path | None) -> None:
        super().__init__()
        self.folder = folder
        self.base = base

    def adapters(self) -> tuple[AdapterFacts, ...]:
        return find_adapters(self.folder)

    def base_folder(self) -> Path | None:
        return self.base


def serve(engine: FakeEngine, store: Path) -> tuple[TestClient, str]:
    """A client of the routes, and the address of a session of base, `shortcut` and `other@0.5`."""
    shelf = Shelf(SessionStore(store, hours=1, gigabytes=1), make_session())
    client = TestClient(Starlette(routes=weight_routes(WeightDesk.of(shelf, engine))))
    return client, f"/session/{shelf.welcome_id()}"


@pytest.fixture
def mini(tmp_path: Path) -> Iterator[tuple[TestClient, str]]:
    client, session = serve(FakeEngine(), tmp_path)
    with client:
        yield client, session


def test_the_sessions_adapters_are_shown_first(mini: tuple[TestClient, str]) -> None:
    http, session = mini
    told = http.get(f"{session}/weights").json()
    assert {one["name"]: (one["chosen"], one["problem"]) for one in told["listed"]} == {
        "other": (True, ""),
        "shortcut": (True, ""),
        "broken": (False, "adapter_config.json is missing."),
    }
    assert [one["adapter"]["name"] for one in told["adapters"]] == ["shortcut", "other"]
    assert "the base's" not in told["scale"]["unit"]
    assert (told["charts"][0]["tower"], told["charts"][0]["layers"]) == ("text", [0, 1, 2, 3, 4, 5])
    assert str(ADAPTERS_DIR.parent) not in json.dumps(told)


def test_pairs_are_told_apart_from_figures(mini: tuple[TestClient, str]) -> None:
    http, session = mini
    told = http.get(f"{session}/alike").json()
    assert [(one["first"], one["second"]) for one in told["overlaps"]] == [("shortcut", "other")]
    assert told["note"] == OVERLAP_NOTE
    alone = http.get(f"{session}/alike?adapter=other&adapter=broken").json()
    assert alone == {"overlaps": [], "note": "", "problems": []}


def test_a_pair_of_different_bases_is_a_sentence(tmp_path: Path) -> None:
    for name, outputs in (("a", 5), ("b", 6)):
        pairs = {LAYERS + "0.self_attn.q_proj": (np.ones((outputs, 3)), np.ones((3, 7)))}
        write_adapter(tmp_path / "all" / name, pairs)
    http, session = serve(Listing(tmp_path / "all", None), tmp_path / "store")
    assert "two adapters of one base" in http.get(f"{session}/alike").json()["problems"][0]
    assert len(http.get(f"{session}/weights").json()["adapters"]) == 2


def test_chosen_adapters_and_ratio(mini: tuple[TestClient, str]) -> None:
    http, session = mini
    told = http.get(f"{session}/weights", params={"adapter": ["other", "broken"], "measure": "ratio"}).json()
    assert [one["name"] for one in told["listed"] if one["chosen"]] == ["other", "broken"]
    [figures] = told["adapters"]
    assert told["scale"]["unit"] == "% of the base's norm"
    assert told["scale"]["high"] == pytest.approx(100 * max(one["ratio"] for one in figures["changes"]), rel=1e-2)


@pytest.mark.parametrize(
    "query",
    ["adapter=nobody", "adapter=..%2Fother", "measure=size", "measure=", "&".join(f"adapter=a{n}" for n in range(7))],
)
@pytest.mark.parametrize("path", ["weights", "weights.csv", "weights.png"])
def test_forged_queries_are_one_sentence(mini: tuple[TestClient, str], path: str, query: str) -> None:
    http, session = mini
    answer = http.get(f"{session}/{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Expected ")


def test_more_adapters_than_stand_side_by_side_are_refused(tmp_path: Path) -> None:
    for number in range(7):
        write_adapter(
            tmp_path / "all" / f"a{number}", {LAYERS + "0.self_attn.q_proj": (np.ones((5, 3)), np.ones((3, 7)))}
        )
    http, session = serve(Listing(tmp_path / "all", None), tmp_path / "store")
    assert len(http.get(f"{session}/weights").json()["adapters"]) == 6
    answer = http.get(f"{session}/weights", params={"adapter": [f"a{number}" for number in range(7)]})
    assert (answer.status_code, answer.json()["error"]) == (400, "Expected 1 to 6 adapters, got 7: choose fewer.")


def test_without_the_bases_files_ratios_are_not_offered_and_refused(tmp_path: Path) -> None:
    http, session = serve(Listing(ADAPTERS_DIR, None), tmp_path)
    told = http.get(f"{session}/weights").json()
    assert "ratio" not in [one["measure"] for one in told["measures"]]
    assert told["base_note"].startswith("How large a change is beside the base's own weight cannot be told")
    assert http.get(f"{session}/weights?measure=ratio").status_code == 400


def test_a_page_without_adapters_says_so_in_an_empty_list(tmp_path: Path) -> None:
    http, session = serve(Listing(tmp_path / "none", None), tmp_path / "store")
    told = http.get(f"{session}/weights").json()
    assert [(one["name"], one["problem"]) for one in told["listed"]] == [
        ("shortcut", "Its files are not here, only what was seen of it."),
        ("other", "Its files are not here, only what was seen of it."),
    ]
    assert (told["adapters"], told["charts"]) == ([], [])
    assert http.get(f"{session}/weights.png").status_code == 400


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_chart_is_a_file(mini: tuple[TestClient, str], kind: str, start: bytes) -> None:
    http, session = mini
    answer = http.get(f"{session}/weights.{kind}?measure=effective_rank")
    assert answer.content.startswith(start)
    assert answer.headers["content-disposition"] == f'attachment; filename="weights.{kind}"'
    assert http.get(f"{session}/weights.exe").status_code == 400


def test_the_table_has_what_the_page_shows(mini: tuple[TestClient, str]) -> None:
    http, session = mini
    rows = list(csv.DictReader(io.StringIO(http.get(f"{session}/weights.csv?adapter=other&measure=ratio").text)))
    shown = http.get(f"{session}/weights?adapter=other&measure=ratio").json()["adapters"][0]["changes"]
    assert len(rows) == len(shown)
    assert [float(row["ratio"]) for row in rows] == pytest.approx([one["ratio"] for one in shown])


def test_nothing_can_be_saved_of_broken_adapters_alone(mini: tuple[TestClient, str]) -> None:
    http, session = mini
    answer = http.get(f"{session}/weights.csv?adapter=broken")
    assert answer.status_code == 400
    assert "adapter_config.json is missing" in answer.json()["error"]


def test_the_layers_follow_the_choice(mini: tuple[TestClient, str]) -> None:
    http, session = mini
    told = http.get(f"{session}/layers", params={"choice": json.dumps({"token": 2})}).json()
    assert told["token"] == "'red'"
    assert [one["variant"] for one in told["changes"]] == ["shortcut", "other@0.5"]
    assert [len(one["values"]) for one in told["changes"]] == [5, 5]
    assert http.get(f"{session}/layers", params={"choice": '{"token": -1}'}).status_code == 400
    assert http.get("/session/gone/layers").status_code == 404


def test_the_script_about_weights_asks_a_running_page(served: Served, tmp_path: Path) -> None:
    out = tmp_path / "some" / "weights.json"
    command = [sys.executable, "examples/weights_client.py", served.url, "shortcut", "broken", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    first, second, written = done.stdout.splitlines()
    assert first.startswith("shortcut: its change is mostly in k_proj (36 %)")
    assert second.startswith("broken: Expected an adapter without faults")
    assert written == f"written: {out}"
    assert json.loads(out.read_text(encoding="utf-8"))["measure"] == "effective_rank"
