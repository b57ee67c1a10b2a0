"""What a visitor may have filled in, or forged, and the sentences they get."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from inference.errors import VisualizerError
from inference.protocol import AdapterFacts, Progress, Stage
from inference.settings import Settings
from inference.trace.request import Keep
from inference.trace.size import format_bytes
from tests.fakes import make_picture, make_session
from viz.page import forms

SETTINGS = Settings()


@pytest.fixture
def upload(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "scene.png"
    path.write_bytes(make_picture().png)
    return {"path": str(path), "orig_name": "my scene.png"}


def row(name: str = "other", on: Any = True, scale: Any = 0.5, scaled: Any = True) -> dict[str, Any]:
    return {"name": name, "on": on, "scale": scale, "scaled": scaled}


def test_form_becomes_the_request_it_shows(upload: dict[str, str]) -> None:
    rows = [row("base", scaled=False), row("other"), row("shortcut", on=False)]
    request = forms.Form(upload, "What?", rows, 12.0, seed=3, expected_answer="star", min_pixels=2048).request(SETTINGS)
    assert [variant.label for variant in request.variants] == ["base", "other@0.5"]
    assert request.images[0].name == "my scene.png"
    assert (request.generation.max_new_tokens, request.generation.seed) == (12, 3)
    assert (request.forced_answer, request.expected_answer, request.min_pixels) == (None, "star", 2048)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"picture": None}, "a picture, got none"),
        ({"picture": {"path": 5}}, "a picture, got none"),
        ({"question": ["x"]}, "text for the question, got list"),
        ({"variants": []}, "at least one variant, got none ticked"),
        ({"variants": [row(on="yes")]}, "none ticked"),
        ({"variants": "all"}, "a list of variants, got str"),
        ({"variants": [row(scale=float("nan"))]}, "a number for the scale of other, got nan"),
        ({"variants": [row(scale=None)]}, "a number for the scale of other"),
        ({"variants": [row(scale="1")]}, "a number for the scale of other"),
        ({"answer_tokens": 1.5}, "a whole number for answer tokens, got 1.5"),
        ({"answer_tokens": True}, "a number for answer tokens"),
        ({"temperature": float("inf")}, "a number for temperature"),
        ({"sample": "yes"}, "on or off for sampling"),
        ({"max_pixels": "big"}, "a number for largest area"),
        ({"keep_tokens": "answer"}, "a list of tokens to keep, got 'answer'"),
        ({"keep_tokens": [1]}, "a list of tokens to keep"),
        ({"keep_tokens": []}, "some tokens to keep, got none"),
        ({"keep_tokens": ["answers"]}, "a kind of tokens of prompt, question, thinking, answer, got 'answers'"),
        ({"keep_layers": [0, 1]}, "text for layers to keep, got list"),
        ({"keep_layers": "5-2"}, "layers as numbers from 0 and ranges of them, got '5-2'"),
        ({"keep_heads": "all of them"}, "heads as numbers from 0"),
        ({"keep_keys": "some"}, "keys of all, pictures, got 'some'"),
        ({"keep_numbers": "float8"}, "numbers of float16, float32, got 'float8'"),
        ({"compare_eager": 1}, "on or off for comparing with eager attention"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(upload: dict[str, str], changed: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"picture": upload, "question": "What?", "variants": [row()]}
    with pytest.raises(VisualizerError, match=message):
        forms.Form(**(given | changed)).request(SETTINGS)


def test_base_stands_first_and_a_damaged_adapter_says_why() -> None:
    found = [AdapterFacts("b", ""), AdapterFacts("a", "", problems=("It is empty.",)), AdapterFacts("c", "")]
    rows = forms.variant_rows(found, SETTINGS)
    assert [(each["name"], each["on"], each["usable"]) for each in rows] == [
        ("base", True, True),
        ("b", True, True),
        ("a", False, False),
        ("c", True, True),
    ]
    assert rows[2]["why"] == "It is empty."


def test_a_mix_is_a_variant_of_several_adapters() -> None:
    rows = [row("base", scaled=False), row("other@0.5+shortcut@-2", scaled=False) | {"mix": True}]
    assert [variant.label for variant in forms.variants_of(rows)] == ["base", "other@0.5+shortcut@-2"]
    with pytest.raises(VisualizerError, match="an adapter as NAME or NAME@SCALE"):
        forms.variants_of([row("other@x+shortcut") | {"mix": True}])


def test_example_ticks_its_variants_with_their_scales() -> None:
    rows = [row("base", scaled=False, scale=1), row("other", on=False), row("shortcut")]
    ticked = forms.ticked(rows, ["base", "other@2"])
    assert [(each["on"], each["scale"]) for each in ticked] == [(True, 1.0), (True, 2.0), (False, 0.5)]
    assert forms.ticked(rows, []) == rows


@pytest.mark.parametrize("stage", get_args(Stage))
def test_every_stage_has_words(stage: Any) -> None:
    told = forms.working(Progress(stage, "base", 2, 9, "some words"), "Up to 3 tokens.")
    assert told["kind"] == "work"
    assert told["text"].endswith(".")
    assert (told["done"], told["total"]) == ((2, 9) if stage in ("tokens", "rows", "trials") else (0, 0))
    assert told["so_far"] == ("some words" if stage == "tokens" else "")
    assert told["keeps"] == "Up to 3 tokens."


def test_what_to_keep_is_what_was_chosen(upload: dict[str, str]) -> None:
    given: dict[str, Any] = {"picture": upload, "question": "What?", "variants": [row()]}
    assert forms.Form(**given).request(SETTINGS).keep == Keep()
    chosen = forms.Form(
        **given,
        keep_tokens=["answer", "prompt"],
        keep_layers=" 0-2, 4 ",
        keep_heads="All",
        keep_keys="pictures",
        keep_numbers="float32",
        compare_eager=True,
    ).request(SETTINGS)
    assert chosen.keep == Keep(question=False, prompt=True, layers=(0, 1, 2, 4), keys="pictures", numbers="float32")
    assert chosen.compare_eager


def test_what_was_kept_is_told_with_the_largest_difference() -> None:
    session = make_session()
    size = sum(
        array.nbytes for run in session.runs for array in vars(run.trace).values() if isinstance(array, np.ndarray)
    )
    assert forms.kept(session) == f"{format_bytes(size)} kept on the disk."
    runs = [replace(run, eager_error=error) for run, error in zip(session.runs, (2e-8, 1.25e-7, 0.0), strict=True)]
    told = forms.kept(replace(session, runs=tuple(runs)))
    assert told.endswith("kept on the disk. It differs from eager attention by at most 1.2e-07.")


def test_whose_words_are_said(upload: dict[str, str]) -> None:
    given: dict[str, Any] = {"picture": upload, "question": "What?", "variants": [row()]}
    assert forms.Form(**given).request(SETTINGS).words == "own"
    assert forms.Form(**given, words="base").request(SETTINGS).words == "base"
    for wrong in ("mine", 3):
        with pytest.raises(VisualizerError, match="words"):
            forms.Form(**given, words=wrong).request(SETTINGS)
