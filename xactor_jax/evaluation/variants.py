"""Command-line syntax for stages to be compared: NAME=CKPT,field=value,…"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from xactor_jax.actor.settings import RolloutSettings, parse_changes
from xactor_jax.errors import UserError
from xactor_jax.video.sampler import RenderSettings

KINDS = {"motion": "motion stages", "actor": "actors", "video": "renderers"}
RESERVED = ("true", "own", "other")
"""Names that a variant cannot have, because plots use them."""


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """Settings of a stage without sampling."""


DEFAULTS = {
    "motion": (NoSettings(), "the motion stage"),
    "actor": (RolloutSettings(), "the rollout"),
    "video": (RenderSettings(), "the renderer"),
}
"""Stage → its default sampling settings, and the name of their owner for error messages."""


class Variant(NamedTuple):
    """A checkpoint of a stage (empty: the embedded one), and the sampling settings that are changed."""

    name: str
    path: str
    changed: dict[str, Any]


def parse_variant(text: str, stage: str = "actor") -> Variant:
    """Parses NAME=CKPT,field=value,… Raises `UserError` for wrong syntax, unknown settings or values of a wrong type."""
    name, given, rest = text.partition("=")
    path, *pairs = rest.split(",")
    if not given or not re.fullmatch(r"[\w.-]+", name) or name in RESERVED:
        raise UserError(f"--{stage} {text!r} is not NAME=CKPT,field=value,…: begin with a name of letters and digits.")
    return Variant(name, path, parse_changes(pairs, *DEFAULTS[stage]))


def parse_variants(texts: Sequence[str], stage: str = "actor") -> list[Variant]:
    """Parses all options of a stage. Raises `UserError` also if two have the same name."""
    variants = [parse_variant(text, stage) for text in texts]
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"two {KINDS[stage]} are called {min(twice)}: give each a name of its own.")
    return variants
