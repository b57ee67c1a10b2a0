"""What a person looks at: the first choice with its reason, and a forged or stale one refused.

Plain functions over a session; knows no Gradio and no model.
"""

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeGuard

from inference.errors import SettingsError
from inference.trace.session import Run, Session, Sharpest
from viz import overlay, words
from viz.seen import kept_heads
from viz.slots import slot_count, slots_of
from viz.view import Choice


def first_choice(session: Session) -> tuple[Choice, str]:
    """What to show first, and a sentence that says why: of all variants the spot that looks most sharply.

    All variants are asked, since what an adapter has learnt to look at may be seen in its own rows alone; on a tie
    the earlier variant, so the base, wins. Without a picture: the first token, the mean over all layers and heads.
    """
    found = [(run, run.trace.sharpest) for run in session.runs if run.trace.sharpest is not None]
    if not found:
        why = "No rows of single heads were kept" if session.request.images else "There is no picture to look at"
        return Choice(), f"{why}: the first token is shown, over all layers and heads."
    run, best = max(found, key=lambda pair: pair[1].share - pair[1].usual)
    slot = slots_of(session, run.trace)[best.spot.token]
    choice = Choice(slot, slot, best.spot.layer, best.spot.head, best.image)
    return choice, _reason(session, run, best, choice)


def check_choice(session: Session, raw: object) -> Choice:
    """The choice that arrived, checked against the session; what is left out keeps its default.

    A range given backwards is turned round; a `token` without `token_to` is that token alone.

    Raises:
        SettingsError: a field that is unknown, of the wrong type or out of range.
    """
    given = _fields_of(raw)
    count, layers, heads = slot_count(session), session.model.layers, session.model.heads
    token = _whole("token", given.get("token", 0), count)
    token_to = _whole("token", given.get("token_to", token), count)
    return Choice(
        token=min(token, token_to),
        token_to=max(token, token_to),
        layer=_whole_or_all("layer", given.get("layer"), layers),
        head=_whole_or_all("head", given.get("head"), heads),
        image=_whole("picture", given.get("image", 0), max(1, len(session.request.images))),
        within=_switch("within", given.get("within", False)),
        colormap=_colormap(given.get("colormap", Choice().colormap)),
        hidden=_hidden(session, given.get("hidden", ())),
    )


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number, finite and not too long for a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def run_of(session: Session, variant: object) -> Run:
    """The run of the variant with that label.

    Raises:
        SettingsError: the session has none.
    """
    labels = [run.variant.label for run in session.runs]
    if not isinstance(variant, str) or variant not in labels:
        raise SettingsError(f"a variant of {', '.join(labels)}", _shown(variant), "choose one that was asked")
    return session.run(variant)


def _reason(session: Session, run: Run, best: Sharpest, choice: Choice) -> str:
    heads = "heads that were kept" if kept_heads(session) else "heads"
    token = words.quoted(run.trace.tokens[best.spot.token].text)
    span = run.trace.images[best.image]
    return (
        f"Chosen first: {token} in {words.where(choice)} ({run.variant.label}). Of all words and {heads} it picks "
        f"out one place most sharply: {words.percent(best.share)} of its attention on one cell "
        f"({words.place(best.row, best.col, span.rows, span.cols)}), where other words give "
        f"{words.percent(best.usual)}. Places that are bright for every word are left aside."
    )


def _fields_of(raw: object) -> dict[str, Any]:
    names = [field.name for field in fields(Choice)]
    if isinstance(raw, Choice):
        return {name: getattr(raw, name) for name in names}
    if not isinstance(raw, Mapping):
        raise SettingsError(
            f"a choice with the fields {', '.join(names)}", _shown(raw), "choose on the page, or send such an object"
        )
    unknown = [key for key in raw if key not in names]
    if unknown:
        raise SettingsError(f"fields of {', '.join(names)}", _shown(unknown[0]), "leave the others out")
    return dict(raw)


def _whole(what: str, value: object, count: int) -> int:
    """A whole number below `count`; 3.0 counts as 3, since that is what some browsers send."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
        raise SettingsError(f"a {what} from 0 to {count - 1}", _shown(value), f"choose one of the {count}")
    return number


def _whole_or_all(what: str, value: object, count: int) -> int | None:
    return None if value is None else _whole(what, value, count)


def _switch(what: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"true or false for {what}", _shown(value), "send one of the two")
    return value


def _colormap(value: object) -> str:
    if not isinstance(value, str) or value not in overlay.COLORMAPS:
        raise SettingsError(f"one of {', '.join(overlay.COLORMAPS)}", _shown(value), "choose one from the list")
    return value


def _hidden(session: Session, value: object) -> tuple[str, ...]:
    labels = [run.variant.label for run in session.runs]
    if not isinstance(value, list | tuple) or any(not isinstance(label, str) or label not in labels for label in value):
        raise SettingsError(f"a list of variants of {', '.join(labels)} to hide", _shown(value), "send such a list")
    if set(value) == set(labels):
        raise SettingsError("at least one variant to show", "all of them hidden", "show one")
    return tuple(label for label in labels if label in value)


def _shown(value: object) -> str:
    """What arrived, short: a stranger may have sent a book."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}\N{HORIZONTAL ELLIPSIS}"
