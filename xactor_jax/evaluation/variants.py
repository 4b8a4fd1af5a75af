"""Stages to be compared, as the command line names them: NAME=CKPT,field=value,…"""

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
"""Names that a variant cannot have: plots know them."""


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """Of a stage that nothing is sampled from."""


DEFAULTS = {
    "motion": (NoSettings(), "the motion stage"),
    "actor": (RolloutSettings(), "the rollout"),
    "video": (RenderSettings(), "the renderer"),
}
"""Stage → its settings for sampling, and whose they are."""


class Variant(NamedTuple):
    """A checkpoint of a stage, empty for the embedded one, and the fields of its settings for sampling that are changed."""

    name: str
    path: str
    changed: dict[str, Any]


def parse_variant(text: str, stage: str = "actor") -> Variant:
    """Raises `UserError` where it is not NAME=CKPT,field=value,… with settings of the stage and values of their types."""
    name, given, rest = text.partition("=")
    path, *pairs = rest.split(",")
    if not given or not re.fullmatch(r"[\w.-]+", name) or name in RESERVED:
        raise UserError(f"--{stage} {text!r} is not NAME=CKPT,field=value,…: begin with a name of letters and digits.")
    return Variant(name, path, parse_changes(pairs, *DEFAULTS[stage]))


def parse_variants(texts: Sequence[str], stage: str = "actor") -> list[Variant]:
    """Of all options; raises `UserError` too where two have one name."""
    variants = [parse_variant(text, stage) for text in texts]
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"two {KINDS[stage]} are called {min(twice)}: give each a name of its own.")
    return variants
