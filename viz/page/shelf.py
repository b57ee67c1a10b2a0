"""The sessions that the page can show: those in the store, and the finished example that everyone sees first.

Also what the browser is told of a session: its id, its pictures and its answers; maps it asks for by itself.
"""

import secrets
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from inference.errors import SessionError
from inference.protocol import Engine, Progress
from inference.store import SessionStore
from inference.trace.archive import pack_session
from inference.trace.request import Request
from inference.trace.session import Session
from viz.page.scratch import folder_of

WELCOME = "A finished example, to look around in. Ask your own question on the left."


class Shelf:
    """A store, with one more session that never goes."""

    def __init__(self, store: SessionStore, finished: Session | None = None) -> None:
        self.store = store
        self._finished = finished
        self._finished_id = f"example-{secrets.token_hex(4)}"
        self._folder = folder_of(self, "example")

    def get(self, session_id: str) -> Session:
        """The session of that id.

        Raises:
            SessionError: it was dropped, or never was.
        """
        if self._finished is not None and session_id == self._finished_id:
            return self._finished
        return self.store.get(session_id)

    def ask(self, engine: Engine, request: Request) -> Generator[Progress | str, None, None]:
        """The engine's progress while it writes its session into the store, then the id under which that is kept.

        Room is set aside as soon as its size is told; what fails, or is closed, leaves nothing.

        Raises:
            VisualizerError: what the engine raises, or there is no room.
        """
        with self.store.writing() as writing, closing(engine.run(request, writing.folder)) as steps:
            for step in steps:
                if isinstance(step, Session):
                    session_id = writing.keep()
                    break
                if step.stage == "size":
                    writing.reserve(step.total)
                yield step
            else:
                raise RuntimeError("the engine ended without a session")
        yield session_id

    def open_file(self, upload: Any) -> str:
        """The id of a session that was uploaded as a file; `upload` is Gradio's dict, whose path it has checked.

        Raises:
            SessionError: no file, or none of ours.
        """
        path = upload.get("path") if isinstance(upload, dict) else None
        if not isinstance(path, str) or not path:
            raise SessionError("a session file", "none", "choose one that was saved here")
        return self.store.open(Path(path))

    def export(self, session_id: str) -> Path:
        """The session as a file that opens again.

        Raises:
            SessionError: it was dropped, or never was.
        """
        if self._finished is None or session_id != self._finished_id:
            return self.store.export(session_id)
        path = self._folder / "session.zip"
        if not path.exists():
            pack_session(self._finished, path)
        return path

    def welcome_id(self) -> str:
        """The finished example's id.

        Raises:
            SessionError: there is no example, so there is nothing to swap a picture in.
        """
        if self._finished is None:
            raise SessionError("a first answer", "none yet", "ask about a first picture, then swap it")
        return self._finished_id

    def welcome(self) -> dict[str, Any] | None:
        """What the stage shows before the first question; None without an example."""
        return self.shown(self._finished_id, notice=WELCOME) if self._finished else None

    def shown(self, *session_ids: str, notice: str = "", scroll: bool = False, again: bool = False) -> dict[str, Any]:
        """What the stage is sent: the sessions to show, the last one open.

        `scroll` brings it into view on a phone; `again`: the same question and pictures as those shown, so that what
        is chosen stays.
        """
        titles = ("First picture", "Swapped picture")
        sessions = [
            _entry(session_id, self.get(session_id), title)
            for session_id, title in zip(session_ids, titles, strict=False)
        ]
        return {"sessions": sessions, "notice": notice, "scroll": scroll, "again": again}


def _entry(session_id: str, session: Session, title: str) -> dict[str, Any]:
    return {
        "id": session_id,
        "title": title,
        "answers": [{"variant": run.variant.label, "answer": run.answer} for run in session.runs],
        "pictures": [
            {"name": image.name, "width": image.width, "height": image.height, "notes": list(image.notes)}
            for image in session.request.images
        ],
    }
