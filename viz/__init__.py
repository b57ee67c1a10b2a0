"""From numbers to eyes: pictures, charts and the page; nothing in here knows torch."""
