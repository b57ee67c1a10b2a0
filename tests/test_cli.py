"""The command line, on the miniature and the real loading code."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from inference.errors import AdapterError, ModelError, PictureError, SettingsError
from inference.mini import ADAPTERS_DIR
from inference.named import split_adapters
from inference.trace.files import load_session
from inference.trace.session import AdapterFacts
from tests.fakes import FakeEngine, make_session

RUNNER = CliRunner()
PICTURE = Path(__file__).parents[1] / "examples" / "pictures" / "mark.png"
QUESTION = "What color is the circle?"


def test_run_writes_session_pictures_and_timings(tmp_path: Path) -> None:
    done = RUNNER.invoke(
        cli.app,
        ["run", str(PICTURE), QUESTION, "--adapter", "shortcut", "--adapter", "other@0.5", "--out", str(tmp_path)],
    )
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    variants = [run["variant"] for run in summary["runs"]]
    assert variants == ["base", "shortcut", "other@0.5"]
    assert all(run["timings"]["tokens_s"] > 0 for run in summary["runs"])
    session = load_session(tmp_path / "session")
    assert [run.answer for run in session.runs] == [run["answer"] for run in summary["runs"]]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "figure.png",
        "map-0-base.png",
        "map-1-shortcut.png",
        "map-2-other@0.5.png",
    ]
    told = done.stderr.splitlines()
    sizes = [index for index, line in enumerate(told) if line.startswith("Up to 3 variants x ")]
    assert len(sizes) == 1 and sizes[0] < told.index("base: tokens 1 of at most 64")
    assert "eager" not in done.stderr
    assert done.stdout.splitlines() == [f"{run.variant.label}: {run.answer}" for run in session.runs]


def test_an_adapter_is_named_by_its_folder_and_a_scale(tmp_path: Path) -> None:
    folder = str(ADAPTERS_DIR / "shortcut")
    done = RUNNER.invoke(cli.app, ["run", str(PICTURE), QUESTION, "--adapter", f"{folder}@0", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    base, at_zero = load_session(tmp_path / "session").runs
    assert at_zero.variant.label == "shortcut@0"
    assert at_zero.answer == base.answer
    assert (at_zero.trace.rows == base.trace.rows).all()


def test_what_to_keep_is_kept_and_the_largest_difference_is_told(tmp_path: Path) -> None:
    words = ["--keep", "answer", "--layers", "1-2", "--heads", "3", "--keys", "pictures", "--numbers", "float32"]
    done = RUNNER.invoke(cli.app, ["run", str(PICTURE), QUESTION, "--out", str(tmp_path), *words, "--compare-eager"])
    assert done.exit_code == 0, done.output
    (run,) = load_session(tmp_path / "session").runs
    assert {token.part for token in run.trace.tokens} == {"answer"}
    assert run.trace.rows.shape[1:] == (2, 1, 36)
    assert run.trace.rows.dtype == "float32"
    (told,) = [line for line in done.stderr.splitlines() if "from eager attention" in line]
    assert told == f"base: at most {run.eager_error:.1e} from eager attention"


def test_every_variant_says_what_the_base_says(tmp_path: Path) -> None:
    words = ["--adapter", "shortcut", "--words", "base"]
    done = RUNNER.invoke(cli.app, ["run", str(PICTURE), QUESTION, "--out", str(tmp_path), *words])
    assert done.exit_code == 0, done.output
    session = load_session(tmp_path / "session")
    assert session.request.same_words
    base, shortcut = (run.trace.tokens for run in session.runs)
    assert [token.id for token in base] == [token.id for token in shortcut]


@pytest.mark.parametrize("error", [AdapterError("an adapter", "none", "name one"), KeyboardInterrupt()])
def test_what_fails_or_is_cancelled_leaves_the_folder_as_it_was(
    tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    out, request = tmp_path / "new" / "out", make_session().request
    for place in ("inference.trace.files.os.replace", "viz.results.figure_file"):
        monkeypatch.setattr(place, fail)
        with pytest.raises(type(error)):
            cli.ask(FakeEngine(), request, out)
        assert not out.exists()
        monkeypatch.undo()
    cli.ask(FakeEngine(), request, out)
    before = contents(out)
    monkeypatch.setattr("viz.results.figure_file", fail)
    with pytest.raises(type(error)):
        cli.ask(FakeEngine(), replace(request, question="Another?"), out)
    assert contents(out) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_earlier_answer_is_replaced_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    request = make_session().request
    for question in ("First?", "Second?"):
        cli.ask(FakeEngine(), replace(request, question=question), tmp_path)
    assert load_session(tmp_path / "session").request.question == "Second?"
    assert "Second?" in (tmp_path / "summary.json").read_text(encoding="utf-8")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_of_somebody_elses_is_not_written_over(tmp_path: Path) -> None:
    engine, request = FakeEngine(), make_session().request
    (tmp_path / "file").write_text("mine")
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "letter.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "file"):
        with pytest.raises(SettingsError, match="name another with --out"):
            cli.ask(engine, request, out)
    assert engine.requests == []
    assert (tmp_path / "session" / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["--adapter", "nobody"], AdapterError, "shortcut"),
        (["--adapter", "shortcut@nan"], SettingsError, "finite scale"),
        (["--adapter", "shortcut@lots"], SettingsError, "finite scale"),
        (["--adapter", "shortcut@1e9"], SettingsError, "between -4 and 4"),
        (["--max-new-tokens", "100000"], SettingsError, "between 1 and 512"),
        (["--model", "no/such/folder"], ModelError, "no/such/folder"),
        (["--keep", ""], SettingsError, "got ''"),
        (["--keep", "answer,words"], SettingsError, "got 'words'"),
        (["--layers", "5-2"], SettingsError, "layers as numbers from 0"),
        (["--heads", "0-99"], SettingsError, "from 0 to 3"),
        (["--keys", "picture"], SettingsError, "keys of all, pictures"),
        (["--numbers", "float8"], SettingsError, "numbers of float16, float32"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    tmp_path: Path, words: list[str], error: type[Exception], says: str
) -> None:
    done = RUNNER.invoke(cli.app, ["run", str(PICTURE), QUESTION, "--out", str(tmp_path), *words])
    assert isinstance(done.exception, error)
    assert says in str(done.exception)
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize("name", ["base", "a+b", "v2@0.5"])
def test_a_folder_whose_name_reads_as_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(AdapterError, match="rename the folder"):
        split_adapters([f"{tmp_path / name}@2"])


def test_a_text_file_named_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "not.png").write_text("hello")
    done = RUNNER.invoke(cli.app, ["run", str(tmp_path / "not.png"), QUESTION, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, PictureError)


def test_the_program_ends_with_the_sentence_and_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "run", "missing.png", "What?"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Expected")


def test_adapters_lists_what_was_found_and_what_is_wrong(tmp_path: Path) -> None:
    good = RUNNER.invoke(cli.app, ["adapters", str(ADAPTERS_DIR)])
    assert good.exit_code == 0
    assert "shortcut" in good.stdout
    assert "rank" in good.stdout
    (tmp_path / "empty").mkdir()
    bad = RUNNER.invoke(cli.app, ["adapters", str(tmp_path)])
    assert bad.exit_code == 1
    assert "empty" in bad.stdout
    assert "cannot be used" in bad.stdout


def test_describe_names_what_an_adapter_touches() -> None:
    facts = AdapterFacts("a", "", base="b", rank=8, alpha=16, modules=("q_proj",), towers=("text",), layers=(0, 1))
    assert cli.describe(facts).splitlines()[1:] == [
        "  LORA rank 8, alpha 16, base b",
        "  modules q_proj (text tower), 2 text layers",
    ]


@pytest.mark.parametrize("command", ["serve", "run", "compare", "calibrate", "adapters"])
def test_help_shows_an_example(command: str) -> None:
    done = RUNNER.invoke(cli.app, [command, "--help"])
    assert done.exit_code == 0
    assert f"lora-attention {command}" in " ".join(done.output.split())
