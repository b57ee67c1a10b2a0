"""What the page shows for one choice, as plain data: the agreement between the handlers and the browser.

Every field goes to the browser as JSON (`dataclasses.asdict`), so everything here is text, numbers, lists. Maps are
RGBA PNG data addresses with one pixel a cell; the browser enlarges them and lays them over the picture, which it
was given once. Texts are raw: the browser sets them as text, never as HTML.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """What a person is looking at. `layer` or `head` None: the mean over all of them; `token_to` is inclusive."""

    token: int = 0
    token_to: int = 0
    layer: int | None = None
    head: int | None = None
    image: int = 0
    within: bool = False
    """False: share of all the attention of the row; True: share of what went to this picture (sums to one)."""
    colormap: str = "viridis"
    hidden: tuple[str, ...] = ()
    """Labels of the variants left out: they get no panel and have no say in the scales."""


@dataclass(frozen=True)
class Scale:
    """One colour scale shared by pictures that stand together; `bar` runs from `low` to `high`, left to right.

    The two are percent, to three digits; `unit` begins with the sign: `f"{low:g} - {high:g} {unit}"` reads well.
    """

    low: float
    high: float
    unit: str
    bar: str


@dataclass(frozen=True)
class Sprite:
    """Several maps of `rows` x `cols` cells in one PNG, stacked downwards in the order of `titles`.

    Empty (`png` "", no titles) where there is nothing to draw. `blank`: places of maps that were not kept, which are
    transparent; their titles say so.
    """

    png: str
    rows: int
    cols: int
    titles: list[str]
    blank: list[int]


@dataclass(frozen=True)
class StripToken:
    """A token of a strip. `shade` 0 to 1: share of its attention on the pictures; `title`: probability, runners-up.

    `index` is the `Choice.token` that chooses it. It counts question tokens, then thinking, then answer tokens, the
    same for all variants: an answer's k-th token has one index, however long a variant thought before it.
    """

    text: str
    part: str
    shade: float
    title: str
    index: int


@dataclass(frozen=True)
class Panel:
    """One variant's column. `missing` says why there is no map; then `map` is empty."""

    variant: str
    colour: str
    answer: str
    thinking: str
    token_text: str
    probability: str
    shares: list[float]
    """Shares of the chosen row that went to picture, question, first token, rest; they sum to one.

    Empty if the variant has no such token.
    """
    summary: str
    """One line: 'red' gives 34 % of its attention to the picture, 3 % to the first token."""
    map: str
    alt: str
    peak: list[float]
    """The brightest cell as left, top, right, bottom in fractions of the picture; empty if there is no map."""
    missing: str
    tokens: list[StripToken]
    chart: Sprite
    """Layers downwards, heads to the right, share on the picture for the chosen token; one map."""
    layers: Sprite
    """One small map a layer (mean over heads, or the chosen head)."""
    heads: Sprite
    """One small map a head of the chosen layer (of the mean over layers, if none is chosen)."""
    sequence: Sprite
    """One small map a token at the chosen layer and head, for the tokens of one stretch, in their order."""
    stretch: int
    """Which of `tokens` the first map of `sequence` belongs to."""


@dataclass(frozen=True)
class Look:
    """All that the page shows for one choice in one session."""

    session: str
    question: str
    model: str
    choice: Choice
    reason: str
    """Why this token, layer and head were chosen first; empty once a person has chosen."""
    rows: int
    cols: int
    layer_count: int
    head_count: int
    image_count: int
    map_scale: Scale
    chart_scale: Scale
    small_scale: Scale
    """Of the layer strips (`Panel.layers`), all variants together."""
    heads_scale: Scale
    """Of `Panel.heads`, all variants together."""
    sequence_scale: Scale
    """Of `Panel.sequence`, all variants together."""
    panels: list[Panel]
    notes: list[str]
    """Sentences to read beside the maps; the first is what attention can tell and what it cannot."""
    variants: list[str]
    """Labels of all the session's variants, hidden ones too, in order; `colours` belongs to them one by one."""
    colours: list[str]
    token_count: int
    """Largest `Choice.token` plus one."""
