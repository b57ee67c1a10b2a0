"""A session on disk, for the tests of what reads it."""

from pathlib import Path

import pytest

from inference.trace.files import save_session
from tests.fakes import make_session


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a made session of three runs, in float32."""
    folder = tmp_path / "saved"
    save_session(make_session(), folder)
    return folder
