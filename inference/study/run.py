"""All lines of a set put to an engine, one after another; what is done already is not done again.

Whatever ends the work early, what was asked so far is on the disk and can be reported.
"""

import hashlib
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from inference.errors import GeometryError, PictureError, QuestionError, SettingsError
from inference.protocol import Engine, Progress
from inference.study.ask import Options, ask_line
from inference.study.condense import condense
from inference.study.lines import Line, Lines
from inference.study.records import Record, Records, key_of
from inference.study.report import Skipped
from inference.trace.files import PARTIAL

OF_THE_LINE = (PictureError, QuestionError, GeometryError, SettingsError)
"""What may be wrong with one line alone; any other error would come again with the next."""


@dataclass(frozen=True)
class Taken:
    """One more line is through: asked, or skipped."""

    line: Line
    asked: bool


class Study:
    """One set of lines, and what is known of them so far."""

    def __init__(self, engine: Engine, lines: Lines, options: Options, records: Records) -> None:
        self.lines = lines
        self._engine = engine
        self._options = options
        self._records = records
        self._keys: dict[int, tuple[str, str]] = {}
        self._done: dict[int, Record] = {}
        self._skipped = list(lines.skipped)

    @property
    def records(self) -> tuple[Record, ...]:
        """What is done, in the order of the lines."""
        return tuple(self._done[line.number] for line in self.lines.lines if line.number in self._done)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What could not be used, in the order of the lines."""
        return tuple(sorted(self._skipped, key=lambda one: one.number))

    def recall(self) -> int:
        """How many lines are among the records already; to be called before `run`.

        Raises:
            SessionError: the records cannot be read.
        """
        about = _identity(self._engine, self._options)
        self._keys = {line.number: self._key(line, about) for line in self.lines.lines}
        self._records.read({key for key, _ in self._keys.values()})
        return sum(self._find(line) for line in self.lines.lines)

    def run(self) -> Generator[Progress | Taken, None, None]:
        """The engine's progress, and `Taken` after every line that is not done; closing it stops within one token.

        Raises:
            VisualizerError: the engine cannot do it at all, the disk is full, or not one line could be asked.
        """
        last: Exception | None = None
        for line in self.lines.lines:
            if line.number in self._done:
                continue
            try:
                if not self._find(line):
                    yield from self._ask(line)
            except OF_THE_LINE as error:
                last = error
                self._skipped.append(Skipped(line.number, str(error)))
            yield Taken(line, line.number in self._done)
        if last and not self._done:
            raise last

    def _find(self, line: Line) -> bool:
        """Whether the line is among the records; then it is done. The same line may have come before."""
        found = self._records.get(self._keys[line.number][0])
        if found is not None:
            self._done[line.number] = _as_now(found, line)
        return found is not None

    def _ask(self, line: Line) -> Generator[Progress, None, None]:
        key, picture = self._keys[line.number]
        with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=self._records.folder) as room:
            asked = yield from ask_line(self._engine, line, self._options, Path(room))
            record = condense(asked, key=key, picture=picture)
        self._records.add(record)
        self._done[line.number] = record

    def _key(self, line: Line, about: str) -> tuple[str, str]:
        """The key of the line's record, and the hash of its picture."""
        options = self._options
        picture = _hash(line.picture)
        draws = (options.draws, options.seed) if line.box and options.draws is not None else ()
        how = (
            options.variants,
            options.generation,
            options.max_pixels,
            draws,
            options.calibrations if line.box else (),
        )
        return key_of(about, picture, line.question, line.answers, line.box, how), picture


def _identity(engine: Engine, options: Options) -> str:
    """What the model and the adapters are, as far as can be told before they are loaded."""
    folder = engine.base_folder()
    files = sorted(folder.glob("*.safetensors")) if folder else []
    # Not their contents, which may be many gigabytes.
    weights = tuple((path.name, found.st_size, found.st_mtime_ns) for path in files for found in [path.stat()])
    config = _hash(folder / "config.json") if folder else ""
    used = {adapter.name for variant in options.variants for adapter in variant.adapters}
    adapters = tuple((facts.name, facts.sha256) for facts in engine.adapters() if facts.name in used)
    return key_of(engine.model_name, config, weights, adapters)


def _hash(path: Path) -> str:
    """SHA-256 of a file in hex; empty where it cannot be read, which whoever opens it will tell."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _as_now(record: Record, line: Line) -> Record:
    """The record under the number and the name that the line has now."""
    return replace(record, item=replace(record.item, number=line.number, picture=line.picture.name))
