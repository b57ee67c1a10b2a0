"""The conversation with the model, token by token: read the prompt, write or force an answer, step back.

Every forward pass is one call of its own, so that a caller may stop between any two tokens, in any thread. Positions
are computed here and handed to the model, which keeps none between runs. Knows no adapter and no attention row.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from transformers import DynamicCache

from inference.model.load import LoadedModel
from inference.model.pictures import Pixels
from inference.trace.request import Generation

Logits = Float[torch.Tensor, "tokens vocabulary"]


class Conversation:
    """One prompt and what was fed after it; `length` counts the keys that the model holds.

    `features`: what the vision tower makes of the pixels, where it is known already (`see_pictures`); without, the
    model looks at them itself.
    """

    def __init__(
        self, loaded: LoadedModel, prompt_ids: Sequence[int], pixels: Pixels | None, features: Any = None
    ) -> None:
        self._loaded = loaded
        self._ids = torch.tensor([prompt_ids], device=loaded.device)
        self._pixels = pixels
        self._features = features
        self._cache: Any = DynamicCache(config=loaded.text_config)
        self._positions, self._shift = _prompt_positions(loaded, self._ids, pixels)

    @property
    def length(self) -> int:
        return int(self._cache.get_seq_length())

    @property
    def prompt_length(self) -> int:
        return self._ids.shape[1]

    def read_prompt(self) -> Logits:
        """The logits that predict the first token of the answer, as one row."""
        return self._forward(self._ids, self._positions, logits_to_keep=1, **self._cached(), **self._pictures())

    def feed(self, ids: Sequence[int]) -> Logits:
        """The logits after each of these tokens, put behind all that came before."""
        positions = torch.arange(len(ids), device=self._loaded.device) + self.length + self._shift
        fed = torch.tensor([list(ids)], device=self._loaded.device)
        return self._forward(fed, positions.expand(3, 1, -1), **self._cached())

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

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, **options: Any) -> Logits:
        with torch.inference_mode():
            output = self._loaded.model(input_ids=ids, position_ids=positions, **options)
        logits: torch.Tensor = output.logits[0]
        return logits


def see_pictures(loaded: LoadedModel, pixels: Pixels) -> Any:
    """What the vision tower, with the adapters that are on now, makes of these pictures: `features` of a conversation.

    Holds for every variant whose adapters leave the tower alone.
    """
    with torch.inference_mode():
        return loaded.model.model.get_image_features(pixels.values, pixels.grid_thw, return_dict=True)


def write_answer(
    conversation: Conversation, first: Logits, settings: Generation, stop_ids: frozenset[int]
) -> Iterator[tuple[int, Logits]]:
    """Each token of the answer with the logits (one row) that it was chosen from, until a stop token or the limit.

    The stop token itself is not told. Nothing is computed for the token after the last one.
    """
    generator = torch.Generator().manual_seed(settings.seed) if settings.sample else None
    logits = first
    for number in range(1, settings.max_new_tokens + 1):
        token = _choose(logits[-1], settings, generator)
        if token in stop_ids:
            return
        yield token, logits
        if number < settings.max_new_tokens:
            logits = conversation.feed([token])


def force_answer(conversation: Conversation, first: Logits, ids: Sequence[int]) -> Logits:
    """The logits that predict each of these tokens, when they are put into the model's mouth."""
    if len(ids) == 1:
        return first
    return torch.cat([first, conversation.feed(ids[:-1])])


def stop_ids(loaded: LoadedModel) -> frozenset[int]:
    """Ids that end an answer, as the model's generation config names them."""
    named = loaded.model.generation_config.eos_token_id
    if named is None:
        named = loaded.processor.tokenizer.eos_token_id
    return frozenset(named if isinstance(named, list) else [named])


def _prompt_positions(loaded: LoadedModel, ids: torch.Tensor, pixels: Pixels | None) -> tuple[torch.Tensor, int]:
    """Positions in time, height and width, each (1, prompt); and what to add to a later token's own index."""
    if pixels is None:
        return torch.arange(ids.shape[1], device=loaded.device).expand(3, 1, -1), 0
    is_picture = (ids == loaded.model.config.image_token_id).int()
    positions, shift = loaded.model.model.get_rope_index(
        input_ids=ids, mm_token_type_ids=is_picture, image_grid_thw=pixels.grid_thw
    )
    return positions, int(shift[0, 0])


def _choose(logits: Float[torch.Tensor, "vocabulary"], settings: Generation, generator: torch.Generator | None) -> int:
    if generator is None:
        return int(logits.argmax())
    # On the CPU, so that a seed gives the same draws on every device.
    shares = (logits.float().cpu() / settings.temperature).softmax(-1)
    ordered, order = shares.sort(descending=True)
    outside = ordered.cumsum(-1) - ordered >= settings.top_p
    kept = ordered.masked_fill(outside, 0)
    return int(order[torch.multinomial(kept, 1, generator=generator)])
