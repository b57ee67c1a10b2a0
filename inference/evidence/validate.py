"""Refuses a probe that cannot be run: too much at once, or places that the model, its words or the pictures lack."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from inference.errors import SettingsError
from inference.evidence.trials import KINDS, Block, Change, Erase, Exchange, Piece, Probe, Reason, Switch, Watch
from inference.trace.metrics import check_box
from inference.trace.request import BASE, Generation, Keep, Limits, Request, Variant
from inference.trace.session import ImageSpan
from inference.trace.validate import check_request, check_scales

MOST_TRIALS = 4_096
_REMEDY = "ask a question of this model anew"


@dataclass(frozen=True)
class Frame:
    """What there is: of the model its layers, heads and vocabulary; of the question its pictures and prompt.

    `picture_ids`: ids of tokens that stand for a part of a picture.
    """

    layers: int
    heads: int
    vocabulary: int
    picture_ids: frozenset[int]
    images: tuple[ImageSpan, ...]
    prompt_length: int


def probe_variants(probe: Probe) -> tuple[Variant, ...]:
    """Every variant that takes part, once: of trials, of what they take pieces from, of reasons and their base."""
    named = [trial.variant for trial in probe.trials]
    named += [trial.change.donor for trial in probe.trials if isinstance(trial.change, Exchange)]
    for reason in probe.reasons:
        named += [BASE, reason.variant]
    return tuple(dict.fromkeys(named))


def all_said(probe: Probe) -> set[tuple[int, ...]]:
    """The different words of its trials and reasons."""
    return {trial.said for trial in probe.trials} | {reason.said for reason in probe.reasons}


def check_probe(probe: Probe, limits: Limits) -> None:
    """Refuses a probe whose numbers or question are beyond the limits; needs no model.

    Raises:
        QuestionError, SettingsError: with what was expected, what arrived and what to do.
    """
    count = len(probe.trials) + len(probe.reasons)
    if not 1 <= count <= MOST_TRIALS:
        raise SettingsError(f"1 to {MOST_TRIALS:,} trials at once", f"{count:,}", "choose fewer boxes or parts")
    check_request(_question_alone(probe.request), limits)
    check_scales(probe_variants(probe), limits)
    most = max(limits.answer_tokens, limits.question_chars)
    for said in all_said(probe):
        if not 1 <= len(said) <= most:
            raise SettingsError(f"1 to {most:,} tokens that are said", f"{len(said):,}", "ask for a shorter answer")


def check_places(probe: Probe, frame: Frame) -> None:
    """Refuses words, cells, layers and heads that are not there.

    Raises:
        SettingsError, GeometryError: the first of them is named.
    """
    for said in all_said(probe):
        _check_said(said, frame)
    for change in dict.fromkeys(trial.change for trial in probe.trials):
        _check_change(change, frame)
    for reason in probe.reasons:
        _check_reason(reason, frame)
    if probe.watch is not None and probe.trials:
        _check_watch(probe.watch, frame, shortest=min(len(trial.said) for trial in probe.trials))


def _question_alone(request: Request) -> Request:
    """The request without what a probe makes no use of."""
    return replace(
        request,
        variants=(BASE,),
        generation=Generation(),
        keep=Keep(),
        forced_answer=None,
        words="own",
        expected_answer=None,
        compare_eager=False,
    )


def _check_said(said: Sequence[int], frame: Frame) -> None:
    for token in said:
        if not 0 <= token < frame.vocabulary or token in frame.picture_ids:
            raise SettingsError(
                f"words made of tokens from 0 to {frame.vocabulary - 1}, none of them a picture's", str(token), _REMEDY
            )


def _check_change(change: Change | None, frame: Frame) -> None:
    if isinstance(change, Block):
        span = _span(change.image, frame)
        _check_numbers("cell", change.cells, span.rows * span.cols)
        _check_numbers("layer", (layer for layer, _ in change.heads or ()), frame.layers)
        _check_numbers("head", (head for _, head in change.heads or ()), frame.heads)
    elif isinstance(change, Erase):
        check_box(change.box, _span(change.image, frame).original_wh)
    elif isinstance(change, Switch):
        _check_numbers("layer", change.layers or (), frame.layers)
        for kind in change.kinds or ():
            if kind not in KINDS:
                raise SettingsError(f"kinds of modules of {', '.join(KINDS)}", repr(kind)[:40], "choose among them")
    elif isinstance(change, Exchange):
        for piece in change.pieces:
            _check_piece(piece, frame)


def _check_piece(piece: Piece, frame: Frame) -> None:
    if (piece.component == "pictures") != (piece.layer is None) or (
        piece.head is not None and piece.component != "attention"
    ):
        raise SettingsError(
            "a layer's attention, a head of it, a layer's mlp, or the pictures", str(piece), "choose one of them"
        )
    _check_numbers("layer", () if piece.layer is None else (piece.layer,), frame.layers)
    _check_numbers("head", () if piece.head is None else (piece.head,), frame.heads)


def _check_reason(reason: Reason, frame: Frame) -> None:
    _check_numbers("layer", (reason.layer,), frame.layers)
    _check_numbers("head", (reason.head,), frame.heads)
    _check_row(reason.row_at, frame, len(reason.said))


def _check_watch(watch: Watch, frame: Frame, *, shortest: int) -> None:
    _span(watch.image, frame)
    _check_numbers("layer", () if watch.layer is None else (watch.layer,), frame.layers)
    _check_numbers("head", () if watch.head is None else (watch.head,), frame.heads)
    _check_row(watch.row_at, frame, shortest)


def _check_row(row_at: int, frame: Frame, said: int) -> None:
    """The last word looks at nothing: it is not fed."""
    _check_numbers("position", (row_at,), frame.prompt_length + said - 1)


def _span(image: int, frame: Frame) -> ImageSpan:
    _check_numbers("picture", (image,), len(frame.images))
    return frame.images[image]


def _check_numbers(what: str, numbers: Iterable[int], count: int) -> None:
    for number in numbers:
        if not 0 <= number < count:
            there = f"a {what} from 0 to {count - 1}" if count else f"a {what} among none"
            raise SettingsError(there, str(number), "choose one that is there")
