"""From what the page sends to what is asked about blocking; forged options are one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inference.errors import VisualizerError
from inference.evidence.calibration import FILE_NAME, Calibration, save_calibrations
from inference.evidence.dependence import Dependence
from inference.settings import Settings
from inference.store import SessionStore
from tests.fakes import CELL, HEADS, LAYERS, FakeEngine, make_session
from viz.page.evidence import Bench, End, Results, evidence_routes, with_end
from viz.page.kinds import KINDS
from viz.page.matter import DEPENDENCE, dependence_of, knockout_of, pictured_of
from viz.page.options import shown_in
from viz.page.shelf import Shelf
from viz.view import Choice

BOX = [3 * CELL, 2 * CELL, 6 * CELL, 4 * CELL]


def test_what_is_left_out_blocks_the_box_for_all_tokens_and_heads() -> None:
    asked = knockout_of(make_session(), Choice(), {"box": BOX})
    assert (asked.box, asked.targets, asked.who) == (tuple(BOX), ("box",), "all")
    assert (asked.heads, asked.layers, asked.draws) == (None, None, 20)


@pytest.mark.parametrize(
    ("layer", "head", "heads", "layers"),
    [(2, 1, ((2, 1),), None), (2, None, None, (2,)), (None, 1, tuple((layer, 1) for layer in range(LAYERS)), None)],
)
def test_the_chosen_layer_and_head_alone_are_blocked(layer: Any, head: Any, heads: Any, layers: Any) -> None:
    asked = knockout_of(make_session(), Choice(layer=layer, head=head), {"box": BOX, "heads": "chosen"})
    assert (asked.heads, asked.layers) == (heads, layers)


def test_heads_that_changed_most_are_those_of_the_variant_named() -> None:
    session, picked = make_session(), {}
    for label in ("shortcut", "other@0.5"):
        asked = knockout_of(session, Choice(), {"box": BOX, "heads": "changed", "top": 4, "b": label})
        assert asked.heads
        assert all(layer < LAYERS and head < HEADS for layer, head in asked.heads)
        picked[label] = asked.heads
    assert [len(set(heads)) for heads in picked.values()] == [4, 4]
    assert picked["shortcut"] != picked["other@0.5"]


@pytest.mark.parametrize(("first", "last", "place"), [(4, 4, 0), (5, 5, 1), (2, 5, 0)])
def test_the_first_chosen_token_of_the_answer_is_asked_about(first: int, last: int, place: int) -> None:
    assert pictured_of(make_session(), Choice(first, last), {}).token == place


def test_a_token_of_the_question_is_told_to_be_none() -> None:
    with pytest.raises(VisualizerError, match="a token of the answer"):
        pictured_of(make_session(), Choice(1, 3), {})


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"box": [1, 2, 3]}, "a box as left"),
        ({"box": ["a", 2, 3, 4]}, "a box as left"),
        ({"box": [1, 2, float("nan"), 4]}, "a box as left"),
        ({"box": [1, 2, 10**400, 4]}, "a box as left"),
        ({"box": [900, 900, 990, 990]}, "inside the picture"),
        ({"box": BOX, "targets": []}, "targets among box"),
        ({"box": BOX, "targets": "box"}, "targets among box"),
        ({"box": BOX, "targets": ["box", "sky"]}, "targets among box"),
        ({"box": BOX, "who": ["all"]}, "who as one of all"),
        ({"box": BOX, "draws": 1e9}, "from 0 to 200 for draws"),
        ({"box": BOX, "draws": True}, "for draws"),
        ({"box": BOX, "draws": 10**400}, "for draws"),
        ({"box": BOX, "draws": None}, "for draws"),
        ({"box": BOX, "heads": "chosen"}, "a chosen layer or head"),
        ({"box": BOX, "heads": "changed", "b": "nobody"}, "a variant of base"),
        ({"box": BOX, "heads": "changed", "b": "other@0.5", "top": 0}, "for top"),
    ],
)
def test_forged_options_are_one_sentence(sent: dict[str, Any], message: str) -> None:
    with pytest.raises(VisualizerError, match=message):
        knockout_of(make_session(), Choice(), sent)


def test_a_sweep_is_for_all_words_unless_the_chosen_one_is_asked_for() -> None:
    session = make_session()
    asked = dependence_of(session, Choice(), {})
    assert (asked.size, asked.way, asked.who, asked.word) == (None, "block", "all", None)
    asked = dependence_of(session, Choice(5, 5), {"words": "chosen", "way": "blur", "size": 2.0})
    assert (asked.size, asked.way, asked.word) == (2, "blur", 1)
    with pytest.raises(VisualizerError, match="a token of the answer"):
        dependence_of(session, Choice(1, 1), {"words": "chosen"})


@pytest.mark.parametrize("sent", [{"size": 0}, {"size": "3"}, {"way": "burn"}, {"who": None}, {"words": ["all"]}])
def test_a_forged_sweep_is_one_sentence(sent: dict[str, Any]) -> None:
    with pytest.raises(VisualizerError, match="Expected "):
        dependence_of(make_session(), Choice(), sent)


@pytest.mark.parametrize(("wording", "told"), [("What is {}", "calibrated"), ("Where is {}", "as chosen")])
def test_a_sweep_is_compared_at_the_spot_kept_in_the_models_folder(tmp_path: Path, wording: str, told: str) -> None:
    class Elsewhere(FakeEngine):
        def base_folder(self) -> Path | None:
            return tmp_path

    spot = Calibration("what is", wording, 3, 1, 3, 1.0, 30, LAYERS, HEADS)
    save_calibrations([spot], tmp_path / FILE_NAME)
    session, shelf = make_session(), Shelf(SessionStore(tmp_path / "store", hours=1, gigabytes=1))
    bench = Bench(Elsewhere(), Settings(), shelf, lambda made: None)
    *_, end = with_end(DEPENDENCE.ask(bench, session, {"choice": {"token": 4, "hidden": ["base"]}}))
    assert isinstance(end, End)
    view = DEPENDENCE.show(session, end.result)
    assert [panel["variant"] for panel in view["panels"]] == ["shortcut", "other@0.5"]
    assert all(told in panel["looked_told"] for panel in view["panels"])
    assert all((panel["pointing"] == "not calibrated") == (told == "as chosen") for panel in view["panels"])


def test_runs_are_counted_before_they_are_made_and_what_lacks_is_told(tmp_path: Path) -> None:
    shelf = Shelf(SessionStore(tmp_path, hours=1, gigabytes=1), make_session())
    with TestClient(Starlette(routes=evidence_routes(Results(shelf, KINDS)))) as http:

        def counted(kind: str, options: Any) -> Any:
            address = f"/session/{shelf.welcome_id()}/plan/{kind}"
            return http.get(address, params={"options": json.dumps(options)}).json()

        choice = {"token": 4, "hidden": ["shortcut"]}
        assert counted("knockout", {"choice": choice, "box": BOX, "draws": 5})["runs"] == 2 * (2 + 5)
        assert counted("pictured", {"choice": choice})["runs"] == 4
        assert "a box on the picture, got none" in counted("knockout", {"choice": choice})["problem"]
        assert "fields of token" in counted("knockout", {"choice": {"x": 1}})["problem"]
        swept = counted("dependence", {"choice": choice, "size": 2})
        shown = shown_in(make_session(), Choice(hidden=("shortcut",)))
        assert swept == {"problem": "", "runs": Dependence(size=2).runs(shown), "sizes": [3, 1, 2]}
        assert "an inquiry of" in counted("sky", {})["error"]
        assert "options as an object" in counted("knockout", [1])["problem"]
