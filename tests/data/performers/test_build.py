"""Making clips in worker processes: in order, and never far ahead of what is written."""

from __future__ import annotations

from multiprocessing.pool import ThreadPool

import pytest

from data.performers.build import ordered


def test_results_come_in_order_and_only_some_are_made_ahead():
    """Items are taken when they are needed: a data set of any size has the same few clips in memory."""
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    with ThreadPool(2) as pool:
        results = ordered(pool, 3, lambda x: x * x, items())
        assert next(results) == 0 and taken == [0, 1, 2]
        assert next(results) == 1 and taken == [0, 1, 2, 3]
        assert list(results) == [x * x for x in range(2, 20)]


def test_an_error_of_a_worker_reaches_the_caller():
    with ThreadPool(1) as pool, pytest.raises(ZeroDivisionError):
        list(ordered(pool, 2, lambda x: 1 // x, [1, 0]))
