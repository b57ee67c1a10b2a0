"""The remote engine hands everything on, in both directions, and closes what it opened."""

import pickle

import pytest

from inference.errors import AdapterError
from inference.protocol import Progress
from inference.remote import RemoteEngine
from inference.trace.session import Session
from tests.fakes import FakeEngine, make_session


def make_remote(fake: FakeEngine) -> RemoteEngine:
    return RemoteEngine(fake.run, fake.adapters, model_name="elsewhere")


def test_steps_arrive_in_order_and_facts_are_known_after_the_session() -> None:
    remote = make_remote(FakeEngine(steps=2))
    assert remote.facts() is None
    steps = list(remote.run(make_session().request))
    assert [type(step) for step in steps] == [Progress, Progress, Session]
    facts = remote.facts()
    assert facts is not None
    assert facts.name == "fake model"


def test_closing_early_closes_the_other_side() -> None:
    fake = FakeEngine(steps=100)
    steps = make_remote(fake).run(make_session().request)
    next(steps)
    assert not fake.closed.is_set()
    steps.close()
    assert fake.closed.is_set()


def test_an_error_crosses_as_what_it_was() -> None:
    error = pickle.loads(pickle.dumps(AdapterError("an adapter", "nothing", "name one")))
    with pytest.raises(AdapterError, match="Expected an adapter, got nothing: name one"):
        list(make_remote(FakeEngine(error=error)).run(make_session().request))
