"""What may be asked, and the labels that name variants."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import QuestionError, SettingsError
from inference.trace.parse import parse_keep, parse_numbers, parse_variant, parse_words
from inference.trace.request import BASE, AdapterAt, Generation, Keep, Limits, Request, Variant
from inference.trace.validate import check_request
from tests.fakes import make_picture

LIMITS = Limits(question_chars=20, answer_tokens=7, images=2, variants=3, strengths=5, scale=4.0)
ASKED = Request("What is red?", (make_picture(),), (BASE, parse_variant("other")), generation=Generation(5))


def test_a_plain_request_is_allowed() -> None:
    check_request(ASKED, LIMITS)
    check_request(replace(ASKED, images=()), LIMITS)


def test_the_edges_are_allowed() -> None:
    edge = Generation(7, sample=True, temperature=0.01, top_p=1, seed=2**32 - 1)
    variants = (BASE, parse_variant("a@-4"), parse_variant("a@4"))
    check_request(replace(ASKED, variants=named("base a@-4 a@-1 a a@4")), LIMITS)
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


def named(labels: str) -> tuple[Variant, ...]:
    return tuple(map(parse_variant, labels.split()))


def scaled(scale: float) -> tuple[Variant, ...]:
    return (Variant((AdapterAt("a", scale),)),)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (replace(ASKED, variants=()), "1 to 3 variants, got 0"),
        (replace(ASKED, variants=tuple(map(parse_variant, "abcd"))), "1 to 3 variants, got 4"),
        (replace(ASKED, variants=named("base a a@2 b")), "1 to 3 variants, got 4"),
        (replace(ASKED, variants=named("a+b a@2+b a@3+b a+b@2")), "1 to 3 variants, got 4"),
        (replace(ASKED, variants=named("base a a@2 a@3 a@4 a@0")), "1 to 5 variants, got 6"),
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
    ("keep", "message"),
    [
        (Keep(question=False, answer=False), "some tokens to keep, got none"),
        (Keep(layers=(3, 1, 3)), "layers to keep from 0, each once, got 3, 1, 3"),
        (Keep(layers=(0, -1)), "layers to keep from 0, each once, got 0, -1"),
        (Keep(heads=(2, 2)), "heads to keep from 0, each once, got 2, 2"),
        (Keep(heads=(-4,)), "heads to keep from 0, each once, got -4"),
    ],
)
def test_a_choice_of_what_to_keep_that_no_model_has_is_refused(keep: Keep, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        check_request(replace(ASKED, keep=keep), LIMITS)


def test_what_to_keep_may_be_anything_else() -> None:
    alone = [parse_keep([part]) for part in ("question", "answer", "thinking", "prompt")]
    for keep in (*alone, Keep(layers=(), heads=()), Keep(layers=(7, 2), heads=(0,)), Keep(keys="pictures")):
        check_request(replace(ASKED, keep=keep), LIMITS)


def test_pictures_keys_alone_need_a_picture() -> None:
    with pytest.raises(SettingsError, match="a picture, to keep its keys alone, got none"):
        check_request(replace(ASKED, images=(), keep=Keep(keys="pictures")), LIMITS)


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


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", None),
        (" All ", None),
        ("0", (0,)),
        ("0-5,20", (0, 1, 2, 3, 4, 5, 20)),
        (" 20 , 3 - 3,2-4", (2, 3, 4, 20)),
        ("999", (999,)),
    ],
)
def test_numbers_and_ranges_are_read_once_and_in_order(text: str, numbers: tuple[int, ...] | None) -> None:
    assert parse_numbers(text, "layers") == numbers


@pytest.mark.parametrize(
    "text", ["5-2", "-1", "1,", ",", "1.5", "first", "0-1000", "0-99999999999", "1--3", "²", "none"]
)
def test_what_are_no_numbers_is_one_sentence(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_numbers(text, "layers")
    told = f"Expected layers as numbers from 0 and ranges of them, got {text!r}: write for instance 0-5,20, or all."
    assert str(raised.value) == told


def test_what_to_keep_is_read_as_it_is_written() -> None:
    assert parse_keep(["question", "answer"]) == Keep()
    assert parse_keep(["thinking", "prompt"], layers="1-2", heads="3", keys="pictures", numbers="float32") == Keep(
        question=False, answer=False, thinking=True, prompt=True, layers=(1, 2), heads=(3,), keys="pictures",
        numbers="float32",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tokens", "words", "message"),
    [
        ([], {}, "some tokens to keep, got none: choose from prompt, question, thinking, answer"),
        (["answers"], {}, "a kind of tokens of prompt, question, thinking, answer, got 'answers'"),
        (["answer"], {"keys": "picture"}, "keys of all, pictures, got 'picture'"),
        (["answer"], {"numbers": "float64"}, "numbers of float16, float32, got 'float64'"),
        (["answer"], {"heads": "x"}, "heads as numbers from 0"),
    ],
)
def test_what_cannot_be_kept_is_one_sentence(tokens: list[str], words: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_keep(tokens, **words)


def test_whose_words_are_read_as_they_are_written() -> None:
    assert (parse_words("own"), parse_words("base")) == ("own", "base")
    with pytest.raises(SettingsError, match="words of own, base, got 'mine'"):
        parse_words("mine")
