"""From queries set aside to a trace on disk: a block of tokens and a layer at a time, on the model's device.

Rows are softmax(q K^T * scale) in float32. What is kept of them, and their means, go to the disk as they are made, so
that memory holds one block of one layer and the block's means, however much is kept. Gives what
`inference.trace.condense` gives, which has all rows in memory. Knows no request and no words.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float

from inference.errors import ModelError
from inference.model.capture import Recorder
from inference.model.sharpest import Search
from inference.trace.arrays import ArrayFile, map_array
from inference.trace.condense import kept_columns, part_weights, searched
from inference.trace.request import Keep
from inference.trace.session import ImageSpan, Token, Trace

BLOCK_BYTES = 32 * 2**20
"""Float32 rows of all heads of one layer that are worked on at a time; about four times as much is in use."""

_ROW_BYTES = 4


@dataclass(frozen=True)
class Kept:
    """What the rows are of, and what is kept of them: a `Trace` without its numbers."""

    tokens: tuple[Token, ...]
    images: tuple[ImageSpan, ...]
    question_span: tuple[int, int]
    length: int
    keep: Keep


def write_rows(
    recorder: Recorder, kept: Kept, folder: Path, *, number: int = 0, batch: int = 0, block_bytes: int = BLOCK_BYTES
) -> Generator[tuple[int, int], None, Trace]:
    """(Layers done, layers to do) before and after each, and at last the trace, mapped read-only from the folder.

    The files are `rows-NUMBER.npy` and so on, one for each array of a `Trace`. `batch`: which of the conversations that
    were heard side by side. Each block of tokens counts its layers
    anew. Closing it leaves files that are not whole; the folder is the caller's.

    Raises:
        ModelError: the rows of a layer are not finite numbers.
        SessionError: the disk is full.
        KeyError: a token whose query was not set aside.
    """
    writer = _Writer(recorder, kept, batch, block_bytes)
    paths = {name: folder / f"{name}-{number}.npy" for name in writer.shapes()}
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(ArrayFile(paths[name], shape, numbers))
            for name, (shape, numbers) in writer.shapes().items()
        }
        yield 0, writer.steps
        for done, _ in enumerate(writer.write(files), 1):
            yield done, writer.steps
    return Trace(
        kept.tokens,
        kept.images,
        kept.question_span,
        kept.length,
        writer.layers,
        writer.heads,
        kept.keep.keys,
        **{name: map_array(path) for name, path in paths.items()},
        sharpest=writer.search.found(),
    )


class _Writer:
    """One trace in the making; `steps` says how often `write` will pause."""

    def __init__(self, recorder: Recorder, kept: Kept, batch: int, block_bytes: int) -> None:
        keep, device = kept.keep, recorder.device
        self.layers = tuple(range(recorder.layers)) if keep.layers is None else keep.layers
        self.heads = tuple(range(recorder.heads)) if keep.heads is None else keep.heads
        self._recorder = recorder
        self._kept = kept
        self._batch = batch
        columns = kept_columns(kept.images, kept.length, pictures_alone=keep.keys == "pictures")
        self._columns = _places(columns.nonzero()[0].tolist(), device)
        self._cells = _places([key for span in kept.images for key in range(span.start, span.stop)], device)
        self._head_places = _places(self.heads, device)
        self._parts = torch.from_numpy(part_weights(kept.images, kept.question_span, kept.length)).to(device)
        self._per_block = max(1, block_bytes // (recorder.heads * kept.length * _ROW_BYTES))
        count = len(kept.tokens)
        self._blocks = [range(at, min(at + self._per_block, count)) for at in range(0, count, self._per_block)]
        self._compared = searched(kept.tokens) if kept.images and self.layers and self.heads else []
        self._compared_places = _places(self._compared, device)
        self.search = Search(kept.tokens, self._compared, kept.images)
        # A contrast needs all compared tokens at once: where one block holds them, its rows serve.
        self._searches_apart = bool(self._compared) and len(self._blocks) > 1
        self.steps = recorder.layers * len(self._blocks) + len(self.layers) * self._searches_apart

    def shapes(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and kind of numbers of each array of the trace, by its name."""
        tokens, columns, numbers = len(self._kept.tokens), len(self._columns), self._kept.keep.numbers
        layers, heads = self._recorder.layers, self._recorder.heads
        return {
            "rows": ((tokens, len(self.layers), len(self.heads), columns), numbers),
            "layer_means": ((tokens, layers, columns), numbers),
            "head_means": ((tokens, heads, columns), numbers),
            "means": ((tokens, columns), numbers),
            "sums": ((tokens, layers, heads, self._parts.shape[1]), "float32"),
        }

    def write(self, files: Mapping[str, ArrayFile]) -> Iterator[None]:
        """Pauses after each layer of each block, and of the search where it needs a pass of its own."""
        for block in self._blocks:
            yield from self._write_block(files, block)
        for layer in self.layers if self._searches_apart else ():
            self._search_layer(layer)
            yield

    def _write_block(self, files: Mapping[str, ArrayFile], block: range) -> Iterator[None]:
        shape = (self._recorder.heads, len(block), len(self._columns))
        head_means = torch.zeros(shape, device=self._recorder.device)
        for layer in range(self._recorder.layers):
            rows = self._rows(layer, block, range(self._recorder.heads))
            sums = rows @ self._parts
            # Every key has its part, so that a number which is not finite shows in the sums.
            if not bool(sums.isfinite().all()):
                raise _not_finite(layer)
            _put(files["sums"], block, (layer,), sums.transpose(0, 1))
            if layer in self.layers and self._compared and not self._searches_apart:
                looked = _pick(_pick(rows, 0, self._head_places), 1, self._compared_places)
                self.search.show(layer, self.heads, _pick(looked, 2, self._cells))
            kept = _pick(rows, 2, self._columns)
            head_means += kept
            _put(files["layer_means"], block, (layer,), kept.mean(0))
            if layer in self.layers:
                _put(
                    files["rows"], block, (self.layers.index(layer),), _pick(kept, 0, self._head_places).transpose(0, 1)
                )
            yield
        head_means /= self._recorder.layers
        _put(files["head_means"], block, (), head_means.transpose(0, 1))
        _put(files["means"], block, (), head_means.mean(0))

    def _search_layer(self, layer: int) -> None:
        """The search over one layer, a head at a time, for more tokens than a block holds."""
        blocks = _split(self._compared, self._per_block * self._recorder.heads)
        for head in self.heads:
            looked = [_pick(self._rows(layer, block, range(head, head + 1)), 2, self._cells) for block in blocks]
            self.search.show(layer, (head,), torch.cat(looked, dim=1))

    def _rows(self, layer: int, tokens: Sequence[int], heads: range) -> Float[torch.Tensor, "heads tokens keys"]:
        positions = [self._kept.tokens[token].row_at for token in tokens]
        return self._recorder.layer_rows(layer, positions, keys=self._kept.length, heads=heads, batch=self._batch)


