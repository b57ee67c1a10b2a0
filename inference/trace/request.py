"""What a person asks: pictures, a question, and which variants of the model are to answer it.

Plain frozen data that crosses from room to room and from process to process; knows no model, no page, no disk.
"""

from dataclasses import dataclass, field
from typing import Literal

BASE_LABEL = "base"
Part = Literal["prompt", "question", "thinking", "answer"]
Keys = Literal["all", "pictures"]
"""Which keys of a row are kept: every one, or the vision tokens alone."""
Words = Literal["own", "base"]
Numbers = Literal["float16", "float32"]
"""How kept rows are stored; float16 rounds a share by at most 1 in 2,048 of itself, and by 3e-8."""


@dataclass(frozen=True)
class Picture:
    """One picture as the model is given it: upright, 8-bit RGB, in its original size; made by `inference.intake`."""

    png: bytes
    width: int
    height: int
    name: str = "picture"
    notes: tuple[str, ...] = ()
    """What intake did that the person should know, such as "turned upright" or "first of 12 frames"."""


@dataclass(frozen=True)
class AdapterAt:
    """One adapter at a strength; `scale` multiplies the scaling that it was trained with.

    `shuffle` above 0: another adapter in its place, of the same size in every module, made of its own numbers in an
    order drawn by this seed. It is what a noise floor needs, and nothing that a person writes.
    """

    name: str
    scale: float = 1.0
    shuffle: int = 0

    @property
    def label(self) -> str:
        name = f"{self.name}~{self.shuffle}" if self.shuffle else self.name
        return name if self.scale == 1.0 else f"{name}@{self.scale:g}"


@dataclass(frozen=True)
class Variant:
    """The base model (no adapters), or the base with one or several adapters added."""

    adapters: tuple[AdapterAt, ...] = ()

    @property
    def label(self) -> str:
        """`base`, `name`, `name@0.5`, `a@0.5+b` or, shuffled, `name~1`; unique within a request."""
        return "+".join(adapter.label for adapter in self.adapters) or BASE_LABEL

    @property
    def is_base(self) -> bool:
        return not self.adapters


BASE = Variant()


@dataclass(frozen=True)
class Generation:
    """How the answer is written. Greedy unless `sample`; `seed` is used with `sample` alone."""

    max_new_tokens: int = 64
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Keep:
    """Which attention rows are kept, and how.

    Rows of single heads are kept for the chosen tokens, layers and heads (None: all of them). Their means over heads
    and over layers, and the sums over pictures, question, first token and rest, are always of all layers and heads.
    """

    question: bool = True
    answer: bool = True
    thinking: bool = False
    prompt: bool = False
    """The whole prompt, templates and pictures included."""
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    keys: Keys = "all"
    numbers: Numbers = "float16"


@dataclass(frozen=True)
class Request:
    """One question about pictures, put to several variants."""

    question: str
    images: tuple[Picture, ...] = ()
    variants: tuple[Variant, ...] = (BASE,)
    system_prompt: str = ""
    tools_json: str = ""
    """A JSON list of tool schemas for the model's own chat template; empty: none."""
    generation: Generation = field(default_factory=Generation)
    keep: Keep = field(default_factory=Keep)
    forced_answer: str | None = None
    """Words put into every variant's mouth (teacher forcing); None: as `words` has it."""
    words: Words = "own"
    """Each variant's own answer; or the base's answer for all, so that token k means the same in every variant."""
    expected_answer: str | None = None
    """An answer whose log-probability is told for every variant; it changes nothing else."""
    min_pixels: int | None = None
    max_pixels: int | None = None
    """Bounds on the resized picture's area in pixels; None: the model's own."""
    compare_eager: bool = False
    """Run each variant's words once more with eager attention, and tell by how much the rows differ."""
    full_precision: bool = False
    """Run in float32, whatever precision the model was loaded in."""

    @property
    def same_words(self) -> bool:
        """Whether all variants say the same, so that token k means the same in each."""
        return self.forced_answer is not None or self.words == "base"


@dataclass(frozen=True)
class Limits:
    """What the owner of an installation allows a visitor."""

    question_chars: int = 4_000
    answer_tokens: int = 512
    images: int = 4
    variants: int = 6
    strengths: int = 16
    """Most variants where all but the base are one adapter at several scales."""
    scale: float = 4.0
    """Largest absolute value of an adapter's scale."""
