"""The kinds of inquiry that the page knows, by the name under which its script asks for them."""

from viz.page.change_runs import FLOOR, NEUTRAL
from viz.page.evidence import Kind
from viz.page.matter import DEPENDENCE, KNOCKOUT, PICTURED
from viz.page.parts import EXCHANGE, HEADS, PARTS, REASON
from viz.page.strength import STRENGTH

KINDS: dict[str, Kind] = {
    "floor": FLOOR,
    "neutral": NEUTRAL,
    "knockout": KNOCKOUT,
    "pictured": PICTURED,
    "dependence": DEPENDENCE,
    "strength": STRENGTH,
    "parts": PARTS,
    "exchange": EXCHANGE,
    "heads": HEADS,
    "reason": REASON,
}
