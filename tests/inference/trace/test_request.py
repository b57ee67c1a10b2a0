"""What may be asked, and the labels that name variants."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import QuestionError, SettingsError
from inference.trace.request import BASE, AdapterAt, Generation, Limits, Request, Variant, check_request, parse_variant
from tests.fakes import make_picture

LIMITS = Limits(question_chars=20, answer_tokens=7, images=2, variants=3, scale=4.0)
ASKED = Request("What is red?", (make_picture(),), (BASE, parse_variant("other")), generation=Generation(5))


def test_a_plain_request_is_allowed() -> None:
    check_request(ASKED, LIMITS)
    check_request(replace(ASKED, images=()), LIMITS)


def test_the_edges_are_allowed() -> None:
    edge = Generation(7, sample=True, temperature=0.01, top_p=1, seed=2**32 - 1)
    variants = (BASE, parse_variant("a@-4"), parse_variant("a@4"))
    asked = Request("x" * 20, (make_picture(),) * 2, variants, generation=edge, min_pixels=1024, max_pixels=1024)
    check_request(asked, LIMITS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": ""}, "a question, got an empty one"),
        ({"question": " \n\t"}, "a question, got an empty one"),
        ({"question": "x" * 100_000}, "at most 20 characters of question, got 100,000: shorten it"),
        ({"system_prompt": "x" * 21}, "at most 20 characters of system prompt, got 21"),
        ({"tools_json": "x" * 21}, "at most 20 characters of tools, got 21"),
        ({"forced_answer": "x" * 21}, "at most 20 characters of words to force, got 21"),
        ({"expected_answer": "x" * 21}, "at most 20 characters of expected answer, got 21"),
        ({"forced_answer": " "}, "some words to force, got none"),
        ({"expected_answer": ""}, "some expected answer, got none"),
    ],
)
def test_words_that_cannot_be_asked_are_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(QuestionError, match=re.escape(message)):
        check_request(replace(ASKED, **changes), LIMITS)  # type: ignore[arg-type]


def scaled(scale: float) -> tuple[Variant, ...]:
    return (Variant((AdapterAt("a", scale),)),)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (replace(ASKED, variants=()), "1 to 3 variants, got 0"),
        (replace(ASKED, variants=tuple(map(parse_variant, "abcd"))), "1 to 3 variants, got 4"),
        (replace(ASKED, variants=(BASE, BASE)), "each variant once, got base, base"),
        (replace(ASKED, variants=tuple(map(parse_variant, ("a", "a@1")))), "each variant once, got a, a"),
        (replace(ASKED, variants=scaled(math.nan)), "a scale between -4 and 4, got nan for a"),
        (replace(ASKED, variants=scaled(1e9)), "a scale between -4 and 4, got 1e+09 for a"),
        (replace(ASKED, variants=scaled(-4.5)), "a scale between -4 and 4, got -4.5 for a"),
        (replace(ASKED, images=(make_picture(),) * 3), "at most 2 pictures, got 3"),
        (replace(ASKED, generation=Generation(8)), "answer tokens between 1 and 7, got 8"),
        (replace(ASKED, generation=Generation(0)), "answer tokens between 1 and 7, got 0"),
        (replace(ASKED, generation=Generation(5, temperature=0)), "temperature between 0.01 and 10, got 0"),
        (replace(ASKED, generation=Generation(5, temperature=math.inf)), "temperature between 0.01 and 10, got inf"),
        (replace(ASKED, generation=Generation(5, top_p=1.5)), "top p between 0.01 and 1, got 1.5"),
        (replace(ASKED, generation=Generation(5, seed=-1)), "seed between 0 and"),
        (replace(ASKED, min_pixels=5), "min_pixels between 1,024 and 64,000,000"),
        (replace(ASKED, max_pixels=10**9), "max_pixels between 1,024 and 64,000,000"),
        (replace(ASKED, min_pixels=5000, max_pixels=2000), "min_pixels below max_pixels, got 5000 and 2000"),
    ],
)
def test_settings_out_of_bounds_are_refused(asked: Request, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        check_request(asked, LIMITS)


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("base", BASE),
        (" base ", BASE),
        ("other", Variant((AdapterAt("other"),))),
        ("other@0.5", Variant((AdapterAt("other", 0.5),))),
        ("other@1", Variant((AdapterAt("other"),))),
        ("a@-2+b", Variant((AdapterAt("a", -2), AdapterAt("b")))),
        ("team@home@0.5", Variant((AdapterAt("team@home", 0.5),))),
        ("owner/name#v2@3", Variant((AdapterAt("owner/name#v2", 3),))),
    ],
)
def test_a_label_names_a_variant(text: str, variant: Variant) -> None:
    assert parse_variant(text) == variant


@pytest.mark.parametrize("text", ["", "@1", "a@", "a@nan", "a@inf", "a@half", "a+", "+a", "a@1e999"])
def test_a_label_without_a_name_or_a_finite_scale_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"write for instance shortcut@0\.5"):
        parse_variant(text)


names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1).filter(lambda name: name != "base")
scales = st.integers(-400, 400).map(lambda hundredths: hundredths / 100)


@given(st.lists(st.builds(AdapterAt, names, scales), max_size=3).map(lambda adapters: Variant(tuple(adapters))))
def test_a_variants_label_leads_back_to_it(variant: Variant) -> None:
    assert parse_variant(variant.label) == variant
    assert variant.is_base == (variant.label == "base")
