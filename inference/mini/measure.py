"""What a trained miniature can do, measured through the library's own processor and forward.

Answers, where heads look, and what answers depend on. Knows nothing of how it was trained and draws nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import BatchFeature, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from inference.mini.questions import Asked
from inference.mini.scenes import SIDE_PX, Box, Scene, Thing

HIT_PX = 60
_BATCH = 25

Cells = NDArray[np.int64]
Hits = NDArray[np.bool_]
Head = tuple[int, int, int]


@dataclass(frozen=True)
class Reader:
    """A model (an adapter may be active on it) and its processor."""

    model: Qwen3VLForConditionalGeneration
    processor: Qwen3VLProcessor

    @torch.no_grad()
    def answers(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[str]:
        """Greedy answers, at most four tokens each."""
        said: list[str] = []
        for part in _parts(len(texts)):
            inputs = self._inputs(images[part], texts[part])
            made = self.model.generate(**inputs, max_new_tokens=4, do_sample=False)
            new = made[:, inputs["input_ids"].shape[1] :]
            said += self.processor.batch_decode(new, skip_special_tokens=True)
        return said

    @torch.no_grad()
    def log_probs(
        self, images: Sequence[Image.Image], texts: Sequence[str], answers: Sequence[str]
    ) -> NDArray[np.float64]:
        """(pictures,): the log-probability of each answer, its end sign included."""
        sums = []
        for part in _parts(len(texts)):
            endings = [answer + self.processor.tokenizer.eos_token for answer in answers[part]]
            inputs = self._inputs(images[part], texts[part], endings)
            logits = self.model(**inputs).logits[:, :-1].log_softmax(-1)
            each = logits.gather(-1, inputs["input_ids"][:, 1:, None])[..., 0]
            for row, ending in zip(each, endings, strict=True):
                sums.append(row[-len(self.processor.tokenizer(ending)["input_ids"]) :].sum().item())
        return np.array(sums)

    @torch.no_grad()
    def brightest(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Cells:
        """(pictures, tokens, layers, heads): the picture cell that each token behind the picture looks at most.

        All texts must be of equal length in tokens. The last token is the one that predicts the answer.
        """
        cells = []
        self.model.set_attn_implementation("eager")
        for part in _parts(len(texts)):
            inputs = self._inputs(images[part], texts[part])
            rows = torch.stack(self.model(**inputs, output_attentions=True).attentions, dim=1)
            seen = (inputs["input_ids"][0] == self.processor.image_token_id).nonzero()[:, 0]
            # (pictures, layers, heads, queries, keys) -> (pictures, queries, layers, heads)
            behind = rows[..., int(seen[-1]) + 1 :, seen]
            cells.append(behind.argmax(-1).permute(0, 3, 1, 2).numpy())
        self.model.set_attn_implementation("sdpa")
        return np.concatenate(cells)

    def _inputs(
        self, images: Sequence[Image.Image], texts: Sequence[str], endings: Sequence[str] | None = None
    ) -> BatchFeature:
        prompts = [self._prompt(text) for text in texts]
        whole = [prompt + end for prompt, end in zip(prompts, endings or [""] * len(prompts), strict=True)]
        return self.processor(text=whole, images=list(images), padding=True, return_tensors="pt")

    def _prompt(self, text: str) -> str:
        content = [{"type": "image"}, {"type": "text", "text": text}]
        prompt: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return prompt


def right_share(reader: Reader, scenes: Sequence[Scene], asked: Sequence[Asked]) -> float:
    """The share of questions whose whole answer is the right one."""
    said = reader.answers([scene.image for scene in scenes], [each.text for each in asked])
    return float(np.mean([answer == each.answer for answer, each in zip(said, asked, strict=True)]))


@dataclass(frozen=True, slots=True)
class Pointing:
    """The head chosen on other scenes, as (token, layer, head), its share of hits and its share by chance."""

    head: Head
    share: float
    chance: float


def pointing(cells: Cells, scenes: Sequence[Scene], things: Sequence[Thing], *, chosen_on: int) -> Pointing:
    """How often the best head's brightest cell is on the right thing; chosen on the first scenes, told of the rest.

    Chance is the same head's cell scored against the right thing of the next scene.
    """
    hits, chance = _hits(cells, scenes, things), _hits(np.roll(cells, 1, axis=0), scenes, things)
    flat = hits[:chosen_on].mean(axis=0)
    token, layer, head = (int(index) for index in np.unravel_index(flat.argmax(), flat.shape))
    rest = (slice(chosen_on, None), token, layer, head)
    return Pointing((token, layer, head), float(hits[rest].mean()), float(chance[rest].mean()))


def _hits(cells: Cells, scenes: Sequence[Scene], things: Sequence[Thing]) -> Hits:
    covered = np.stack([scene.cell_px(thing).ravel() for scene, thing in zip(scenes, things, strict=True)])
    index = cells.reshape(len(cells), -1)
    hits: Hits = (np.take_along_axis(covered, index, axis=1) >= HIT_PX).reshape(cells.shape)
    return hits


def erasing_share(
    reader: Reader, scenes: Sequence[Scene], texts: Sequence[str], causes: Sequence[Thing], *, seed: int
) -> float:
    """The share of scenes in which painting over the cause costs the given answer's log-probability most.

    Every object, the mark if any and two background boxes are painted over in turn.
    """
    rng = np.random.default_rng(seed)
    given = reader.answers([scene.image for scene in scenes], texts)
    boxes = [[*(tight_box(scene, thing) for thing in scene.things), *_empty_boxes(scene, rng)] for scene in scenes]
    owner = [index for index, own in enumerate(boxes) for _ in own]
    images = [scenes[index].painted_over(box) for index, box in zip(owner, chain.from_iterable(boxes), strict=True)]
    left = reader.log_probs(images, [texts[i] for i in owner], [given[i] for i in owner])
    lowest = [int(np.argmin(left[np.array(owner) == index])) for index in range(len(scenes))]
    wanted = [scene.things.index(cause) for scene, cause in zip(scenes, causes, strict=True)]
    return float(np.mean(np.array(lowest) == np.array(wanted)))


def tight_box(scene: Scene, thing: Thing) -> Box:
    """The box of the thing's pixels and one more on each side: left, top, right, bottom, the last two not included."""
    rows, cols = np.nonzero(scene.mask(thing))
    return (
        max(0, int(cols.min()) - 1),
        max(0, int(rows.min()) - 1),
        min(SIDE_PX, int(cols.max()) + 2),
        min(SIDE_PX, int(rows.max()) + 2),
    )


def _empty_boxes(scene: Scene, rng: np.random.Generator, *, count: int = 2, side_px: int = 40) -> list[Box]:
    """Boxes with background alone in them, fewer where little of it is free."""
    free = ~np.any([scene.mask(thing) for thing in scene.things], axis=0)
    found: list[Box] = []
    for _ in range(200):
        left, top = (int(value) for value in rng.integers(0, SIDE_PX - side_px, 2))
        if free[top : top + side_px, left : left + side_px].all():
            found.append((left, top, left + side_px, top + side_px))
        if len(found) == count:
            break
    return found


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _BATCH):
        yield slice(start, start + _BATCH)
