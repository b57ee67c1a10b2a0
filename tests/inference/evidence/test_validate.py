"""What cannot be tried is refused in one sentence that names it; what can is not."""

from dataclasses import replace
from typing import Any

import pytest

from inference.errors import GeometryError, QuestionError, SettingsError, VisualizerError
from inference.evidence.trials import Block, Change, Erase, Exchange, Piece, Probe, Reason, Switch, Trial, Watch
from inference.evidence.validate import Frame, all_said, check_places, check_probe, probe_variants
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Generation, Keep, Limits, Request
from inference.trace.session import ImageSpan
from tests.fakes import make_picture

SPANS = (ImageSpan(3, 7, 11, (352, 224), (352, 224)), ImageSpan(82, 2, 3, (96, 64), (90, 60)))
FRAME = Frame(layers=5, heads=3, vocabulary=100, picture_ids=frozenset((90, 91)), images=SPANS, prompt_length=95)
REQUEST = Request("What is red?", (make_picture(), make_picture()))
ALPHA = parse_variant("alpha")


def of(change: Change | None = None, said: tuple[int, ...] = (7, 8), **fields: Any) -> Probe:
    return Probe(REQUEST, (Trial(said, ALPHA, change),), **fields)


def reason(**fields: Any) -> Probe:
    return Probe(REQUEST, reasons=(replace(Reason((7, 8), ALPHA, 95, 4, 2), **fields),))


GOOD = [
    of(),
    of(Block(())),
    of(Block((0, 76))),
    of(Block((5,), image=1, who="answer", heads=((0, 0), (4, 2)))),
    of(Erase((0, 0, 90, 60), image=1)),
    of(Switch()),
    of(Switch(layers=(0, 4), kinds=("vision", "mlp"), keep=True)),
    of(Exchange(BASE, (Piece("attention", 4), Piece("attention", 0, 2), Piece("mlp", 4), Piece("pictures")))),
    of(said=(0, 99)),
    of(watch=Watch(95, 4, 2, 1)),
    of(watch=Watch(0)),
    reason(),
    reason(row_at=0, layer=0, head=0),
]


@pytest.mark.parametrize("probe", GOOD)
def test_what_is_there_passes(probe: Probe) -> None:
    check_probe(probe, Limits())
    check_places(probe, FRAME)


BAD: list[tuple[Probe, type[VisualizerError], str]] = [
    (of(Block((77,))), SettingsError, "a cell from 0 to 76, got 77"),
    (of(Block((-1,))), SettingsError, "a cell from 0 to 76, got -1"),
    (of(Block((6,), image=1)), SettingsError, "a cell from 0 to 5, got 6"),
    (of(Block((), image=2)), SettingsError, "a picture from 0 to 1, got 2"),
    (of(Block((1,), heads=((5, 0),))), SettingsError, "a layer from 0 to 4, got 5"),
    (of(Block((1,), heads=((0, -2),))), SettingsError, "a head from 0 to 2, got -2"),
    (of(Erase((0, 0, 10, 10), image=-1)), SettingsError, "a picture from 0 to 1, got -1"),
    (of(Erase((90, 0, 120, 10), image=1)), GeometryError, "inside the picture of 90 x 60 px"),
    (of(Switch(layers=(0, 5))), SettingsError, "a layer from 0 to 4, got 5"),
    (of(Switch(kinds=("w",))), SettingsError, "kinds of modules of q, k, v, o, mlp, vision, got 'w'"),  # type: ignore[arg-type]
    (of(Exchange(BASE, (Piece("attention"),))), SettingsError, "a layer's attention, a head of it"),
    (of(Exchange(BASE, (Piece("mlp", 1, 1),))), SettingsError, "a layer's attention, a head of it"),
    (of(Exchange(BASE, (Piece("pictures", 0),))), SettingsError, "a layer's attention, a head of it"),
    (of(Exchange(BASE, (Piece("mlp", 5),))), SettingsError, "a layer from 0 to 4, got 5"),
    (of(Exchange(BASE, (Piece("attention", 0, 3),))), SettingsError, "a head from 0 to 2, got 3"),
    (of(said=(7, 100)), SettingsError, "tokens from 0 to 99, none of them a picture's, got 100"),
    (of(said=(-1,)), SettingsError, "got -1"),
    (of(said=(7, 91)), SettingsError, "none of them a picture's, got 91"),
    (of(watch=Watch(96)), SettingsError, "a position from 0 to 95, got 96"),
    (of(watch=Watch(9, layer=5)), SettingsError, "a layer from 0 to 4, got 5"),
    (of(watch=Watch(9, head=3)), SettingsError, "a head from 0 to 2, got 3"),
    (of(watch=Watch(9, image=2)), SettingsError, "a picture from 0 to 1, got 2"),
    (reason(layer=5), SettingsError, "a layer from 0 to 4, got 5"),
    (reason(head=3), SettingsError, "a head from 0 to 2, got 3"),
    (reason(row_at=96), SettingsError, "got 96"),
    (reason(said=(100,)), SettingsError, "got 100"),
]


