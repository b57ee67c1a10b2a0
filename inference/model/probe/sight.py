"""Pictures as the vision tower sees them: as they are or with a box painted over, with the adapters that take part.

What is seen is kept for all whose eyes are the same; of painted pictures no more than one pass needs. Knows no words.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from inference.evidence.painting import Canvas
from inference.evidence.trials import Erase
from inference.model.answer import Task
from inference.model.decode import see_pictures
from inference.model.parts import Parts
from inference.model.pictures import Pixels, prepare_images
from inference.model.plan import pictures_that_fit


@dataclass(frozen=True)
class Seen:
    """What the vision tower makes of one picture: its features, and what DeepStack adds to each of its layers.

    Each tensor is (cells, width).
    """

    features: torch.Tensor
    deep: tuple[torch.Tensor, ...]


Pictures = tuple[Seen, ...]
"""All pictures of a question, as one row of a batch is given them; () for a question without."""


class Sight:
    """Sees the pictures of one question. `wearing` puts parts of adapters on; `most`: pictures at once, None: all that
    fit."""

    def __init__(
        self, task: Task, wearing: Callable[[Parts], AbstractContextManager[None]], *, most: int | None = None
    ) -> None:
        self._task = task
        self._wearing = wearing
        self._most = most
        self._whole: dict[Parts, Pictures] = {}
        self._painted: dict[tuple[Parts, Erase], Seen] = {}
        self._canvases: dict[int, Canvas] = {}

    def see(self, parts: Parts) -> Pictures:
        """All pictures as they are, with these parts on."""
        if self._task.pixels is None:
            return ()
        if parts not in self._whole:
            self._whole[parts] = self._look(parts, self._task.pixels)
        return self._whole[parts]

    def see_each(self, parts: Parts, erases: Sequence[Erase | None]) -> list[Pictures]:
        """All pictures as each row is given them: with a box of one of them painted over, or as they are."""
        wanted = dict.fromkeys((parts, erase) for erase in erases if erase is not None)
        self._painted = {key: seen for key, seen in self._painted.items() if key in wanted}
        new = [erase for _, erase in wanted if (parts, erase) not in self._painted]
        for image in sorted({erase.image for erase in new}):
            self._paint(parts, [erase for erase in new if erase.image == image])
        whole = self.see(parts)
        return [whole if erase is None else self._with(whole, parts, erase) for erase in erases]

    def _with(self, whole: Pictures, parts: Parts, erase: Erase) -> Pictures:
        return (*whole[: erase.image], self._painted[parts, erase], *whole[erase.image + 1 :])

    def _paint(self, parts: Parts, erases: Sequence[Erase]) -> None:
        """Paints and sees boxes of one picture, as many at a time as there is room for."""
        assert self._task.pixels is not None
        image = erases[0].image
        if image not in self._canvases:
            self._canvases[image] = Canvas(self._task.request.images[image])
        canvas, loaded = self._canvases[image], self._task.loaded
        most = self._most or pictures_that_fit(loaded, int(self._task.pixels.grids()[image].prod()))
        for at in range(0, len(erases), most):
            some = erases[at : at + most]
            painted = [Image.fromarray(canvas.erased(erase.box, erase.fill)) for erase in some]
            seen = self._look(parts, prepare_images(loaded, painted, self._task.bounds))
            self._painted |= {(parts, erase): of_one for erase, of_one in zip(some, seen, strict=True)}

    def _look(self, parts: Parts, pixels: Pixels) -> Pictures:
        with self._wearing(parts):
            return _apart(see_pictures(self._task.loaded, pixels))


def _apart(seen: Any) -> Pictures:
    """What the model's own object tells of all pictures, picture by picture."""
    layers = zip(*seen.deepstack_features, strict=True) if seen.deepstack_features else [()] * len(seen.pooler_output)
    return tuple(Seen(of_one, tuple(deep)) for of_one, deep in zip(seen.pooler_output, layers, strict=True))
