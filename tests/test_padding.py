import numpy as np

from xactor_jax.padding import filled


def test_the_last_entry_is_repeated():
    np.testing.assert_array_equal(filled(np.array([[1, 2], [3, 4]]), 4), [[1, 2], [3, 4], [3, 4], [3, 4]])
    np.testing.assert_array_equal(filled(np.arange(3), 3), np.arange(3))
