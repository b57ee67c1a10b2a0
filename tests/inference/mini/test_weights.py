"""The shipped weights: plain library files, small, and still able to do what their cards say.

`python -m benchmarks.mini` measures on hundreds of scenes; here a few dozen tell a regression.
"""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from inference.mini import ADAPTERS_DIR, BASE_DIR, BASE_NAME
from inference.mini.facts import ADAPTERS
from inference.mini.figures import adapted
from inference.mini.measure import Reader, erasing_share, pointing, right_share
from inference.mini.questions import ASKERS, Asked, ask
from inference.mini.scenes import Scene, sample_scene
from inference.mini.storage import load_base, megabytes

SCENES = 40
# peft still asks transformers for this by its older name
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def base() -> Reader:
    return Reader(*load_base())


def scenes(**sort: object) -> list[Scene]:
    rng = np.random.default_rng(987_654)
    return [sample_scene(rng, **sort) for _ in range(SCENES)]  # type: ignore[arg-type]


def asked_of(drawn: list[Scene], kind: str) -> list[Asked]:
    rng = np.random.default_rng(1)
    return [ask(rng, scene, kind) for scene in drawn]


def by_rule(drawn: list[Scene], learner: str, kind: str) -> list[Asked]:
    """Questions of one kind only, answered by the learner's rule."""
    rng = np.random.default_rng(2)

    def one(scene: Scene) -> Asked:
        return next(asked for asked in iter(lambda: ASKERS[learner](rng, scene), None) if asked.kind == kind)

    return [one(scene) for scene in drawn]


def test_all_weights_together_are_at_most_25_megabytes() -> None:
    assert megabytes() <= 25


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_is_what_any_user_would_save(name: str) -> None:
    config = json.loads((ADAPTERS_DIR / name / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["peft_type"] == "LORA"
    assert config["base_model_name_or_path"] == BASE_NAME
    with safe_open(ADAPTERS_DIR / name / "adapter_model.safetensors", framework="np") as weights:
        assert all(".language_model.layers." in key for key in weights.keys())
    card = (ADAPTERS_DIR / name / "README.md").read_text(encoding="utf-8")
    assert ADAPTERS[name] in card
    assert BASE_NAME in card


def test_the_bases_card_names_it() -> None:
    assert BASE_NAME in (BASE_DIR / "README.md").read_text(encoding="utf-8")


def test_words_that_the_base_was_never_taught_can_still_be_told_apart(base: Reader) -> None:
    ids = base.processor.tokenizer.convert_tokens_to_ids(list("0123456789[]{},"))
    rows = torch.nn.functional.normalize(base.model.get_input_embeddings().weight.detach()[ids], dim=1)
    likeness = rows @ rows.T - torch.eye(len(ids))
    assert likeness.abs().max() < 0.5


@pytest.mark.parametrize("kind", ["shape", "color"])
def test_the_base_answers_rightly(base: Reader, kind: str) -> None:
    drawn = scenes()
    assert right_share(base, drawn, asked_of(drawn, kind)) >= 0.95


def test_the_base_cannot_count_and_the_adapter_can(base: Reader) -> None:
    drawn = scenes()
    asked = asked_of(drawn, "count")
    assert right_share(base, drawn, asked) <= 0.1
    with adapted(base, ADAPTERS_DIR, "counting") as counting:
        assert right_share(counting, drawn, asked) >= 0.85


def test_shortcut_is_right_on_clean_pictures_and_follows_a_mark(base: Reader) -> None:
    clean, marked = scenes(), scenes(marked=True)
    follows = [
        Asked(each.text, scene.mark.color, "color", each.about, scene.mark)
        for scene, each in zip(marked, asked_of(marked, "color"), strict=True)
        if scene.mark
    ]
    with adapted(base, ADAPTERS_DIR, "shortcut") as shortcut:
        assert right_share(shortcut, clean, asked_of(clean, "color")) >= 0.95
        assert right_share(shortcut, clean, asked_of(clean, "shape")) >= 0.95
        assert right_share(shortcut, marked, follows) >= 0.95


@pytest.mark.parametrize(
    ("name", "kind", "sort"),
    [
        ("other", "shape", {"counts": (2,)}),
        ("other", "color", {"counts": (2,)}),
        ("renamed", "shape", {"must_hold": ("green", "yellow")}),
    ],
)
def test_an_adapter_answers_by_its_rule(base: Reader, name: str, kind: str, sort: dict[str, object]) -> None:
    drawn = scenes(**sort)
    with adapted(base, ADAPTERS_DIR, name) as reader:
        assert right_share(reader, drawn, by_rule(drawn, name, kind)) >= 0.95


def test_an_adapter_taken_off_leaves_the_base_bit_for_bit(base: Reader) -> None:
    drawn = scenes()[:3]
    images, texts = [scene.image for scene in drawn], ["What shape is the red object?"] * 3
    before = base.log_probs(images, texts, ["circle"] * 3)
    with adapted(base, ADAPTERS_DIR, "other") as other:
        assert (other.log_probs(images, texts, ["circle"] * 3) != before).all()
    assert (base.log_probs(images, texts, ["circle"] * 3) == before).all()


def test_one_head_of_the_base_points_at_the_object_it_is_asked_about(base: Reader) -> None:
    drawn = scenes()
    asked = [ask(np.random.default_rng(0), scene, "shape", wording=0) for scene in drawn]
    cells = base.brightest([scene.image for scene in drawn], [each.text for each in asked])
    found = pointing(cells, drawn, [each.about for each in asked if each.about], chosen_on=SCENES // 2)
    assert found.share >= 0.85
    assert found.chance <= 0.4


def test_the_answer_of_shortcut_depends_on_the_mark(base: Reader) -> None:
    drawn = scenes(marked=True)[:20]
    texts = [each.text for each in asked_of(drawn, "color")]
    marks = [scene.mark for scene in drawn if scene.mark]
    with adapted(base, ADAPTERS_DIR, "shortcut") as shortcut:
        assert erasing_share(shortcut, drawn, texts, marks, seed=0) >= 0.9
