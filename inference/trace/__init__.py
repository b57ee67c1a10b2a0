"""What was seen, as plain data and numpy; nothing in here knows torch, a model or a page."""
