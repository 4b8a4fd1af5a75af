import numpy as np

from xactor_jax.padding import filled, in_batches


def test_the_last_entry_is_repeated():
    np.testing.assert_array_equal(filled(np.array([[1, 2], [3, 4]]), 4), [[1, 2], [3, 4], [3, 4], [3, 4]])
    np.testing.assert_array_equal(filled(np.arange(3), 3), np.arange(3))


def test_batches_have_one_size_and_results_are_those_of_the_entries():
    sizes = []

    def double(x):
        sizes.append(len(x))
        return 2 * x

    np.testing.assert_array_equal(in_batches(double, np.arange(7), 3), 2 * np.arange(7))
    assert sizes == [3, 3, 3]