@pytest.mark.parametrize(("probe", "error", "says"), BAD)
def test_what_is_not_there_is_named(probe: Probe, error: type[VisualizerError], says: str) -> None:
    check_probe(probe, Limits())
    with pytest.raises(error, match=says):
        check_places(probe, FRAME)


def test_the_shortest_words_bound_the_watched_position() -> None:
    longer = Probe(REQUEST, (Trial((1, 2, 3, 4)), Trial((1, 2, 3))), watch=Watch(96))
    check_places(longer, FRAME)
    with pytest.raises(SettingsError, match="got 97"):
        check_places(replace(longer, watch=Watch(97)), FRAME)


def test_without_a_picture_there_are_no_cells() -> None:
    bare = replace(FRAME, images=())
    check_places(of(), bare)
    for probe in (of(Block((0,))), of(watch=Watch(3))):
        with pytest.raises(SettingsError, match="a picture among none, got 0"):
            check_places(probe, bare)


@pytest.mark.parametrize(
    ("probe", "error", "says"),
    [
        (Probe(REQUEST), SettingsError, "1 to 4,096 trials at once, got 0"),
        (Probe(REQUEST, (Trial((1,)),) * 4096, (Reason((1,), ALPHA, 0, 0, 0),)), SettingsError, "got 4,097"),
        (of(said=()), SettingsError, "1 to 4,000 tokens that are said, got 0"),
        (of(said=(1,) * 4001), SettingsError, "got 4,001"),
        (Probe(REQUEST, (Trial((1,), parse_variant("alpha@4.5")),)), SettingsError, "a scale between -4 and 4"),
        (of(Exchange(parse_variant("beta@-9"), ())), SettingsError, "-9 for beta"),
        (Probe(Request(" "), (Trial((1,)),)), QuestionError, "a question"),
        (Probe(Request("What?", (make_picture(),) * 5), (Trial((1,)),)), SettingsError, "at most 4 pictures"),
    ],
)
def test_what_is_beyond_the_limits_is_refused_without_a_model(
    probe: Probe, error: type[VisualizerError], says: str
) -> None:
    with pytest.raises(error, match=says):
        check_probe(probe, Limits())


def test_only_the_question_of_a_request_counts() -> None:
    """A session made elsewhere may have asked for more than may be asked for here."""
    request = replace(
        REQUEST,
        variants=tuple(parse_variant(f"a{number}") for number in range(9)),
        generation=Generation(max_new_tokens=9_999),
        keep=Keep(question=False, answer=False),
        forced_answer="",
        words="base",
        compare_eager=True,
    )
    check_probe(Probe(request, (Trial((1,)),)), Limits())


def test_variants_and_words_are_told_once() -> None:
    other = parse_variant("other@0.5")
    trials = (Trial((1,), ALPHA), Trial((1, 2), ALPHA, Exchange(other, ())), Trial((1,), ALPHA, Switch()))
    probe = Probe(REQUEST, trials, (Reason((3,), other, 0, 0, 0),))
    assert set(probe_variants(probe)) == {ALPHA, other, BASE}
    assert len(probe_variants(probe)) == 3
    assert all_said(probe) == {(1,), (1, 2), (3,)}
