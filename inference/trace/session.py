"""What a run leaves behind: for each variant its answer and where every kept token looked.

Frozen data and numpy arrays only. Words: a *query token* is the token that looks, a *key* what is looked at, a
*vision token* a key that stands for one merged patch of a picture, a *row* one query token's attention over all
keys for one layer and head. Saving and loading is `inference.trace.files`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from inference.trace.request import Keys, Part, Request, Variant


@dataclass(frozen=True)
class RunnerUp:
    """A token that could have stood in a token's place; `logprob` in nats."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True)
class Scores:
    """How sure the model was of an answer token: log-probability and entropy in nats, and five runners-up.

    Taken from the logits as the model gave them, before temperature or any cut; the runners-up are the likeliest
    tokens other than the chosen one, likeliest first.
    """

    logprob: float
    entropy: float
    runners_up: tuple[RunnerUp, ...]
    divergence: float | None = None
    """Kullback-Leibler divergence, in nats, of this variant's distribution over the vocabulary from the base's at the
    same place after the same words; None where there is no such base."""


@dataclass(frozen=True)
class Token:
    """One kept query token.

    `position` is its own place in the sequence; `row_at` the position whose query row is kept for it: its own for a
    token of the prompt, the one before for a token of the answer (the row that predicts it).
    """

    id: int
    text: str
    position: int
    row_at: int
    part: Part
    scores: Scores | None = None


@dataclass(frozen=True)
class ImageSpan:
    """Where one picture's vision tokens lie: keys start .. start + rows * cols - 1, row by row.

    `resized_wh` is the picture as the vision tower saw it, `original_wh` as it arrived, both in pixels.
    """

    start: int
    rows: int
    cols: int
    resized_wh: tuple[int, int]
    original_wh: tuple[int, int]

    @property
    def stop(self) -> int:
        return self.start + self.rows * self.cols


@dataclass(frozen=True)
class Spot:
    """One place to look from; `layer` or `head` None: the mean over all of them."""

    token: int
    layer: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Sharpest:
    """The spot that looks at a picture most sharply, and what speaks for it.

    `image`, `row`, `col`: the cell it looks at. `share`: of all its attention on that cell; `usual`: what the
    other tokens give that cell in the same head (their median); `picture_share`: on all pictures together.
    """

    spot: Spot
    image: int
    row: int
    col: int
    share: float
    usual: float
    picture_share: float


PARTS = ("question", "first token", "rest")
"""What the last axis of `Trace.sums` begins with; after these comes one number for each picture, in their order."""


@dataclass(frozen=True)
class Trace:
    """Where the kept tokens of one variant's run looked; the arrays may lie on disk, mapped.

    Shares run from 0 to 1; a row over all keys sums to one and is 0 after `row_at` of its token. Columns are the keys
    that were kept: all `length` of them, or (`keys` "pictures") the vision tokens alone, picture after picture.

    rows: of single heads, for the layers `layers` and the heads `heads` alone, in these orders.
    layer_means: mean over all heads, for every layer; head_means: mean over all layers, for every head; means: over
    all of both.
    sums: of every layer and head, what each part of the sequence got: `PARTS`, then each picture. The first token is
    key 0 wherever it lies; question and pictures are counted without it. They sum to one.
    sharpest: None without a picture or without tokens.
    """

    tokens: tuple[Token, ...]
    images: tuple[ImageSpan, ...]
    question_span: tuple[int, int]
    """The question's (start, stop) in keys."""
    length: int
    """How many keys the whole sequence has."""
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    keys: Keys
    rows: Float[np.ndarray, "tokens kept_layers kept_heads columns"]
    layer_means: Float[np.ndarray, "tokens layers columns"]
    head_means: Float[np.ndarray, "tokens heads columns"]
    means: Float[np.ndarray, "tokens columns"]
    sums: Float[np.ndarray, "tokens layers heads parts"]
    sharpest: Sharpest | None = None

    def columns(self, image: int) -> slice:
        """The columns of one picture's vision tokens, row by row of the picture."""
        span = self.images[image]
        start = span.start
        if self.keys == "pictures":
            start = sum(other.rows * other.cols for other in self.images[:image])
        return slice(start, start + span.rows * span.cols)


@dataclass(frozen=True)
class Timings:
    """Seconds of one variant's run, by stage; `tokens_s` covers reading the prompt and writing the answer."""

    adapter_s: float
    tokens_s: float
    rows_s: float


@dataclass(frozen=True)
class Run:
    """What one variant did. `finish` tells why the answer ended: of itself, at the limit, or because it was forced."""

    variant: Variant
    answer: str
    finish: str
    trace: Trace
    timings: Timings
    expected_logprob: float | None = None
    """Log-probability in nats, summed over its tokens, of the request's expected answer; None if none was given."""
    thinking: str = ""
    """The reasoning between <think> tags, without the tags; no part of `answer`."""
    eager_error: float | None = None
    """Largest difference of any kept row, before rounding, from eager attention on the same words; None: not asked."""


@dataclass(frozen=True)
class ModelFacts:
    """What the model is, read from its config and processor."""

    name: str
    layers: int
    heads: int
    kv_heads: int
    patch_px: int
    merge: int
    dtype: str
    device: str
    versions: tuple[tuple[str, str], ...] = ()
    """Library name and version, for captions and reports."""

    @property
    def cell_px(self) -> int:
        """Side of a vision token in pixels of the resized picture."""
        return self.patch_px * self.merge


@dataclass(frozen=True)
class AdapterFacts:
    """What the files of an adapter say, read without torch.

    `problems` are sentences; an adapter with any is listed and cannot be chosen. `towers`: "text", "vision" or both.
    `layers`: numbers of the text layers touched; `sha256` of the weights file, in hex. `shuffle`: as
    `request.AdapterAt` has it.
    """

    name: str
    folder: str
    kind: str = "LORA"
    base: str = ""
    rank: int = 0
    alpha: float = 0.0
    modules: tuple[str, ...] = ()
    towers: tuple[str, ...] = ()
    layers: tuple[int, ...] = ()
    sha256: str = ""
    description: str = ""
    problems: tuple[str, ...] = ()
    shuffle: int = 0


@dataclass(frozen=True)
class Session:
    """The runs of one request, in the order of its variants."""

    request: Request
    model: ModelFacts
    runs: tuple[Run, ...]
    created: str
    """UTC, ISO 8601."""
    notes: tuple[str, ...] = ()
    """Sentences that the person should read: what was mapped, resized, left out."""
    adapters: tuple[AdapterFacts, ...] = ()
    """The adapters that took part, by name; without the folders they lie in."""

    def run(self, label: str) -> Run:
        """The run of the variant with that label.

        Raises:
            KeyError: no variant of the session has that label.
        """
        for run in self.runs:
            if run.variant.label == label:
                return run
        raise KeyError(label)
