"""The same engine in another process, and what that process sends; knows neither Modal nor a network.

The far side writes the session into a folder of its own and sends its files in pieces; the near side writes them into
the caller's folder. So neither holds a session's rows in memory, however many there are. Findings are sent in lots.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from inference.errors import SessionError
from inference.evidence.trials import Findings, Outcome, Probe
from inference.protocol import Engine, Progress
from inference.trace.arrays import telling_of_disk
from inference.trace.files import FILE_NAMES, JSON_NAME, PARTIAL, load_session
from inference.trace.request import Request
from inference.trace.session import AdapterFacts, ModelFacts, Session

PIECE_BYTES = 8 * 2**20
Step = TypeVar("Step")

_JSON_ARRIVING = f"{PARTIAL}{JSON_NAME}"


@dataclass(frozen=True)
class Piece:
    """The next bytes of one file of a session, at most `PIECE_BYTES`; all pieces of a file come in one go."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Lot:
    """The next outcomes of a probe, with maps of at most `PIECE_BYTES` together, or a single one."""

    outcomes: tuple[Outcome, ...]


def serve_run(engine: Engine, request: Request) -> Generator[Progress | Piece, None, None]:
    """What `engine` tells of its progress, then the session's files, `session.json` last; nothing of it stays here."""
    with tempfile.TemporaryDirectory(prefix="lora-attention-run-") as room:
        with closing(engine.run(request, Path(room))) as steps:
            for step in steps:
                if isinstance(step, Progress):
                    yield step
        yield from _pieces(Path(room))


def serve_probe(engine: Engine, probe: Probe) -> Generator[Progress | Lot | Findings, None, None]:
    """What `engine` tells of its progress, then its outcomes lot by lot, and at last the findings without them."""
    with closing(engine.probe(probe)) as steps:
        for step in steps:
            if isinstance(step, Progress):
                yield step
            else:
                yield from _lots(step.outcomes)
                yield replace(step, outcomes=())


class RemoteEngine:
    """An `Engine` whose work is done elsewhere.

    `run` is called with the request and yields what `serve_run` yields on the other side, `probe` likewise what
    `serve_probe` yields; closing their generators must end the work there. Errors of `inference.errors` are expected to
    cross as what they were.
    """

    def __init__(
        self,
        run: Callable[[Request], Generator[Progress | Piece, None, None]],
        probe: Callable[[Probe], Generator[Progress | Lot | Findings, None, None]],
        adapters: Callable[[], tuple[AdapterFacts, ...]],
        *,
        model_name: str,
    ) -> None:
        self._run = run
        self._probe = probe
        self._adapters = adapters
        self._facts: ModelFacts | None = None
        self.model_name = model_name

    def facts(self) -> ModelFacts | None:
        """The facts told by the last session; None before the first, since asking would start a machine."""
        return self._facts

    def adapters(self) -> tuple[AdapterFacts, ...]:
        """What the given callable finds, asked anew each time."""
        return self._adapters()

    def base_folder(self) -> Path | None:
        """None: the model's weights lie on the other side."""
        return None

    def run(self, request: Request, folder: Path) -> Generator[Progress | Session, None, None]:
        """Hands on the other side's progress, then the session that it sent, and remembers the model's facts.

        Raises:
            VisualizerError: what the other side raised; a SessionError where its session did not arrive whole.
        """
        arrivals = _Arrivals(folder)
        with closing(self._run(request)) as steps:
            for step in _told(steps):
                if isinstance(step, Progress):
                    yield step
                else:
                    arrivals.put(step)
        arrivals.finish()
        session = load_session(folder)
        self._facts = session.model
        yield session

    def probe(self, probe: Probe) -> Generator[Progress | Findings, None, None]:
        """Hands on the other side's progress, then its findings.

        Raises:
            VisualizerError: what the other side raised; a SessionError where its findings did not arrive whole.
        """
        outcomes: list[Outcome] = []
        with closing(self._probe(probe)) as steps:
            for step in _told(steps):
                if isinstance(step, Lot):
                    outcomes += step.outcomes
                elif isinstance(step, Findings):
                    if (len(outcomes), len(step.shares)) != (len(probe.trials), len(probe.reasons)):
                        break
                    yield replace(step, outcomes=tuple(outcomes))
                    return
                else:
                    yield step
        raise _not_whole("only a part of it")


class _Arrivals:
    """Writes pieces into a folder, which holds no session that opens before `finish`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[str] = []

    def put(self, piece: Piece) -> None:
        """Adds a piece to its file.

        Raises:
            SessionError: it is none of a session, comes out of turn, or finds no room on the disk.
        """
        if not FILE_NAMES.fullmatch(piece.name) or len(piece.data) > PIECE_BYTES:
            raise _not_whole("something else")
        if piece.name not in self._names[-1:]:
            if piece.name in self._names:
                raise _not_whole(f"{piece.name} twice")
            self._names.append(piece.name)
        path = self._folder / (_JSON_ARRIVING if piece.name == JSON_NAME else piece.name)
        with telling_of_disk(), path.open("ab") as file:
            file.write(piece.data)

    def finish(self) -> None:
        """Lets the session open, now that all of it is there.

        Raises:
            SessionError: `session.json` did not come, or did not come last.
        """
        if self._names[-1:] != [JSON_NAME]:
            raise _not_whole("only a part of it")
        os.rename(self._folder / _JSON_ARRIVING, self._folder / JSON_NAME)


def _told(steps: Generator[Step, None, None]) -> Iterator[Step]:
    """The steps; a connection that breaks becomes a sentence."""
    try:
        yield from steps
    except (ConnectionError, EOFError, TimeoutError) as error:
        raise _not_whole("a connection that ended") from error


def _pieces(folder: Path) -> Iterator[Piece]:
    """All files of a saved session, piece by piece; the one without which it does not open comes last."""
    names = sorted(path.name for path in folder.iterdir() if FILE_NAMES.fullmatch(path.name))
    for name in sorted(names, key=lambda name: name == JSON_NAME):
        with (folder / name).open("rb") as file:
            while data := file.read(PIECE_BYTES):
                yield Piece(name, data)


def _lots(outcomes: Sequence[Outcome]) -> Iterator[Lot]:
    """All outcomes in their order, as many at a time as their maps allow."""
    map_bytes = max((0 if outcome.map is None else outcome.map.nbytes for outcome in outcomes), default=0)
    most = max(1, PIECE_BYTES // max(1, map_bytes))
    for at in range(0, len(outcomes), most):
        yield Lot(tuple(outcomes[at : at + most]))


def _not_whole(arrived: str) -> SessionError:
    return SessionError("the whole answer of the model's machine", arrived, "ask again")
