"""What a study of many pictures found, as plain data: all that a page, a table or another program tells of it.

One JSON file, thumbnails inside; it is read without the model, the pictures or the sessions. Every figure of a variant
is over the same words, the base's own answer, so that token k means the same for all; but its own answer, whether that
is right, and what a knock-out costs it. A mean is over lines, and says over how many; lines about one picture are drawn
and flipped together. Layers, heads, rows and columns count from 0, lines of the data from 1.
"""

from dataclasses import dataclass

from inference.trace.metrics import Box, BoxFigures
from inference.trace.session import AdapterFacts, ModelFacts

FEWEST = 5
"""Under so many different pictures no interval and no test is told."""


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` lines, and its 95 % bootstrap interval over pictures; None under `FEWEST` pictures."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Need:
    """What blocking all attention to the box costs the variant's own answer: its log-probability falls, in nats.

    random: the same for random boxes of the same size. depends: the box costs at least half a nat, and more than every
    random box. hit: the peak of the map over that answer lies in the box.
    """

    box: float
    random: tuple[float, ...]
    depends: bool
    hit: bool

    @property
    def agrees(self) -> bool:
        """Whether the map and the knock-out say the same of the box."""
        return self.hit == self.depends


@dataclass(frozen=True)
class Change:
    """How a variant differs from the base on one picture.

    share: of attention on the picture, signed. variation: total variation between the two maps (mean over layers and
    heads) within the picture, 0 to 1; heads: the mean of every head's own, None where no head looks at the picture in
    both. divergence: KL(variant || base) in nats, mean over the words. logprob: of the words, variant minus base.
    answer: whether its own answer is another one than the base's.
    """

    share: float
    variation: float
    heads: float | None
    divergence: float
    logprob: float
    answer: bool


@dataclass(frozen=True)
class Look:
    """What one variant did with one picture.

    answer: its own. right: None without an expected answer. logprob: of the base's words, in nats, summed;
    expected_logprob: of the first expected answer. grid: share of all attention on each cell, row by row, mean over
    the words, all layers and heads, cells put together where there are many; share: its sum. box: None without one.
    need: None unless knocked out. change: None for the base.
    """

    answer: str
    right: bool | None
    logprob: float
    expected_logprob: float | None
    share: float
    grid: tuple[tuple[float, ...], ...]
    box: BoxFigures | None = None
    need: Need | None = None
    change: Change | None = None


@dataclass(frozen=True)
class Item:
    """One line of the data: a picture and a question. `looks`: in the order of the report's variants.

    box: in pixels of the picture as it arrived, which has the size `size_wh`; `thumbnail`: a small JPEG of it.
    """

    number: int
    picture: str
    question: str
    expected: tuple[str, ...]
    box: Box | None
    size_wh: tuple[int, int]
    words: str
    """What all variants were made to say: the base's own answer."""
    thumbnail: bytes
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class Skipped:
    """A line that could not be used, and why, in a sentence."""

    number: int
    reason: str


@dataclass(frozen=True)
class Hits:
    """How often the brightest cell of a map lies in the box; layer and head None: the mean over all of them.

    chance: what the boxes cover of their pictures, which is what a point anywhere hits. shuffled: how often the same
    peaks lie in the next picture's box, which a head that always looks at one place reaches too; None for a single
    picture. chosen_on: on how many lines the head was chosen; the figures are of the others alone. 0: not chosen.
    """

    layer: int | None
    head: int | None
    rate: Estimate
    chance: float
    shuffled: float | None
    chosen_on: int


@dataclass(frozen=True)
class Agreement:
    """Whether the map's peak and the knock-out say the same of the box, in counts of lines; `rate`: both or neither.

    both: the peak lies in the box and the answer depends on it; map_only, need_only: one of the two; neither: none.
    """

    rate: Estimate
    both: int
    map_only: int
    need_only: int
    neither: int


@dataclass(frozen=True)
class HeadChange:
    """How one head's share on the picture changed against the base: mean over lines, signed.

    p: of the sign-flip test for this head alone; corrected: for all heads at once, by the largest statistic.
    """

    layer: int
    head: int
    change: Estimate
    p: float
    corrected: float


@dataclass(frozen=True)
class HeadTest:
    """Every head of a variant against the base, over `n` different pictures.

    change, p, corrected: layer by layer, head by head. flips: how many ways of flipping the pictures' signs were tried;
    exact: all there are. significant: heads with `corrected` at most 0.05. top: those that changed most.
    """

    n: int
    flips: int
    exact: bool
    change: tuple[tuple[float, ...], ...]
    p: tuple[tuple[float, ...], ...]
    corrected: tuple[tuple[float, ...], ...]
    significant: int
    top: tuple[HeadChange, ...]


@dataclass(frozen=True)
class Drift:
    """How a variant differs from the base over the set; the fields of `Change`. `answers`: share of answers changed."""

    share: Estimate
    variation: Estimate
    heads: Estimate | None
    divergence: Estimate
    logprob: Estimate
    answers: Estimate


@dataclass(frozen=True)
class Summary:
    """One variant over one set; None where no line has what it takes.

    share, box_share: of all attention; lift: over the box's area, 1 for an even map. box_drop, random_drop: nats, the
    latter the mean of each picture's random boxes; depends: share of lines whose answer depends on the box.
    """

    variant: str
    share: Estimate
    logprob: Estimate
    expected_logprob: Estimate | None
    accuracy: Estimate | None
    box_share: Estimate | None
    lift: Estimate | None
    hits: Hits | None
    best_head: Hits | None
    box_drop: Estimate | None
    random_drop: Estimate | None
    depends: Estimate | None
    agreement: Agreement | None
    head_agreement: Agreement | None
    """Of `best_head`, over its own lines."""
    drift: Drift | None
    """None for the base."""
    heads: HeadTest | None
    """None for the base, and under `FEWEST` pictures."""
    calibrated: Hits | None = None
    """Of the head and word of the question that the model is calibrated to for each line's wording."""
    calibrated_agreement: Agreement | None = None


@dataclass(frozen=True)
class Part:
    """One set of lines. lines: how many it has; those neither among items nor skipped were not asked yet.

    pictures: how many different ones the items are about.
    """

    name: str
    lines: int
    pictures: int
    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]
    summaries: tuple[Summary, ...]

    @property
    def remaining(self) -> int:
        """How many lines were not asked yet."""
        return self.lines - len(self.items) - len(self.skipped)


@dataclass(frozen=True)
class Report:
    """A study. created: UTC, ISO 8601. variants: labels, the base first. settings: what was asked for, for people.

    seed: of every random number behind the figures; resamples: of every bootstrap. general: the second set, which
    tells what the adapters changed where they were not meant to. methods: sentences on how the figures were made.
    """

    created: str
    model: ModelFacts
    adapters: tuple[AdapterFacts, ...]
    variants: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    seed: int
    resamples: int
    data: Part
    general: Part | None = None
    methods: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
