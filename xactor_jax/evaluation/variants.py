"""Actors to be compared, as the command line names them: NAME=CKPT,field=value,…"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from xactor_jax.actor.settings import parse_changes
from xactor_jax.errors import UserError

RESERVED = ("true", "own", "other")
"""Names that a variant cannot have: plots know them."""


class Variant(NamedTuple):
    """A checkpoint of the actor, empty for the embedded one, and the fields of `RolloutSettings` that differ from its own."""

    name: str
    path: str
    changed: dict[str, Any]


def parse_variant(text: str) -> Variant:
    """Raises `UserError` where it is not NAME=CKPT,field=value,… with fields of `RolloutSettings` and values of their types."""
    name, given, rest = text.partition("=")
    path, *pairs = rest.split(",")
    if not given or not re.fullmatch(r"[\w.-]+", name) or name in RESERVED:
        raise UserError(f"--actor {text!r} is not NAME=CKPT,field=value,…: begin with a name of letters and digits.")
    return Variant(name, path, parse_changes(pairs))


def parse_variants(texts: Sequence[str]) -> list[Variant]:
    """Of all options; raises `UserError` too where two have one name."""
    variants = [parse_variant(text) for text in texts]
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"two actors are called {min(twice)}: give each a name of its own.")
    return variants
