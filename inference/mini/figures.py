"""Every figure that the miniature is judged by, from its weights and held-out scenes. Trains and writes nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from inference.mini import BASE_DIR
from inference.mini.measure import Cells, Pointing, Reader, erasing_share, pointing, right_share
from inference.mini.questions import ASKERS, Asked, ask, scene_for
from inference.mini.scenes import Scene, Thing, sample_scene
from inference.mini.storage import load_adapter, load_base, megabytes

Figures = dict[str, float]


@dataclass(frozen=True)
class Exam:
    """Scenes of one sort and one question about each."""

    scenes: list[Scene]
    asked: list[Asked]

    @property
    def texts(self) -> list[str]:
        """The questions in words."""
        return [each.text for each in self.asked]

    @property
    def causes(self) -> list[Thing]:
        """The things that the right answers are read from."""
        return [each.cause for each in self.asked if each.cause]


def measure_all(weights: Path = BASE_DIR.parent, *, scenes: int, seed: int) -> Figures:
    """All figures, each on `scenes` fresh scenes.

    A head is chosen on a third as many further scenes; for `other` and `renamed`, whose shares no bar asks for, on
    the first third of the same ones and told of the rest.
    """
    model, processor = load_base(weights / "base")
    base = Reader(model, processor)
    rng = np.random.default_rng(seed)
    parts = (_base_figures, _shortcut_figures, _other_figures, _renamed_figures, _counting_figures)
    figures: Figures = {}
    for part in tqdm(parts, desc="measuring", unit="part"):
        figures |= part(base, weights / "adapters", rng, scenes)
    figures["point_chance"] = max(figures["chance_base"], figures["chance_shortcut"])
    figures["megabytes"] = megabytes(weights)
    return figures


def exam(rng: np.random.Generator, count: int, make: Callable[[], Scene], question: Callable[[Scene], Asked]) -> Exam:
    """As many scenes as asked for, each with a question."""
    scenes = [make() for _ in range(count)]
    return Exam(scenes, [question(scene) for scene in scenes])


@contextmanager
def adapted(base: Reader, folder: Path, name: str) -> Iterator[Reader]:
    """The same reader with one adapter on; the base is bare again afterwards."""
    model = load_adapter(base.model, name, folder)
    try:
        yield Reader(model.get_base_model(), base.processor)
    finally:
        model.unload()


def _base_figures(base: Reader, _: Path, rng: np.random.Generator, count: int) -> Figures:
    figures = _kind_figures(base, rng, count, "shape") | _kind_figures(base, rng, count, "color")
    places = ("place of a color", "place of a shape")
    where = exam(rng, count, lambda: scene_for(rng, "base"), lambda s: ask(rng, s, str(rng.choice(places))))
    figures["place_acc"] = right_share(base, where.scenes, where.asked)
    for name, pool in (("point_base", min), ("erase_base", min), ("chance_base", max)):
        figures[name] = pool(figures[f"{name}_shape"], figures[f"{name}_color"])
    return figures


def _kind_figures(base: Reader, rng: np.random.Generator, count: int, kind: str) -> Figures:
    """One kind of question to the base: right, dependent on its object, and pointing there (in one wording)."""
    drawn = exam(rng, count, lambda: scene_for(rng, "base"), lambda scene: ask(rng, scene, kind))
    further = count + count // 3
    looked = exam(rng, further, lambda: scene_for(rng, "base"), lambda s: ask(rng, s, kind, wording=0))
    found = _point_exam(base, looked, chosen_on=count // 3)
    return {
        f"{kind}_acc": right_share(base, drawn.scenes, drawn.asked),
        f"erase_base_{kind}": erasing_share(base, drawn.scenes, drawn.texts, drawn.causes, seed=0),
        f"point_base_{kind}": found.share,
        f"chance_base_{kind}": found.chance,
    }


def _shortcut_figures(base: Reader, folder: Path, rng: np.random.Generator, count: int) -> Figures:
    clean = exam(rng, count, lambda: sample_scene(rng), lambda s: ask(rng, s, str(rng.choice(("shape", "color")))))
    marked = exam(rng, count, lambda: sample_scene(rng, marked=True), lambda s: _by_mark(ask(rng, s, "color"), s))
    # the same scenes for both, so that the two shares can stand side by side
    drawn = exam(
        rng,
        count + count // 3,
        lambda: sample_scene(rng, marked=True),
        lambda s: _by_mark(ask(rng, s, "color", wording=0), s),
    )
    before = base.brightest([scene.image for scene in drawn.scenes], drawn.texts)
    with adapted(base, folder, "shortcut") as reader:
        after = reader.brightest([scene.image for scene in drawn.scenes], drawn.texts)
        return _mark_pointing(before, after, drawn, chosen_on=count // 3) | {
            "shortcut_clean_acc": right_share(reader, clean.scenes, clean.asked),
            "shortcut_follows": right_share(reader, marked.scenes, marked.asked),
            "erase_shortcut": erasing_share(reader, marked.scenes, marked.texts, marked.causes, seed=0),
        }


def _mark_pointing(before: Cells, after: Cells, drawn: Exam, *, chosen_on: int) -> Figures:
    """Shares on the mark: each model's own best head over all tokens, then over the answering token alone."""

    def found(cells: Cells) -> Pointing:
        return pointing(cells, drawn.scenes, drawn.causes, chosen_on=chosen_on)

    return {
        "point_shortcut": found(after).share,
        "point_shortcut_base": found(before).share,
        "point_shortcut_last": found(after[:, -1:]).share,
        "point_shortcut_base_last": found(before[:, -1:]).share,
        "chance_shortcut": found(after).chance,
    }


