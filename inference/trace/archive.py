"""A session as one zip file that a person downloads and opens again; such a file comes from a stranger.

Only the names that a session has are taken out of it, each at most once, and no more bytes than allowed.
"""

import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from inference.errors import SessionError
from inference.trace.files import FILE_NAMES, JSON_NAME, PARTIAL, check_rows, load_session, new_folder, save_session
from inference.trace.session import Session

MAX_FILES = 256
"""Many times what a session has: five arrays a variant, the pictures and the JSON."""
MAX_RATIO = 200
"""Most that a file may grow when it is unpacked: a session's JSON grows tenfold or so, a bomb a thousandfold."""

_A_FILE = "a session file saved by this program"
_REMEDY = "download the session again, or choose another file"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def pack_session(session: Session | Path, path: Path) -> None:
    """Writes a session, or the folder of a saved one, into the zip file `path`; it appears when it is whole.

    Raises:
        SessionError: the folder holds no session, or a number is not finite.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=path.parent) as room:
        if isinstance(session, Session):
            folder = Path(room) / "session"
            save_session(session, folder)
        else:
            folder = session
        packed = Path(room) / "packed.zip"
        _zip(folder, packed)
        os.replace(packed, path)


def unpack_session(path: Path, folder: Path, *, gigabytes: float = 4.0) -> Session:
    """The session in a zip file, unpacked into the new folder `folder`; every number of its arrays is checked.

    Raises:
        SessionError: not a session file, damaged, newer, or larger than `gigabytes` when unpacked; then no folder
            is left.
    """
    if folder.exists():
        raise SessionError("a new folder for the session", f"{folder.name}, which exists", "choose another name")
    with new_folder(folder) as partial:
        _unzip(path, partial, gigabytes)
        session = load_session(partial)
        check_rows(session)
        return session


def _zip(folder: Path, path: Path) -> None:
    names = sorted(file.name for file in folder.iterdir() if FILE_NAMES.fullmatch(file.name)) if folder.is_dir() else []
    if JSON_NAME not in names:
        raise SessionError("a folder with a saved session", "another one", "choose a session's folder")
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            # Rows in float16 shrink by a fifth for 20 to 50 s a GB, pictures not at all: only the JSON is worth it.
            method = zipfile.ZIP_DEFLATED if name == JSON_NAME else zipfile.ZIP_STORED
            archive.write(folder / name, name, compress_type=method)


def _unzip(path: Path, folder: Path, gigabytes: float) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(entries, gigabytes)
            for entry in entries:
                with archive.open(entry) as packed, (folder / entry.filename).open("xb") as plain:
                    shutil.copyfileobj(packed, plain)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise SessionError(_A_FILE, "a damaged or another file", _REMEDY) from error
    except OSError as error:
        problem = (error.strerror or "a file that cannot be read").lower()
        raise SessionError("a session file that can be read, and room to unpack it", problem, _REMEDY) from error


def _check_entries(entries: list[zipfile.ZipInfo], gigabytes: float) -> None:
    names = [entry.filename for entry in entries]
    if JSON_NAME not in names or len(names) > MAX_FILES or len(set(names)) < len(names):
        raise SessionError(_A_FILE, "an archive of something else", _REMEDY)
    for entry in entries:
        is_plain = entry.compress_type in _METHODS and not entry.flag_bits & 1
        if not FILE_NAMES.fullmatch(entry.filename) or not is_plain:
            raise SessionError(_A_FILE, "an archive that holds other things", _REMEDY)
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise SessionError(_A_FILE, "an archive that grows too much when it is unpacked", _REMEDY)
    total = sum(entry.file_size for entry in entries)
    if total > gigabytes * 1e9:
        raise SessionError(
            f"a session of at most {gigabytes:g} GB", f"{total / 1e9:.1f} GB", "keep fewer tokens or variants"
        )
