"""The kinds of inquiry that the page knows, by the name under which its script asks for them."""

from viz.page.evidence import Kind

KINDS: dict[str, Kind] = {}
