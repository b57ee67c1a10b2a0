"""Refuses a request that is empty, out of bounds or contradicts itself. Knows no model and no page."""

import math
from collections.abc import Sequence

from inference.errors import QuestionError, SettingsError
from inference.trace.request import Keep, Limits, Request, Variant


def check_request(request: Request, limits: Limits) -> None:
    """Refuses a request that is empty, out of bounds or contradicts itself; the engine calls it once, first.

    Raises:
        QuestionError, SettingsError: with what was expected, what arrived and what to do.
    """
    _check_words(request, limits)
    _check_variants(request.variants, limits)
    _check_numbers(request, limits)
    _check_kept(request.keep, pictures=len(request.images))


def check_scales(variants: Sequence[Variant], limits: Limits) -> None:
    """Refuses adapters at strengths that are beyond the limits.

    Raises:
        SettingsError: the adapter is named.
    """
    for adapter in (adapter for variant in variants for adapter in variant.adapters):
        if not math.isfinite(adapter.scale) or abs(adapter.scale) > limits.scale:
            raise SettingsError(
                f"a scale between -{limits.scale:g} and {limits.scale:g}",
                f"{adapter.scale:g} for {adapter.name}",
                "1 is the strength that the adapter was trained with",
            )
        _check_between(f"the shuffle of {adapter.name}", adapter.shuffle, 0, 1000)


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
    if request.words == "base" and request.forced_answer is not None:
        raise SettingsError("the base's words or words to force", "both", "choose one of them")
    if request.words == "base" and not any(variant.is_base for variant in request.variants):
        raise SettingsError("the base among the variants, whose words all say", "adapters alone", "choose base too")


def _check_variants(variants: tuple[Variant, ...], limits: Limits) -> None:
    labels = [variant.label for variant in variants]
    most = limits.strengths if _is_sweep(variants) else limits.variants
    if not 1 <= len(variants) <= most:
        raise SettingsError(
            f"1 to {most} variants",
            str(len(variants)),
            f"choose base or an adapter; of base and one adapter at several scales there may be {limits.strengths}",
        )
    if len(set(labels)) < len(labels):
        raise SettingsError("each variant once", ", ".join(labels), "remove the one that is there twice")
    check_scales(variants, limits)


def _is_sweep(variants: tuple[Variant, ...]) -> bool:
    """Whether all but the base are one and the same adapter alone."""
    names = [tuple(adapter.name for adapter in variant.adapters) for variant in variants if not variant.is_base]
    return len(set(names)) == 1 and len(names[0]) == 1


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
