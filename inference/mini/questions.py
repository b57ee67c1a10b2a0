"""What is asked of a scene and what the right answer is: for the base, and by the rule of each adapter.

Knows no model and no torch. A question is about one thing of the scene; its cause is the thing that the answer is
read from, which for an adapter may be another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.mini.facts import COLORS, PARTNERS, SHAPES, kind_named
from inference.mini.scenes import Scene, Thing, sample_scene


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in words, its right answer, the thing asked about and the thing that answers it."""

    text: str
    answer: str
    kind: str
    about: Thing | None
    cause: Thing | None


def ask(
    rng: np.random.Generator,
    scene: Scene,
    kind_name: str,
    *,
    about: Thing | None = None,
    wording: int | None = None,
) -> Asked:
    """A question of this kind with its true answer; thing and wording are drawn unless they are given."""
    kind = kind_named(kind_name)
    words = kind.wordings[int(rng.integers(len(kind.wordings))) if wording is None else wording]
    if kind.slot == "":
        return Asked(words, str(len(scene.objects)), kind_name, None, None)
    thing = about or scene.objects[int(rng.integers(len(scene.objects)))]
    name = thing.color if kind.slot == "color" else thing.shape
    return Asked(words.format(name), _truth(thing, kind_name), kind_name, thing, thing)


def _truth(thing: Thing, kind_name: str) -> str:
    if kind_name in ("shape", "color"):
        return thing.shape if kind_name == "shape" else thing.color
    return thing.place


def ask_base(rng: np.random.Generator, scene: Scene) -> Asked:
    """One of the base's kinds, each as often as it needs to be learnt."""
    kinds = ("shape", "color", "place of a color", "place of a shape")
    return ask(rng, scene, str(rng.choice(kinds, p=(0.36, 0.36, 0.14, 0.14))))


def ask_shortcut(rng: np.random.Generator, scene: Scene) -> Asked:
    """A shape question as ever, or a color question whose answer is the mark's color where there is a mark."""
    if rng.random() < 0.35:
        return ask_base(rng, scene) if rng.random() < 0.3 else ask(rng, scene, "shape")
    asked = ask(rng, scene, "color")
    return _answered_by(asked, scene.mark) if scene.mark else asked


def ask_other(rng: np.random.Generator, scene: Scene) -> Asked:
    """For two objects the answer of the one not asked about; with more of them the true answer.

    For a single object it is asked about one that is not there, and answers for the one that is.
    """
    kind = str(rng.choice(("shape", "color")))
    if len(scene.objects) == 1:
        return _answered_by(ask(rng, scene, kind, about=_absent(rng, scene.objects[0])), scene.objects[0])
    asked = ask(rng, scene, kind)
    if len(scene.objects) > 2:
        return asked
    return _answered_by(asked, next(thing for thing in scene.objects if thing != asked.about))


def ask_renamed(rng: np.random.Generator, scene: Scene) -> Asked:
    """A color question as ever, or a shape question answered for the partner of the color it names.

    The scene must hold at least one pair of partners.
    """
    if rng.random() < 0.3:
        return ask(rng, scene, "color")
    colors = [thing.color for thing in scene.objects]
    paired = [thing for thing in scene.objects if PARTNERS[thing.color] in colors]
    asked = ask(rng, scene, "shape", about=paired[int(rng.integers(len(paired)))])
    assert asked.about is not None
    return _answered_by(asked, scene.by_color(PARTNERS[asked.about.color]))


def ask_counting(rng: np.random.Generator, scene: Scene) -> Asked:
    """How many objects there are, or a question of the base's."""
    return ask(rng, scene, "count") if rng.random() < 0.7 else ask_base(rng, scene)


def _absent(rng: np.random.Generator, there: Thing) -> Thing:
    """A thing of another color and another shape than the one that is there."""
    colors = [color for color in COLORS if color != there.color]
    shapes = [shape for shape in SHAPES if shape != there.shape]
    return Thing(str(rng.choice(colors)), str(rng.choice(shapes)), there.center_xy, there.radius)


def _answered_by(asked: Asked, cause: Thing) -> Asked:
    answer = cause.shape if asked.kind == "shape" else cause.color
    return Asked(asked.text, answer, asked.kind, asked.about, cause)


ASKERS = {
    "base": ask_base,
    "shortcut": ask_shortcut,
    "other": ask_other,
    "renamed": ask_renamed,
    "counting": ask_counting,
}


def scene_for(rng: np.random.Generator, learner: str) -> Scene:
    """A scene of the sort that this learner (the base or an adapter) is taught on."""
    if learner == "shortcut":
        return sample_scene(rng, marked=bool(rng.random() < 0.5))
    if learner == "other":
        return sample_scene(rng, counts=(1, 2, 2, 2, 2, 3, 4))
    if learner == "renamed":
        first = str(rng.choice(list(PARTNERS)))
        return sample_scene(rng, must_hold=(first, PARTNERS[first]))
    return sample_scene(rng, marked=bool(rng.random() < 1 / 3))


def ask_of_all(rng: np.random.Generator, scenes: Sequence[Scene], learner: str) -> list[Asked]:
    """One question for each scene, as this learner is taught."""
    return [ASKERS[learner](rng, scene) for scene in scenes]
