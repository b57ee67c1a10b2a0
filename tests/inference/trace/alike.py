"""Whether two values are the same field by field, arrays and all; dataclasses that hold arrays cannot be compared."""

import dataclasses

import numpy as np

ARRAYS = ("rows", "layer_means", "head_means", "means", "sums")
"""The arrays of a trace, the last of them always in float32."""


def assert_alike(one: object, other: object, where: str = "value") -> None:
    """Same types, same fields, same arrays (type and bits) all the way down."""
    if isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray) and one.dtype == other.dtype, where
        np.testing.assert_array_equal(one, other, where)
    elif dataclasses.is_dataclass(one):
        assert type(one) is type(other), where
        for field in dataclasses.fields(one):
            assert_alike(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
    elif isinstance(one, tuple):
        assert isinstance(other, tuple) and len(one) == len(other), where
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_alike(left, right, f"{where}[{index}]")
    else:
        assert type(one) is type(other) and one == other, where
