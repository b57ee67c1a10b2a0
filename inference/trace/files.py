"""A session as one folder: `session.json`, each variant's rows as .npy, each picture as .png; and as one zip file.

The arrays open with plain `numpy.load`; here they are memory-mapped, so that opening a session reads no more than its
checks do. Nothing is unpickled, no name from a file is used as a path, and what is half written has another name.
Packing into one file is `inference.trace.archive`. Knows no model and no page.
"""

import io
import json
import math
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float

from inference.errors import PictureError, SessionError
from inference.intake import check_png
from inference.trace.codec import CodecError, Decoder, Json, to_plain
from inference.trace.session import ImageSpan, ModelFacts, Run, Session, Token, Trace

FORMAT = "lora-attention-session"
VERSION = 1
JSON_NAME = "session.json"
FILE_NAMES = re.compile(r"session\.json|(rows|picture)-[0-9]{1,3}\.(npy|png)")
"""Every name that a session's folder or archive may hold."""

PARTIAL = ".partial-"
"""What the names of unfinished folders and files begin with."""

_JSON_BYTES = 64 * 2**20
_A_SESSION = "a session saved by this program"
_REMEDY = "save or download it again, or ask the question anew"


def save_session(session: Session, folder: Path) -> None:
    """Writes the folder; it appears under its name when it is whole. A session that is there already is replaced.

    Raises:
        SessionError: something else than a session is there, or a number is not finite.
    """
    if folder.exists() and not _is_session(folder):
        raise SessionError("a new folder for the session", f"{folder.name}, which exists", "choose another name")
    with new_folder(folder) as partial:
        _write(session, partial)


def load_session(folder: Path) -> Session:
    """The session in a folder, equal to what was saved, its rows memory-mapped and read-only.

    Raises:
        SessionError: no session, a newer one, or one that is damaged; everything in it has been checked.
    """
    decoder = Decoder(lambda name: _read_bytes(folder, name), lambda name: _read_rows(folder, name))
    try:
        session: Session = decoder.decode(Session, _read_json(folder))
        _check(session)
    except CodecError as error:
        raise SessionError(_A_SESSION, f"a damaged one ({error})", _REMEDY) from error
    except PictureError as error:
        raise SessionError(_A_SESSION, f"a damaged one (it holds {error.arrived})", _REMEDY) from error
    return session


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
    try:
        os.rename(folder, old)
    except FileNotFoundError:
        return
    shutil.rmtree(old)


def _is_session(folder: Path) -> bool:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return JSON_NAME in names and all(FILE_NAMES.fullmatch(name) for name in names)


def _write(session: Session, folder: Path) -> None:
    counts = {"rows": 0, "picture": 0}

    def put(value: bytes | np.ndarray) -> str:
        kind, ending = ("picture", "png") if isinstance(value, bytes) else ("rows", "npy")
        name = f"{kind}-{counts[kind]}.{ending}"
        counts[kind] += 1
        if isinstance(value, bytes):
            (folder / name).write_bytes(value)
        else:
            np.save(folder / name, value, allow_pickle=False)
        return name

    try:
        plain = to_plain(session, put)
    except CodecError as error:
        raise SessionError("a session of finite numbers", str(error), "ask the question anew") from error
    document = {"format": FORMAT, "version": VERSION, "session": plain}
    (folder / JSON_NAME).write_text(json.dumps(document, indent=1, allow_nan=False))


def _read_json(folder: Path) -> Json:
    if not (folder / JSON_NAME).is_file():
        raise SessionError(_A_SESSION, "a folder without one", "choose the folder that was saved")
    try:
        path = _path(folder, JSON_NAME)
        if path.stat().st_size > _JSON_BYTES:
            raise CodecError(f"{JSON_NAME} is too large")
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CodecError(f"{JSON_NAME} is no JSON") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SessionError(_A_SESSION, "something else", "choose a session file")
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise SessionError(f"a session of version {VERSION}", f"version {version}", "update this program to open it")
    if version != VERSION:
        raise CodecError("its version is not a number of this program")
    session: Json = document.get("session")
    return session


def _path(folder: Path, name: str) -> Path:
    path = folder / name
    if not FILE_NAMES.fullmatch(name) or path.is_symlink() or not path.is_file():
        raise CodecError(f"there is no file {name[:40]!r}")
    return path


def _read_bytes(folder: Path, name: str) -> bytes:
    return _path(folder, name).read_bytes()


def _read_rows(folder: Path, name: str) -> Float[np.ndarray, "tokens layers heads keys"]:
    path = _path(folder, name)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0(file) if version == (1, 0) else None
        if header is None or header[2].kind != "f":
            raise CodecError(f"{name} holds no floats")
        if math.prod(header[0]) == 0:  # nothing can be mapped where there is nothing
            return np.asarray(np.load(io.BytesIO(path.read_bytes()), allow_pickle=False))
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except (ValueError, OverflowError, EOFError, OSError) as error:
        raise CodecError(f"{name} is no whole array") from error


def _check(session: Session) -> None:
    facts = session.model
    _require(min(facts.layers, facts.heads, facts.kv_heads, facts.patch_px, facts.merge) >= 1, "its model's sizes")
    for picture in session.request.images:
        check_png(picture.png, picture.width, picture.height)
    labels = [run.variant.label for run in session.runs]
    _require(bool(labels) and len(set(labels)) == len(labels), "its variants")
    for run in session.runs:
        _check_run(run, facts, pictures=len(session.request.images))


def _check_run(run: Run, facts: ModelFacts, *, pictures: int) -> None:
    trace, label = run.trace, run.variant.label[:40]
    keys = trace.rows.shape[-1] if trace.rows.ndim == 4 else 0
    expected = (len(trace.tokens), facts.layers, facts.heads, keys)
    if trace.rows.shape != expected or keys < 1:
        raise CodecError(f"the rows of {label} have the shape {trace.rows.shape} and not {expected}")
    _require(len(trace.images) == pictures, f"the number of pictures of {label}")
    start, stop = trace.question_span
    _require(0 <= start <= stop <= keys, f"the question's place in {label}")
    _require(all(_fits_token(token, keys) for token in trace.tokens), f"the places of the tokens of {label}")
    _require(_fit_spans(trace.images, keys), f"the places of the pictures of {label}")
    _require(_are_shares(trace), f"the rows of {label}")


def _fits_token(token: Token, keys: int) -> bool:
    return 0 <= token.row_at < keys and token.row_at <= token.position <= token.row_at + 1


def _fit_spans(spans: tuple[ImageSpan, ...], keys: int) -> bool:
    end = 0
    for span in spans:
        if span.start < end or min(span.rows, span.cols, *span.resized_wh, *span.original_wh) < 1:
            return False
        end = span.stop
    return end <= keys


def _are_shares(trace: Trace) -> bool:
    """Whether every number is a share of 0 to 1; written so that NaN is none."""
    return all(row.min() >= 0 and row.max() <= 1.001 for row in trace.rows)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CodecError(f"{what} cannot be right")
