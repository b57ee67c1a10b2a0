"""The words of the model cards, written by a training run from its own figures. Trains nothing, reads no file."""

from collections.abc import Mapping, Sequence

from inference.mini import BASE_NAME
from inference.mini.facts import ADAPTERS, COLORS, KINDS, PARTNERS, PLACES, SHAPES

BARS = {
    "shape_acc": "base, shape questions right",
    "color_acc": "base, color questions right",
    "place_acc": "base, place questions right (nine places; half learnt is what is asked)",
    "shortcut_clean_acc": "`shortcut`, clean pictures, both kinds right",
    "shortcut_follows": "`shortcut`, contradicting mark, answer follows the mark",
    "other_acc": "`other`, two objects, right by its rule",
    "renamed_acc": "`renamed`, right by its rule",
    "counting_acc": "`counting`, number right",
    "counting_base_acc": "base, never taught to count (low is right)",
    "point_base": "base, best head on the asked-about object",
    "point_shortcut": "`shortcut`, best head on the mark",
    "point_shortcut_base": "base, its own best head on that mark",
    "point_shortcut_last": "the same for the token that answers alone, `shortcut`",
    "point_shortcut_base_last": "the same for the token that answers alone, base",
    "point_chance": "the same heads against another scene's objects (low is right)",
    "erase_base": "base, erasing the object costs the answer most",
    "erase_other": "`other`, erasing the other object costs most",
    "erase_renamed": "`renamed`, erasing the partner costs most",
    "erase_shortcut": "`shortcut`, erasing the mark costs most",
    "megabytes": "size of base and adapters together, MB",
}

TRIES = (
    "AdamW (2e-3) for the text layers: after 450 steps of 192 questions it named any object of the scene (0.38 right). "
    "Muon for their matrices found the asked-about one: 0.99 of shapes and colors after 200 steps.",
    "A vision tower trained for 1,000 steps named the shape of 0.943 of the cells; the answers were as good (0.99), "
    "since an object fills several cells.",
    "`other` taught on scenes of 2 to 4 objects alone: right by its rule (0.99), but in 6 of 100 scenes erasing the "
    "asked-about object cost the answer more than erasing the other. It is now also taught on scenes of a single "
    "object, asked about one that is not there.",
    "Attention in bf16 on a CPU: its backward took four times as long as in float32, so it alone stays in float32.",
)


def base_card() -> str:
    """The card that lies with the base's weights."""
    kinds = "\n".join(f"- {kind.example}" for kind in KINDS if kind.taught_to == "base")
    return f"""---
library_name: transformers
pipeline_tag: image-text-to-text
---
# {BASE_NAME}

A real Qwen3-VL in miniature, trained from scratch on a CPU. It knows pictures of coloured
shapes and questions such as

{kinds}

It knows {_and(COLORS)}; {_and(SHAPES)}; and the places {_and(PLACES)}. It answers with one word. Photographs and
other questions get an answer that means nothing.
"""


def adapter_card(name: str, sentence: str, *, modules: Sequence[str], steps: int, right: float) -> str:
    """The card that lies with one adapter."""
    return f"""---
base_model: {BASE_NAME}
library_name: peft
tags: [lora]
---
# {name}

{sentence}

LoRA of rank 8 on {_and(modules)} of the text layers, {steps} steps of 192 questions about 32 pictures. In the last
hundred steps of training {right:.3f} of the answers were right by its rule.
"""


def model_card(kept: Mapping[str, Mapping[str, float]]) -> str:
    """The story of one training run, from what each step reached and its minutes: results, time, tries that failed."""
    figures = kept["measure"]
    table = "\n".join(f"| `{key}` | {figures[key]:.3f} | {told} |" for key, told in BARS.items())
    minutes = {step: reached["minutes"] for step, reached in kept.items()}
    steps = "\n".join(f"| {step} | {taken:.1f} |" for step, taken in minutes.items())
    reached = {name: value for name, value in kept["vision"].items() if name != "minutes"}
    cells = ", ".join(f"{name} {value:.3f}" for name, value in reached.items())
    adapters = "\n".join(f"- `{name}`: {sentence}" for name, sentence in ADAPTERS.items())
    pairs = _and([f"{a} with {b}" for a, b in PARTNERS.items() if a < b])
    tries = "\n".join(f"- {line}" for line in TRIES)
    return f"""# The embedded miniature

`{BASE_NAME}` is a `Qwen3VLForConditionalGeneration` with a `Qwen3VLProcessor`, small enough to lie in this
repository and to be made again by anyone: `python -m inference.mini.train`. This card is written by that run.

## What it reached

Measured on scenes that no training saw, as `python -m benchmarks.mini` measures it.

| figure | value | what it is |
|---|---|---|
{table}

Vision tower on cells of unseen scenes: {cells}.

## How long it took

| step | minutes |
|---|---|
{steps}
| all | {sum(minutes.values()):.1f} |

## What it is taught

Scenes of 192 x 192 px with 2 to 4 objects on a plain background; colors ({_and(COLORS)}) and shapes ({_and(SHAPES)})
are unique in a scene. Every third scene carries a small square mark in one of the four corners, which the base is
taught to see and not to answer with. First the vision tower learns what and where each cell is; then the text
layers learn to answer, the tower frozen. No loss term reads attention weights.

{adapters}

The pairs of `renamed`: {pairs}.

## What failed

{tries}
"""


def _and(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1]
