"""What a person asks: pictures, a question, and which variants of the model are to answer it.

Plain frozen data that crosses from room to room and from process to process; knows no model, no page, no disk.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from inference.errors import QuestionError, SettingsError

BASE_LABEL = "base"
Part = Literal["prompt", "question", "thinking", "answer"]
Keys = Literal["all", "pictures"]
"""Which keys of a row are kept: every one, or the vision tokens alone."""
Numbers = Literal["float16", "float32"]
"""How kept rows are stored; float16 rounds a share by at most 1 in 2,048 of itself, and by 3e-8."""

_NUMBERS = re.compile(r"(\d{1,3})(?:\s*-\s*(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True)
class Picture:
    """One picture as the model is given it: upright, 8-bit RGB, in its original size; made by `inference.intake`."""

    png: bytes
    width: int
    height: int
    name: str = "picture"
    notes: tuple[str, ...] = ()
    """What intake did that the person should know, such as "turned upright" or "first of 12 frames"."""


@dataclass(frozen=True)
class AdapterAt:
    """One adapter at a strength; `scale` multiplies the scaling that it was trained with."""

    name: str
    scale: float = 1.0

    @property
    def label(self) -> str:
        return self.name if self.scale == 1.0 else f"{self.name}@{self.scale:g}"


@dataclass(frozen=True)
class Variant:
    """The base model (no adapters), or the base with one or several adapters added."""

    adapters: tuple[AdapterAt, ...] = ()

    @property
    def label(self) -> str:
        """`base`, `name`, `name@0.5` or `a@0.5+b`; unique within a request."""
        return "+".join(adapter.label for adapter in self.adapters) or BASE_LABEL

    @property
    def is_base(self) -> bool:
        return not self.adapters


BASE = Variant()


@dataclass(frozen=True)
class Generation:
    """How the answer is written. Greedy unless `sample`; `seed` is used with `sample` alone."""

    max_new_tokens: int = 64
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Keep:
    """Which attention rows are kept, and how.

    Rows of single heads are kept for the chosen tokens, layers and heads (None: all of them). Their means over heads
    and over layers, and the sums over pictures, question, first token and rest, are always of all layers and heads.
    """

    question: bool = True
    answer: bool = True
    thinking: bool = False
    prompt: bool = False
    """The whole prompt, templates and pictures included."""
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    keys: Keys = "all"
    numbers: Numbers = "float16"


@dataclass(frozen=True)
class Request:
    """One question about pictures, put to several variants."""

    question: str
    images: tuple[Picture, ...] = ()
    variants: tuple[Variant, ...] = (BASE,)
    system_prompt: str = ""
    tools_json: str = ""
    """A JSON list of tool schemas for the model's own chat template; empty: none."""
    generation: Generation = field(default_factory=Generation)
    keep: Keep = field(default_factory=Keep)
    forced_answer: str | None = None
    """Words put into every variant's mouth (teacher forcing); None: each answers for itself."""
    expected_answer: str | None = None
    """An answer whose log-probability is told for every variant; it changes nothing else."""
    min_pixels: int | None = None
    max_pixels: int | None = None
    """Bounds on the resized picture's area in pixels; None: the model's own."""
    compare_eager: bool = False
    """Run each variant's words once more with eager attention, and tell by how much the rows differ."""


@dataclass(frozen=True)
class Limits:
    """What the owner of an installation allows a visitor."""

    question_chars: int = 4_000
    answer_tokens: int = 512
    images: int = 4
    variants: int = 6
    scale: float = 4.0
    """Largest absolute value of an adapter's scale."""


def parse_variant(text: str) -> Variant:
    """The variant that a label names: `base`, `name`, `name@0.5`, `a@0.5+b`; `@` is always a scale.

    Raises:
        SettingsError: the scale is not a finite number, or a name is empty.
    """
    if text.strip() == BASE_LABEL:
        return BASE
    return Variant(tuple(_parse_adapter(part.strip()) for part in text.split("+")))


def _parse_adapter(text: str) -> AdapterAt:
    name, at, scale = text.rpartition("@")
    if not at:
        name, scale = text, "1"
    try:
        number = float(scale)
    except ValueError:
        number = math.nan
    if not name or not math.isfinite(number):
        raise SettingsError(
            "an adapter as NAME or NAME@SCALE with a finite scale",
            repr(text),
            "write for instance shortcut@0.5",
        )
    return AdapterAt(name, number)


