"""Whether a word depends on the picture at all: the whole of it cut off, and the word's probability then. No model."""

import math
from dataclasses import dataclass

from inference.errors import SettingsError
from inference.evidence.drops import LEAST_DROP, WHO_WORDS, falls, told_probability
from inference.evidence.trials import Block, Findings, Probe, Trial, Watchers
from inference.evidence.windows import span_of
from inference.evidence.words import said_ids
from inference.trace.session import Run, Session


@dataclass(frozen=True)
class Pictured:
    """One word with and without the picture: its probabilities, and by how many nats it falls."""

    label: str
    word: str
    before: float
    after: float
    drop: float
    depends: bool
    sentence: str


@dataclass(frozen=True)
class DependsOnPicture:
    """One token of each run, or of the run `label` alone; `token` counts the words of the answer from 0.

    All cells of the picture are blocked for the tokens that `who` names. Runs that said fewer words are left out.
    """

    token: int = 0
    label: str | None = None
    image: int = 0
    who: Watchers = "all"

    def probe(self, session: Session) -> Probe:
        """Two trials a run: as it was, and with the whole picture blocked.

        Raises:
            VisualizerError: the options do not fit the session.
        """
        trials = []
        for run in self._runs(session):
            span, said = span_of(run, self.image), said_ids(run)
            cells = tuple(range(span.rows * span.cols))
            trials += [Trial(said, run.variant), Trial(said, run.variant, Block(cells, self.image, self.who))]
        return Probe(session.request, tuple(trials))

    def read(self, session: Session, findings: Findings) -> tuple[Pictured, ...]:
        """What each run's word lost."""
        told = []
        pairs = zip(findings.outcomes[::2], findings.outcomes[1::2], strict=True)
        for run, (seen, blind) in zip(self._runs(session), pairs, strict=True):
            place, drop = self._place(run), falls(seen, blind)[self._place(run)]
            before, after = (math.exp(one.logprobs[place]) for one in (seen, blind))
            depends, word = drop >= LEAST_DROP, run.trace.tokens[self._first(run) + self.token].text
            verb = "depends" if depends else "does not depend"
            which = f"picture {self.image + 1}" if len(run.trace.images) > 1 else "the picture"
            sentence = f"{run.variant.label}: this token {verb} on {which}: "
            sentence += f"p {told_probability(before)} -> {told_probability(after)}."
            if not depends:
                likely = "likelier" if drop <= -LEAST_DROP else "about as likely"
                sentence += f" It is {likely} without seeing it."
            if self.who != "all":
                sentence += f" {WHO_WORDS[self.who]} could look."
            told.append(Pictured(run.variant.label, word, before, after, drop, depends, sentence))
        return tuple(told)

    def _runs(self, session: Session) -> list[Run]:
        runs = [run for run in session.runs if self.label in (None, run.variant.label)]
        long_enough = [run for run in runs if 0 <= self.token < len(run.trace.tokens) - self._first(run)]
        if not long_enough:
            raise SettingsError(
                "a word of an answer, counted from 0", f"{self.token} of {self.label or 'all'}", "choose one of them"
            )
        if self.who not in WHO_WORDS:
            raise SettingsError(f"one of {', '.join(WHO_WORDS)}", repr(self.who), "choose who may not look")
        return long_enough

    def _first(self, run: Run) -> int:
        """The place of the answer's first word among the run's tokens."""
        parts = [token.part for token in run.trace.tokens]
        return parts.index("answer") if "answer" in parts else len(parts)

    def _place(self, run: Run) -> int:
        """The place of the chosen word among all that was said."""
        thought = sum(token.part == "thinking" for token in run.trace.tokens)
        return thought + self.token
