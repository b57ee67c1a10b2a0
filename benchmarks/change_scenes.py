"""Held-out scenes of the miniature, asked about through the product's engine, with what is known to answer.

What a learner (the base or an adapter) was taught says which thing of a scene its answer comes from; that is the
truth as long as it answers by that rule. Knows no figure.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from inference.catalog import find_adapters
from inference.evidence.inquiry import Inquiry
from inference.evidence.trials import Findings
from inference.evidence.windows import Window, slide
from inference.intake import picture_from_array
from inference.mini import ADAPTERS_DIR
from inference.mini.measure import tight_box
from inference.mini.questions import ASKERS, Asked, ask, scene_for
from inference.mini.scenes import Scene, Thing, sample_scene
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.settings import Settings
from inference.trace.metrics import Box
from inference.trace.parse import parse_variant
from inference.trace.request import Generation, Request
from inference.trace.session import ImageSpan, Session

LEARNERS = ("base", "shortcut", "other", "renamed", "counting")
Told = TypeVar("Told")


@dataclass(frozen=True)
class Tried:
    """One scene, its question, and the session of the learner that was asked it."""

    scene: Scene
    asked: Asked
    session: Session

    @property
    def follows(self) -> bool:
        """Whether the learner answered by its rule."""
        return self.session.runs[0].answer == self.asked.answer

    @property
    def span(self) -> ImageSpan:
        return self.session.runs[0].trace.images[0]

    def box(self, thing: Thing) -> Box:
        """The thing's own box, in pixels."""
        return tight_box(self.scene, thing)


class Asker:
    """Asks one engine about scenes; every session lies in a folder of its own below `room`."""

    def __init__(
        self, loaded: LoadedModel, room: Path, *, most_rows: int | None = None, adapters: Path = ADAPTERS_DIR
    ) -> None:
        self.engine = ModelEngine(loaded, Settings(), lambda: find_adapters(adapters), most_rows=most_rows)
        self._room = room
        self._numbers = itertools.count()

    def session(self, scene: Scene, text: str, labels: Sequence[str]) -> Session:
        """What these variants answer."""
        picture = picture_from_array(scene.pixels, name="scene.png", megapixels=1)
        variants = tuple(map(parse_variant, labels))
        return self.run(Request(text, (picture,), variants, generation=Generation(max_new_tokens=4)))

    def run(self, request: Request) -> Session:
        """What the engine answers to this request."""
        folder = self._room / f"session-{next(self._numbers)}"
        folder.mkdir()
        *_, last = self.engine.run(request, folder)
        assert isinstance(last, Session)
        return last

    def find(self, session: Session, inquiry: Inquiry[Told]) -> Told:
        """What the inquiry read from what the engine found."""
        *_, findings = self.engine.probe(inquiry.probe(session))
        assert isinstance(findings, Findings)
        return inquiry.read(session, findings)

    def tries(self, learner: str, seed: int) -> Iterator[Tried]:
        """Scenes without end that this learner's rule is about, one question each."""
        rng = np.random.default_rng([seed, LEARNERS.index(learner)])
        while True:
            scene, asked = draw(rng, learner)
            yield Tried(scene, asked, self.session(scene, asked.text, [learner]))


def draw(rng: np.random.Generator, learner: str) -> tuple[Scene, Asked]:
    """A scene and a question whose answer follows the learner's own rule, not the base's."""
    if learner == "base":
        scene = scene_for(rng, "base")
        return scene, ask(rng, scene, str(rng.choice(("shape", "color"))))
    if learner == "shortcut":
        scene = sample_scene(rng, marked=True)
        asked = ask(rng, scene, "color")
        assert scene.mark is not None
        return scene, Asked(asked.text, scene.mark.color, asked.kind, asked.about, scene.mark)
    if learner == "other":
        scene = sample_scene(rng, counts=(2,))
        return scene, ASKERS["other"](rng, scene)
    if learner == "renamed":
        scene = scene_for(rng, "renamed")
        return scene, next(
            asked for asked in iter(lambda: ASKERS["renamed"](rng, scene), None) if asked.kind == "shape"
        )
    scene = sample_scene(rng)
    return scene, ask(rng, scene, "count")


def empty_windows(rng: np.random.Generator, tried: Tried, count: int) -> list[Window]:
    """Windows of cells that hold no pixel of any thing; of 2 x 2 cells, smaller ones where too few are free."""
    taken = np.sum([tried.scene.cell_px(thing) for thing in tried.scene.things], axis=0).ravel() > 0
    found: list[Window] = []
    for rows, cols in ((2, 2), (1, 2), (2, 1), (1, 1)):
        windows = slide(tried.span, rows, cols, 1)
        free = [window for window in windows if not taken[list(window.cells(tried.span))].any()]
        found += [free[int(place)] for place in rng.permutation(len(free))]
        if len(found) >= count:
            break
    return found[:count]
