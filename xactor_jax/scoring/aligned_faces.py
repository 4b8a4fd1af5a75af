"""A network of faces, applied to the face in every frame of a video."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.scoring.batches import Apply, apply_in_batches
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.protocol import Network
from xactor_jax.scoring.sets import rows
from xactor_jax.scoring.video import Video

BATCH = 16
"""Faces in a batch on each device."""

Crop = Callable[[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "468 3"]], UInt8[np.ndarray, "side side 3"]]
"""(frame, landmarks) → the face as the network reads it."""


def outputs_of_faces(apply: Apply, network: Network, video: Video, crop: Crop, width: int) -> Float[np.ndarray, "t {width}"]:
    """What the network says of each frame, a vector of length `width`; `nan` in frames without a face."""
    points = landmarks_of(video)
    seen = np.isfinite(points[:, 0, 0])
    faces = (crop(frame, mesh) for frame, mesh, sees in zip(video.read(), points, seen, strict=True) if sees)
    outputs = np.full((len(points), width), np.nan, np.float32)
    outputs[seen] = rows(apply_in_batches(apply, network.params, faces, BATCH), width)
    return outputs
