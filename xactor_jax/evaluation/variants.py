"""Actors to be compared, as the command line names them: NAME=CKPT,field=value,…"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from xactor_jax.actor.rollout import RolloutSettings
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
    return Variant(name, path, dict(_parse_setting(pair) for pair in pairs))


def _parse_setting(pair: str) -> tuple[str, Any]:
    """field=value, the value of the kind of the field's default."""
    name, _, text = pair.partition("=")
    defaults = dataclasses.asdict(RolloutSettings())
    if name not in defaults:
        raise UserError(f"a rollout has no setting {name!r}: it has {', '.join(defaults)}.")
    value, kind = _literal(text), type(defaults[name])
    if kind is str:
        return name, text
    if kind is float and type(value) is int:
        return name, float(value)
    if type(value) is not kind and defaults[name] is not None:
        raise UserError(f"the setting {name} of a rollout cannot be {text!r}: give it a value like {defaults[name]!r}.")
    return name, value


def _literal(text: str) -> Any:
    """The number, truth value or None that a text is; the text itself where it is none of them."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse_variants(texts: Sequence[str]) -> list[Variant]:
    """Of all options; raises `UserError` too where two have one name."""
    variants = [parse_variant(text) for text in texts]
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"two actors are called {min(twice)}: give each a name of its own.")
    return variants
