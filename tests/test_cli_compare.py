"""A folder of pictures compared from the command line, on the miniature, of which the truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import cli
from inference.errors import SettingsError
from inference.mini.questions import ask
from inference.mini.scenes import sample_scene
from inference.study.stored import load_report

RUNNER = CliRunner()


def write_scenes(folder: Path, count: int) -> Path:
    """Scenes with a contradicting mark; the box is the mark's, the answer that of the object asked about."""
    rng = np.random.default_rng(3)
    folder.mkdir()
    rows = []
    for number in range(count):
        scene = sample_scene(rng, marked=True)
        asked = ask(rng, scene, "color", wording=0)
        scene.image.save(folder / f"{number}.png")
        assert scene.mark is not None
        box = list(scene.mark.box_xyxy)
        rows.append({"picture": f"{number}.png", "question": asked.text, "answer": asked.answer, "box": box})
    lines = folder / "lines.jsonl"
    lines.write_text("\n".join(map(json.dumps, [*rows, {"picture": "gone.png"}])), encoding="utf-8")
    return lines


def test_the_miniatures_shortcut_is_found_over_a_set(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    lines = write_scenes(tmp_path / "scenes", 5)
    out = tmp_path / "out"
    words = ["compare", "--data", str(lines), "--adapter", "shortcut", "--knockout", "--draws", "3", "--out", str(out)]
    words += ["--max-new-tokens", "3"]
    done = RUNNER.invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert "lines.jsonl: line 6 skipped" in done.stderr
    report = load_report(out / "report.json")
    base, shortcut = report.data.summaries
    assert [one.accuracy and one.accuracy.mean for one in (base, shortcut)] == [1.0, 0.0]
    assert [one.depends and one.depends.mean for one in (base, shortcut)] == [0.0, 1.0]
    assert base.lift is not None and shortcut.lift is not None and shortcut.lift.mean > base.lift.mean
    assert shortcut.drift is not None and shortcut.drift.divergence.mean > 1
    assert shortcut.heads is not None and (shortcut.heads.n, shortcut.heads.exact) == (5, True)
    records = (out / "records.jsonl").read_bytes()
    again = RUNNER.invoke(cli.app, words)
    assert again.exit_code == 0 and "Loading" not in again.stderr
    assert (out / "records.jsonl").read_bytes() == records
    assert again.stdout == done.stdout


def test_data_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    done = RUNNER.invoke(cli.app, ["compare", "--data", str(tmp_path), "--adapter", "other", "--out", str(tmp_path)])
    assert isinstance(done.exception, SettingsError)
    with pytest.raises(SettingsError, match="at least one picture with a question"):
        raise done.exception
