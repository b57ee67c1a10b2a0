"""What a pass gave, row by row. Knows no adapter and runs nothing."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float

from inference.errors import ModelError
from inference.evidence.trials import Outcome, Watch
from inference.model.probe.stage import Logits, Stage


def read_outcomes(
    stage: Stage,
    said: Sequence[Sequence[int]],
    logits: Logits,
    watch: Watch | None,
    maps: Float[torch.Tensor, "rows cells"] | None,
) -> list[Outcome]:
    """What each row of a pass gave, from what `Stage.forward` returned.

    Raises:
        ModelError: log-probabilities that are not finite numbers.
    """
    words = torch.tensor([list(row) for row in said], device=logits.device)
    logprobs = logits.float().log_softmax(-1).gather(-1, words[..., None])[..., 0].tolist()
    if not all(math.isfinite(logprob) for row in logprobs for logprob in row):
        raise ModelError(
            "log-probabilities that are finite numbers",
            "others",
            "set the dtype to bfloat16 or float32 (the numbers of some models are too large for float16)",
        )
    if watch is None or maps is None:
        return [Outcome(tuple(row)) for row in logprobs]
    span = stage.images[watch.image]
    grids = maps.view(-1, span.rows, span.cols).cpu().numpy()
    return [Outcome(tuple(row), grid.copy()) for row, grid in zip(logprobs, grids, strict=True)]
