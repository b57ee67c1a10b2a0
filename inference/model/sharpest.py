"""The spot that looks at one cell of a picture most sharply, searched a few heads at a time on the model's device.

Finds what `inference.trace.condense` finds. A median over tokens is dear, and few cells need one: no contrast of a cell
exceeds what its tokens differ, so that cells are tried in the order of that bound, until none that is left can win.
Knows no model and no disk.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float

from inference.trace.condense import describe_spot, wordlike
from inference.trace.session import ImageSpan, Sharpest, Spot, Token

_CELLS_AT_ONCE = 2048
_Place = tuple[int, int, int, int]
"""Layer, head, place among the tokens, place among the cells: of equal contrasts the least counts."""


class Search:
    """Shown the rows of its tokens over all pictures' cells, head after head, it remembers the sharpest spot.

    Contrast of a token on a cell: its share there, less the median over all tokens (0 for a lone token). Tokens that
    are words take part before all others.
    """

    def __init__(self, tokens: Sequence[Token], numbers: Sequence[int], images: Sequence[ImageSpan]) -> None:
        """`numbers`: the places in `tokens` of those that are compared, in the order of the rows to be shown."""
        self._numbers = numbers
        self._images = images
        self._allowed = wordlike([tokens[number] for number in numbers])
        self._best = -torch.inf
        self._at: _Place = (0, 0, 0, 0)
        self._told = (0.0, 0.0, 0.0)

    def show(self, layer: int, heads: Sequence[int], rows: Float[torch.Tensor, "heads tokens cells"]) -> None:
        """Takes in the rows of these heads of a layer."""
        allowed = torch.tensor(self._allowed, device=rows.device)
        high = rows.index_select(1, allowed).amax(1)
        low = rows.amin(1) if rows.shape[1] > 1 else 0
        bounds = (high - low).flatten()
        while True:
            dearest = bounds.topk(min(_CELLS_AT_ONCE, len(bounds)))
            if dearest.values[0] < self._best:
                return
            self._try(layer, heads, rows, dearest.indices, allowed)
            bounds[dearest.indices] = -torch.inf

    def found(self) -> Sharpest | None:
        """The sharpest spot of all that was shown; None where nothing was."""
        if self._best == -torch.inf:
            return None
        layer, head, place, cell = self._at
        spot = Spot(self._numbers[place], layer, head)
        share, usual, picture_share = self._told
        keys = [key for span in self._images for key in range(span.start, span.stop)]
        return describe_spot(self._images, spot, keys[cell], share=share, usual=usual, picture_share=picture_share)

    def _try(
        self, layer: int, heads: Sequence[int], rows: torch.Tensor, flat: torch.Tensor, allowed: torch.Tensor
    ) -> None:
        """Takes in some cells, named by their places in (heads, cells) laid flat."""
        head, cell = flat // rows.shape[2], flat % rows.shape[2]
        values = rows[head, :, cell]  # (tried, tokens)
        usual = _median(values)
        contrast = values.index_select(1, allowed) - usual[:, None]
        best = float(contrast.max())
        if best < self._best:
            return
        tried, place = (contrast == best).nonzero(as_tuple=True)
        at, row = min(
            ((layer, heads[h], self._allowed[p], c), t)
            for h, p, c, t in zip(
                head[tried].tolist(), place.tolist(), cell[tried].tolist(), tried.tolist(), strict=True
            )
        )
        if best > self._best or at < self._at:
            number = heads.index(at[1])
            self._best, self._at = best, at
            self._told = (float(values[row, at[2]]), float(usual[row]), float(rows[number, at[2]].sum()))


def _median(values: Float[torch.Tensor, "cells tokens"]) -> Float[torch.Tensor, "cells"]:
    """The mean of the two in the middle, or the one; 0 for a lone token."""
    count = values.shape[1]
    if count == 1:
        return torch.zeros_like(values[:, 0])
    return values.sort(dim=1).values[:, (count - 1) // 2 : count // 2 + 1].mean(1)
