"""Inquiries of the part "Does it matter?": from what the page sends to what is asked, and from what is found to a view.

Options: `choice`, what is looked at; the rest is told at each kind. All of it is unchecked until here. Knows no Gradio.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, get_args

from inference.errors import SettingsError
from inference.evidence.heads import Heads, changed_heads
from inference.evidence.inquiry import Inquiry, inquire
from inference.evidence.knockout import MOST_DRAWS, KnockOut, Target
from inference.evidence.pictured import DependsOnPicture
from inference.evidence.trials import Watchers
from inference.trace.session import Session
from viz.choices import run_of
from viz.knockout_view import knockout_view, pictured_view
from viz.page.evidence import Bench, Kind, Options, Steps
from viz.page.options import box_in, choice_in, heads_in, shown_in, whole_in, wholes_in, word_in, words_in
from viz.slots import slots_of
from viz.view import Choice

Make = Callable[[Session, Choice, Options], Inquiry[Any]]
WHO: tuple[Watchers, ...] = get_args(Watchers)
TARGETS: tuple[Target, ...] = get_args(Target)
HEADS = ("all", "chosen", "changed")
MOST_CHANGED = 100


@dataclass(frozen=True)
class Found:
    """What was found, and what was looked at when it was asked."""

    choice: Choice
    result: Any


def knockout_of(session: Session, choice: Choice, options: Options) -> KnockOut:
    """`box`; `targets`, `who`, `draws`, `seed` and `layers` as in `KnockOut`; `heads` too, or one of the words `HEADS`:
    all, chosen (the layer and head of the choice), or the `top` ones that the variant `b` changed most.
    """
    heads, layers = _heads(session, choice, options)
    return KnockOut(
        box=box_in(options, session, choice.image),
        image=choice.image,
        targets=words_in(options, "targets", ("box",), TARGETS),
        who=word_in(options, "who", "all", WHO),
        heads=heads,
        layers=layers,
        draws=whole_in(options, "draws", 20, least=0, most=MOST_DRAWS),
        seed=whole_in(options, "seed", 0, least=0, most=2**31 - 1),
    )


def pictured_of(session: Session, choice: Choice, options: Options) -> DependsOnPicture:
    """`who` as in `DependsOnPicture`; the first token of the answer that is chosen."""
    place = answer_token(session, choice) - _first_answer(session)
    return DependsOnPicture(place, image=choice.image, who=word_in(options, "who", "all", WHO))


def answer_token(session: Session, choice: Choice) -> int:
    """The first token of an answer among the chosen ones, as `Choice.token`.

    Raises:
        SettingsError: there is none.
    """
    first = _first_answer(session)
    if choice.token_to < first:
        raise SettingsError("a token of the answer", "one that the model was given", "click a word that the model said")
    return max(choice.token, first)


def _first_answer(session: Session) -> int:
    slots = [
        slot
        for run in session.runs
        for slot, token in zip(slots_of(session, run.trace), run.trace.tokens, strict=True)
        if token.part == "answer"
    ]
    if not slots:
        raise SettingsError("a session that kept the answer's tokens", "one without them", "ask again, keeping them")
    return min(slots)


def _heads(session: Session, choice: Choice, options: Options) -> tuple[Heads | None, tuple[int, ...] | None]:
    """The heads and the layers that are blocked; both None: all."""
    layers = wholes_in(options, "layers")
    if isinstance(options.get("heads"), list):
        return heads_in(options, "heads"), layers
    which = word_in(options, "heads", "all", HEADS)
    if which == "all":
        return None, layers
    if which == "changed":
        top = whole_in(options, "top", 3, least=1, most=MOST_CHANGED)
        return changed_heads(session, run_of(session, options.get("b")).variant.label, top), layers
    if choice.layer is None and choice.head is None:
        raise SettingsError("a chosen layer or head", "the mean over all", "choose one under Look, or block all heads")
    if choice.head is None:
        return None, tuple(layer for layer in (choice.layer,) if layer is not None)
    through = range(session.model.layers) if choice.layer is None else (choice.layer,)
    return tuple((layer, choice.head) for layer in through), None


def _kind(make: Make, show: Callable[[Session, Found], Any]) -> Kind:
    """A kind that asks about the variants shown, and counts the runs that this takes."""

    def made(session: Session, options: Options) -> tuple[Choice, Session, Inquiry[Any]]:
        choice = choice_in(options, session)
        return choice, shown_in(session, choice), make(session, choice, options)

    def ask(bench: Bench, session: Session, options: Options) -> Steps:
        choice, shown, inquiry = made(session, options)
        result = yield from inquire(bench.engine, shown, inquiry)
        return Found(choice, result)

    def count(session: Session, options: Options) -> int:
        _, shown, inquiry = made(session, options)
        return len(inquiry.probe(shown).trials)

    return Kind(ask, lambda session, found: asdict(show(session, found)), count)


KNOCKOUT = _kind(knockout_of, lambda session, found: knockout_view(session, found.choice, found.result))
PICTURED = _kind(
    pictured_of, lambda session, found: pictured_view(session, answer_token(session, found.choice), found.result)
)
