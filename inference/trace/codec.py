"""Frozen dataclasses <-> plain JSON values, by their own annotations; bytes and arrays go to files beside the JSON.

A field that is added to a dataclass is stored and checked with no change here. Knows no disk: the two callbacks do.
"""

import dataclasses
import math
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
PutFile = Callable[[str, bytes | np.ndarray], str]
GetBytes = Callable[[str], bytes]
GetArray = Callable[[str], np.ndarray]


class CodecError(Exception):
    """A value that does not fit its place; says where and what, for the sentence of the caller's error."""


def to_plain(value: object, put: PutFile, field: str = "") -> Json:
    """The value as JSON; `put` is given the field and the value of bytes and arrays, and returns what stands for them.

    Raises:
        CodecError: a number is not finite, or a type has no place in JSON.
    """
    if dataclasses.is_dataclass(value):
        return {part.name: to_plain(getattr(value, part.name), put, part.name) for part in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item, put, field) for item in value]
    if isinstance(value, (bytes, np.ndarray)):
        return put(field, value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise CodecError(f"the number {value}")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise CodecError(f"a {type(value).__name__}")


class Decoder:
    """Builds dataclasses from JSON values and refuses whatever does not fit its annotation."""

    def __init__(self, get_bytes: GetBytes, get_array: GetArray) -> None:
        self._get_bytes = get_bytes
        self._get_array = get_array

    def decode(self, hint: Any, value: Json, where: str = "session") -> Any:
        """The value as `hint` annotates it; `where` is its path, for the error.

        Raises:
            CodecError: the value does not fit; what `get_bytes` and `get_array` raise passes through.
        """
        if dataclasses.is_dataclass(hint):
            return self._dataclass(hint, value, where)
        origin = get_origin(hint)
        if origin is tuple:
            return self._tuple(get_args(hint), value, where)
        if origin in (Union, types.UnionType):
            (inner,) = (arm for arm in get_args(hint) if arm is not types.NoneType)
            return None if value is None else self.decode(inner, value, where)
        if origin is Literal:
            return _expect(value in get_args(hint), value, where)
        if hint in (bool, int, float, str):
            return _scalar(hint, value, where)
        name = _scalar(str, value, where)
        return self._get_bytes(name) if hint is bytes else self._get_array(name)

    def _dataclass(self, cls: Any, value: Json, where: str) -> Any:
        if not isinstance(value, dict):
            raise CodecError(f"{where} is no group of fields")
        hints = _hints(cls)
        needed = {field.name for field in dataclasses.fields(cls) if _is_required(field)}
        if not needed <= value.keys() <= hints.keys():
            wrong = sorted(needed - value.keys()) or sorted(value.keys() - hints.keys())
            raise CodecError(f"{where} lacks or does not know the field {wrong[0]!r}")
        return cls(**{name: self.decode(hints[name], item, f"{where}.{name}") for name, item in value.items()})

    def _tuple(self, items: tuple[Any, ...], value: Json, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise CodecError(f"{where} is no list")
        hints = (items[0],) * len(value) if items[-1] is Ellipsis else items
        if len(hints) != len(value):
            raise CodecError(f"{where} has {len(value)} values and not {len(hints)}")
        pairs = enumerate(zip(hints, value, strict=True))
        return tuple(self.decode(hint, item, f"{where}[{index}]") for index, (hint, item) in pairs)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _scalar(kind: type, value: Json, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        _expect(abs(value) < 2**53, value, where)
        return float(value)
    _expect(type(value) is kind, value, where)
    _expect(not isinstance(value, float) or math.isfinite(value), value, where)
    return value


def _expect(fits: bool, value: Json, where: str) -> Json:
    if not fits:
        raise CodecError(f"{where} is {str(value)[:40]!r}")
    return value
