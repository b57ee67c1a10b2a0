"""From what a visitor filled in to a Request, and from Progress to words. Knows no Gradio and no layout.

Every value may be forged: nothing here trusts a type, and what is wrong is told in one sentence. Bounds are the
engine's own check of the request.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import PictureError, QuestionError, SettingsError
from inference.intake import read_picture
from inference.protocol import AdapterFacts, Progress
from inference.settings import Settings
from inference.trace.parse import parse_keep, parse_variant, parse_words
from inference.trace.request import BASE, AdapterAt, Generation, Picture, Request, Variant
from inference.trace.session import Session
from inference.trace.size import format_bytes
from viz.choices import is_number

SHOWN_FIRST = ("other", "shortcut")
"""Adapters ticked when the page opens, where they are there; else the first two that can be used."""


@dataclass(frozen=True)
class Form:
    """The left column's values in the order in which the page sends them, unchecked."""

    picture: Any
    question: Any
    variants: Any
    answer_tokens: Any = 64
    sample: Any = False
    temperature: Any = 1.0
    top_p: Any = 1.0
    seed: Any = 0
    system_prompt: Any = ""
    words: Any = "own"
    forced_answer: Any = ""
    expected_answer: Any = ""
    min_pixels: Any = None
    max_pixels: Any = None
    keep_tokens: Any = ("question", "answer")
    keep_layers: Any = ""
    keep_heads: Any = ""
    keep_keys: Any = "all"
    keep_numbers: Any = "float16"
    compare_eager: Any = False

    def request(self, settings: Settings) -> Request:
        """The request that was filled in.

        Raises:
            VisualizerError: a value of a type that it cannot have, no picture, or one that cannot be read.
        """
        return Request(
            question=_text("the question", self.question),
            images=(picture_of(self.picture, settings),),
            variants=variants_of(self.variants),
            system_prompt=_text("the system prompt", self.system_prompt),
            generation=Generation(
                max_new_tokens=_whole("answer tokens", self.answer_tokens),
                sample=_switch("sampling", self.sample),
                temperature=_number("temperature", self.temperature),
                top_p=_number("top p", self.top_p),
                seed=_whole("seed", self.seed),
            ),
            keep=parse_keep(
                _words("tokens to keep", self.keep_tokens),
                layers=_text("layers to keep", self.keep_layers),
                heads=_text("heads to keep", self.keep_heads),
                keys=_text("keys to keep", self.keep_keys),
                numbers=_text("numbers to keep", self.keep_numbers),
            ),
            compare_eager=_switch("comparing with eager attention", self.compare_eager),
            forced_answer=_text("words to force", self.forced_answer) or None,
            words=parse_words(_text("whose words are said", self.words)),
            expected_answer=_text("the expected answer", self.expected_answer) or None,
            min_pixels=_area("smallest area", self.min_pixels),
            max_pixels=_area("largest area", self.max_pixels),
        )


def picture_of(upload: Any, settings: Settings) -> Picture:
    """The picture of an upload as Gradio hands it on: a dict whose path it has checked to be an upload's.

    Raises:
        PictureError: there is none, or it cannot be read.
    """
    path = upload.get("path") if isinstance(upload, Mapping) else None
    if not isinstance(path, str) or not path:
        raise PictureError("a picture", "none", "drop one on the page, paste one, or take an example")
    name = upload.get("orig_name")
    shown = name if isinstance(name, str) and name else Path(path).name
    return read_picture(Path(path), name=shown, megapixels=settings.picture_megapixels)


def variants_of(rows: Any) -> tuple[Variant, ...]:
    """The variants ticked in the list that the page sends; variants themselves are handed on.

    Raises:
        SettingsError: none is ticked, or the list is none of ours.
    """
    if isinstance(rows, tuple) and all(isinstance(row, Variant) for row in rows):
        return rows
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise SettingsError("a list of variants", type(rows).__name__, "tick them on the page")
    chosen = tuple(_variant(row) for row in rows if row.get("on") is True)
    if not chosen:
        raise SettingsError("at least one variant", "none ticked", "tick base or an adapter")
    return chosen


