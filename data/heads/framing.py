"""The square that the pictures of a clip show: the one that `prepare` would cut out of a wider picture.

`prepare` cuts a square of `enlarge` times the side of the detector's box, `raise_by` above it (xactor_jax/media/crop.py). Here

    centre of the box = e + `TOWARDS_NOSE` (n - e)                                                        (1)
    side of the box   = `EYES_TO_MOUTH` |m - e| + `BETWEEN_EYES` |l - r|                                  (2)

predict this box from points of the face in the picture: eyes l and r, their centre e, nose n, mouth m. The box of a clip is the
median over its frames. Over 480 pictures of 120 people, the standard deviation of the error is .007 and .011 of the square's
side for (1) and .07 for (2), because hair, beards and light mislead the detector. So `find_frame` of data/heads/render.py
corrects both by detections in some frames. Of 120 clips, no edge of the square was then more than .02 from that of `prepare`'s
own square in 83 %, and .03 in 97 %; half were within .012 (docs/heads.md has later numbers, by the size of the video). The
detector's own box changes by .018 of its side (standard deviation) with the resolution of one and the same video.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32, Int

from data.heads.camera import Framing, Lens, Pose, project
from data.heads.mesh import PARTS, load_mesh
from data.heads.shape import Shape, express
from xactor_jax.media.crop import CropSettings

TOWARDS_NOSE = (0.413, 0.437)
EYES_TO_MOUTH, BETWEEN_EYES = 0.815, 1.963
"""Coefficients of equations 1 and 2, fitted to the detector."""

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""(Lowest, highest) |x|, y and z on the mesh, decimetres."""

EYES_WITH_BROWS: Box = ((0.0, 0.60), (7.10, 7.62), (1.0, 2.0))
MOUTH_WITH_CHIN: Box = ((0.0, 0.36), (6.05, 6.80), (1.1, 2.0))
NOSE: Box = ((0.0, 0.1), (6.8, 7.0), (1.5, 2.0))

USUAL_SIDE = 2.45
"""Typical side of the square, decimetres; the prediction starts from it."""

MEDIAN_OF = 28
"""Largest number of frames of a clip from which the median box is taken."""

Controls, Units = Float[np.ndarray, "t 14"], Float[np.ndarray, "t 52"]


@functools.cache
def within(box: Box) -> Int[np.ndarray, "k"]:
    """Vertices of the skin that lie in a box, on either side, on the mesh at rest."""
    mesh = load_mesh()
    skin = np.unique(mesh.faces[mesh.part == PARTS.index("skin")])
    x, y, z = np.abs(mesh.vertices[skin, 0]), mesh.vertices[skin, 1], mesh.vertices[skin, 2]
    inside = [(low <= value) & (value <= high) for value, (low, high) in zip((x, y, z), box, strict=True)]
    return skin[np.logical_and.reduce(inside)]


@functools.cache
def _face() -> tuple[Int[np.ndarray, "k"], ...]:
    mesh = load_mesh()
    eyes = (np.unique(mesh.faces[mesh.part == PARTS.index(name)]) for name in ("eye_right", "eye_left"))
    return (*eyes, np.unique(mesh.rings["mouth"][0]), within(NOSE))


def face_points(vertices: Float[np.ndarray, "v 3"]) -> Float32[np.ndarray, "4 3"]:
    """Centres of the person's right eye, left eye and mouth, and the tip of the nose."""
    return np.stack([vertices[group].mean(0) for group in _face()]).astype(np.float32)


def middle_of_eyes(shape: Shape) -> Float32[np.ndarray, "3"]:
    """The point between the eyes of a face at rest."""
    return face_points(shape.vertices)[:2].mean(0)


def face_boxes(points: Float[np.ndarray, "t 4 2"]) -> tuple[Float[np.ndarray, "t 2"], Float[np.ndarray, "t"]]:
    """Centres and sides of the face boxes (equations 1 and 2), from `face_points` in the picture."""
    right, left, mouth, nose = (points[:, i] for i in range(4))
    eyes = (right + left) / 2
    length = lambda way: np.linalg.norm(way, axis=-1)
    return eyes + TOWARDS_NOSE * (nose - eyes), EYES_TO_MOUTH * length(mouth - eyes) + BETWEEN_EYES * length(left - right)


def frame_boxes(middles: Float[np.ndarray, "t 2"], sides: Float[np.ndarray, "t"], before: Framing) -> Framing:
    """The square that `prepare` cuts around the median of boxes, which are in fractions of the square `before`."""
    crop = CropSettings()
    side = crop.enlarge * float(np.median(sides))
    x, y = np.median(middles, axis=0).tolist()
    middle = before.middle[0] + (x - 0.5) * before.side, before.middle[1] - (y - crop.raise_by * side - 0.5) * before.side
    return Framing(middle=middle, side=side * before.side, plane=before.plane)


def moved(of: Callable[[np.ndarray], np.ndarray], shape: Shape, units: Units) -> Float32[np.ndarray, "t n 3"]:
    """Points of a head with the expressions of a clip, not yet posed. `of` selects them from the vertices of a frame."""
    return np.stack([of(express(shape, weights)) for weights in units])


def in_picture(
    points: Float[np.ndarray, "t n 3"], shape: Shape, lens: Lens, framing: Framing, controls: Controls
) -> Float32[np.ndarray, "t n 2"]:
    """Positions in the picture of points of the head (`moved`), as fractions of the picture."""
    eyes, whole = middle_of_eyes(shape), np.ones(points.shape[1], np.float32)
    poses = [Pose.from_controls(row, eyes, framing.side) for row in np.asarray(controls, np.float64)]
    return np.stack([project(pose.apply(p, whole), lens, framing)[:, :2] for pose, p in zip(poses, points, strict=True)])


def some_of(frames: int, count: int) -> Int[np.ndarray, "n"]:
    """At most `count` frames, evenly spaced over the clip, from the first to the last."""
    return np.unique(np.linspace(0, frames - 1, count).round().astype(int))


def frame_clip(shape: Shape, lens: Lens, controls: Controls, units: Units) -> Framing:
    """The predicted square. Shifts of the head are fractions of its side, so it is found in two iterations."""
    return predict(shape, lens, controls, units)[0]


def predict(shape: Shape, lens: Lens, controls: Controls, units: Units) -> tuple[Framing, np.ndarray, np.ndarray, np.ndarray]:
    """(The predicted square, the frames it is predicted from, centres and sides of their boxes as fractions of the square)."""
    frames = some_of(len(controls), MEDIAN_OF)
    eyes, points = middle_of_eyes(shape), moved(face_points, shape, units[frames])
    framing = Framing(middle=(float(eyes[0]), float(eyes[1])), side=USUAL_SIDE, plane=float(eyes[2]))
    boxes = lambda: face_boxes(in_picture(points, shape, lens, framing, controls[frames]))
    for _ in range(2):
        framing = frame_boxes(*boxes(), framing)
    return framing, frames, *boxes()
