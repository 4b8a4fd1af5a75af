"""The search for the largest batch that fits, for several programs in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from launch.benchmark._programs import OutOfMemoryError

T = TypeVar("T")

LARGEST = 2**14
"""No larger batch is tried."""


def doubling(start: int, attempt: Callable[[int], T], largest: int = LARGEST) -> Iterator[tuple[int, T | None]]:
    """Tries batches of `start`, 2 · start, … until one does not fit; if `start` does not fit, halves it until one fits.

    Yields every batch that was tried, with what `attempt` returned; None where it raised `OutOfMemoryError`.
    """
    size, grows = start, None
    while 1 <= size <= largest:
        result = _attempted(attempt, size)
        yield size, result
        fits = result is not None
        grows = fits if grows is None else grows
        if fits != grows:
            return
        size = 2 * size if grows else size // 2


def _attempted(attempt: Callable[[int], T], size: int) -> T | None:
    try:
        return attempt(size)
    except OutOfMemoryError:
        return None


def in_turn(several: Iterable[Iterator[T]]) -> Iterator[T]:
    """The first item of each, then the second of each, …: if time runs out, each has had its first ones."""
    waiting = deque(several)
    while waiting:
        one = waiting.popleft()
        for item in one:
            yield item
            waiting.append(one)
            break
