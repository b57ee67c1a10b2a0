"""Options of an inquiry as they come from strangers, each checked and told of in one sentence. Knows no Gradio."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from inference.errors import SettingsError
from inference.evidence.heads import Heads
from inference.trace.metrics import Box, check_box
from inference.trace.session import Session
from viz.choices import check_choice, is_number
from viz.view import Choice

Options = Mapping[str, Any]
Word = TypeVar("Word", bound=str)


def choice_in(options: Options, session: Session) -> Choice:
    """What is looked at while it is asked.

    Raises:
        SettingsError: it is none that the session has.
    """
    return check_choice(session, options.get("choice", {}))


def shown_in(session: Session, choice: Choice) -> Session:
    """The session with the runs of those variants alone that are not hidden."""
    return replace(session, runs=tuple(run for run in session.runs if run.variant.label not in choice.hidden))


def box_in(options: Options, session: Session, image: int) -> Box | None:
    """The box on a picture, in its pixels and cut to it; None without one.

    Raises:
        SettingsError: no four numbers, or there is no such picture.
        GeometryError: nothing of it lies inside the picture.
    """
    raw = options.get("box")
    if raw is None:
        return None
    images = session.request.images
    if not isinstance(raw, list | tuple) or len(raw) != 4 or not all(map(is_number, raw)) or image >= len(images):
        raise SettingsError("a box as left, top, right, bottom in pixels", repr(raw)[:60], "draw it on the picture")
    left, top, right, bottom = (float(number) for number in raw)
    return check_box((left, top, right, bottom), (images[image].width, images[image].height))


def whole_in(options: Options, name: str, default: int, *, least: int, most: int) -> int:
    """A whole number between two bounds, which are allowed; 3.0 counts as 3.

    Raises:
        SettingsError: it is none, or beyond them.
    """
    value = options.get(name, default)
    if not is_number(value) or not float(value).is_integer() or not least <= value <= most:
        raise SettingsError(f"a whole number from {least} to {most} for {name}", repr(value)[:40], "choose one of them")
    return int(value)


def word_in(options: Options, name: str, default: Word, words: Sequence[Word]) -> Word:
    """One of these words.

    Raises:
        SettingsError: it is none of them.
    """
    value = options.get(name, default)
    for word in words:
        if word == value:
            return word
    raise SettingsError(f"{name} as one of {', '.join(words)}", repr(value)[:40], "choose one of them")


def words_in(options: Options, name: str, default: Sequence[Word], words: Sequence[Word]) -> tuple[Word, ...]:
    """At least one of these words, each once, in their order here.

    Raises:
        SettingsError: another one, or none.
    """
    value = options.get(name, default)
    chosen = tuple(word for word in words if isinstance(value, list | tuple) and word in value)
    if not chosen or len(chosen) != len(value):
        raise SettingsError(f"{name} among {', '.join(words)}", repr(value)[:60], "choose at least one of them")
    return chosen


def wholes_in(options: Options, name: str) -> tuple[int, ...] | None:
    """A list of whole numbers from 0 on; None where it is left out.

    Raises:
        SettingsError: something else.
    """
    value = options.get(name)
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not value or not all(map(_is_index, value)):
        raise SettingsError(f"{name} as a list of numbers from 0 on", repr(value)[:60], "send for instance [0, 3]")
    return tuple(int(number) for number in value)


def heads_in(options: Options, name: str) -> Heads | None:
    """A list of [layer, head]; None where it is left out.

    Raises:
        SettingsError: something else.
    """
    value = options.get(name)
    if value is None:
        return None
    pairs = value if isinstance(value, list | tuple) else ()
    is_pair = [isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_is_index, pair)) for pair in pairs]
    if not is_pair or not all(is_pair):
        raise SettingsError(f"{name} as a list of [layer, head]", repr(value)[:60], "send for instance [[2, 1]]")
    return tuple((int(layer), int(head)) for layer, head in pairs)


def _is_index(value: object) -> bool:
    return is_number(value) and float(value).is_integer() and value >= 0
