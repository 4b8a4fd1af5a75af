"""Landmark distance: how far the mouth's and the face's points are from the true ones.

(1)  LMD = mean_t mean_p ‖(g_tp − ḡ_t) − (y_tp − ȳ_t)‖,  ḡ_t, ȳ_t the means over the points of frame t

as in Chen et al. 2018 (arXiv 1803.10404, equation 11), with positions relative to the mean of the points as in the authors'
code (lelechen63/ATVGnet, evaluation_matrix.py), and pixels of a picture of 256 pixels' height. They use the 68 points of dlib;
we use the points of Face Mesh at the same places: 20 of the lips, and 68 of the whole face.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from xactor_jax.scoring.curves import mean
from xactor_jax.scoring.face_motion import Landmarks
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case, Video

HEIGHT = 256
"""Pixels of the picture in which distances are given."""

JAW = (127, 234, 93, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 323)
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (168, 197, 5, 4, 75, 97, 2, 326, 305)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
MOUTH = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
FACE = JAW + BROWS + NOSE + EYES + MOUTH


def distances(generated: Landmarks, true: Float[np.ndarray, "t 468 3"], part: tuple[int, ...]) -> Float[np.ndarray, "t"]:
    """Mean over the points of a part, for every frame (equation 1)."""
    around = lambda points: points[:, list(part), :2] - points[:, list(part), :2].mean(axis=1, keepdims=True)
    return np.linalg.norm(around(generated) - around(true), axis=-1).mean(axis=1)


def scaled(video: Video) -> Landmarks:
    """Landmarks in a picture `HEIGHT` pixels high."""
    return landmarks_of(video) * (HEIGHT / video.side[0])


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    generated, true = scaled(case.generated), scaled(case.truth)
    frames = min(len(generated), len(true))
    curves = {
        name: distances(generated[:frames], true[:frames], part) for name, part in (("lmd_mouth", MOUTH), ("lmd_face", FACE))
    }
    return Measured(values={name: mean(curve) for name, curve in curves.items()}, curves=curves)


PROTOCOL = Protocol(
    name="landmark_distance",
    source="Chen et al. 2018, arXiv 1803.10404; code lelechen63/ATVGnet",
    definition=f"Mean Euclidean distance of landmarks from the true ones, in pixels of pictures {HEIGHT} pixels high, after "
    "the mean of the compared points is subtracted; points of Face Mesh at the places of dlib's 20 (mouth) and 68 (face).",
    numbers=(
        Number(name="lmd_mouth", title="M-LMD, pixels", better="lower"),
        Number(name="lmd_face", title="F-LMD, pixels", better="lower"),
    ),
    measure=measure,
    needs_truth=True,
    limits="Not aligned by rotation or size, so head motion that differs from the truth counts as an error of the mouth too. "
    "Values depend on how much of the picture the face fills, and dlib's points give other values.",
)
