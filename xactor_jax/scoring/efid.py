"""E-FID: Fréchet distance between the expressions of the generated and of the true videos (EMO, arXiv 2402.17485).

d² of `xactor_jax/evaluation/frechet.py` between the 64 coefficients of expression of `xactor_jax/metric_networks/deep3d.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from xactor_jax.metric_networks.alignment import deep3d_crop
from xactor_jax.metric_networks.deep3d import EXPRESSION, Deep3D, make_network
from xactor_jax.scoring.aligned_faces import outputs_of_faces
from xactor_jax.scoring.batches import Apply
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.sets import set_distance
from xactor_jax.scoring.video import Case
from xactor_jax.variables import applied


def measure(case: Case, network: Network | None) -> Measured:
    """Coefficients of expression of all frames with a face."""
    deep3d = make_network(network.config.network)
    found = outputs_of_faces(_coefficients(deep3d), network, case.generated, deep3d_crop, sum(deep3d.settings.parts))
    return Measured(values={}, features=found[np.isfinite(found).all(axis=1), EXPRESSION])


def pool(generated: Sequence[Float[np.ndarray, "_ d"]], true: Sequence[Float[np.ndarray, "_ d"]]) -> dict[str, float]:
    """E-FID of the whole set; `nan` for fewer than two frames with a face."""
    return {"efid": set_distance(generated, true)}


@functools.cache
def _coefficients(deep3d: Deep3D) -> Apply:
    """One compiled program for all videos."""
    return jax.jit(lambda params, faces: applied(deep3d, params, faces / 255.0))


PROTOCOL = Protocol(
    name="efid",
    source="Tian et al. 2024 (EMO, arXiv 2402.17485); github.com/sicxu/Deep3DFaceRecon_pytorch (epoch_20.pth)",
    definition=(
        "The 64 coefficients of expression of all frames with a face, of all generated videos against those of all true ones; "
        "unbiased covariances, nothing standardised. Faces are aligned to 224 × 224 pixels as by util/preprocess.py, by five "
        "points of Face Mesh in place of another detector's, to its standard points as other programs print them."
    ),
    numbers=(Number(name="efid", title="E-FID", better="lower"),),
    measure=measure,
    kind="deep3d",
    needs_truth=True,
    pool=pool,
    limits=(
        "There is no agreed definition: papers give neither the network's release nor the alignment, and some fit another face "
        "model. Compare only values of this protocol, of sets of the same size. With few frames the value is too high. It does "
        "not see in which order expressions follow each other."
    ),
)
