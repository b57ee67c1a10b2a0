"""Whether what was seen matters: what to ask the model once more, and what its answers say. Numpy alone, no model."""
