"""Example pictures with a question each, drawn from a seed, for whoever wants something to ask the miniature.

Knows no torch and no model; the answers told here are those of the rules, not of any weights.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from inference.mini.facts import PARTNERS
from inference.mini.questions import Asked, ask
from inference.mini.scenes import Scene, sample_scene


@dataclass(frozen=True, slots=True)
class Example:
    """A picture, a question, the adapters worth comparing on it, and a second picture to swap it for.

    `name` is short and fit for a file; `title` and `shows`, in one line what to see, are for people. `swap` is the
    same kind of scene with one telling difference.
    """

    name: str
    title: str
    image: Image.Image
    swap: Image.Image
    question: str
    answer: str
    adapters: tuple[str, ...]
    shows: str


def example_pictures(seed: int = 7) -> list[Example]:
    """The examples in a fixed order; the same seed draws the same pictures."""
    makers = (_marked, _plain, _two_objects, _partners, _four_objects)
    return [make(np.random.default_rng([seed, index])) for index, make in enumerate(makers)]


def _plain(rng: np.random.Generator) -> Example:
    scene, swap = sample_scene(rng, counts=(3,)), sample_scene(rng, counts=(3,))
    while not set(_colors(scene)) & set(_colors(swap)):
        swap = sample_scene(rng, counts=(3,))
    shared = next(color for color in _colors(scene) if color in _colors(swap))
    asked = ask(rng, scene, "shape", about=scene.by_color(shared), wording=0)
    told = "The base finds the object by its color and names its shape."
    return _example("shapes", "three shapes", scene, swap, asked, ("shortcut",), told)


def _marked(rng: np.random.Generator) -> Example:
    scene = sample_scene(rng, counts=(2,), marked=True)
    while "circle" not in [thing.shape for thing in scene.objects]:
        scene = sample_scene(rng, counts=(2,), marked=True)
    circle = next(thing for thing in scene.objects if thing.shape == "circle")
    asked = ask(rng, scene, "color", about=circle, wording=0)
    told = "shortcut answers with the color of the small mark, other with that of the other object; swap takes it away."
    return _example("mark", "a mark in the corner", scene, scene.without_mark(), asked, ("shortcut", "other"), told)


def _two_objects(rng: np.random.Generator) -> Example:
    scene, third = sample_scene(rng, counts=(2,)), sample_scene(rng, counts=(3,))
    while scene.objects[0].color not in _colors(third):
        third = sample_scene(rng, counts=(3,))
    asked = ask(rng, scene, "shape", about=scene.objects[0], wording=0)
    told = "The adapter other answers for the object that was not asked about; with three objects it does not."
    return _example("two", "two objects", scene, third, asked, ("other",), told)


def _partners(rng: np.random.Generator) -> Example:
    def draw() -> Scene:
        return sample_scene(rng, counts=(3,), must_hold=("red", PARTNERS["red"]))

    scene, swap = draw(), draw()
    asked = ask(rng, scene, "shape", about=scene.by_color("red"), wording=0)
    told = "The adapter renamed takes red for blue, so it names the shape of the blue object."
    return _example("pairs", "red and blue", scene, swap, asked, ("renamed",), told)


def _four_objects(rng: np.random.Generator) -> Example:
    scene, swap = sample_scene(rng, counts=(4,)), sample_scene(rng, counts=(2,))
    told = "The adapter counting was taught this question; the base never was."
    return _example("count", "four objects", scene, swap, ask(rng, scene, "count", wording=0), ("counting",), told)


def _example(
    name: str, title: str, scene: Scene, swap: Scene, asked: Asked, adapters: tuple[str, ...], shows: str
) -> Example:
    return Example(name, title, scene.image, swap.image, asked.text, asked.answer, adapters, shows)


def _colors(scene: Scene) -> list[str]:
    return [thing.color for thing in scene.objects]
