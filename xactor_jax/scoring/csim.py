"""CSIM: whether a video shows the person of the reference picture, by ArcFace.

With e the embedding of `xactor_jax/metric_networks/arcface.py`, x_t the frames of a video and y_t those of the true one,

    (1) csim_t       = ⟨e(x_t), e(y_0)⟩ / (‖e(x_t)‖ ‖e(y_0)‖)      similarity with the reference
    (2) csim_frame_t = ⟨e(x_t), e(y_t)⟩ / (‖e(x_t)‖ ‖e(y_t)‖)      similarity with the truth of the same moment

for t > 0: the first frame shows the reference itself. Without a true video, x_0 takes the place of y_0. If no face is found in
the first frame, the reference is the first one with a face. (2) is not lowered by an expression or a turn of the head that the
true video has, too.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
from jaxtyping import Float

from xactor_jax.metric_networks.alignment import arcface_crop
from xactor_jax.metric_networks.arcface import ArcFace, cosines, make_network
from xactor_jax.scoring.aligned_faces import outputs_of_faces
from xactor_jax.scoring.batches import Apply
from xactor_jax.scoring.curves import mean
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case, Video
from xactor_jax.variables import applied

Embeddings = Float[np.ndarray, "t d"]


def measure(case: Case, network: Network | None) -> Measured:
    """Both similarities of every frame; without a true video only the first."""
    known = case.truth or case.generated
    found = {video: embeddings(video, network) for video in {case.generated, known}}
    curves = {"csim": with_reference(found[case.generated], found[known])}
    if case.truth:
        curves["csim_frame"] = cosines(found[case.generated], found[known])
        curves["csim_frame"][:1] = np.nan
    return Measured(values={name: mean(curve) for name, curve in curves.items()}, curves=curves)


def embeddings(video: Video, network: Network) -> Embeddings:
    """e of each frame; `nan` in frames without a face."""
    arcface = make_network(network.config.network)
    return outputs_of_faces(_embed(arcface), network, video, arcface_crop, arcface.settings.features)


def with_reference(generated: Embeddings, known: Embeddings) -> Float[np.ndarray, "t"]:
    """Equation 1, `nan` up to the frame of the reference."""
    seen = np.isfinite(known).all(axis=1)
    first = int(np.argmax(seen))
    similar = cosines(generated, np.broadcast_to(known[first], generated.shape))
    return np.where(np.arange(len(similar)) > first, similar, np.nan)


@functools.cache
def _embed(arcface: ArcFace) -> Apply:
    """One compiled program for all videos."""
    return jax.jit(lambda params, faces: applied(arcface, params, faces / 127.5 - 1.0))


PROTOCOL = Protocol(
    name="csim",
    source="Deng et al. 2019 (arXiv 1801.07698); github.com/deepinsight/insightface, arcface_torch (r50 or r100)",
    definition=(
        "Cosine of ArcFace's embeddings of each frame and of the first true frame (without truth: the first of its own). "
        "Mean over all frames but the first; frames without a face are left out. Faces are aligned to 112 × 112 pixels by five "
        "points of Face Mesh, as insightface does by those of its own detector."
    ),
    numbers=(
        Number(name="csim", title="CSIM", better="higher"),
        Number(name="csim_frame", title="CSIM, same moment", better="higher"),
    ),
    measure=measure,
    kind="arcface",
    limits=(
        "The numbers of two ArcFace networks differ: compare only those of the same weights. A still picture of the reference "
        "has the highest CSIM of all. Expressions and turns of the head lower it in true video, too: compare with its row. The "
        "true video must show the person of the reference."
    ),
)
