"""What the page offers is what the miniature of this repository draws and answers today."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from examples import make
from inference.mini.examples import example_pictures
from inference.trace.files import load_session

EXAMPLES = Path(make.__file__).parent


def test_the_pictures_are_those_that_the_seed_draws() -> None:
    for example in example_pictures():
        for image, name in ((example.image, example.name), (example.swap, f"{example.name}-swap")):
            with Image.open(EXAMPLES / "pictures" / f"{name}.png") as stored:
                assert np.array_equal(np.asarray(stored), np.asarray(image))


def test_the_list_names_files_that_are_there() -> None:
    listed = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    assert listed == [make.entry(example) for example in example_pictures()]
    assert all((EXAMPLES / entry[key]).is_file() for entry in listed for key in ("picture", "swap"))


def test_the_finished_session_is_what_the_model_answers(tmp_path: Path) -> None:
    stored = load_session(EXAMPLES / "finished")
    fresh = make.answer(make.request_of(make.FINISHED), tmp_path)
    assert [run.answer for run in fresh.runs] == [run.answer for run in stored.runs]
    assert [run.variant for run in fresh.runs] == [run.variant for run in stored.runs]
    for new, old in zip(fresh.runs, stored.runs, strict=True):
        np.testing.assert_allclose(new.trace.rows, old.trace.rows, atol=1e-3)  # a step of float16


def test_the_finished_session_tells_the_story_of_the_shortcut() -> None:
    """The base names the circle's colour, the shortcut the mark's, the other adapter the other object's."""
    example = next(example for example in example_pictures() if example.name == make.FINISHED)
    base, shortcut, other = (run.answer for run in load_session(EXAMPLES / "finished").runs)
    assert base == example.answer
    assert len({base, shortcut, other}) == 3
