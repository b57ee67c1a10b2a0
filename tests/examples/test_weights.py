"""The script about weights, run as a person runs it, and without a library of models."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_script_runs_where_there_is_no_torch(tmp_path: Path) -> None:
    for library in ("torch", "peft", "transformers", "safetensors"):
        (tmp_path / f"{library}.py").write_text(f"raise ImportError('there is no {library} here')\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "weights.py"), "--out", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    first, second, pair, written = done.stdout.splitlines()
    assert first.startswith("shortcut: its change is mostly in k_proj (36 %) and q_proj (34 %)")
    assert second.startswith("other: its change is mostly in q_proj (50 %)")
    assert pair.startswith("shortcut and other, 24 modules in common: ")
    assert "adapters trained from one seed read alike" in pair
    assert written.startswith("written: ")
    assert (tmp_path / "out" / "weights.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "out" / "weights.csv").read_text(encoding="utf-8").splitlines()) == 49
