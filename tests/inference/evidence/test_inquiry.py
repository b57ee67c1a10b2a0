"""Whose sessions a running model is asked about: its own, and none of another model or another adapter of the name."""

from dataclasses import replace

import pytest

from inference.errors import SessionError
from inference.evidence.inquiry import check_running
from inference.evidence.pictured import DependsOnPicture
from inference.trace.session import AdapterFacts, ModelFacts
from tests.fakes import FakeEngine, make_session
from tests.inference.evidence.asking import ask

SESSION = make_session()


class Named(FakeEngine):
    """An engine of this name whose model is not loaded, or has these facts."""

    def __init__(self, name: str, facts: ModelFacts | None = None) -> None:
        super().__init__()
        self.model_name = name
        self.told = facts

    def facts(self) -> ModelFacts | None:
        return self.told


class Hashed(FakeEngine):
    def adapters(self) -> tuple[AdapterFacts, ...]:
        return (AdapterFacts("shortcut", "", sha256="aa"),)


@pytest.mark.parametrize("running", ["other model", "fake model#two"])
def test_another_model_is_never_asked(running: str) -> None:
    engine = Named(running)
    session = replace(SESSION, model=replace(SESSION.model, name="owner/fake model#one"))
    with pytest.raises(SessionError, match=f"runs here, {running}, got one of owner/fake model#one: ask the question"):
        ask(engine, session, DependsOnPicture())
    assert not engine.probes


@pytest.mark.parametrize("running", ["fake model", "owner/Fake Model#one", "/models/fake model/"])
def test_owner_and_folder_make_no_other_model(running: str) -> None:
    assert ask(Named(running), SESSION, DependsOnPicture())


def test_a_model_of_the_name_and_another_size_is_refused() -> None:
    facts = replace(SESSION.model, layers=SESSION.model.layers + 1)
    with pytest.raises(SessionError, match="the model that runs here"):
        ask(Named("fake model", facts), SESSION, DependsOnPicture())


def test_sizes_that_are_known_only_when_it_ran_are_looked_at_then() -> None:
    class Late(Named):
        def facts(self) -> ModelFacts | None:
            return replace(SESSION.model, heads=SESSION.model.heads + 1) if self.probes else None

    engine = Late("fake model")
    with pytest.raises(SessionError, match="the model that runs here"):
        ask(engine, SESSION, DependsOnPicture())
    assert engine.probes


@pytest.mark.parametrize(("then", "refused"), [("aa", False), ("", False), ("bb", True)])
def test_an_adapter_trained_anew_under_its_name_is_another(then: str, refused: bool) -> None:
    session = replace(SESSION, adapters=(AdapterFacts("shortcut", "", sha256=then),))
    if refused:
        with pytest.raises(
            SessionError, match="the shortcut that is here now, got one of another adapter of that name"
        ):
            check_running(session, Hashed())
    else:
        check_running(session, Hashed())
