"""FID: Fréchet distance between the pictures of the generated and of the true videos (Heusel et al. 2017).

d² of `xactor_jax/evaluation/frechet.py` between the features of `xactor_jax/metric_networks/inception.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from xactor_jax.metric_networks.inception import InceptionModel, InceptionSettings
from xactor_jax.scoring.batches import Apply, apply_in_batches
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.sets import rows, set_distance
from xactor_jax.scoring.video import Case

BATCH = 16
"""Pictures in a batch on each device."""


def measure(case: Case, network: Network | None) -> Measured:
    """Features of all frames."""
    settings = InceptionModel.from_network(network.config.network).settings
    outputs = apply_in_batches(_features(settings), network.params, case.generated.read(), BATCH)
    return Measured(values={}, features=rows(outputs, settings.features))


def pool(generated: Sequence[Float[np.ndarray, "_ d"]], true: Sequence[Float[np.ndarray, "_ d"]]) -> dict[str, float]:
    """FID of the whole set; `nan` for fewer than two frames."""
    return {"fid": set_distance(generated, true)}


@functools.cache
def _features(settings: InceptionSettings) -> Apply:
    """One compiled program for all videos of a size."""
    return jax.jit(InceptionModel(settings).features)


PROTOCOL = Protocol(
    name="fid",
    source="Heusel et al. 2017; pytorch-fid with pt_inception-2015-12-05-6726825d.pth",
    definition=(
        "All frames of all generated videos against all frames of all true ones: the whole picture, resized to 299 × 299 by "
        "bilinear interpolation without a low-pass filter; 2,048 features (pool3); unbiased covariances."
    ),
    numbers=(Number(name="fid", title="FID", better="lower", digits=2),),
    measure=measure,
    kind="inception",
    needs_truth=True,
    pool=pool,
    limits=(
        "It depends on the number of frames: compare only values of sets of the same size. With fewer than 2,048 frames the "
        "covariance does not have full rank and the value is far too high; frames of one video are alike, so even several "
        "thousand of them are few. It does not see motion."
    ),
)
