"""Numbers and tokens as people read them: percents, names of tokens, places, and what may be drawn or sent as text.

Knows no picture and no page. Layers, heads and tokens are counted from zero, as in the model's own config.
"""

import math
import unicodedata
from collections.abc import Sequence

from inference.trace.session import Scores, Token
from viz.view import Choice

PIECE = "\N{WHITE VERTICAL RECTANGLE}"
"""Stands for bytes that are only a part of a character: byte-fallback tokens, taken one by one."""

_ROWS = ("top", "middle", "bottom")
_COLS = ("left", "center", "right")


def percent(share: float) -> str:
    """A share as percent with two or three sensible digits: 34 %, 3.4 %, 0.42 %, 99.6 %, below 0.01 %."""
    value = 100 * share
    if value == 0 or value >= 99.95:
        return f"{value:.0f} %"
    if value < 0.01:
        return "below 0.01 %"
    digits = 1 if 1 <= value < 10 or value > 99 else 0 if value >= 1 else 2
    return f"{value:.{digits}f} %"


def visible(text: str) -> str:
    """The token's text with all that cannot be shown replaced one for one; spaces and line breaks stay.

    Pieces of a character become `PIECE`, control characters their symbols, marks that turn the direction of writing
    a dotted circle, and a text of nothing the sign for an empty set, so that every token can be seen and clicked.
    """
    if text.isascii() and text.isprintable() and text:
        return text
    return "".join(_visible(char) for char in text) or "\N{EMPTY SET}"


def quoted(text: str) -> str:
    """The token in quotes for a sentence, outer spaces left out: 'red'; white space alone is named."""
    stripped = visible(text).strip()
    if not stripped:
        return "a line break" if "\n" in text else "a space"
    if stripped.strip(PIECE) == "":
        return "a piece of a character"
    shown = stripped.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}")
    return f"'{shown}'" if len(shown) <= 40 else f"'{shown[:39]}\N{HORIZONTAL ELLIPSIS}'"


def named(tokens: Sequence[Token]) -> str:
    """The chosen tokens as one quoted text."""
    return quoted("".join(token.text for token in tokens))


def where(choice: Choice) -> str:
    """Which layers and heads a map was pooled over."""
    match choice.layer, choice.head:
        case None, None:
            return "mean over all layers and heads"
        case layer, None:
            return f"layer {layer}, mean over its heads"
        case None, head:
            return f"head {head}, mean over all layers"
    return f"layer {choice.layer}, head {choice.head}"


def unit(choice: Choice) -> str:
    """The unit of every number of a map."""
    return "% of the attention on this picture" if choice.within else "% of all the token's attention"


def place(row: int, col: int, rows: int, cols: int) -> str:
    """One of nine places: top left, middle, bottom right ..."""
    down, across = _ROWS[3 * row // rows], _COLS[3 * col // cols]
    if down == "middle" and across == "center":
        return "middle"
    return f"{down} {across}"


def probability(scores: Scores | None) -> str:
    """How sure the model was of an answer token: p 0.98, entropy 0.12 nats; empty for a token of the question."""
    return f"p {chance(scores.logprob)}, entropy {scores.entropy:.2f} nats" if scores else ""


def runners_up(scores: Scores | None) -> str:
    """The tokens that could have stood there, with their probabilities; empty for a token of the question."""
    if not scores or not scores.runners_up:
        return ""
    return "instead: " + ", ".join(f"{quoted(other.text)} {chance(other.logprob)}" for other in scores.runners_up)


def hover(token: Token, share: float) -> str:
    """What a token of a strip tells when pointed at: its share on the picture, then how sure the model was of it."""
    parts = [f"{quoted(token.text)}: {percent(share)} of its attention on the picture"]
    parts += [text for text in (probability(token.scores), runners_up(token.scores)) if text]
    return "; ".join(parts)


def chance(logprob: float) -> str:
    """The probability to two digits; 0 and 1 are told of nothing that is not quite that."""
    value = math.exp(logprob)
    if value >= 0.995:
        return "1" if value == 1 else "above 0.99"
    return f"{value:.2f}" if value >= 0.005 else "below 0.01"


def _visible(char: str) -> str:
    if char == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(char) == "Cs":
        return PIECE
    if char in "\n\t":
        return char
    if ord(char) < 0x20:
        return chr(0x2400 + ord(char))
    return "\N{DOTTED CIRCLE}" if unicodedata.category(char) in ("Cc", "Cf") and char not in _JOINERS else char


_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
