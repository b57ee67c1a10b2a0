"""Temporary folders that go with what they belong to. Knows no session and no Gradio."""

import shutil
import tempfile
import weakref
from pathlib import Path


def folder_of(owner: object, name: str) -> Path:
    """A new folder that is removed when `owner` is collected, at the latest when the program ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"lora-attention-{name}-"))
    weakref.finalize(owner, shutil.rmtree, folder, True)
    return folder
