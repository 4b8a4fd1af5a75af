"""Making clips in worker processes: in order, and never far ahead of what is written."""

from __future__ import annotations

import types
from multiprocessing.pool import ThreadPool

import pytest

from data.performers import build
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


def test_worker_processes_are_given_a_bounded_number_of_clips(monkeypatch):
    """With threads in their place: one clip is taken, and not more than AHEAD for each worker were asked for."""
    pools = types.SimpleNamespace(Pool=lambda count, initializer: ThreadPool(count))
    monkeypatch.setattr(build.multiprocessing, "get_context", lambda kind: pools)
    asked = []
    with build._mapper(2) as mapper:
        results = mapper(abs, (asked.append(n) or -n for n in range(100)))
        assert next(results) == 0 and len(asked) == 2 * build.AHEAD
        assert list(results) == list(range(1, 100))


def test_an_error_of_a_worker_reaches_the_caller():
    with ThreadPool(1) as pool, pytest.raises(ZeroDivisionError):
        list(ordered(pool, 2, lambda x: 1 // x, [1, 0]))
