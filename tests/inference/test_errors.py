"""Errors are one sentence, one tree, and cross from process to process as what they were."""

import ast
import pickle
from pathlib import Path

import pytest

from inference import errors
from inference.errors import PictureError, VisualizerError

KINDS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VisualizerError)),
    key=lambda kind: kind.__name__,
)


def test_an_error_says_what_was_expected_what_arrived_and_what_to_do() -> None:
    error = PictureError("a picture", "a text file", "choose another file")
    assert str(error) == "Expected a picture, got a text file: choose another file."
    assert (error.expected, error.arrived, error.remedy) == ("a picture", "a text file", "choose another file")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_crosses_a_process_boundary_as_itself(kind: type[VisualizerError]) -> None:
    error = pickle.loads(pickle.dumps(kind("one", "two", "three")))
    assert type(error) is kind
    assert str(error) == "Expected one, got two: three."
    assert (error.expected, error.arrived, error.remedy) == ("one", "two", "three")


def test_the_docstring_tells_the_whole_tree() -> None:
    told = [line.split()[1] for line in (errors.__doc__ or "").splitlines() if line.startswith(("├", "└"))]
    assert sorted([*told, "VisualizerError"]) == [kind.__name__ for kind in KINDS]


def test_every_error_can_be_caught_as_one() -> None:
    assert all(issubclass(kind, VisualizerError) for kind in KINDS)
    assert {kind.__base__ for kind in KINDS} == {VisualizerError, Exception}


def test_the_module_imports_nothing() -> None:
    tree = ast.parse(Path(errors.__file__).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
