"""Inquiries of the part Parts: an adapter switched off by parts, pieces exchanged, and why a head moved.

Options: `choice`, what is looked at; `variant`, a label; the rest is told at each kind. All of it is unchecked until
here. Knows no Gradio.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, get_args

from inference.errors import SettingsError
from inference.evidence.exchange import Donor, ExchangePieces, Words
from inference.evidence.inquiry import Inquiry
from inference.evidence.parts import SwitchParts
from inference.evidence.reasons import WhyMoved
from inference.evidence.words import adapter_run
from inference.trace.session import Session
from viz.page.evidence import Kind, Options, probing
from viz.page.options import choice_in, whole_in, word_in
from viz.parts_view import exchanged_view, parted_view, reason_view
from viz.slots import slots_of, tokens_at

WORDS: tuple[Words, ...] = get_args(Words)
DONORS: tuple[Donor, ...] = get_args(Donor)
_RUNS_OF_A_REASON = 2


def switch_of(session: Session, options: Options) -> SwitchParts:
    """Every part off and on alone; the map watched is that of what is looked at, if the variant has such a token."""
    choice, place = choice_in(options, session), _place(session, options)
    return SwitchParts(_variant(options), place, choice.layer, choice.head, choice.image)


def exchange_of(session: Session, options: Options) -> ExchangePieces:
    """`words` and `donor` as in `ExchangePieces`, every layer's pieces."""
    return ExchangePieces(
        _variant(options), word_in(options, "words", "own", WORDS), word_in(options, "donor", "adapter", DONORS)
    )


def heads_of(session: Session, options: Options) -> ExchangePieces:
    """The same for the single heads of one `layer`."""
    layer = whole_in(options, "layer", 0, least=0, most=session.model.layers - 1)
    return ExchangePieces(_variant(options), word_in(options, "words", "own", WORDS), heads_of=(layer,))


def reason_of(session: Session, options: Options) -> WhyMoved:
    """The layer and head that are looked at, from the first of the tokens.

    Raises:
        SettingsError: not one head is chosen, or the variant has no such token.
    """
    choice, place = choice_in(options, session), _place(session, options)
    if choice.layer is None or choice.head is None:
        raise SettingsError("one layer and one head", "a mean", "choose a cell of a chart under Look or Compare")
    if place is None:
        raise SettingsError("a token that the variant has", "another one", "choose another token")
    return WhyMoved(_variant(options), place, choice.layer, choice.head)


def _variant(options: Options) -> str:
    label = options.get("variant")
    if not isinstance(label, str):
        raise SettingsError("the label of a variant", repr(label)[:40], "choose one that was asked")
    return label


def _place(session: Session, options: Options) -> int | None:
    """The first chosen token's place among those kept of the variant's run."""
    choice, run = choice_in(options, session), adapter_run(session, _variant(options))
    tokens = tokens_at(slots_of(session, run.trace), choice.token, choice.token_to)
    return tokens.start if tokens.stop > tokens.start else None


def _kind(make: Callable[[Session, Options], Inquiry[Any]], show: Callable[[Any], Any]) -> Kind:
    def planned(session: Session, options: Options) -> dict[str, Any]:
        """How many runs it takes; one of each variant for a reason."""
        probe = make(session, options).probe(session)
        return {"runs": len(probe.trials) + _RUNS_OF_A_REASON * len(probe.reasons)}

    return Kind(probing(make), lambda _, found: asdict(show(found)), planned)


PARTS = _kind(switch_of, parted_view)
EXCHANGE = _kind(exchange_of, exchanged_view)
HEADS = _kind(heads_of, exchanged_view)
REASON = _kind(reason_of, reason_view)
