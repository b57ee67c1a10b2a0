"""A session as one folder: `session.json`, each variant's arrays as .npy, each picture as .png.

The arrays open with plain `numpy.load`; here they are memory-mapped, so that opening a session reads their headers
alone. Nothing is unpickled, no name from a file is used as a path, and what is half written has another name or no
`session.json`. Packing into one file is `inference.trace.archive`. Knows no model and no page.
"""

import json
import os
import re
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from inference.errors import PictureError, SessionError
from inference.trace.arrays import map_array, mapped_file, save_array, telling_of_disk
from inference.trace.checks import check_shares, check_structure
from inference.trace.codec import CodecError, Decoder, Json, to_plain
from inference.trace.session import Session

FORMAT = "lora-attention-session"
VERSION = 2
JSON_NAME = "session.json"
FILE_NAMES = re.compile(
    r"session\.json|(rows|layer_means|head_means|means|sums)-[0-9]{1,3}\.npy|picture-[0-9]{1,3}\.png"
)
"""Every name that a session's folder or archive may hold: an array's field of `Trace` and the number of its run."""

PARTIAL = ".partial-"
"""What the names of unfinished folders and files begin with."""

_JSON_BYTES = 64 * 2**20
_PICTURE_BYTES = 512 * 2**20
_A_SESSION = "a session saved by this program"
_REMEDY = "save or download it again, or ask the question anew"


def save_session(session: Session, folder: Path) -> None:
    """Writes the folder; it appears under its name when it is whole. A session that is there already is replaced.

    Raises:
        SessionError: something else than a session is there, a number is not finite, or the disk is full.
    """
    if folder.exists() and not _is_session(folder):
        raise SessionError("a new folder for the session", f"{folder.name}, which exists", "choose another name")
    with new_folder(folder) as partial:
        write_session(session, partial)


def write_session(session: Session, folder: Path) -> None:
    """Writes into a folder that is there; `session.json` comes last, under its name when it is whole.

    An array that is mapped from the very file that it belongs into, such as `rows-0.npy` for the first run, stays as it
    is.

    Raises:
        SessionError: a number is not finite, or the disk is full; then the folder holds no session that opens.
    """
    counts: Counter[str] = Counter()

    def put(field: str, value: bytes | np.ndarray) -> str:
        number = counts[field]
        counts[field] += 1
        if isinstance(value, bytes):
            name = f"picture-{number}.png"
            (folder / name).write_bytes(value)
            return name
        name = f"{field}-{number}.npy"
        if mapped_file(value) != (folder / name).resolve():
            save_array(folder / name, value)
        return name

    (folder / JSON_NAME).unlink(missing_ok=True)
    with telling_of_disk():
        try:
            plain = to_plain(session, put)
        except CodecError as error:
            raise SessionError("a session of finite numbers", str(error), "ask the question anew") from error
        document = {"format": FORMAT, "version": VERSION, "session": plain}
        partial = folder / f"{PARTIAL}{JSON_NAME}"
        partial.write_text(json.dumps(document, indent=1, allow_nan=False))
        os.replace(partial, folder / JSON_NAME)


def load_session(folder: Path) -> Session:
    """The session in a folder, equal to what was saved, its arrays memory-mapped and read-only.

    Of the arrays the headers alone are read and checked; `check_rows` reads the numbers.

    Raises:
        SessionError: no session, one of another version, or one that is damaged.
    """
    decoder = Decoder(lambda name: _read(folder, name, ".png", _PICTURE_BYTES), lambda name: _map(folder, name))
    with _telling_of_damage():
        session: Session = decoder.decode(Session, _read_json(folder))
        check_structure(session)
    return session


def check_rows(session: Session) -> None:
    """Refuses a session with a number that is no share; reads every array once, so for what strangers send alone.

    Raises:
        SessionError: a share below 0 or above 1, or NaN.
    """
    with _telling_of_damage():
        for run in session.runs:
            check_shares(run)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of `folder` at the end, or goes if the writing fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=folder.parent))
    try:
        yield partial
        remove_folder(folder)
        os.rename(partial, folder)
    except BaseException:
        shutil.rmtree(partial)
        raise


def remove_folder(folder: Path) -> None:
    """Removes a folder, if it is there, so that no moment shows half of it under its name."""
    old = folder.with_name(f"{PARTIAL}{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):  # gone already, or another sweeper is removing the old one too
        os.rename(folder, old)
        shutil.rmtree(old)


def _is_session(folder: Path) -> bool:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return JSON_NAME in names and all(FILE_NAMES.fullmatch(name) for name in names)


@contextmanager
def _telling_of_damage() -> Iterator[None]:
    try:
        yield
    except CodecError as error:
        raise SessionError(_A_SESSION, f"a damaged one ({error})", _REMEDY) from error
    except PictureError as error:
        raise SessionError(_A_SESSION, f"a damaged one (it holds {error.arrived})", _REMEDY) from error


def _read_json(folder: Path) -> Json:
    if not (folder / JSON_NAME).is_file():
        raise SessionError(_A_SESSION, "a folder without one", "choose the folder that was saved")
    try:
        document = json.loads(_read(folder, JSON_NAME, ".json", _JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise CodecError(f"{JSON_NAME} is no JSON") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SessionError(_A_SESSION, "something else", "choose a session file")
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise SessionError(f"a session of version {VERSION}", f"version {version}", "update this program to open it")
    if version == 1:
        raise SessionError(f"a session of version {VERSION}", "version 1", "ask the question anew")
    if version != VERSION:
        raise CodecError("its version is not a number of this program")
    session: Json = document.get("session")
    return session


def _read(folder: Path, name: str, suffix: str, most: int) -> bytes:
    path = _path(folder, name, suffix)
    if path.stat().st_size > most:
        raise CodecError(f"{name} is too large")
    return path.read_bytes()


def _path(folder: Path, name: str, suffix: str) -> Path:
    path = folder / name
    if not FILE_NAMES.fullmatch(name) or path.suffix != suffix or path.is_symlink() or not path.is_file():
        raise CodecError(f"there is no file {name[:40]!r}")
    return path


def _map(folder: Path, name: str) -> np.ndarray:
    path = _path(folder, name, ".npy")
    try:
        return map_array(path)
    except (ValueError, OverflowError, EOFError, OSError, MemoryError) as error:
        raise CodecError(f"{name} is no whole array") from error
