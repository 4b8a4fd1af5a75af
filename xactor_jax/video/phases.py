"""The training phases of the renderer, and which parameters each of them trains.

X-NeMo (2025) trains in two phases:
    spatial    everything but the temporal modules, which are skipped, so that examples are single pictures of one person
    temporal   the temporal modules only, on consecutive frames
Parameters that a phase does not train are frozen. This project adds two phases: `all` trains everything at once; `finish`
trains everything on the pictures that the sampler makes (finish.py), with discriminators that are saved in the checkpoint.
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
"""Part of the names of the temporal modules' parameters."""


def labels(params: Tree, phase: str) -> Tree:
    """Which optimiser each parameter uses: "default", "discriminator", or "frozen"."""
    spatial, temporal = {"spatial": (True, False), "temporal": (False, True)}.get(phase, (True, True))

    def label(path: Any, _: Any) -> str:
        name = path_name(path)
        if name.split("/")[0] in (WHOLE, PARTS):
            return "discriminator"
        return "default" if (temporal if TEMPORAL in name else spatial) else "frozen"

    return jax.tree_util.tree_map_with_path(label, params)


def trained_denoiser(denoiser: Denoiser, phase: str) -> Denoiser:
    """The denoiser of a phase. The spatial phase skips the temporal modules; their parameters stay in the tree."""
    if phase != "spatial":
        return denoiser
    unet = replace(denoiser.settings.unet, temporal=False)
    return denoiser.clone(settings=replace(denoiser.settings, unet=unet))
