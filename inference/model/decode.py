"""Conversations with the model, token by token: read the prompt, write or force an answer, step back.

Every forward pass is one call of its own, so that a caller may stop between any two tokens, in any thread. Positions
are computed here and handed to the model, which keeps none between runs. Several conversations that begin with the
same prompt go on side by side, as the rows of one batch. Knows no adapter and no attention row.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from transformers import DynamicCache

from inference.model.load import LoadedModel
from inference.model.pictures import Pixels
from inference.trace.request import Generation

Logits = Float[torch.Tensor, "rows tokens vocabulary"]
Step = Float[torch.Tensor, "rows vocabulary"]
Chooser = Callable[[Step], list[int | None]]
"""What each row says next, from the logits of this step; None: its answer has ended."""


class Conversation:
    """One prompt and what was fed after it, in so many `rows`; `length` counts the keys that the model holds for each.

    `features`: what the vision tower makes of the pixels, where it is known already (`see_pictures`); without, the
    model looks at them itself, for one row alone.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        prompt_ids: Sequence[int],
        pixels: Pixels | None,
        features: Any = None,
        *,
        rows: int = 1,
    ) -> None:
        self._loaded = loaded
        self._rows = rows
        self._ids = torch.tensor([prompt_ids], device=loaded.device)
        self._pixels = pixels
        self._features = _repeated(features, rows) if features is not None and rows > 1 else features
        self._cache: Any = DynamicCache(config=loaded.text_config)
        self._positions, self._shift = prompt_positions(loaded, self._ids, pixels)

    @property
    def length(self) -> int:
        return int(self._cache.get_seq_length())

    @property
    def prompt_length(self) -> int:
        return self._ids.shape[1]

    def read_prompt(self) -> Logits:
        """The logits that predict the first token of the answer."""
        return self._forward(self._ids, self._positions, logits_to_keep=1, **self._cached(), **self._pictures())

    def feed(self, ids: Sequence[int]) -> Logits:
        """The logits after each of these tokens, put behind all that came before in every row."""
        return self._feed(torch.tensor([list(ids)], device=self._loaded.device))

    def feed_each(self, ids: Sequence[int]) -> Logits:
        """The logits after one token, each row's own."""
        return self._feed(torch.tensor(ids, device=self._loaded.device)[:, None])

    def read_again(self, ids: Sequence[int]) -> None:
        """Runs the prompt with these tokens behind it in a single pass, from the start and beside all that is held."""
        later = torch.arange(len(ids), device=self._loaded.device) + self.prompt_length + self._shift
        positions = torch.cat([self._positions, later.expand(3, 1, -1)], dim=-1)
        fed = torch.cat([self._ids, torch.tensor([list(ids)], dtype=torch.long, device=self._loaded.device)], dim=1)
        self._forward(fed, positions, use_cache=False, logits_to_keep=1, **self._pictures())

    def rewind(self) -> None:
        """Forgets all after the prompt."""
        # Zero means "nothing to remove" to some versions of the library, and "keep nothing" to others.
        if surplus := self.length - self.prompt_length:
            self._cache.crop(-surplus)

    def _cached(self) -> dict[str, Any]:
        return {"past_key_values": self._cache, "use_cache": True}

    def _pictures(self) -> dict[str, Any]:
        if self._features is not None:
            return {"mm_encoder_outputs": {"image": self._features}}
        if self._pixels is not None:
            return {"pixel_values": self._pixels.values, "image_grid_thw": self._pixels.grid_thw}
        return {}

    def _feed(self, ids: torch.Tensor) -> Logits:
        positions = torch.arange(ids.shape[1], device=self._loaded.device) + self.length + self._shift
        return self._forward(ids, positions.expand(3, 1, -1), **self._cached())

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, **options: Any) -> Logits:
        ids, positions = ids.expand(self._rows, -1), positions.expand(3, self._rows, -1)
        with torch.inference_mode():
            output = self._loaded.model(input_ids=ids, position_ids=positions, **options)
        logits: torch.Tensor = output.logits
        return logits


