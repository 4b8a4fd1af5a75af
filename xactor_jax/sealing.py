"""Saved states as bytes: a mark of what they are, a SHA-256 hash by which damage is found, and the state."""

from __future__ import annotations

import hashlib


def sealed(mark: bytes, state: bytes) -> bytes:
    """The state after its mark and its hash."""
    return mark + hashlib.sha256(state).digest() + state


def opened(mark: bytes, data: bytes) -> bytes:
    """The state inside the bytes of `sealed`. Raises ValueError for another mark or a wrong hash."""
    start = len(mark) + hashlib.sha256().digest_size
    if not data.startswith(mark) or hashlib.sha256(data[start:]).digest() != data[len(mark) : start]:
        raise ValueError("it is not what was written")
    return data[start:]
