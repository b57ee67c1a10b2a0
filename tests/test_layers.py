"""Who may import what, read from every file and tried in fresh interpreters; and that these checks can fail.

The static check sees imports inside functions too; the fresh interpreter sees what comes along indirectly.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODEL_LIBRARIES = ("torch", "torchvision", "transformers", "peft", "qwen_vl_utils", "tokenizers", "safetensors")
FREE_OF_MODELS = (
    "inference.trace",
    "inference.evidence",
    "inference.intake",
    "inference.errors",
    "inference.settings",
    "inference.protocol",
    "inference.catalog",
    "inference.named",
    "inference.tensors",
    "inference.placement",
    "inference.weights",
    "inference.store",
    "inference.remote",
    "inference.study",
    "viz",
)
"""What the web container runs; it has no torch."""

GRADIO_ROOMS = ("viz.page", "viz.serve", "app")


@dataclass(frozen=True)
class Rule:
    """What no file but those `allowed` may import, among those in `rooms`; a name covers all below it."""

    forbidden: tuple[str, ...]
    rooms: tuple[str, ...] = ("app", "cli", "inference", "viz", "benchmarks", "examples")
    allowed: tuple[str, ...] = ()


RULES = (
    Rule(("modal",), allowed=("app",)),
    Rule(("gradio",), allowed=GRADIO_ROOMS),
    Rule((*MODEL_LIBRARIES, "inference.model"), rooms=(*FREE_OF_MODELS, "app", "cli")),
    Rule(("viz", "app", "cli", "benchmarks", "examples"), rooms=("inference",)),
    Rule(("app", "cli", "benchmarks", "examples"), rooms=("viz",)),
    Rule(("inference",), rooms=("inference.errors",)),
    Rule(
        ("matplotlib.pyplot", "pylab"),
    ),
    Rule(("tests",)),
)


def is_in(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def modules(root: Path = ROOT, rooms: tuple[str, ...] = Rule(()).rooms) -> dict[str, Path]:
    """Every module below the root that lies in one of the rooms, by its name."""
    tops = {room.partition(".")[0] for room in rooms}
    paths = [path for top in sorted(tops) for path in (root / f"{top}.py", *sorted((root / top).rglob("*.py")))]
    found = {}
    for path in filter(Path.exists, paths):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if is_in(name, rooms):
            found[name] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def broken(rule: Rule, root: Path = ROOT) -> list[str]:
    """`module imports name` for everything that breaks the rule."""
    return [
        f"{module} imports {name}"
        for module, path in modules(root, rule.rooms).items()
        if not is_in(module, rule.allowed)
        for name in imported(path)
        if is_in(name, rule.forbidden)
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.forbidden[0])
def test_no_file_imports_what_its_room_may_not_know(rule: Rule) -> None:
    assert broken(rule) == []


def test_the_static_check_can_fail(tmp_path: Path) -> None:
    for folder in ("inference/trace", "viz/page"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "inference/trace/maps.py").write_text("def f() -> None:\n    from torch.nn import Module\n")
    (tmp_path / "viz/page/tab.py").write_text("import gradio as gr\nimport modal.image\n")
    (tmp_path / "viz/charts.py").write_text("from matplotlib import pyplot\nimport gradio_client\nimport gradio.x\n")
    assert [line for rule in RULES for line in broken(rule, tmp_path)] == [
        "viz.page.tab imports modal.image",
        "viz.charts imports gradio.x",
        "inference.trace.maps imports torch.nn.Module",
        "viz.charts imports matplotlib.pyplot",
    ]


def test_the_rooms_are_where_the_rules_seek_them() -> None:
    found = modules()
    for room in ("app", "cli", "inference.trace.maps", "inference.store", "viz.serve", "viz.page", "benchmarks"):
        assert room in found


PROBE = """
import importlib, sys
forbidden = set(sys.argv[1].split(","))
for name in sys.argv[2:]:
    importlib.import_module(name)
    found = sorted(forbidden & {module.partition(".")[0] for module in list(sys.modules)})
    if found:
        sys.exit(f"{name} brings {', '.join(found)}")
"""


def fresh(script: str, *arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a script in a new interpreter that finds modules below `root`."""
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def brought(names: list[str], forbidden: tuple[str, ...], root: Path = ROOT) -> str:
    """The first of the modules that brings something forbidden, and what; empty if none does."""
    done = fresh(PROBE, ",".join(forbidden), *names, root=root)
    assert done.returncode == 0 or " brings " in done.stderr.splitlines()[-1], done.stderr
    return done.stderr.splitlines()[-1] if done.returncode else ""


MODELS = ("torch", "transformers", "peft")


def test_what_stands_behind_the_engine_brings_no_model_library_and_no_page() -> None:
    quiet = [name for name in modules(rooms=(*FREE_OF_MODELS, "cli")) if not is_in(name, GRADIO_ROOMS)]
    assert len(quiet) > 20
    assert brought(quiet, (*MODELS, "gradio", "modal")) == ""


def test_the_page_brings_no_model_library_and_no_modal() -> None:
    assert brought(list(modules(rooms=("viz.page", "viz.serve"))), (*MODELS, "modal")) == ""


def test_the_modal_app_brings_no_model_library() -> None:
    assert brought(["app"], MODELS) == ""


@pytest.mark.parametrize("line", ["import torch", "from torch import nn", "import helper"])
def test_the_fresh_interpreter_can_fail(tmp_path: Path, line: str) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("nn = None\n")
    (tmp_path / "helper.py").write_text("import torch\n")
    (tmp_path / "innocent.py").write_text("import json\n")
    (tmp_path / "offender.py").write_text(f"{line}\n")
    assert brought(["innocent"], MODELS, tmp_path) == ""
    assert brought(["innocent", "offender"], MODELS, tmp_path) == "offender brings torch"


WATCH = """
import importlib, os, sys
root, skip = os.path.realpath(sys.argv[1]), (".py", ".pyc", ".so")
# What pip leaves here for an editable install, which the import system itself reads.
installed = ("__editable__", "lora_attention_visualizer.egg-info")
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print("reaches for", arguments[-1] if event == "socket.connect" else arguments[0])
    if event == "open" and isinstance(arguments[0], str):
        path = os.path.realpath(arguments[0])
        if path.startswith(root + os.sep) and "site-packages" not in path and not path.endswith(skip):
            mine = os.path.relpath(path, root)
            if not mine.startswith(installed):
                print("opens", mine)
sys.addaudithook(watch)
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def test_no_import_opens_a_file_of_ours_or_a_connection() -> None:
    done = fresh(WATCH, str(ROOT), *modules(rooms=("inference", "viz", "cli", "app")))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_watch_sees_a_weights_file_and_a_connection(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("")
    lines = ("open('model.safetensors').close()", "import socket", "socket.socket().connect_ex(('127.0.0.1', 9))")
    (tmp_path / "eager.py").write_text("\n".join(lines))
    done = fresh(WATCH, str(tmp_path), "eager", root=tmp_path)
    assert done.stdout.splitlines() == ["opens model.safetensors", "reaches for ('127.0.0.1', 9)"]
