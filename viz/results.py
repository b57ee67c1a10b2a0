"""Writes what one question gave into a folder: the session, its pictures and a summary. Knows no page and no model."""

import json
import re
from pathlib import Path

from inference.trace.files import save_session
from inference.trace.session import Session
from inference.trace.summary import summarise
from viz.handlers import figure_file, first_choice, map_file


def write_results(session: Session, folder: Path) -> list[Path]:
    """Writes `session/`, `summary.json`, and, where there is a picture, `figure.png` and one `map-LABEL.png` a variant.

    The pictures show the choice that the page would show first. Files of an earlier question are replaced. Returns
    the paths in the order in which they were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "session", folder / "summary.json"]
    save_session(session, written[0])
    written[1].write_text(json.dumps(summarise(session), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if session.request.images:
        written += _write_pictures(session, folder)
    return written


def _write_pictures(session: Session, folder: Path) -> list[Path]:
    choice, _ = first_choice(session)
    figure = folder / "figure.png"
    figure.write_bytes(figure_file(session, choice, "png"))
    paths = [figure]
    for number, run in enumerate(session.runs):
        path = folder / f"map-{number}-{re.sub(r'[^A-Za-z0-9.@+-]', '_', run.variant.label)}.png"
        path.write_bytes(map_file(session, choice, run.variant.label, "png"))
        paths.append(path)
    return paths
