"""Inquiries of the part "Does it matter?": from what the page sends to what is asked, and from what is found to a view.

Options: `choice`, what is looked at; the rest is told at each kind. All of it is unchecked until here. Knows no Gradio.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from inference.errors import SettingsError
from inference.evidence.calibration import find_calibration, load_calibrations
from inference.evidence.dependence import Dependence, sizes_offered
from inference.evidence.drops import Way
from inference.evidence.heads import Heads, changed_heads
from inference.evidence.inquiry import Inquiry, inquire
from inference.evidence.knockout import MOST_DRAWS, KnockOut, Target
from inference.evidence.pictured import DependsOnPicture
from inference.evidence.trials import Watchers
from inference.mini import BASE_DIR
from inference.trace.session import Session
from viz.choices import run_of
from viz.dependence_view import dependence_view
from viz.knockout_view import knockout_view, pictured_view
from viz.page.evidence import Bench, Kind, Options, Steps
from viz.page.options import box_in, choice_in, heads_in, shown_in, whole_in, wholes_in, word_in, words_in
from viz.slots import slots_of
from viz.view import Choice

Make = Callable[[Session, Choice, Options], Inquiry[Any]]
WHO: tuple[Watchers, ...] = get_args(Watchers)
TARGETS: tuple[Target, ...] = get_args(Target)
WAYS: tuple[Way, ...] = get_args(Way)
HEADS = ("all", "chosen", "changed")
MOST_CHANGED = 100
MOST_CELLS = 1_000


@dataclass(frozen=True)
class Found:
    """What was found, what was asked, and what was looked at meanwhile."""

    choice: Choice
    asked: Any
    result: Any


def knockout_of(session: Session, choice: Choice, options: Options) -> KnockOut:
    """`box`, `targets`, `way`, `who`, `draws`, `seed`, `layers` as in `KnockOut`; `heads` too, or a word of `HEADS`:
    all, chosen (the layer and head of the choice), or the `top` ones that the variant `b` changed most.
    """
    heads, layers = _heads(session, choice, options)
    return KnockOut(
        box=box_in(options, session, choice.image),
        image=choice.image,
        targets=words_in(options, "targets", ("box",), TARGETS),
        way=word_in(options, "way", "block", WAYS),
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
        if options.get("b") is None:
            raise SettingsError("b, the variant whose changed heads are meant", "none", "name one of the session")
        return changed_heads(session, run_of(session, options["b"]).variant.label, top), layers
    if choice.layer is None and choice.head is None:
        raise SettingsError("a chosen layer or head", "the mean over all", "choose one under Look, or block all heads")
    if choice.head is None:
        return None, tuple(layer for layer in (choice.layer,) if layer is not None)
    through = range(session.model.layers) if choice.layer is None else (choice.layer,)
    return tuple((layer, choice.head) for layer in through), None


def dependence_of(session: Session, choice: Choice, options: Options) -> Dependence:
    """`size`, `way` and `who` as in `Dependence`; `words`: all that were said, or the chosen one."""
    size = options.get("size")
    which = word_in(options, "words", "all", ("all", "chosen"))
    return Dependence(
        image=choice.image,
        size=None if size is None else whole_in(options, "size", 1, least=1, most=MOST_CELLS),
        way=word_in(options, "way", "block", WAYS),
        who=word_in(options, "who", "all", WHO),
        word=None if which == "all" else _said_word(session, choice),
    )


def _said_word(session: Session, choice: Choice) -> int:
    """The place of the chosen token among all that was said, thinking included.

    Raises:
        SettingsError: it is no token of the answer, or stands at another place in each variant.
    """
    runs = shown_in(session, choice).runs
    thought = {sum(token.part == "thinking" for token in run.trace.tokens) for run in runs}
    if len(thought) > 1:
        raise SettingsError(
            "variants that thought equally long", "others", "sweep for all words, or show one variant alone"
        )
    return thought.pop() + answer_token(session, choice) - _first_answer(session)


def _calibrated(bench: Bench, session: Session, asked: Dependence) -> Dependence:
    """With the spot that was chosen for this model and wording, if one was.

    The miniature's lies here also where the model itself is in another process.
    """
    folder = bench.engine.base_folder() or (BASE_DIR if not bench.settings.model else None)
    found = load_calibrations(folder) if folder else ()
    return replace(asked, calibration=find_calibration(found, session))


def _dependence_plan(session: Session, choice: Choice, asked: Dependence) -> dict[str, Any]:
    spans = session.runs[0].trace.images
    return {"sizes": list(sizes_offered(spans[choice.image])) if choice.image < len(spans) else []}


def _kind(
    make: Make,
    show: Callable[[Session, Found], Any],
    *,
    ready: Callable[[Bench, Session, Any], Any] = lambda bench, session, asked: asked,
    plan: Callable[[Session, Choice, Any], dict[str, Any]] = lambda session, choice, asked: {},
) -> Kind:
    """A kind that asks about the variants shown, and counts the runs that this takes.

    `ready` may add to what is asked, `plan` to what is told before.
    """

    def made(session: Session, options: Options) -> tuple[Choice, Session, Inquiry[Any]]:
        choice = choice_in(options, session)
        return choice, shown_in(session, choice), make(session, choice, options)

    def ask(bench: Bench, session: Session, options: Options) -> Steps:
        choice, shown, inquiry = made(session, options)
        asked = ready(bench, session, inquiry)
        result = yield from inquire(bench.engine, shown, asked)
        return Found(choice, asked, result)

    def planned(session: Session, options: Options) -> dict[str, Any]:
        choice, shown, inquiry = made(session, options)
        return {"runs": len(inquiry.probe(shown).trials)} | plan(session, choice, inquiry)

    return Kind(ask, lambda session, found: asdict(show(session, found)), planned)


KNOCKOUT = _kind(knockout_of, lambda session, found: knockout_view(session, found.choice, found.result))
PICTURED = _kind(
    pictured_of, lambda session, found: pictured_view(session, answer_token(session, found.choice), found.result)
)
DEPENDENCE = _kind(
    dependence_of,
    lambda session, found: dependence_view(session, found.choice, found.asked, found.result),
    ready=_calibrated,
    plan=_dependence_plan,
)
