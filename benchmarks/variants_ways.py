"""Questions put to several variants, side by side as one batch and each by itself.

The miniature is asked through the product's whole engine. Layers of a given shape have no tokenizer: there the
product's conversation, capture and rows are run, with adapters of drawn weights. Knows no table.
"""

import json
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

from benchmarks.capture_ways import kept_tokens, watched
from benchmarks.shapes import Question
from inference.catalog import CONFIG_FILE, WEIGHTS_FILE, find_adapters, read_adapter
from inference.intake import picture_from_array
from inference.mini import ADAPTERS_DIR
from inference.mini.examples import example_pictures
from inference.model.adapters import AdapterBank, Chosen
from inference.model.capture import capturing
from inference.model.decode import Conversation, see_pictures
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.model.rows import Kept, write_rows
from inference.settings import Settings
from inference.trace.parse import parse_variant
from inference.trace.request import Keep, Request
from inference.trace.session import Run, Session

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK = 16
TRAINED = 0.01


class MiniWays:
    """The question of a shipped example about its picture, to variants of the miniature; all rows are kept."""

    def __init__(self, loaded: LoadedModel, labels: Sequence[str]) -> None:
        example = example_pictures()[2]
        self._labels = labels
        self._request = Request(
            example.question,
            (picture_from_array(np.asarray(example.image), name="two.png", megapixels=1),),
            keep=Keep(numbers="float32"),
        )
        settings = Settings(variants=len(labels))
        self._engine = ModelEngine(loaded, settings, lambda: find_adapters(ADAPTERS_DIR), most_rows=len(labels))

    def together(self) -> list[Run]:
        """All in one question, and so in one batch."""
        return self._ask(self._labels)

    def separate(self) -> list[Run]:
        """A question for each; each looks at the picture anew."""
        return [self._ask([label])[0] for label in self._labels]

    def _ask(self, labels: Sequence[str]) -> list[Run]:
        variants = tuple(map(parse_variant, labels))
        with tempfile.TemporaryDirectory(prefix="lora-attention-variants-") as folder:
            *_, session = self._engine.run(replace(self._request, variants=variants), Path(folder))
            return list(cast(Session, session).runs)


class LayerWays:
    """A made question to the base and two adapters with drawn weights, on a model that was built from a shape."""

    def __init__(self, loaded: LoadedModel, question: Question) -> None:
        self._loaded = loaded
        self._question = question
        self._bank = AdapterBank(loaded.model)
        self._variants: list[Chosen] = [()]
        with tempfile.TemporaryDirectory(prefix="lora-attention-adapters-") as folder:
            for seed in (1, 2):
                facts = read_adapter(draw_adapter(loaded.model, Path(folder) / f"drawn-{seed}", seed=seed))
                self._bank.load(facts)
                self._variants.append([(facts, 1.0)])

    def together(self) -> torch.Tensor:
        """The last logits of each variant, (variants, vocabulary), from one batch."""
        features = see_pictures(self._loaded, self._question.pixels)
        return self._run(self._bank.mixed(self._variants), features, len(self._variants))

    def separate(self) -> torch.Tensor:
        """The same from a run for each, which looks at the picture anew."""
        last = []
        for chosen in self._variants:
            features = see_pictures(self._loaded, self._question.pixels)
            last.append(self._run(self._bank.active(chosen), features, 1))
        return torch.cat(last)

    def _run(self, switched: AbstractContextManager[None], features: Any, rows: int) -> torch.Tensor:
        question = self._question
        with switched, capturing(self._loaded.model, **watched(question)) as recorder:
            conversation = Conversation(self._loaded, question.ids, question.pixels, features, rows=rows)
            logits = conversation.read_prompt()
            for token in question.answer[:-1]:
                logits = conversation.feed([token])
        kept = Kept(kept_tokens(question), question.images, question.question_span, question.length, Keep())
        with tempfile.TemporaryDirectory(prefix="lora-attention-variants-") as folder:
            for row in range(rows):
                for _ in write_rows(recorder, kept, Path(folder), number=row, batch=row):
                    pass
        return logits[:, -1]


def draw_adapter(
    model: Any,
    folder: Path,
    *,
    seed: int,
    modules: Sequence[str] = MODULES,
    layers: Sequence[int] | None = None,
    size: float = TRAINED,
) -> Path:
    """The folder, with an adapter on these linear layers of the text side (`layers` None: of every layer).

    size: how large the entries of B are drawn; at `TRAINED`, changes are of a trained adapter's size.
    """
    folder.mkdir()
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, module in model.named_modules():
        if ".language_model." not in name or not name.endswith(tuple(modules)):
            continue
        if layers is None or int(name.split(".layers.")[1].split(".")[0]) in layers:
            narrow, wide = (module.get_base_layer() if isinstance(module, LoraLayer) else module).weight.shape
            key = f"base_model.model.{name}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(RANK, wide, generator=generator) * wide**-0.5
            tensors[f"{key}.lora_B.weight"] = torch.randn(narrow, RANK, generator=generator) * size
    save_file(tensors, folder / WEIGHTS_FILE)
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 2 * RANK, "target_modules": list(modules)}
    if layers is not None:
        config["layers_to_transform"] = list(layers)
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    return folder


def largest_difference(some: Sequence[Run], others: Sequence[Run]) -> float:
    """Of all rows, means, sums and probabilities of the same variants' runs; infinite where they say other words."""
    most = 0.0
    for one, other in zip(some, others, strict=True):
        if [token.id for token in one.trace.tokens] != [token.id for token in other.trace.tokens]:
            return float("inf")
        for name in ("rows", "layer_means", "head_means", "means", "sums"):
            most = max(most, float(np.abs(getattr(one.trace, name) - getattr(other.trace, name)).max(initial=0)))
        for token, twin in zip(one.trace.tokens, other.trace.tokens, strict=True):
            if token.scores and twin.scores:
                most = max(most, abs(token.scores.logprob - twin.scores.logprob))
                most = max(most, abs(token.scores.entropy - twin.scores.entropy))
    return most
