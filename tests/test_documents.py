"""Every command that README.md, CLAUDE.md and system.md show is tried, each in the way that the table names."""

import inspect
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

import cli
from inference.settings import Settings
from inference.trace.files import load_session
from viz.page.api import NAMES

ROOT = Path(__file__).parents[1]
KEPT = ("keep", "layers", "heads", "keys", "numbers", "compare_eager")
DOCUMENTS = ("README.md", "CLAUDE.md", "system.md")


class Way(Enum):
    """How a command is tried."""

    RUN = "run to its end, exit status 0"
    SERVE = "started, probed over HTTP, stopped"
    HELP = "its --help: needs an account, a hub or an hour"
    DRY = "make tells what it would do: the command runs this very test"


# Command -> way, and words added to make it small.
TRIED: dict[str, tuple[Way, str]] = {
    "make run": (Way.SERVE, ""),
    "make dev": (Way.SERVE, ""),
    "make install": (Way.RUN, ""),
    "make test": (Way.DRY, ""),
    ".venv/bin/ruff format .": (Way.RUN, ""),
    ".venv/bin/mypy": (Way.HELP, ""),
    ".venv/bin/python -m pytest -q tests/inference/trace": (Way.RUN, ""),
    ".venv/bin/python -m cli serve --model Qwen/Qwen3-VL-2B-Instruct --adapters path/to/adapters": (Way.HELP, ""),
    ".venv/bin/modal deploy app.py": (Way.HELP, ""),
    '.venv/bin/modal run app.py --image examples/pictures/mark.png --question "What color is the circle?"': (
        Way.HELP,
        "",
    ),
    '.venv/bin/python -m cli run examples/pictures/mark.png "What color is the circle?"'
    " --adapter shortcut --adapter other@0.5 --out out": (Way.RUN, ""),
    '.venv/bin/python -m cli run examples/pictures/mark.png "What color is the circle?"'
    " --layers 1-2 --compare-eager --out out/few": (Way.RUN, ""),
    ".venv/bin/python -m cli adapters inference/mini/weights/adapters": (Way.RUN, ""),
    ".venv/bin/python -m cli weights shortcut other --base inference/mini/weights/base --chart out/weights.png": (
        Way.RUN,
        "",
    ),
    ".venv/bin/python examples/client.py http://127.0.0.1:7860": (Way.HELP, ""),
    ".venv/bin/python examples/compare.py http://127.0.0.1:7860": (Way.HELP, ""),
    ".venv/bin/python examples/knockout.py http://127.0.0.1:7860": (Way.HELP, ""),
    ".venv/bin/python examples/sweep.py http://127.0.0.1:7860": (Way.HELP, ""),
    ".venv/bin/python examples/weights_client.py http://127.0.0.1:7860": (Way.HELP, ""),
    ".venv/bin/python examples/weights.py": (Way.RUN, ""),
    ".venv/bin/python -m cli compare --data examples/set.jsonl --adapter shortcut --adapter other --out out/study"
    " --knockout": (Way.RUN, ""),
    ".venv/bin/python -m cli calibrate --data path/to/set.jsonl --model path/to/model": (Way.HELP, ""),
    ".venv/bin/python -m benchmarks.change": (Way.HELP, ""),
    ".venv/bin/python -m benchmarks.mini": (Way.RUN, "--scenes 8"),
    ".venv/bin/python -m benchmarks.click --page": (Way.HELP, ""),
    ".venv/bin/python -m benchmarks.variants": (Way.HELP, ""),
    ".venv/bin/python -m benchmarks.capture --quick": (Way.HELP, ""),
    ".venv/bin/python -m inference.mini.train": (Way.HELP, ""),
    "git fetch origin": (Way.RUN, ""),
    "git rebase origin/main": (Way.RUN, ""),
    "git log --oneline -10": (Way.RUN, ""),
    "git status --short": (Way.RUN, ""),
    'git notes --ref=work append -m "2026-11-23T14:05Z ada viz/page: token strip loses focus after a click"'
    " $(git rev-list --max-parents=0 HEAD)": (Way.RUN, ""),
    'git fetch origin "+refs/notes/*:refs/notes/theirs/*"': (Way.RUN, ""),
    "git notes --ref=work merge -s cat_sort_uniq refs/notes/theirs/work": (Way.RUN, ""),
    "git push origin refs/notes/work": (Way.RUN, ""),
    "git notes --ref=work show $(git rev-list --max-parents=0 HEAD)": (Way.RUN, ""),
}


