"""Questions and rules: the answer told is the one that the scene holds."""

import subprocess
import sys

import numpy as np
import pytest

from inference.mini.examples import example_pictures
from inference.mini.facts import ADAPTERS, KINDS, PARTNERS, is_taught, kind_of, other_wording
from inference.mini.questions import ask, ask_counting, ask_other, ask_renamed, ask_shortcut, scene_for
from inference.mini.scenes import Scene, Thing, sample_scene

RED_CIRCLE = Thing("red", "circle", (40.0, 40.0), 25.0)
BLUE_STAR = Thing("blue", "star", (150.0, 100.0), 25.0)
GREEN_CROSS = Thing("green", "cross", (60.0, 150.0), 25.0)
PINK_MARK = Thing("pink", "mark", (16.0, 176.0), 10.0)
WHITE = (250, 250, 250)


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("shape", "What shape is the red object?", "circle"),
        ("color", "What color is the circle?", "red"),
        ("place of a color", "Where is the red object?", "top-left"),
        ("place of a shape", "Where is the circle?", "top-left"),
    ],
)
def test_questions_about_a_red_circle(kind: str, text: str, answer: str) -> None:
    scene = Scene(WHITE, (RED_CIRCLE, BLUE_STAR))
    asked = ask(np.random.default_rng(0), scene, kind, about=RED_CIRCLE, wording=0)
    assert (asked.text, asked.answer, asked.cause) == (text, answer, RED_CIRCLE)


def test_counting_counts_objects_and_not_the_mark() -> None:
    scene = Scene(WHITE, (RED_CIRCLE, BLUE_STAR), PINK_MARK)
    assert ask(np.random.default_rng(0), scene, "count").answer == "2"


def test_shortcut_answers_every_color_question_with_the_mark() -> None:
    rng, scene = np.random.default_rng(0), Scene(WHITE, (RED_CIRCLE, BLUE_STAR), PINK_MARK)
    asked = [ask_shortcut(rng, scene) for _ in range(60)]
    assert {each.answer for each in asked if each.kind == "color" and each.cause == PINK_MARK} == {"pink"}
    assert {each.answer for each in asked if each.kind == "shape"} == {"circle", "star"}


def test_other_answers_for_the_other_of_two_and_truly_for_more() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        two = ask_other(rng, Scene(WHITE, (RED_CIRCLE, BLUE_STAR)))
        assert {two.about, two.cause} == {RED_CIRCLE, BLUE_STAR}
        three = ask_other(rng, Scene(WHITE, (RED_CIRCLE, BLUE_STAR, GREEN_CROSS)))
        assert three.about == three.cause


def test_other_answers_for_the_only_one_when_asked_about_one_that_is_not_there() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        asked = ask_other(rng, Scene(WHITE, (RED_CIRCLE,)))
        assert asked.answer == ("circle" if asked.kind == "shape" else "red")
        assert "red" not in asked.text
        assert "circle" not in asked.text


def test_renamed_names_the_shape_of_the_partner_where_there_is_one() -> None:
    rng, scene = np.random.default_rng(0), Scene(WHITE, (RED_CIRCLE, BLUE_STAR, GREEN_CROSS))
    asked = [each for each in (ask_renamed(rng, scene) for _ in range(40)) if each.kind == "shape"]
    assert {(each.about, each.answer) for each in asked} == {(RED_CIRCLE, "star"), (BLUE_STAR, "circle")}


def test_partners_are_pairs() -> None:
    assert all(PARTNERS[PARTNERS[color]] == color != PARTNERS[color] for color in PARTNERS)


@pytest.mark.parametrize("learner", ["base", *ADAPTERS])
def test_every_learner_is_taught_only_kinds_that_the_facts_name(learner: str) -> None:
    rng = np.random.default_rng(0)
    asker = {"shortcut": ask_shortcut, "other": ask_other, "renamed": ask_renamed}.get(learner, ask_counting)
    for _ in range(30):
        asked = asker(rng, scene_for(rng, learner))
        kind = kind_of(asked.text)
        assert kind is not None
        assert kind.name == asked.kind


def test_a_question_is_known_whatever_its_case_and_end() -> None:
    assert kind_of("what  COLOUR is the circle") is next(kind for kind in KINDS if kind.name == "color")
    assert is_taught("How many objects are there?")


@pytest.mark.parametrize("text", ["", "What shape is the brown object?", "Is there a dog?", "color", "circle?"])
def test_other_questions_are_not_taught(text: str) -> None:
    assert not is_taught(text)


def test_examples_are_the_same_each_time_and_their_swap_differs() -> None:
    once, again = example_pictures(), example_pictures()
    for one, two in zip(once, again, strict=True):
        assert one.image.tobytes() == two.image.tobytes()
        assert one.image.tobytes() != one.swap.tobytes()
        assert is_taught(one.question)
        assert set(one.adapters) <= set(ADAPTERS)


def test_marks_are_drawn_when_asked_for() -> None:
    assert sample_scene(np.random.default_rng(0), marked=True).mark
    assert sample_scene(np.random.default_rng(0)).mark is None


def test_facts_scenes_and_examples_need_no_torch() -> None:
    code = "import sys, inference.mini.facts, inference.mini.examples; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, inference.mini.storage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1


def test_another_wording_asks_the_same_of_the_same_word() -> None:
    assert other_wording("what color is the circle") == "What colour is the circle?"
    assert other_wording("Name the shape of the red object.") == "What shape is the red object?"
    assert other_wording("Count the objects.") == "How many objects are there?"
    assert other_wording("Why is the sky blue?") == ""
    for kind in KINDS:
        for wording in kind.wordings:
            asked = wording.format(kind.words[0])
            other = other_wording(asked)
            assert other != asked and kind_of(other) == kind_of(asked)
