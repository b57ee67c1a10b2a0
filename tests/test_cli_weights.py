"""The command about adapters' weights; what stands behind it is tested in `viz/test_weight_results.py`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from inference.errors import AdapterError, ModelError, SettingsError
from inference.mini import ADAPTERS_DIR, BASE_DIR

RUNNER = CliRunner()


def test_weights_tells_of_adapters_by_name_and_by_path(tmp_path: Path) -> None:
    written = [tmp_path / "out" / name for name in ("weights.svg", "weights.csv")]
    files = ["--chart", str(written[0]), "--csv", str(written[1])]
    done = RUNNER.invoke(
        cli.app, ["weights", "shortcut", str(ADAPTERS_DIR / "renamed"), "--base", str(BASE_DIR), *files]
    )
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("shortcut: its change is mostly in k_proj (36 %)")
    assert any(line.startswith("shortcut and renamed, 24 modules in common") for line in lines)
    assert done.stderr.splitlines() == [f"wrote {path}" for path in written]
    assert all(path.is_file() for path in written)


def test_weights_as_json_is_json_alone() -> None:
    done = RUNNER.invoke(cli.app, ["weights", str(ADAPTERS_DIR), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [one["adapter"]["name"] for one in told["adapters"]] == ["counting", "other", "renamed", "shortcut"]
    assert len(told["overlaps"]) == 6


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["nobody"], AdapterError, "shortcut"),
        (["shortcut", "--base", "no/such/folder"], ModelError, "neither model.safetensors nor"),
        (["shortcut", "--base", str(ADAPTERS_DIR)], ModelError, "neither model.safetensors nor"),
        (["nobody", "--chart", "weights.jpg"], SettingsError, "ends in png, svg, pdf"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(words: list[str], error: type[Exception], says: str) -> None:
    done = RUNNER.invoke(cli.app, ["weights", *words])
    assert isinstance(done.exception, error)
    assert says in str(done.exception)


def test_help_shows_an_example() -> None:
    done = RUNNER.invoke(cli.app, ["weights", "--help"])
    assert done.exit_code == 0
    assert "lora-attention weights" in " ".join(done.output.split())
