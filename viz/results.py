"""Writes what one question gave into a folder: the session, its pictures and a summary. Knows no page and no model."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.errors import SettingsError
from inference.trace.files import JSON_NAME, PARTIAL, remove_folder
from inference.trace.session import Session
from inference.trace.summary import summarise
from viz.handlers import figure_file, first_choice, map_file

SESSION = "session"
"""The name of the session's folder among the results."""


@contextmanager
def results_folder(out: Path) -> Iterator[Path]:
    """A folder to write results into, the session as `SESSION`; at the end each takes its place in `out`.

    Files of an earlier question are replaced. If the work fails or is cancelled, `out` stays as it was.

    Raises:
        SettingsError: `out` is a file, or holds a folder of that name that is no session.
    """
    if out.is_file():
        raise SettingsError("a folder to write to", f"the file {out}", "name another with --out")
    if (out / SESSION).exists() and not (out / SESSION / JSON_NAME).is_file():
        raise SettingsError(f"a folder to write to, where {SESSION} is a session", f"{out}", "name another with --out")
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=out))
    try:
        yield partial
        for path in sorted(partial.iterdir()):
            if path.is_dir():
                remove_folder(out / path.name)
            os.replace(path, out / path.name)
    finally:
        shutil.rmtree(partial)
        if is_new and not any(out.iterdir()):
            out.rmdir()


def write_results(session: Session, folder: Path) -> list[str]:
    """Writes `summary.json`, and, where there is a picture, `figure.png` and one `map-LABEL.png` a variant.

    The pictures show the choice that the page would show first. Returns the names in the order in which they were
    written.
    """
    summary = json.dumps(summarise(session), indent=2, ensure_ascii=False)
    (folder / "summary.json").write_text(summary + "\n", encoding="utf-8")
    return ["summary.json", *(_write_pictures(session, folder) if session.request.images else [])]


def _write_pictures(session: Session, folder: Path) -> list[str]:
    choice, _ = first_choice(session)
    (folder / "figure.png").write_bytes(figure_file(session, choice, "png"))
    names = ["figure.png"]
    for number, run in enumerate(session.runs):
        names.append(f"map-{number}-{re.sub(r'[^A-Za-z0-9.@+-]', '_', run.variant.label)}.png")
        (folder / names[-1]).write_bytes(map_file(session, choice, run.variant.label, "png"))
    return names
