"""A folder of pictures through any engine, and a report over all of them. Knows no model, no page and no torch."""