def commands_of(name: str) -> list[str]:
    """The lines of all ```sh blocks of a document, in order."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^[ ]*```sh\n(.*?)^[ ]*```", text, re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def commands_tried(way: Way) -> list[str]:
    return [command for command, (its_way, _) in TRIED.items() if its_way is way]


def test_every_command_shown_is_in_the_table_and_the_other_way_round() -> None:
    shown = {command for name in DOCUMENTS for command in commands_of(name)}
    assert shown == set(TRIED)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree with this environment, committed, and a remote with another worker's note."""
    copy = tmp_path_factory.mktemp("documents") / "checkout"
    copy.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    # Older than the environment, or `make` would install the copy into it in place of the working tree.
    os.utime(copy / "pyproject.toml", (0, 0))
    setup = (
        "git init -q -b main && git config user.name test && git config user.email test@localhost && git add -A"
        " && git commit -qm all && git clone -q --bare . ../origin.git && git remote add origin ../origin.git"
        " && git --git-dir=../origin.git -c user.name=ben -c user.email=ben@localhost notes --ref=work add"
        " -m '2026-11-23T13:00Z ben inference/model: left padding' $(git rev-list --max-parents=0 HEAD)"
    )
    subprocess.run(setup, shell=True, cwd=copy, check=True, capture_output=True)
    return copy


@pytest.mark.parametrize("way", [Way.RUN], ids=["run"])
def test_commands_run_to_their_end(checkout: Path, way: Way) -> None:
    """In the order of the table: later commands of a document build on earlier ones."""
    for command in commands_tried(way):
        done = subprocess.run(
            f"{command} {TRIED[command][1]}", shell=True, cwd=checkout, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    notes = subprocess.run("git notes --ref=work list", shell=True, cwd=checkout, capture_output=True, text=True)
    assert len(notes.stdout.splitlines()) == 1
    assert (checkout / "out" / "summary.json").is_file()


@pytest.mark.parametrize("command", commands_tried(Way.HELP))
def test_commands_that_need_more_show_their_help(checkout: Path, command: str) -> None:
    program = re.match(r"\S+(?: -m \S+)?(?: (?:serve|deploy|run|calibrate|examples/\w+\.py))?", command)
    assert program is not None
    done = subprocess.run(
        f"{program.group()} --help", shell=True, cwd=checkout, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize("command", commands_tried(Way.DRY))
def test_make_knows_the_steps_of_its_targets(checkout: Path, command: str) -> None:
    done = subprocess.run(f"{command} --dry-run", shell=True, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [step for step in ("ruff check", "mypy", "pytest") if step not in done.stdout] == []


@pytest.mark.parametrize("command", commands_tried(Way.SERVE))
def test_commands_that_serve_answer_and_stop(checkout: Path, command: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with started(f"exec {command} PORT={port}", checkout) as _:
        assert probe(f"http://127.0.0.1:{port}/", 90)


class started:
    """The command in a process group of its own, ended with everything that it started."""

    def __init__(self, command: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            command,
            shell=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTEST_ADDOPTS": "--collect-only"},
        )

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)


def probe(address: str, seconds: float) -> bool:
    """True as soon as the address answers with status 200; False after that many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.3)
    return False


def settings_of_readme() -> Iterator[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    yield from re.findall(r"^\| `LORA_ATTENTION_([A-Z_]+)` \|", text, re.MULTILINE)


def test_the_readme_lists_every_setting() -> None:
    assert list(settings_of_readme()) == [name.upper() for name in Settings.model_fields]


def test_the_readme_lists_every_option_of_what_is_kept_with_its_default() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `--([a-z-]+)` \| `([a-z_]+)` \|.*\| (\S+) \|$", text, re.MULTILINE)
    options = inspect.signature(cli.run).parameters
    defaults = {name: "no" if options[name].default is False else f"`{options[name].default}`" for name in KEPT}
    assert [(option.replace("-", "_"), default) for option, _, default in listed] == list(defaults.items())
    assert [name for _, name, _ in listed] == [name for name in NAMES if name.startswith(("keep_", "compare_"))]


def test_the_readmes_python_reads_a_saved_session(tmp_path: Path) -> None:
    """On the finished example, whose first answer's last token is "pink"; numpy says where the brightest cell is."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    shutil.copytree(ROOT / "examples" / "finished", tmp_path / "out" / "session")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    session = load_session(ROOT / "examples" / "finished")
    trace = session.runs[0].trace
    cells = trace.rows[-1, 1, 2, trace.columns(0)].reshape(trace.images[0].rows, trace.images[0].cols)
    assert done.stdout == f"{trace.tokens[-1].text} {cells}\n"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_named_in_links_exist(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_claude_begins_by_sending_to_system() -> None:
    first = (ROOT / "CLAUDE.md").read_text(encoding="utf-8").split("\n\n")[1]
    assert first.startswith("Read `system.md` first")