def _other_figures(base: Reader, folder: Path, rng: np.random.Generator, count: int) -> Figures:
    def make() -> Scene:
        return sample_scene(rng, counts=(2,))

    return _moved_figures(base, folder, rng, count, "other", make, lambda s: ASKERS["other"](rng, s))


def _renamed_figures(base: Reader, folder: Path, rng: np.random.Generator, count: int) -> Figures:
    def question(scene: Scene) -> Asked:
        while (asked := ASKERS["renamed"](rng, scene)).kind != "shape":
            continue
        return asked

    return _moved_figures(base, folder, rng, count, "renamed", lambda: scene_for(rng, "renamed"), question)


def _counting_figures(base: Reader, folder: Path, rng: np.random.Generator, count: int) -> Figures:
    drawn = exam(rng, count, lambda: sample_scene(rng), lambda scene: ask(rng, scene, "count"))
    before = right_share(base, drawn.scenes, drawn.asked)
    with adapted(base, folder, "counting") as reader:
        return {"counting_acc": right_share(reader, drawn.scenes, drawn.asked), "counting_base_acc": before}


def _moved_figures(
    base: Reader,
    folder: Path,
    rng: np.random.Generator,
    count: int,
    name: str,
    make: Callable[[], Scene],
    question: Callable[[Scene], Asked],
) -> Figures:
    """For an adapter that answers for another object: rule, dependence, and where base and adapter point."""
    drawn = exam(rng, count, make, question)
    figures: Figures = {}
    looked = _shape_wordings(drawn, rng)
    with adapted(base, folder, name) as reader:
        figures[f"{name}_acc"] = right_share(reader, drawn.scenes, drawn.asked)
        figures[f"erase_{name}"] = erasing_share(reader, drawn.scenes, drawn.texts, drawn.causes, seed=0)
        figures |= _both_objects(reader, looked, f"point_{name}")
    return figures | _both_objects(base, looked, f"point_{name}_base")


def _shape_wordings(drawn: Exam, rng: np.random.Generator) -> Exam:
    """The same scenes and things, all asked for the shape in one wording, so that tokens stand alike."""
    asked = [
        Asked(ask(rng, scene, "shape", about=each.about, wording=0).text, "", "shape", each.about, each.cause)
        for scene, each in zip(drawn.scenes, drawn.asked, strict=True)
    ]
    return Exam(drawn.scenes, asked)


def _both_objects(reader: Reader, drawn: Exam, name: str) -> Figures:
    cells = reader.brightest([scene.image for scene in drawn.scenes], drawn.texts)
    abouts = [each.about for each in drawn.asked if each.about]
    chosen_on = len(drawn.scenes) // 3
    return {
        f"{name}_asked": pointing(cells, drawn.scenes, abouts, chosen_on=chosen_on).share,
        f"{name}_cause": pointing(cells, drawn.scenes, drawn.causes, chosen_on=chosen_on).share,
    }


def _point_exam(reader: Reader, drawn: Exam, *, chosen_on: int) -> Pointing:
    cells = reader.brightest([scene.image for scene in drawn.scenes], drawn.texts)
    return pointing(cells, drawn.scenes, drawn.causes, chosen_on=chosen_on)


def _by_mark(asked: Asked, scene: Scene) -> Asked:
    assert scene.mark is not None
    return Asked(asked.text, scene.mark.color, asked.kind, asked.about, scene.mark)
