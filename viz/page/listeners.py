"""What happens on the page: each method is one listener, wired in `blocks`. Knows no layout and no model.

Listeners that use the model are generators, so that Cancel, or a closed tab, closes them and the engine's iterator
within one token.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import gradio as gr

from inference.errors import BusyError, SettingsError
from inference.mini.facts import KINDS, is_taught
from inference.protocol import Engine, Progress
from inference.settings import Settings
from inference.trace.request import BASE, Request
from inference.trace.session import Session
from viz.page import forms
from viz.page.edge import sentence
from viz.page.examples import Example
from viz.page.shelf import Shelf
from viz.page.visits import Visits

ONLY_SHAPES = (
    "The miniature knows only coloured shapes and the questions listed: to a photo or anything else it answers "
    "nonsense."
)
Outputs = tuple[Any, ...]


class Listeners:
    """Everything that the page's listeners need, in one place; holds no state of a visitor."""

    def __init__(
        self, engine: Engine, settings: Settings, shelf: Shelf, *, examples: Sequence[Example], is_mini: bool
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.shelf = shelf
        self.visits = Visits(shelf.store)
        self.examples = examples
        self.is_mini = is_mini

    def opened(self) -> Outputs:
        """When a tab opens: the model's state, the adapters there are now, and the finished example."""
        return self.model_state(), forms.variant_rows(self.engine.adapters(), self.settings), self.shelf.welcome()

    def closed(self, request: gr.Request) -> None:
        """When a tab closes: its sessions go."""
        self.visits.leave(str(request.session_hash))

    def model_state(self) -> dict[str, Any]:
        """The title line: which model, and whether it is there yet."""
        facts = self.engine.facts()
        state = "being loaded; fill in the rest meanwhile"
        if facts is not None:
            state = f"{facts.layers} layers, {facts.heads} heads, {facts.dtype} on {facts.device}"
        return {"model": self.engine.model_name, "state": state, "loaded": facts is not None}

    def starting(self, request: gr.Request) -> Outputs:
        """At once after a click on Ask: buttons and status, before the queue lets the question in."""
        self.visits.wait(str(request.session_hash))
        return forms.working(Progress("waiting")), gr.update(interactive=False), gr.update(interactive=True)

    def ask(self, request: gr.Request, *values: Any) -> Generator[Outputs, None, None]:
        """Stage, session id, status, Ask, Cancel and title line, again and again while the model works."""
        visitor = self._begun(request)
        yield from self._guarded(self._asked(visitor, forms.Form(*values)))

    def swap(self, request: gr.Request, session_id: Any, picture: Any) -> Generator[Outputs, None, None]:
        """The same question, variants and settings on a second picture, shown beside the first."""
        visitor = self._begun(request)
        yield from self._guarded(self._swapped(visitor, session_id, picture))

    def same_words(self, request: gr.Request, event: gr.EventData) -> Generator[Outputs, None, None]:
        """The question of the session that is open once more, every variant saying what the base answered."""
        visitor = self._begun(request)
        yield from self._guarded(self._said_alike(visitor, event._data))

    def cancelled(self, request: gr.Request) -> Outputs:
        """After Cancel: what was there stays."""
        self.visits.begin(str(request.session_hash))
        return forms.told("Cancelled; everything you filled in is still there."), *idle_buttons()

    def refused(self, request: gr.Request) -> Outputs:
        """When the queue lets nobody in; not what it takes for a failure after Cancel, when the question had begun."""
        if not self.visits.begin(str(request.session_hash)):
            return gr.skip(), gr.skip(), gr.skip()
        error = BusyError("a free place in the queue", "none", "ask again in a moment")
        return forms.told(str(error), "wrong"), *idle_buttons()

    def open_file(self, request: gr.Request, upload: Any) -> Outputs:
        """Stage, session id and status for a session file that a visitor saved before; uses no model."""
        try:
            session_id = self.shelf.open_file(upload)
        except Exception as error:
            return gr.skip(), gr.skip(), forms.told(sentence(error), "wrong")
        self.visits.note(str(request.session_hash), session_id)
        shown = self.shelf.shown(session_id, notice="Opened from a file; no model was used.")
        return shown, session_id, forms.told("The session is open.")

    def check_picture(self, picture: Any) -> Outputs:
        """Picture and status as soon as a picture is there: refused, or told what was done to it."""
        try:
            read = forms.picture_of(picture, self.settings)
        except Exception as error:
            return None, forms.told(sentence(error), "wrong")
        words = ", ".join([f"{read.name}: {read.width} x {read.height} px", *read.notes])
        return gr.skip(), forms.told(f"{words}. {ONLY_SHAPES}" if self.is_mini else f"{words}.")

    def pick_example(self, event: gr.EventData, variants: Any) -> Outputs:
        """Picture, question, variants, status and swap picture of the example that was clicked."""
        example = self.examples[_index(event, len(self.examples))]
        rows = forms.ticked(variants, example.variants)
        words = f"{example.title}. {example.shows}".strip()
        swap = str(example.swap) if example.swap else None
        return str(example.picture), example.question, rows, forms.told(words), swap

    def pick_kind(self, event: gr.EventData) -> str:
        """An example of the kind of question that was clicked."""
        return KINDS[_index(event, len(KINDS))].example

    def _begun(self, request: gr.Request) -> str:
        """Who asks, let in by the queue."""
        visitor = str(request.session_hash)
        self.visits.begin(visitor)
        return visitor

    def _asked(self, visitor: str, form: forms.Form) -> Generator[Outputs, None, None]:
        asked = form.request(self.settings)
        session_id = yield from self._run(visitor, asked)
        yield _outputs(
            stage=self.shelf.shown(session_id, scroll=True),
            session_id=session_id,
            status=self._done(asked, self.shelf.get(session_id)),
            header=self.model_state(),
        )

    def _swapped(self, visitor: str, session_id: Any, picture: Any) -> Generator[Outputs, None, None]:
        first = session_id if isinstance(session_id, str) and session_id else self.shelf.welcome_id()
        asked = self.shelf.get(first).request
        asked = replace(asked, images=(forms.picture_of(picture, self.settings),))
        second = yield from self._run(visitor, asked)
        yield _outputs(
            stage=self.shelf.shown(first, second, scroll=True),
            status=self._done(asked, self.shelf.get(second)),
            header=self.model_state(),
        )

    def _said_alike(self, visitor: str, sent: Any) -> Generator[Outputs, None, None]:
        session_id = sent.get("session") if isinstance(sent, dict) else None
        asked = self.shelf.get(session_id if isinstance(session_id, str) else "").request
        variants = asked.variants if BASE in asked.variants else (BASE, *asked.variants)
        asked = replace(asked, variants=variants, words="base", forced_answer=None)
        session_id = yield from self._run(visitor, asked)
        yield _outputs(
            stage=self.shelf.shown(
                session_id, notice="Asked again: every variant was given the base's answer.", again=True
            ),
            session_id=session_id,
            status=self._done(asked, self.shelf.get(session_id)),
            header=self.model_state(),
        )

    def _run(self, visitor: str, asked: Request) -> Generator[Outputs, None, str]:
        """Yields the engine's progress, with what will be kept once that is known; returns the stored session's id."""
        keeps, session_id = "", ""
        with closing(self.shelf.ask(self.engine, asked)) as steps:
            for step in steps:
                if isinstance(step, str):
                    session_id = step
                    continue
                keeps = step.text if step.stage == "size" else keeps
                yield _outputs(status=forms.working(step, keeps), idle=False)
        self.visits.note(visitor, session_id)
        return session_id

    def _guarded(self, steps: Generator[Outputs, None, None]) -> Generator[Outputs, None, None]:
        """The same steps; an error becomes the last one, told in the page, and everything else stays."""
        with closing(steps):
            try:
                yield from steps
            except Exception as error:
                words = sentence(error)
                gr.Warning(words, title="This cannot be asked")
                yield _outputs(status=forms.told(words, "wrong"))

    def _done(self, asked: Request, session: Session) -> dict[str, Any]:
        seconds = sum(run.timings.adapter_s + run.timings.tokens_s + run.timings.rows_s for run in session.runs)
        count = len(session.runs)
        words = f"{count} variant{'s' if count > 1 else ''} answered in {seconds:.1f} s; choose a token to see more."
        words = f"{words} {forms.kept(session)}"
        return forms.told(f"{words} {ONLY_SHAPES}" if self.is_mini and not is_taught(asked.question) else words)


def _outputs(
    *, stage: Any = None, session_id: str = "", status: Any = None, header: Any = None, idle: bool = True
) -> Outputs:
    """Stage, session id, status, Ask, Cancel, title line; what is not given stays as it is."""
    given = [gr.skip() if value is None or value == "" else value for value in (stage, session_id, status)]
    buttons = idle_buttons() if idle else (gr.skip(), gr.skip())
    return (*given, *buttons, header or gr.skip())


def idle_buttons() -> Outputs:
    """Ask and Cancel when nothing runs."""
    return gr.update(interactive=True), gr.update(interactive=False)


def _index(event: gr.EventData, count: int) -> int:
    sent = event._data
    index = sent.get("index") if isinstance(sent, dict) else None
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
        raise SettingsError(f"a number from 0 to {count - 1}", repr(index)[:40], "click one of the buttons")
    return index
