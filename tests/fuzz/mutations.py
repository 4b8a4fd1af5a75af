"""Ways to damage a file. What is drawn depends only on the generator."""

from __future__ import annotations

import random
from collections.abc import Callable

HEAD, TAIL = 256, 2048
"""Bytes at the ends of a file, where formats keep what they say of the rest."""

ODD_JSON = (
    *("[]", "{}", "null", "1", '"x"', "NaN", "[" * 5000, '{"config": 1}', '{"stage": "motion"}', '{"splits": {}}'),
    *('{"id": 1, "metadata": {}, "splits": {"train": {}}}', '{"stage": "motion", "config": {}}'),
)


def _flip(count: int) -> Callable[[bytearray, random.Random], bytearray]:
    def flip(data: bytearray, rng: random.Random) -> bytearray:
        for _ in range(count):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return data

    return flip


def _span(data: bytearray, rng: random.Random) -> slice:
    """Up to a quarter of the data."""
    start = rng.randrange(len(data))
    return slice(start, start + rng.randrange(1, max(2, len(data) // 4)))


def _cut(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def _zero(data: bytearray, rng: random.Random) -> bytearray:
    span = _span(data, rng)
    data[span] = bytes(len(data[span]))
    return data


def _repeat(data: bytearray, rng: random.Random) -> bytearray:
    span = _span(data, rng)
    return data[: span.start] + data[span] + data[span.start :]


def _remove(data: bytearray, rng: random.Random) -> bytearray:
    span = _span(data, rng)
    return data[: span.start] + data[span.stop :]


def _insert(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 64)) + data[at:]


def _largest(data: bytearray, rng: random.Random) -> bytearray:
    """A size or an offset, perhaps."""
    at = rng.randrange(len(data))
    data[at : at + 4] = b"\xff\xff\xff\xff"
    return data


WAYS = {
    **{"a bit": _flip(1), "8 bits": _flip(8), "64 bits": _flip(64), "cut": _cut, "zeros": _zero},
    **{"repeated": _repeat, "removed": _remove, "inserted": _insert, "largest": _largest},
}


def mutated(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """(damaged data, what was done): anywhere, in the head or in the tail."""
    if not data:
        return rng.randbytes(8), "some bytes"
    name, where = rng.choice(list(WAYS)), rng.choice(("anywhere", "head", "tail"))
    size = {"anywhere": len(data), "head": min(HEAD, len(data)), "tail": min(TAIL, len(data))}[where]
    start = 0 if where != "tail" else len(data) - size
    part = WAYS[name](bytearray(data[start : start + size]), rng)
    return data[:start] + bytes(part) + data[start + size :], f"{name} {where}"
