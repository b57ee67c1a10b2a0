"""The kinds of inquiry that the page knows, by the name under which its script asks for them."""

from viz.page.change_runs import FLOOR, NEUTRAL
from viz.page.evidence import Kind
from viz.page.matter import DEPENDENCE, KNOCKOUT, PICTURED

KINDS: dict[str, Kind] = {
    "floor": FLOOR,
    "neutral": NEUTRAL,
    "knockout": KNOCKOUT,
    "pictured": PICTURED,
    "dependence": DEPENDENCE,
}