def _places(chosen: Sequence[int], device: torch.device) -> range | torch.Tensor:
    """Places along an axis, as a range where each follows the one before."""
    first = chosen[0] if chosen else 0
    straight = range(first, first + len(chosen))
    if list(chosen) == list(straight):
        return straight
    return torch.tensor(chosen, dtype=torch.long, device=device)


def _pick(values: torch.Tensor, axis: int, places: range | torch.Tensor) -> torch.Tensor:
    """These places along an axis; of a range a view, without a copy."""
    if isinstance(places, range):
        return values.narrow(axis, places.start, len(places))
    return values.index_select(axis, places)


def _put(file: ArrayFile, tokens: range, at: tuple[int, ...], values: Float[torch.Tensor, "tokens *rest"]) -> None:
    """Writes these tokens' values, rounded on the device, so that less is copied from it."""
    file.put_each(tokens, at, values.to(getattr(torch, file.dtype.name)).cpu().numpy())


def _split(tokens: Sequence[int], most: int) -> list[Sequence[int]]:
    return [tokens[at : at + most] for at in range(0, len(tokens), most)]


def _not_finite(layer: int) -> ModelError:
    return ModelError(
        "attention that is made of finite numbers",
        f"others in layer {layer}",
        "set the dtype to bfloat16 or float32 (the numbers of some models are too large for float16)",
    )
