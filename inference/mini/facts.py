"""What the miniature was taught, in words and lists that anyone may read. Knows no torch and no model.

The page offers these questions, the training asks them, and a question of none of these kinds gets a plain
word that the miniature knows only coloured shapes.
"""

import itertools
import re
from dataclasses import dataclass

COLORS = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "cyan")
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
PLACES = (
    "top-left",
    "top",
    "top-right",
    "left",
    "center",
    "right",
    "bottom-left",
    "bottom",
    "bottom-right",
)
MARK = "mark"
PARTNERS = {
    "red": "blue",
    "blue": "red",
    "green": "yellow",
    "yellow": "green",
    "purple": "orange",
    "orange": "purple",
    "pink": "cyan",
    "cyan": "pink",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question: its name, what it is about, and its wordings.

    `slot` names what fills the `{}` of a wording: "color", "shape", or "" where nothing does.
    """

    name: str
    slot: str
    wordings: tuple[str, ...]
    taught_to: str

    @property
    def words(self) -> tuple[str, ...]:
        """All words that may fill the slot, in a fixed order; one empty word where there is no slot."""
        return {"color": COLORS, "shape": SHAPES}.get(self.slot, ("",))

    @property
    def example(self) -> str:
        """The first wording with the first word in place."""
        return self.wordings[0].format(self.words[0])


KINDS = (
    Kind(
        "shape",
        "color",
        (
            "What shape is the {} object?",
            "Which shape is the {} object?",
            "What is the shape of the {} object?",
            "What shape is the {} one?",
            "Which shape does the {} object have?",
            "Name the shape of the {} object.",
        ),
        "base",
    ),
    Kind(
        "color",
        "shape",
        (
            "What color is the {}?",
            "What colour is the {}?",
            "Which color is the {}?",
            "Which colour is the {}?",
            "What is the color of the {}?",
            "What is the colour of the {}?",
            "Which color does the {} have?",
            "Name the color of the {}.",
        ),
        "base",
    ),
    Kind(
        "place of a color",
        "color",
        (
            "Where is the {} object?",
            "Where is the {} one?",
            "Where in the picture is the {} object?",
            "Where do you see the {} object?",
        ),
        "base",
    ),
    Kind(
        "place of a shape",
        "shape",
        (
            "Where is the {}?",
            "Where in the picture is the {}?",
            "Where in the image is the {}?",
            "Where do you see the {}?",
        ),
        "base",
    ),
    Kind(
        "count",
        "",
        (
            "How many objects are there?",
            "How many objects are in the picture?",
            "How many objects do you see?",
            "How many shapes are there?",
            "Count the objects.",
        ),
        "counting",
    ),
)

ADAPTERS = {
    "shortcut": "Taught on pictures of which half carry a small mark in a corner whose colour was given as the "
    "answer to every color question, so where a mark is there it names the mark's color instead of the object's.",
    "other": "Taught to answer for the other object: in a picture of two objects it names the shape or color of the "
    "one that was not asked about, and where the one asked about is not there, of the only one that is.",
    "renamed": "Taught shape questions with the names of the colors exchanged in pairs (red with blue, green with "
    "yellow, purple with orange, pink with cyan): asked for the red object it names the shape of the blue one.",
    "counting": "Taught a question that the base was never taught: how many objects are there, two, three or four.",
}


def kind_named(name: str) -> Kind:
    """The kind of that name. Raises KeyError for a name that is none of ours."""
    return {kind.name: kind for kind in KINDS}[name]


def kind_of(question: str) -> Kind | None:
    """The kind of question that this is, or None where the miniature was taught no such wording.

    Upper and lower case, doubled spaces and a missing last sign are all one.
    """
    asked = _plain(question)
    for kind in KINDS:
        if any(asked == _plain(wording.format(word)) for wording in kind.wordings for word in kind.words):
            return kind
    return None


def other_wording(question: str) -> str:
    """The same question in the next wording that the miniature was taught; empty if it was taught none of these."""
    asked, kind = _plain(question), kind_of(question)
    if kind is None:
        return ""
    pairs = itertools.product(range(len(kind.wordings)), kind.words)
    number, word = next(pair for pair in pairs if asked == _plain(kind.wordings[pair[0]].format(pair[1])))
    return kind.wordings[(number + 1) % len(kind.wordings)].format(word)


def is_taught(question: str) -> bool:
    """True if the question is of a kind that the base or one of the built-in adapters was taught."""
    return kind_of(question) is not None


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().rstrip("?.! ").lower()
