"""The table of float16 against numpy's own conversion."""

import numpy as np

from inference.trace.half import mean_of, widened


def test_every_float16_is_converted_as_numpy_does() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    expected = every.astype(np.float32)
    np.testing.assert_array_equal(widened(every).view(np.uint32), expected.view(np.uint32))


def test_slices_of_any_step_keep_their_shape() -> None:
    block = np.random.default_rng(0).random((3, 5, 7)).astype(np.float16)
    for part in (block[:, ::2, 1:6:3], block[:, :, ::-1], block[1, 2, 3], block[:0]):
        found = widened(part)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, part.astype(np.float32))


def test_other_types_are_converted_too() -> None:
    for dtype in (np.float32, np.float64):
        found = widened(np.array([1e-9, 0.5], dtype))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.array([1e-9, 0.5], np.float32))


def test_a_mean_is_numpys_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    for dtype in (np.float16, np.float32):
        block = (rng.gamma(0.05, size=(11, 3, 7)) / 7).astype(dtype)
        np.testing.assert_array_equal(mean_of(block), block.mean(0, dtype=np.float32))