def parse_numbers(text: str, what: str) -> tuple[int, ...] | None:
    """The numbers of `0-5,20`, each once and in order; None, which stands for every one, of `all` or of nothing.

    `what` is what the error calls them, such as "layers".

    Raises:
        SettingsError: something else, or a range that runs backwards.
    """
    if text.strip().lower() in ("", "all"):
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        found = _NUMBERS.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if first > last:
            raise SettingsError(
                f"{what} as numbers from 0 and ranges of them", repr(text)[:40], "write for instance 0-5,20, or all"
            )
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def parse_keep(
    tokens: Sequence[str], *, layers: str = "", heads: str = "", keys: str = "all", numbers: str = "float16"
) -> Keep:
    """What to keep, as a person writes it: `tokens` are names of `Part`, layers and heads are for `parse_numbers`.

    Raises:
        SettingsError: no token, or a word that is none of those there are.
    """
    for token in tokens:
        _check_word("a kind of tokens", token, get_args(Part))
    if not tokens:
        raise SettingsError("some tokens to keep", "none", f"choose from {', '.join(get_args(Part))}")
    _check_word("keys", keys, get_args(Keys))
    _check_word("numbers", numbers, get_args(Numbers))
    return Keep(
        **{part: part in tokens for part in get_args(Part)},
        layers=parse_numbers(layers, "layers"),
        heads=parse_numbers(heads, "heads"),
        keys="pictures" if keys == "pictures" else "all",
        numbers="float32" if numbers == "float32" else "float16",
    )


def _check_word(what: str, word: str, allowed: Sequence[str]) -> None:
    if word not in allowed:
        raise SettingsError(f"{what} of {', '.join(allowed)}", repr(word)[:40], "choose one of them")


def check_request(request: Request, limits: Limits) -> None:
    """Refuses a request that is empty, out of bounds or contradicts itself; the engine calls it once, first.

    Raises:
        QuestionError, SettingsError: with what was expected, what arrived and what to do.
    """
    _check_words(request, limits)
    _check_variants(request.variants, limits)
    _check_numbers(request, limits)
    _check_kept(request.keep, pictures=len(request.images))


def _check_words(request: Request, limits: Limits) -> None:
    if not request.question.strip():
        raise QuestionError("a question", "an empty one", "type what you want to know about the picture")
    texts = {
        "question": request.question,
        "system prompt": request.system_prompt,
        "tools": request.tools_json,
        "words to force": request.forced_answer or "",
        "expected answer": request.expected_answer or "",
    }
    for what, text in texts.items():
        if len(text) > limits.question_chars:
            raise QuestionError(
                f"at most {limits.question_chars:,} characters of {what}", f"{len(text):,}", "shorten it"
            )
    for what in ("words to force", "expected answer"):
        given = request.forced_answer if what == "words to force" else request.expected_answer
        if given is not None and not given.strip():
            raise QuestionError(f"some {what}", "none", "type them, or switch the setting off")


def _check_variants(variants: tuple[Variant, ...], limits: Limits) -> None:
    labels = [variant.label for variant in variants]
    if not 1 <= len(variants) <= limits.variants:
        raise SettingsError(f"1 to {limits.variants} variants", str(len(variants)), "choose base or an adapter")
    if len(set(labels)) < len(labels):
        raise SettingsError("each variant once", ", ".join(labels), "remove the one that is there twice")
    for adapter in (adapter for variant in variants for adapter in variant.adapters):
        if not math.isfinite(adapter.scale) or abs(adapter.scale) > limits.scale:
            raise SettingsError(
                f"a scale between -{limits.scale:g} and {limits.scale:g}",
                f"{adapter.scale:g} for {adapter.name}",
                "1 is the strength that the adapter was trained with",
            )


def _check_numbers(request: Request, limits: Limits) -> None:
    settings = request.generation
    if len(request.images) > limits.images:
        raise SettingsError(f"at most {limits.images} pictures", str(len(request.images)), "leave some out")
    _check_between("answer tokens", settings.max_new_tokens, 1, limits.answer_tokens)
    _check_between("temperature", settings.temperature, 0.01, 10)
    _check_between("top p", settings.top_p, 0.01, 1)
    _check_between("seed", settings.seed, 0, 2**32 - 1)
    for what, pixels in (("min_pixels", request.min_pixels), ("max_pixels", request.max_pixels)):
        if pixels is not None:
            _check_between(what, pixels, 32 * 32, 64_000_000)
    if (request.min_pixels or 0) > (request.max_pixels or math.inf):
        raise SettingsError(
            "min_pixels below max_pixels",
            f"{request.min_pixels} and {request.max_pixels}",
            "exchange the two",
        )


def _check_kept(keep: Keep, *, pictures: int) -> None:
    if not (keep.question or keep.answer or keep.thinking or keep.prompt):
        raise SettingsError("some tokens to keep", "none", "keep those of the question or of the answer")
    if keep.keys == "pictures" and not pictures:
        raise SettingsError("a picture, to keep its keys alone", "none", "add a picture, or keep all keys")
    for what, chosen in (("layers", keep.layers or ()), ("heads", keep.heads or ())):
        if len(set(chosen)) < len(chosen) or min(chosen, default=0) < 0:
            raise SettingsError(
                f"{what} to keep from 0, each once", ", ".join(map(str, chosen))[:40], "correct the numbers"
            )


def _check_between(what: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise SettingsError(f"{what} between {low:,} and {high:,}", f"{value:,}", "choose a value between them")
