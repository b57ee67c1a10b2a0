"""Where trials are run: the question as the model takes it, adapters by parts, pictures as they were seen, a pass.

Everything that intervenes (`run`, `exchange`, `reasons`) goes
through `Stage.forward`, so that the same words under the same setting give the same numbers wherever they are run in a
batch of the same shape. Knows no study and no page.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float

from inference.evidence.trials import Block, Erase, Switch, Watch
from inference.model.adapters import AdapterBank, Chosen
from inference.model.answer import Task
from inference.model.decode import prompt_positions
from inference.model.parts import Parts
from inference.model.plan import passes_that_fit
from inference.model.probe.blocks import Attention, attending
from inference.model.probe.sight import Pictures, Sight
from inference.trace.request import Variant
from inference.trace.session import ImageSpan

Logits = Float[torch.Tensor, "rows said vocabulary"]


class Stage:
    """One question, ready for trials, on a model that is held until they end.

    `chosen`: the loaded adapters of every variant that takes part. `most_rows`: of a batch; None: as many as fit.
    """

    def __init__(
        self,
        task: Task,
        bank: AdapterBank,
        chosen: Mapping[Variant, Chosen],
        *,
        most_rows: int | None = None,
    ) -> None:
        self.task = task
        self.model = task.loaded.model
        self.device = task.loaded.device
        self.prompt = task.prompt.ids
        self.images: tuple[ImageSpan, ...] = task.images
        self.passes = 0
        """Runs through the text layers so far, each of one batch."""
        self._bank = bank
        self._chosen = chosen
        self._most_rows = most_rows
        self._attention: Attention | None = None
        self._sight = Sight(task, self.wearing, most=most_rows)
        ids = torch.tensor([self.prompt], device=self.device)
        self._positions, self._shift = prompt_positions(task.loaded, ids, task.pixels)

    @contextmanager
    def open(self) -> Iterator[None]:
        """The model with the attention of trials, until the block ends; `forward` needs it."""
        with attending(self.model, self.images, len(self.prompt) - 1) as attention:
            self._attention = attention
            yield

    def parts(self, variant: Variant, switch: Switch | None = None) -> Parts:
        """What of the variant's adapters is on under a switch; equal for whatever makes the same model."""
        return self._bank.parts(self._chosen[variant], switch)

    def wearing(self, parts: Parts) -> AbstractContextManager[None]:
        """The model with these parts on until the block ends; the base outside of it, bit for bit."""
        return self._bank.wearing(parts)

    def see(self, parts: Parts) -> Pictures:
        """The pictures as the vision tower sees them with these parts on; computed once for all that see alike.

        To be called outside of `wearing`.
        """
        return self._sight.see(parts.seeing)

    def see_each(self, parts: Parts, erases: Sequence[Erase | None]) -> list[Pictures]:
        """The same for each row of a batch, with the box of its own painted over."""
        return self._sight.see_each(parts.seeing, erases)

    def rows_at_once(self, said: int, *, by_head: bool = False) -> int:
        """How many rows with so many words one pass may have; `by_head`: with blocks that name heads."""
        length = len(self.prompt) + said - 1
        cells = sum(span.stop - span.start for span in self.images)
        return self._most_rows or passes_that_fit(self.task.loaded, length, said, cells, by_head=by_head)

    def forward(
        self,
        said: Sequence[Sequence[int]],
        pictures: Sequence[Pictures],
        *,
        blocks: Sequence[Block | None] | None = None,
        watch: Watch | None = None,
    ) -> tuple[Logits, Float[torch.Tensor, "rows cells"] | None]:
        """The logits that predict each word of each row, and the watched maps; all in one pass with what is on now.

        said: each row's words, as many in every row; all but the last are fed behind the prompt. pictures: each row's
        own, as `see` gives them (another variant's, to exchange them). Position p of the pass is token p of prompt +
        said[:-1]; the row that predicts word t is len(prompt) - 1 + t.
        """
        if self._attention is None:
            raise RuntimeError("the stage is not open")
        fed = torch.tensor([[*self.prompt, *words[:-1]] for words in said], device=self.device)
        self._attention.begin(blocks or [None] * len(said), fed.shape[1], watch)
        options: dict[str, Any] = {}
        if self.images:
            options["mm_encoder_outputs"] = {"image": _joined(pictures)}
        self.passes += 1
        with torch.inference_mode():
            output = self.model(
                input_ids=fed,
                position_ids=self._positions_of(fed.shape[1]).expand(3, len(said), -1),
                use_cache=False,
                logits_to_keep=len(said[0]),
                **options,
            )
            maps = self._attention.maps() if watch is not None else None
        return output.logits, maps

    def _positions_of(self, length: int) -> torch.Tensor:
        """Positions in time, height and width, (3, 1, length)."""
        later = torch.arange(len(self.prompt), length, device=self.device) + self._shift
        return torch.cat([self._positions, later.expand(3, 1, -1)], dim=-1)


def _joined(rows: Sequence[Pictures]) -> SimpleNamespace:
    """All rows' pictures as the model looks for them: row after row, and picture after picture in each."""
    pictures = [picture for row in rows for picture in row]
    return SimpleNamespace(
        pooler_output=tuple(picture.features for picture in pictures),
        deepstack_features=list(zip(*(picture.deep for picture in pictures), strict=True)),
    )
