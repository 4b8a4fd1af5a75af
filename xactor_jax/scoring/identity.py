"""Whether the face stays the same person: dlib's descriptor of every frame, compared with that of the reference.

With f_t the descriptor of frame t (faces/identity.py) and r that of the reference, which is the first frame with a face of the
true video, or of the generated one if there is no true one:

(1)  cosine    mean_t f_t · r / ‖f_t‖ ‖r‖
(2)  distance  mean_t ‖f_t − r‖, the network's own measure
(3)  same      share of frames with ‖f_t − r‖ < .6, the author's limit for one person

The network comes with the project. Published identity scores (CSIM) are of ArcFace and have other values.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.faces.identity import NUMBERS, SAME_PERSON, chip, describe
from xactor_jax.faces.weights import load
from xactor_jax.scoring.batches import apply_in_batches, joined
from xactor_jax.scoring.curves import mean
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case, Video, once_per_video

BATCH = 8
"""Faces on every device."""


@once_per_video
def descriptors_of(video: Video) -> Float[np.ndarray, "t 128"]:
    """Descriptors of the face in every frame; `nan` in frames without one."""
    seen = np.isfinite(landmarks_of(video)).all(axis=(1, 2))
    found = np.full((len(seen), NUMBERS), np.nan)
    if seen.any():
        found[seen] = joined(apply_in_batches(describe, load("identity"), faces(video), BATCH))
    return found


def faces(video: Video) -> Iterator[UInt8[np.ndarray, "150 150 3"]]:
    """The face of each frame that has one."""
    for frame, points in zip(video, landmarks_of(video), strict=True):
        if np.isfinite(points).all():
            yield chip(frame, points)


def compare(found: Float[np.ndarray, "t d"], reference: Float[np.ndarray, "d"]) -> dict[str, Float[np.ndarray, "t"]]:
    """Equations 1 to 3, for every frame."""
    distance = np.linalg.norm(found - reference, axis=1)
    return {
        "identity_cosine": found @ reference / np.linalg.norm(found, axis=1) / np.linalg.norm(reference),
        "identity_distance": distance,
        "identity_same": np.where(np.isfinite(distance), distance < SAME_PERSON, np.nan),
    }


def first(found: Float[np.ndarray, "t 128"]) -> Float[np.ndarray, "128"]:
    """The first descriptor that is there; `nan` if there is none."""
    seen = np.flatnonzero(np.isfinite(found[:, 0]))
    return found[seen[0]] if len(seen) else np.full(NUMBERS, np.nan)


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    curves = compare(descriptors_of(case.generated), first(descriptors_of(case.truth or case.generated)))
    return Measured(values={name: mean(curve) for name, curve in curves.items()}, curves=curves)


PROTOCOL = Protocol(
    name="identity",
    source="dlib_face_recognition_resnet_model_v1 (Davis King), from @vladmandic/face-api 1.7.15",
    definition="Descriptor of 128 numbers of every frame's face, cut out by five landmarks as in dlib (150 pixels, border .25) "
    "against that of the first frame of the true video, or of the video itself if there is no true one: mean cosine, mean "
    "Euclidean distance, and share of frames below dlib's limit of .6.",
    numbers=(
        Number(name="identity_cosine", title="Identity, cosine (dlib)", better="higher"),
        Number(name="identity_distance", title="Identity, distance (dlib)", better="lower"),
        Number(name="identity_same", title="Same person (dlib < .6)", better="higher"),
    ),
    measure=measure,
    limits="It also sees pose and light: in other clips of one person distances of true videos are .27 to .60 (5 and 95 %), of "
    "different people .65 to .97. Cosines are high, since descriptors share a mean: .92 to .98 and .78 to .90. Not comparable "
    "with CSIM of ArcFace.",
)
