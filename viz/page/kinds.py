"""The kinds of inquiry that the page knows, by the name under which its script asks for them."""

from viz.page.evidence import Kind
from viz.page.matter import DEPENDENCE, KNOCKOUT, PICTURED

KINDS: dict[str, Kind] = {"knockout": KNOCKOUT, "pictured": PICTURED, "dependence": DEPENDENCE}
