"""What a click on a large session on disk reads, and whether the process grows with clicks. Knows no model."""

import json
import random
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import made
from benchmarks.click import changed
from benchmarks.memory import bytes_read, forget_files, status_bytes
from inference.trace.files import load_session
from inference.trace.session import Session
from viz import handlers
from viz.view import Choice

CLICKS = 20


KINDS = ("token", "layer", "head")


@dataclass(frozen=True)
class Clicked:
    """All in bytes: the session on the disk; what opening it and its first look fetched from there; what each click
    fetched after that, with nothing left in the system's cache; by how much the process's own memory, and what it has
    mapped of files (which the system takes back as it needs it), grew over as many clicks."""

    session: int
    opening: float
    clicks: tuple[int, ...]
    growth: int
    mapped: int

    @property
    def per_click(self) -> float:
        """The mean."""
        return statistics.mean(self.clicks)


def measure_clicks(clicks: int) -> Clicked:
    """Clicks on a made session of a large model and picture; its disk space is needed for as long."""
    with tempfile.TemporaryDirectory(prefix="lora-attention-huge-") as name:
        folder = Path(name) / "session"
        made.write_huge_session(folder)
        return click_cold(folder, clicks)


def click_cold(folder: Path, clicks: int) -> Clicked:
    """Each click on the session as just opened and looked at once, its files dropped from the cache before both."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    rng = random.Random(0)
    opened, read = [], []
    for number in range(clicks):
        forget_files(files)
        before = bytes_read()
        session, choice, tokens = _open(folder)
        opened.append(bytes_read() - before)
        forget_files(files)
        choice = changed(choice, KINDS[number % len(KINDS)], session, tokens, rng)
        before = bytes_read()
        _look(session, choice)
        read.append(bytes_read() - before)
        del session
    size = sum(path.stat().st_size for path in files)
    forget_files(files)
    return Clicked(size, statistics.mean(opened), tuple(read), *_growth(folder, clicks))


def _growth(folder: Path, clicks: int) -> tuple[int, int]:
    session, choice, tokens = _open(folder)
    rng = random.Random(1)
    before = [status_bytes(name) for name in ("RssAnon", "RssFile")]
    for number in range(clicks):
        choice = changed(choice, KINDS[number % len(KINDS)], session, tokens, rng)
        _look(session, choice)
    own, mapped = (status_bytes(name) - was for name, was in zip(("RssAnon", "RssFile"), before, strict=True))
    return own, mapped


def _open(folder: Path) -> tuple[Session, Choice, int]:
    """The session after its first look, what is chosen, and how many tokens there are to choose from."""
    session = load_session(folder)
    choice, reason = handlers.first_choice(session)
    return session, choice, handlers.look("id", session, choice, reason).token_count


def _look(session: Session, choice: Choice) -> None:
    json.dumps(asdict(handlers.look("id", session, choice)))
