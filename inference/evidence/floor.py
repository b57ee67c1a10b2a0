"""The noise floor of a comparison: how far runs lie apart that ought to be alike, and what any change of a size does.

Which further sessions are asked for, as ordinary requests with the words of the session put into every mouth; and
which of their runs is held against which. A figure is `trace.compare`'s, so a floor is in the same units as the change.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from inference.errors import SettingsError
from inference.trace import compare
from inference.trace.request import Picture, Request, Variant
from inference.trace.session import Run, Session, Trace

Kind = Literal["shift", "jpeg", "question", "precision", "shuffle"]
KINDS: dict[Kind, str] = {
    "shift": "the picture shifted by one pixel, right and down",
    "jpeg": "the picture saved as JPEG at quality 95",
    "question": "the question re-worded",
    "precision": "the model in float32 instead of 16 bits",
    "shuffle": "adapters of the same norm with shuffled factors",
}
"""What is done, for people. All but the last ought to change nothing; the last is what any change of its size does."""
ALIKE: tuple[Kind, ...] = ("shift", "jpeg", "question", "precision")

SEEDS = (1, 2)
"""How shuffled adapters are drawn."""
JPEG_QUALITY = 95
_NOTES: dict[Kind, str] = {
    "shift": "shifted by one pixel, right and down",
    "jpeg": f"saved as JPEG at quality {JPEG_QUALITY}",
}

Heads = Float[np.ndarray, "layers heads"]


@dataclass(frozen=True)
class Rerun:
    """One further session that is asked for."""

    kind: Kind
    request: Request


@dataclass(frozen=True)
class Plan:
    """All that are asked for, and in sentences what is not measured."""

    reruns: tuple[Rerun, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Pairing:
    """Two runs whose difference is noise, with the tokens of each that mean the same."""

    kind: Kind
    a: Trace
    b: Trace
    tokens: tuple[slice, slice]


def reworded(question: str) -> str:
    """The question with no more than politeness added."""
    return f"Please say: {question}"


def floor_requests(session: Session, question: str = "") -> Plan:
    """What is asked once more; `question`: the re-worded one, `reworded` if it is empty.

    Variants that said the same are asked together, with those words put into their mouths.

    Raises:
        SettingsError: no picture, no words, reasoning before the answer, or the very same question.
    """
    asked = session.request
    if not asked.images:
        raise SettingsError("a question with a picture", "one without", "ask about a picture")
    other = question.strip() or reworded(asked.question)
    if other == asked.question:
        raise SettingsError("a question in other words", "the same words", "word it another way")
    shifted = tuple(_remade(picture, "shift") for picture in asked.images)
    pressed = tuple(_remade(picture, "jpeg") for picture in asked.images)
    reruns = []
    for words, variants in _spoken(session).items():
        plain = _plain(asked, words, variants)
        reruns.append(Rerun("shift", replace(plain, images=shifted)))
        reruns.append(Rerun("jpeg", replace(plain, images=pressed)))
        reruns.append(Rerun("question", replace(plain, question=other)))
        if session.model.dtype != "float32":
            reruns.append(Rerun("precision", replace(plain, full_precision=True)))
    left_out = []
    if session.model.dtype == "float32":
        left_out.append("Precision: nothing to measure, for the model runs in float32.")
    base = next((run for run in session.runs if run.variant.is_base), None)
    adapted = [run.variant for run in session.runs if not run.variant.is_base]
    if base is None:
        left_out.append("Shuffled adapters: not measured, for the base was not asked.")
    elif adapted:
        for seed in SEEDS:
            drawn = tuple(_shuffled(variant, seed) for variant in adapted)
            reruns.append(Rerun("shuffle", _plain(asked, _words(session, base), drawn)))
    return Plan(tuple(reruns), tuple(left_out))


def kind_of(session: Session, rerun: Session) -> Kind:
    """Which rerun of the session this is, as its request tells.

    Raises:
        SettingsError: it is none, or of other pictures.
    """
    asked, again = session.request, rerun.request
    sizes = [[(picture.width, picture.height, picture.name) for picture in one.images] for one in (asked, again)]
    if sizes[0] == sizes[1]:
        if any(adapter.shuffle for variant in again.variants for adapter in variant.adapters):
            return "shuffle"
        if again.full_precision and not asked.full_precision:
            return "precision"
        for kind, note in _NOTES.items():
            if all(note in picture.notes for picture in again.images):
                return kind
        if asked.question != again.question:
            return "question"
    raise SettingsError("a run again of this session", "another session", "measure the noise floor once more")


def check_same_words(session: Session, rerun: Session) -> None:
    """Refuses a rerun in which the words became other tokens than those that the session's variants said.

    Raises:
        SettingsError: they did; then nothing of the answer can be compared.
    """
    for again in rerun.runs:
        own = [run for run in session.runs if run.variant == again.variant]
        if own and _said(own[0].trace) != _said(again.trace):
            raise SettingsError(
                "an answer that becomes the same tokens when it is given as text",
                f"other tokens for {again.variant.label}",
                "ask again with words to force, and measure then",
            )


def _said(trace: Trace) -> list[int]:
    return [token.id for token in trace.tokens if token.part == "answer"]


def pairings(session: Session, reruns: Sequence[Session], a: str, b: str, tokens: slice) -> list[Pairing]:
    """What the floor of the change from a to b is taken from, for the places `tokens` of both runs' traces.

    A run against itself run again, for each of the two; and the base against each of the two's adapters shuffled.
    Left out: runs that had read other words, and of a re-worded question all tokens but those of the answer.
    """
    found = []
    for rerun in reruns:
        kind = kind_of(session, rerun)
        for first, second in _matched(session, rerun, kind, (a, b)):
            place = _same_place(first.trace, second.trace, tokens, kind)
            if place is not None and _same_grids(first.trace, second.trace):
                found.append(Pairing(kind, first.trace, second.trace, (tokens, place)))
    return found


def floor_heads(found: Sequence[Pairing], figures: Callable[[Pairing], Heads]) -> dict[Kind, Heads]:
    """For each kind that has a pairing the largest |figure| of every head; NaN where none has a value."""
    floors: dict[Kind, Heads] = {}
    for pairing in found:
        size = np.abs(figures(pairing))
        before = floors.get(pairing.kind)
        floors[pairing.kind] = size if before is None else np.fmax(before, size)
    return floors


def _matched(session: Session, rerun: Session, kind: Kind, labels: tuple[str, str]) -> Iterator[tuple[Run, Run]]:
    """Runs of the session, each with the run of the rerun that it is held against."""
    wanted = [run for run in session.runs if run.variant.label in labels]
    if kind != "shuffle":
        yield from ((run, again) for run in wanted for again in rerun.runs if again.variant == run.variant)
        return
    base = next((run for run in session.runs if run.variant.is_base), None)
    if base is None:
        return
    asked = [run.variant for run in wanted if not run.variant.is_base]
    yield from ((base, again) for again in rerun.runs if _shuffled(again.variant, 0) in asked)


def _same_place(a: Trace, b: Trace, tokens: slice, kind: Kind) -> slice | None:
    """The places in b of these tokens of a; None where they have not read the same words."""
    if kind != "question":
        return tokens if compare.have_read_alike(a, b, tokens) else None
    said_a, said_b = ([i for i, token in enumerate(one.tokens) if token.part == "answer"] for one in (a, b))
    chosen = range(len(a.tokens))[tokens]
    if not chosen or any(index not in said_a for index in chosen):
        return None
    first, last = (said_a.index(index) for index in (chosen[0], chosen[-1]))
    if last >= len(said_b):
        return None
    ids = [[one.tokens[index].id for index in said[: last + 1]] for one, said in ((a, said_a), (b, said_b))]
    return slice(said_b[first], said_b[last] + 1) if ids[0] == ids[1] else None


def _same_grids(a: Trace, b: Trace) -> bool:
    grids = [[(span.rows, span.cols) for span in one.images] for one in (a, b)]
    return grids[0] == grids[1] and (a.layers, a.heads, a.sums.shape[1:]) == (b.layers, b.heads, b.sums.shape[1:])


def _spoken(session: Session) -> dict[str, tuple[Variant, ...]]:
    """What was said, with the variants that said it."""
    groups: dict[str, tuple[Variant, ...]] = {}
    for run in session.runs:
        words = _words(session, run)
        groups[words] = (*groups.get(words, ()), run.variant)
    return groups


def _words(session: Session, run: Run) -> str:
    """What the variant said, as text that becomes the same tokens again."""
    if session.request.forced_answer is not None:
        return session.request.forced_answer
    if run.thinking:
        raise SettingsError(
            "answers without reasoning before them",
            f"{run.variant.label} with some",
            "ask with a model, or a prompt, that answers at once",
        )
    said = "".join(token.text for token in run.trace.tokens if token.part == "answer")
    words = run.answer if "\N{REPLACEMENT CHARACTER}" in said or not said.strip() else said
    if not words.strip():
        raise SettingsError("an answer of some words", f"none of {run.variant.label}", "ask something else")
    return words


def _plain(asked: Request, words: str, variants: tuple[Variant, ...]) -> Request:
    return replace(
        asked,
        variants=variants,
        words="own",
        forced_answer=words,
        expected_answer=None,
        compare_eager=False,
        keep=replace(asked.keep, keys="pictures"),
    )


def _shuffled(variant: Variant, seed: int) -> Variant:
    return Variant(tuple(replace(adapter, shuffle=seed) for adapter in variant.adapters))


def _remade(picture: Picture, kind: Kind) -> Picture:
    """The picture changed so that a person hardly sees it."""
    # Pillow's own bound would refuse what the owner of the installation allows; intake has kept to that bound.
    image = PngImageFile(io.BytesIO(picture.png)).convert("RGB")
    if kind == "jpeg":
        pressed = io.BytesIO()
        image.save(pressed, "JPEG", quality=JPEG_QUALITY)
        image = Image.open(pressed).convert("RGB")
    else:
        pixels = np.asarray(image)
        image = Image.fromarray(np.pad(pixels, ((1, 0), (1, 0), (0, 0)), mode="edge")[:-1, :-1])
    kept = io.BytesIO()
    image.save(kept, "PNG", compress_level=1)
    return replace(picture, png=kept.getvalue(), notes=(*picture.notes, _NOTES[kind]))