def variant_rows(adapters: Iterable[AdapterFacts], settings: Settings) -> list[dict[str, Any]]:
    """For the browser: the base, then every adapter found; those with problems cannot be ticked and say why."""
    listed = list(adapters)
    usable = [facts.name for facts in listed if not facts.problems]
    first = [name for name in SHOWN_FIRST if name in usable] or usable[:2]
    base = _row("base", on=True, scaled=False, facts="the model without any adapter", settings=settings)
    rows = [base]
    for facts in listed:
        rows.append(
            _row(facts.name, on=facts.name in first, scaled=True, facts=_facts(facts), settings=settings)
            | {"usable": not facts.problems, "why": " ".join(facts.problems), "description": facts.description}
        )
    return rows


def ticked(rows: Any, labels: Iterable[str]) -> Any:
    """The rows with those of these labels ticked and the others not; a label may carry a scale."""
    scales = {name: float(scale or 1) for name, _, scale in (label.partition("@") for label in labels)}
    if not scales or not isinstance(rows, list):
        return rows
    return [row | {"on": row["name"] in scales, "scale": scales.get(row["name"], row["scale"])} for row in rows]


def working(progress: Progress, keeps: str = "") -> dict[str, Any]:
    """The lines under Ask while the model works; `keeps` says what will be kept, once that is known."""
    who = f"{progress.variant}: " if progress.variant else ""
    texts = {
        "waiting": "Waiting: another question is being answered.",
        "loading": "Loading the model.",
        "size": "Setting aside room on the disk.",
        "picture": f"{who}reading the picture.",
        "tokens": f"{who}token {progress.done} of at most {progress.total}.",
        "rows": f"{who}collecting where it looked.",
        "check": f"{who}running again with eager attention, to compare.",
        "trials": f"Asking again under a change: run {progress.done} of {progress.total}.",
    }
    counted = progress.stage in ("tokens", "rows", "trials")
    return {
        "kind": "work",
        "text": texts[progress.stage],
        "so_far": progress.text if progress.stage == "tokens" else "",
        "keeps": keeps,
        "done": progress.done if counted else 0,
        "total": progress.total if counted else 0,
    }


def kept(session: Session) -> str:
    """What was kept of a session, and how far from eager attention it is if that was asked."""
    traces = [run.trace for run in session.runs]
    arrays = [(trace.rows, trace.layer_means, trace.head_means, trace.means, trace.sums) for trace in traces]
    size = sum(array.nbytes for of_one in arrays for array in of_one)
    errors = [run.eager_error for run in session.runs if run.eager_error is not None]
    compared = f" It differs from eager attention by at most {max(errors):.1e}." if errors else ""
    return f"{format_bytes(size)} kept on the disk.{compared}"


def told(text: str, kind: str = "done") -> dict[str, Any]:
    """The line under Ask when nothing runs: `done`, `idle` or `wrong`."""
    return {"kind": kind, "text": text}


def _row(name: str, *, on: bool, scaled: bool, facts: str, settings: Settings) -> dict[str, Any]:
    return {
        "name": name,
        "on": on,
        "scale": 1.0,
        "scaled": scaled,
        "most": settings.scale,
        "usable": True,
        "why": "",
        "description": "",
        "facts": facts,
    }


def _facts(facts: AdapterFacts) -> str:
    towers = " and ".join(facts.towers)
    return f"{facts.kind}, rank {facts.rank}, alpha {facts.alpha:g}; {', '.join(facts.modules)} ({towers})"


def _variant(row: Mapping[str, Any]) -> Variant:
    name = _text("a variant's name", row.get("name"))
    if row.get("mix") is True:
        return parse_variant(name)
    if row.get("scaled") is not True:
        return BASE
    return Variant((AdapterAt(name, _number(f"the scale of {name}", row.get("scale"))),))


def _text(what: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise QuestionError(f"text for {what}", type(value).__name__, "type it on the page")
    return value


def _words(what: str, value: Any) -> Sequence[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise SettingsError(f"a list of {what}", repr(value)[:40], 'send for instance ["question", "answer"]')
    return value


def _number(what: str, value: Any) -> float:
    if not is_number(value):
        raise SettingsError(f"a number for {what}", repr(value)[:40], "type one, for instance 1")
    return float(value)


def _whole(what: str, value: Any) -> int:
    number = _number(what, value)
    if not number.is_integer():
        raise SettingsError(f"a whole number for {what}", f"{number:g}", "leave the part after the point out")
    return int(number)


def _area(what: str, value: Any) -> int | None:
    """The area in pixels, or None for the model's own: an empty field comes as None or, once it was drawn, as 0."""
    return _whole(what, value) or None if value is not None else None


def _switch(what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"on or off for {what}", repr(value)[:40], "use the switch on the page")
    return value
