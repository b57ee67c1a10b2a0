"""Why the looking of a head moved: what the adapter does to its query, to its keys, and what earlier layers handed it.

Knows no model: the rows are recomputed by the engine, and `trials.Shares` says what the parts mean.
"""

from dataclasses import dataclass

from inference.errors import SettingsError
from inference.evidence.trials import Findings, Probe, Reason, Shares
from inference.evidence.words import adapter_run, said_ids
from inference.trace.session import Session

LEAST_MOVED = 0.001
"""Total variation below which a head is said not to have moved."""


@dataclass(frozen=True)
class Moved:
    """Why one head moved at one token. `moved`: total variation between the base's row and the variant's, 0 to 1.

    query, key, inputs: parts of the way from the one row to the other, which with `rest` add up to 1; any of them may
    be negative or above 1. None where the head did not move.
    """

    variant: str
    token: str
    layer: int
    head: int
    moved: float
    query: float | None
    key: float | None
    inputs: float | None
    rest: float | None
    sentence: str


@dataclass(frozen=True)
class WhyMoved:
    """Why one head of a variant looks from a token elsewhere than the base does over the same words.

    token: its number among the kept tokens of the variant's run.
    """

    variant: str
    token: int
    layer: int
    head: int

    def probe(self, session: Session) -> Probe:
        """One row, recomputed from the variant's own words.

        Raises:
            SettingsError: no such adapter, token, layer or head, or words that were not kept.
        """
        run = adapter_run(session, self.variant)
        _check_within("token", self.token, len(run.trace.tokens))
        _check_within("layer", self.layer, session.model.layers)
        _check_within("head", self.head, session.model.heads)
        row_at = run.trace.tokens[self.token].row_at
        return Probe(session.request, reasons=(Reason(said_ids(run), run.variant, row_at, self.layer, self.head),))

    def read(self, session: Session, findings: Findings) -> Moved:
        """What the shares of that row say."""
        (shares,) = findings.shares
        token = adapter_run(session, self.variant).trace.tokens[self.token].text
        place = f"Head {self.head} of layer {self.layer}"
        if shares.moved < LEAST_MOVED:
            sentence = f"{place} did not move: {100 * shares.moved:.2f} % of its attention lies elsewhere."
            return Moved(self.variant, token, self.layer, self.head, shares.moved, None, None, None, None, sentence)
        return Moved(
            self.variant,
            token,
            self.layer,
            self.head,
            shares.moved,
            shares.query,
            shares.key,
            shares.inputs,
            shares.rest,
            f"{place} moved {100 * shares.moved:.0f} % of its attention: {_told(shares)}.",
        )


def _told(shares: Shares) -> str:
    together = "more" if shares.rest >= 0 else "less"
    return (
        f"its own query {100 * shares.query:.0f} %, its own key {100 * shares.key:.0f} %, inputs changed by earlier "
        f"layers {100 * shares.inputs:.0f} %, together {abs(100 * shares.rest):.0f} % {together}"
    )


def _check_within(what: str, number: int, count: int) -> None:
    if not 0 <= number < count:
        raise SettingsError(f"a {what} from 0 to {count - 1}", str(number), "choose one of these")
