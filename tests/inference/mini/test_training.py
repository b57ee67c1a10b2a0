"""Training in a hurry: every step runs, writes what the next one reads, and repeats itself from a seed."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from inference.mini.adapter_training import train_adapter
from inference.mini.card import BARS, model_card
from inference.mini.facts import ADAPTERS
from inference.mini.storage import load_adapter, load_base
from inference.mini.train import Run, train

# peft still asks transformers for this by its older name
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


def hasty(out: Path) -> Run:
    return Run(out, seed=3, haste=800, workers=1, adapters=("counting",))


@pytest.fixture(scope="module")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mini") / "weights"
    train(hasty(out), ("vision", "text"))
    return out


def test_the_same_seed_makes_the_same_tower(trained: Path, tmp_path: Path) -> None:
    train(hasty(tmp_path / "again"), ("vision",))
    once, again = (load_file(folder / "base" / "model.safetensors") for folder in (trained, tmp_path / "again"))
    towers = [key for key in once if ".visual." in key]
    assert towers
    assert all((once[key] == again[key]).all() for key in towers)


def test_what_each_step_reached_is_kept_and_no_card_is_written_early(trained: Path) -> None:
    kept = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    assert set(kept) == {"vision", "text"}
    assert all(reached["minutes"] > 0 for reached in kept.values())
    assert not (trained.parent / "README.md").exists()


def test_an_adapter_taught_on_the_saved_base_changes_its_answers(trained: Path) -> None:
    train_adapter("counting", base=trained / "base", out=trained / "adapters", seed=3, haste=350)
    base, _ = load_base(trained / "base")
    adapted = load_adapter(base, "counting", trained / "adapters")
    moved = [param for name, param in adapted.named_parameters() if "lora_B" in name]
    assert moved
    assert any(bool((param != 0).any()) for param in moved)
    assert ADAPTERS["counting"] in (trained / "adapters" / "counting" / "README.md").read_text(encoding="utf-8")


def test_the_card_tells_every_figure_and_the_whole_time() -> None:
    figures = {key: 0.5 for key in BARS}
    kept = {
        "vision": {"cell_shape": 0.9, "minutes": 10.0},
        "text": {"minutes": 5.0},
        "adapters": {"minutes": 12.0},
        "measure": {**figures, "minutes": 3.5},
    }
    card = model_card(kept)
    assert all(f"`{key}`" in card for key in BARS)
    assert "| all | 30.5 |" in card
    assert "cell_shape 0.900" in card
