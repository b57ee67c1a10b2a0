"""The conversation as token ids, made by the model's own chat template.

What a visitor typed never becomes a control token: each control token written in it is hidden behind a mark while
the template is rendered, so that the control tokens found afterwards are the template's own. Text between them is
tokenised in whole runs with the control tokens switched off, which gives the ids of the plain way for plain text.
Knows no pixels and no weights.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inference.errors import ModelError, QuestionError

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_PRIVATE_SIGNS = range(0xF0000, 0xFFFFD)


@dataclass(frozen=True)
class Prompt:
    """Ids with every picture token in place; `question_span` is (start, stop) of the question's own tokens."""

    ids: tuple[int, ...]
    question_span: tuple[int, int]
    opens_thinking: bool
    """Whether the template itself opens the reasoning, so that the answer begins inside it."""


def build_prompt(
    processor: Any, *, question: str, system_prompt: str = "", tools_json: str = "", picture_tokens: Sequence[int] = ()
) -> Prompt:
    """The prompt of one question; `picture_tokens` are the vision tokens of each picture, in their order.

    Raises:
        QuestionError: tools that are no JSON list of objects, or text that cannot be told from a control token.
        ModelError: a chat template that does not show the question, or not the pictures.
    """
    for text in (question, system_prompt, tools_json):
        _check_unicode(text)
    mask = _Mask(processor.tokenizer, (question, system_prompt, tools_json))
    before, after = _render(processor, mask, system_prompt, _parse_tools(tools_json), len(picture_tokens))
    before_pieces, after_pieces = mask.split(before), mask.split(after)
    lead, tail = mask.restore(before_pieces[-1]), mask.restore(after_pieces[0])
    expand = _Expander(processor, mask, picture_tokens)
    ids = expand.ids(before_pieces[:-1])
    run, span = encode_span(processor, lead + question + tail, (len(lead), len(lead) + len(question)))
    start = len(ids)
    ids += run + expand.ids(after_pieces[1:], begins_with_token=True)
    expand.check()
    opens = after.rfind(THINK_OPEN) > after.rfind(THINK_CLOSE)
    return Prompt(tuple(ids), (start + span[0], start + span[1]), opens)


def encode_text(processor: Any, text: str) -> list[int]:
    """A visitor's text as ids, none of them a control token.

    Raises:
        QuestionError: the tokenizer makes a control token of it all the same.
    """
    return encode_span(processor, text, (0, len(text)))[0]


def encode_span(processor: Any, text: str, span: tuple[int, int]) -> tuple[list[int], tuple[int, int]]:
    """The text's ids, and (start, stop) of the tokens that hold any of its characters span[0] .. span[1] - 1."""
    if not text:
        return [], (0, 0)
    _check_unicode(text)
    encoded = processor.tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )
    ids = list(encoded["input_ids"])
    _check_plain(processor, ids)
    inside = [i for i, (start, stop) in enumerate(encoded["offset_mapping"]) if start < span[1] and stop > span[0]]
    return ids, (inside[0], inside[-1] + 1) if inside else (0, 0)


def control_ids(processor: Any) -> set[int]:
    """Ids that steer the model: those of pictures and those of the conversation's turns."""
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return {getattr(processor, name) for name in names} | set(processor.tokenizer.all_special_ids)


def _check_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise QuestionError(
            "text of whole characters", "half of a character (a lone surrogate)", "type it again"
        ) from error


def _check_plain(processor: Any, ids: Sequence[int]) -> None:
    found = control_ids(processor).intersection(ids)
    if found:
        texts = ", ".join(processor.tokenizer.convert_ids_to_tokens(sorted(found)))
        raise QuestionError("text without control tokens", texts, "leave them out")


def _parse_tools(tools_json: str) -> list[dict[str, Any]]:
    if not tools_json.strip():
        return []
    try:
        tools = json.loads(tools_json)
    except (ValueError, RecursionError) as error:
        raise QuestionError("tools as JSON", "text that is none", "paste a JSON list of tool schemas") from error
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise QuestionError("a JSON list of objects as tools", type(tools).__name__, "put the schemas into a list")
    return tools


def _render(
    processor: Any, mask: "_Mask", system_prompt: str, tools: list[dict[str, Any]], pictures: int
) -> tuple[str, str]:
    """The rendered conversation before and after the question, with the visitor's control tokens masked."""
    content = [{"type": "image"} for _ in range(pictures)] + [{"type": "text", "text": mask.question}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if system_prompt:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": mask.hide(system_prompt)}]})
    rendered = processor.apply_chat_template(
        messages, tools=mask.hide_all(tools) or None, tokenize=False, add_generation_prompt=True
    )
    parts = rendered.split(mask.question)
    if len(parts) != 2:
        raise ModelError(
            "a chat template that shows the question once",
            f"one that shows it {len(parts) - 1} times",
            "use the template that came with the model",
        )
    return parts[0], parts[1]


class _Mask:
    """Hides control tokens in visitors' texts behind marks made of a sign that none of the texts contains."""

    def __init__(self, tokenizer: Any, texts: Sequence[str]) -> None:
        typed = set().union(*texts)
        self._sign = next(chr(code) for code in _PRIVATE_SIGNS if chr(code) not in typed)
        added = tokenizer.added_tokens_decoder.values()
        self._tokens = sorted((token.content for token in added if token.special), key=len, reverse=True)
        self._any = re.compile("(" + "|".join(map(re.escape, self._tokens)) + ")")
        self._mark = re.compile(f"{self._sign}(\\d+){self._sign}")
        self.question = f"{self._sign}question{self._sign}"

    def hide(self, text: str) -> str:
        return self._any.sub(lambda match: f"{self._sign}{self._tokens.index(match[0])}{self._sign}", text)

    def hide_all(self, value: Any) -> Any:
        """The same in every string of a JSON value, keys included."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, list):
            return [self.hide_all(item) for item in value]
        if isinstance(value, dict):
            return {self.hide(key): self.hide_all(item) for key, item in value.items()}
        return value

    def restore(self, text: str) -> str:
        return self._mark.sub(lambda match: self._tokens[int(match[1])], text)

    def split(self, text: str) -> list[str]:
        """Runs of text and the template's control tokens in turn, a run (may be empty) first and last."""
        return self._any.split(text)


class _Expander:
    """Turns pieces into ids, putting as many picture tokens as each picture has in place of its one."""

    def __init__(self, processor: Any, mask: _Mask, picture_tokens: Sequence[int]) -> None:
        self._processor = processor
        self._mask = mask
        self._expected = len(picture_tokens)
        self._counts = iter(picture_tokens)
        self._seen = 0

    def ids(self, pieces: Sequence[str], *, begins_with_token: bool = False) -> list[int]:
        return [
            token
            for index, piece in enumerate(pieces)
            for token in (self._control(piece) if (index % 2 == 0) == begins_with_token else self._plain(piece))
        ]

    def check(self) -> None:
        if self._seen != self._expected:
            raise ModelError(
                f"a chat template with {self._expected} places for pictures",
                str(self._seen),
                "use the template that came with the model",
            )

    def _plain(self, piece: str) -> list[int]:
        return encode_text(self._processor, self._mask.restore(piece))

    def _control(self, piece: str) -> Iterator[int]:
        token = self._processor.tokenizer.convert_tokens_to_ids(piece)
        repeats = 1
        if token == self._processor.image_token_id:
            self._seen += 1
            repeats = next(self._counts, 0)
        yield from [token] * repeats
