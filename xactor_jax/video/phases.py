"""The phases in which the renderer is trained, and what of it each of them moves.

X-NeMo (2025) trains in two:
    spatial    everything but the temporal modules, which frames go around, so that these are pictures of one person
    temporal   the temporal modules alone, on frames in a row
What a phase does not train is frozen. Two more are ours: `all`, both at once; and `finish`, all of it on the pictures that the
sampler makes (finish.py), with discriminators that stay in the checkpoint.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax

from xactor_jax.layers.critics import PARTS, WHOLE
from xactor_jax.parallel.partition import path_name
from xactor_jax.variables import Tree
from xactor_jax.video.denoiser import Denoiser

PHASES = ("all", "spatial", "temporal", "finish")
TEMPORAL = "_attention/temporal/"
"""In the names of the temporal modules' parameters."""


def labels(params: Tree, phase: str) -> Tree:
    """Each parameter's optimiser: "default", "discriminator", or "frozen"."""
    spatial, temporal = {"spatial": (True, False), "temporal": (False, True)}.get(phase, (True, True))

    def label(path: Any, _: Any) -> str:
        name = path_name(path)
        if name.split("/")[0] in (WHOLE, PARTS):
            return "discriminator"
        return "default" if (temporal if TEMPORAL in name else spatial) else "frozen"

    return jax.tree_util.tree_map_with_path(label, params)


def trained_denoiser(denoiser: Denoiser, phase: str) -> Denoiser:
    """In the spatial phase without temporal modules, whose parameters stay in the tree."""
    if phase != "spatial":
        return denoiser
    unet = replace(denoiser.settings.unet, temporal=False)
    return denoiser.clone(settings=replace(denoiser.settings, unet=unet))