def see_pictures(loaded: LoadedModel, pixels: Pixels) -> Any:
    """What the vision tower, with the adapters that are on now, makes of these pictures: `features` of a conversation.

    Holds for every variant whose adapters leave the tower alone.
    """
    with torch.inference_mode():
        return loaded.model.model.get_image_features(pixels.values, pixels.grid_thw, return_dict=True)


def write_answers(
    conversation: Conversation, first: Logits, choose: Chooser, *, limit: int, filler: int
) -> Iterator[tuple[list[int | None], Step]]:
    """What each row says at each step, with the logits that it was chosen from, until all have ended or the limit.

    A row that has ended says None, and is fed the filler while others go on. Nothing is computed for the tokens after
    the last ones.
    """
    logits = first[:, -1]
    for number in range(1, limit + 1):
        said = choose(logits)
        if all(token is None for token in said):
            return
        yield said, logits
        if number < limit:
            logits = conversation.feed_each([filler if token is None else token for token in said])[:, -1]


def own_words(settings: Generation, stops: frozenset[int], rows: int) -> Chooser:
    """Each row chooses for itself, and draws as it would alone, until it chooses a stop token, which is not told."""
    generators = [torch.Generator().manual_seed(settings.seed) if settings.sample else None for _ in range(rows)]
    ended = [False] * rows

    def choose(logits: Step) -> list[int | None]:
        said: list[int | None] = [None] * rows
        for row in (row for row in range(rows) if not ended[row]):
            token = _choose(logits[row], settings, generators[row])
            ended[row] = token in stops
            said[row] = None if ended[row] else token
        return said

    return choose


def led_words(settings: Generation, stops: frozenset[int], rows: int, leader: int) -> Chooser:
    """One row chooses, and all say what it says."""
    alone = own_words(settings, stops, 1)
    return lambda logits: alone(logits[leader : leader + 1]) * rows


def given_words(ids: Sequence[int], rows: int) -> Chooser:
    """All rows say these tokens, one after another."""
    left = iter(ids)
    return lambda _: [next(left, None)] * rows


def force_answer(conversation: Conversation, first: Logits, ids: Sequence[int]) -> Logits:
    """The logits that predict each of these tokens, when they are put into the model's mouth in a single pass."""
    if len(ids) == 1:
        return first
    return torch.cat([first, conversation.feed(ids[:-1])], dim=1)


def stop_ids(loaded: LoadedModel) -> frozenset[int]:
    """Ids that end an answer, as the model's generation config names them."""
    named = loaded.model.generation_config.eos_token_id
    if named is None:
        named = loaded.processor.tokenizer.eos_token_id
    return frozenset(named if isinstance(named, list) else [named])


def prompt_positions(loaded: LoadedModel, ids: torch.Tensor, pixels: Pixels | None) -> tuple[torch.Tensor, int]:
    """Positions in time, height and width, each (1, prompt); and what to add to a later token's own index."""
    if pixels is None:
        return torch.arange(ids.shape[1], device=loaded.device).expand(3, 1, -1), 0
    is_picture = (ids == loaded.model.config.image_token_id).int()
    positions, shift = loaded.model.model.get_rope_index(
        input_ids=ids, mm_token_type_ids=is_picture, image_grid_thw=pixels.grid_thw
    )
    return positions, int(shift[0, 0])


def _repeated(features: Any, rows: int) -> Any:
    """The same features for every row: a picture's are one tensor, and those of the next row come behind the last."""
    layers = [of_layer * rows for of_layer in features.deepstack_features]
    return type(features)(pooler_output=features.pooler_output * rows, deepstack_features=layers)


def _choose(logits: Float[torch.Tensor, "vocabulary"], settings: Generation, generator: torch.Generator | None) -> int:
    if generator is None:
        return int(logits.argmax())
    # On the CPU, so that a seed gives the same draws on every device.
    shares = (logits.float().cpu() / settings.temperature).softmax(-1)
    ordered, order = shares.sort(descending=True)
    outside = ordered.cumsum(-1) - ordered >= settings.top_p
    kept = ordered.masked_fill(outside, 0)
    return int(order[torch.multinomial(kept, 1, generator=generator)])
