"""LPIPS: distance of generated and true frames of the same moment as people judge it (`xactor_jax/layers/perceptual.py`)."""

from __future__ import annotations

import functools

import jax
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.errors import UserError
from xactor_jax.layers.perceptual import PerceptualModel
from xactor_jax.scoring.batches import Apply, apply_in_batches
from xactor_jax.scoring.curves import mean
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.sets import rows
from xactor_jax.scoring.video import Case

BATCH = 2
"""Pairs of frames in a batch on each device."""


def measure(case: Case, network: Network | None, trunk: str, name: str) -> Measured:
    """Distance of every pair of frames, `nan` for the first.

    Raises:
        UserError: the weights are those of another perceptual distance.
    """
    settings = PerceptualModel.from_network(network.config.network).settings
    if not settings.lpips or settings.trunk != trunk:
        raise UserError(f"these weights are not those of {name}: import them with launch/import_weights.py --what {name}.")
    pairs = (np.stack(pair) for pair in zip(case.generated.read(), case.truth.read(), strict=True))
    distances = rows(apply_in_batches(_distance(PerceptualModel(settings)), network.params, pairs, BATCH), 1)[:, 0]
    distances[:1] = np.nan
    return Measured(values={name: mean(distances)}, curves={name: distances})


@functools.cache
def _distance(model: PerceptualModel) -> Apply:
    """One compiled program for all videos of a size."""

    def distance(params: dict, pairs: UInt8[jax.Array, "b 2 h w 3"]) -> Float[jax.Array, "b 1"]:
        x = pairs / 127.5 - 1.0
        return model.distance(params, x[:, 0], x[:, 1])[:, None]

    return jax.jit(distance)


def make_protocol(kind: str, trunk: str, title: str) -> Protocol:
    """The protocol of one of the two published networks.

    Args:
        kind: in `importing.py:KINDS`; also its name.
        trunk: of `PerceptualSettings`.
    """
    return Protocol(
        name=kind,
        source="Zhang et al. 2018 (arXiv 1801.03924); github.com/richzhang/PerceptualSimilarity, version 0.1",
        definition=(
            f"LPIPS by {title} of each frame and the true frame of the same moment, whole pictures of the generated video's "
            "size; mean over all frames but the first, which shows the reference itself."
        ),
        numbers=(Number(name=kind, title=f"LPIPS ({title})", better="lower"),),
        measure=functools.partial(measure, trunk=trunk, name=kind),
        kind=kind,
        needs_truth=True,
        limits=(
            "It compares moment by moment: a good video that moves differently from the true one has a high distance. "
            "The size of the pictures changes it. Values of the two networks cannot be compared."
        ),
    )


VGG = make_protocol("lpips", "vgg", "VGG16")
ALEX = make_protocol("lpips_alex", "alexnet", "AlexNet")
