"""The one listener for all inquiries of the room Evidence; what they are stands in `viz.page.kinds`.

What it tells the browser goes through a hidden part of the page, whose script hands it on to the stage: while it works
how far it is, then the key of the result, or the sentence that says what was wrong.
"""

import itertools
from collections.abc import Generator
from contextlib import closing
from typing import Any

import gradio as gr

from inference.protocol import Engine
from inference.settings import Settings
from viz.page import forms
from viz.page.edge import sentence
from viz.page.evidence import Bench, End, Kept, Results, check_options, with_end
from viz.page.listeners import Outputs, idle_buttons
from viz.page.visits import Visits


class Inquirer:
    """Runs inquiries for the page; holds no state of a visitor but their results."""

    def __init__(self, engine: Engine, settings: Settings, results: Results, visits: Visits) -> None:
        self.engine = engine
        self.settings = settings
        self.results = results
        self.visits = visits
        self._turns = itertools.count(1)

    def evidence(self, request: gr.Request, event: gr.EventData) -> Generator[Outputs, None, None]:
        """What the room is told, status, Ask and Cancel, again and again while the model works."""
        visitor = str(request.session_hash)
        self.visits.begin(visitor)
        with closing(self._asked(visitor, event._data)) as steps:
            try:
                yield from steps
            except Exception as error:
                words = sentence(error)
                yield self._told("wrong", words), forms.told(words, "wrong"), *idle_buttons()

    def over(self) -> dict[str, Any]:
        """What the room is told when nothing is under way any more."""
        return self._told("idle")

    def _asked(self, visitor: str, sent: Any) -> Generator[Outputs, None, None]:
        given = sent if isinstance(sent, dict) else {}
        kind, name = self.results.kind(given.get("kind")), str(given.get("kind"))
        session_id = str(given.get("session"))
        session = self.results.shelf.get(session_id)
        bench = Bench(self.engine, self.settings, self.results.shelf, lambda made: self.visits.note(visitor, made))
        with closing(with_end(kind.ask(bench, session, check_options(given.get("options"))))) as steps:
            for step in steps:
                if isinstance(step, End):
                    key = self.results.keep(Kept(session_id, name, step.result))
                    found = self._told("done") | {"session": session_id, "kind": name, "key": key}
                    yield found, forms.told("Found; the result is shown."), *idle_buttons()
                else:
                    told = forms.working(step)
                    yield self._told("work", told["text"], told["done"], told["total"]), told, gr.skip(), gr.skip()

    def _told(self, state: str, text: str = "", done: int = 0, total: int = 0) -> dict[str, Any]:
        # Numbered, or the browser would take the same sentence twice for no news.
        return {"turn": next(self._turns), "state": state, "text": text, "done": done, "total": total}
