"""The engine in this process: light until it is wanted, told while it loads, tried again when it failed."""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from inference.errors import AdapterError, ModelError, QuestionError
from inference.in_process import InProcessEngine
from inference.mini import ADAPTERS_DIR, BASE_DIR
from inference.protocol import Engine, Progress
from inference.settings import Settings
from inference.trace.files import load_session
from inference.trace.parse import parse_variant
from inference.trace.request import Generation, Request, Variant
from inference.trace.session import Session
from tests.fakes import make_picture
from tests.inference.trace.alike import assert_alike

Steps = list[Progress | Session]
SHORT = Generation(max_new_tokens=3)


def make_request(*labels: str) -> Request:
    variants = tuple(map(parse_variant, labels)) or (Variant(),)
    return Request("What shape is the red object?", (make_picture(),), variants, generation=SHORT)


def run(engine: InProcessEngine, request: Request) -> Steps:
    """All steps of a run; the session's arrays stay mapped though their folder goes."""
    with tempfile.TemporaryDirectory() as folder:
        return list(engine.run(request, Path(folder)))


@pytest.fixture(scope="module")
def engine() -> InProcessEngine:
    import torch

    torch.set_num_threads(1)
    return InProcessEngine(Settings())


def test_making_the_engine_imports_no_library_of_models() -> None:
    code = (
        "import sys; from inference.in_process import InProcessEngine; from inference.settings import Settings;"
        "engine = InProcessEngine(Settings()); engine.adapters(); assert engine.facts() is None;"
        "assert engine.model_name == 'miniature Qwen3-VL';"
        "print([name for name in ('torch', 'transformers', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_bases_own_files_are_told_where_they_lie_here(tmp_path: Path) -> None:
    assert InProcessEngine(Settings()).base_folder() == BASE_DIR
    assert InProcessEngine(Settings(model=str(tmp_path))).base_folder() == tmp_path
    assert InProcessEngine(Settings(model="owner/name")).base_folder() is None


def test_the_miniature_answers_with_its_own_adapters(engine: InProcessEngine, tmp_path: Path) -> None:
    typed: Engine = engine
    *steps, session = typed.run(make_request("base", "shortcut", "other@0.5"), tmp_path)
    assert isinstance(session, Session)
    assert_alike(load_session(tmp_path), session)
    assert steps[0] == Progress("loading")
    assert [run.variant.label for run in session.runs] == ["base", "shortcut", "other@0.5"]
    assert session.model == engine.facts()
    assert session.model.name == "miniature Qwen3-VL"
    assert not any("says it was trained on" in note for note in session.notes)
    assert session.runs[0].answer != ""


def test_built_in_adapters_have_no_problem(engine: InProcessEngine) -> None:
    run(engine, make_request())
    assert {facts.name for facts in engine.adapters()} >= {"shortcut", "other"}
    assert not any(facts.problems for facts in engine.adapters())


def test_a_loaded_engine_tells_no_loading(engine: InProcessEngine) -> None:
    run(engine, make_request())
    assert not any(isinstance(step, Progress) and step.stage == "loading" for step in run(engine, make_request()))


def test_a_bad_request_is_refused_before_anything_is_loaded() -> None:
    idle = InProcessEngine(Settings())
    with pytest.raises(QuestionError, match="Expected a question"):
        run(idle, Request(" "))
    assert idle._loading is None


def test_unknown_adapters_are_told_with_those_there_are(engine: InProcessEngine) -> None:
    with pytest.raises(AdapterError, match=r"Expected an adapter among .*other, .*shortcut, got 'nobody'"):
        run(engine, make_request("nobody"))


def test_a_folder_of_its_own_is_an_adapter_too() -> None:
    named = InProcessEngine(Settings(adapters=Path("/nowhere")), folders=(ADAPTERS_DIR / "shortcut", Path("/x/gone")))
    gone, shortcut = named.adapters()
    assert (gone.name, gone.problems) == ("gone", ("There is no folder 'gone'.",))
    assert (shortcut.name, shortcut.problems) == ("shortcut", ())


def test_a_model_of_ones_own_brings_its_own_adapters(tmp_path: Path) -> None:
    (tmp_path / "model" / "adapters" / "mine").mkdir(parents=True)
    engine = InProcessEngine(Settings(model=str(tmp_path / "model")))
    assert engine.model_name == "model"
    assert [facts.name for facts in engine.adapters()] == ["mine"]
    assert InProcessEngine(Settings(model="Qwen/Qwen3-VL-2B-Instruct")).model_name == "Qwen/Qwen3-VL-2B-Instruct"


def test_a_model_that_cannot_be_loaded_is_told_each_time_and_tried_anew(tmp_path: Path) -> None:
    engine = InProcessEngine(Settings(model=str(tmp_path)))
    for _ in range(2):
        with pytest.raises(ModelError, match=r"a model folder with a config.json"):
            run(engine, make_request())
    assert engine.facts() is None
    assert engine.adapters() == ()


def test_loading_can_be_left_and_happens_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gate, loads = threading.Event(), []

    def slow(self: InProcessEngine) -> object:
        loads.append(1)
        gate.wait(10)
        raise ModelError("a", "b", "c")

    monkeypatch.setattr(InProcessEngine, "_load", slow)
    engine = InProcessEngine(Settings())
    engine.warm_up()
    engine.warm_up()
    first, second = (engine.run(make_request(), tmp_path / name) for name in ("first", "second"))
    assert next(first) == next(second) == Progress("loading")
    assert next(first) == Progress("loading")
    first.close()
    gate.set()
    with pytest.raises(ModelError):
        list(second)
    assert len(loads) == 1


def test_two_visitors_at_once_get_their_own_variant(engine: InProcessEngine) -> None:
    alone = {label: run(engine, make_request(label))[-1] for label in ("base", "shortcut")}
    found: dict[str, list[object]] = {label: [] for label in alone}

    def ask(label: str) -> None:
        for _ in range(5):
            found[label].append(run(engine, make_request(label))[-1])

    threads = [threading.Thread(target=ask, args=(label,)) for label in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for label, sessions in found.items():
        expected = alone[label]
        assert isinstance(expected, Session) and len(sessions) == 5
        for session in sessions:
            assert isinstance(session, Session)
            assert session.runs[0].trace.tokens == expected.runs[0].trace.tokens
