"""Asking an engine a short question about a made picture, and comparing what it answered."""

from collections.abc import Generator
from typing import Any

import numpy as np

from inference.protocol import Progress
from inference.trace.parse import parse_variant
from inference.trace.request import Generation, Request
from inference.trace.session import Session
from tests.inference.model.conftest import make_picture

QUESTION = "What shape is the red object?"
SHORT = Generation(max_new_tokens=4)


def make_request(*labels: str, **fields: Any) -> Request:
    variants = tuple(parse_variant(label) for label in labels or ("base",))
    settings = {"images": (make_picture(200, 100),), "generation": SHORT, **fields}
    return Request(QUESTION, variants=variants, **settings)


def finish(run: Generator[Progress | Session, None, None]) -> Session:
    session = list(run)[-1]
    assert isinstance(session, Session)
    return session


def check_equal(first: Session, second: Session) -> None:
    for one, other in zip(first.runs, second.runs, strict=True):
        assert one.answer == other.answer
        assert one.trace.tokens == other.trace.tokens
        assert np.array_equal(one.trace.rows, other.trace.rows)
