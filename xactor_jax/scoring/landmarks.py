"""Landmarks of the face in every frame of a video. Measures of lips, lids, head and identity begin with them.

A face is detected in the first frame, and wherever it was lost; from there on the mesh looks where its last points were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32

from xactor_jax.faces.components import SEEN
from xactor_jax.faces.detector import BlazeFaceDetector
from xactor_jax.faces.landmarks import landmarks, landmarks_at
from xactor_jax.faces.mesh import POINTS
from xactor_jax.faces.region import Region, around_points
from xactor_jax.scoring.video import Frame, Video, once_per_video

Points = Float32[np.ndarray, "468 3"]


@once_per_video
def landmarks_of(video: Video) -> Float32[np.ndarray, "t 468 3"]:
    """Landmarks (x, y, depth) in pixels of the most prominent face; `nan` in frames without a face."""
    missing = np.full((POINTS, 3), np.nan, np.float32)
    return np.stack([missing if points is None else points for points in followed(video.read())])


def followed(frames: Iterable[Frame]) -> Iterator[Points | None]:
    """Landmarks of each frame, as it is read."""
    detector, points = BlazeFaceDetector(), None
    for frame in frames:
        points = again(frame, around_points(points)) if points is not None else None
        points = points if points is not None else detected(frame, detector)
        yield points


def again(frame: Frame, region: Region) -> Points | None:
    """Landmarks in a region; None if there is no face."""
    points, presence = landmarks_at(frame, region, rounds=1)
    return points if presence > SEEN else None


def detected(frame: Frame, detector: BlazeFaceDetector) -> Points | None:
    """Landmarks of the first face that the detector finds; None if there is no face."""
    faces = detector.detect(frame)
    return landmarks(frame, faces[0])[0] if faces else None
