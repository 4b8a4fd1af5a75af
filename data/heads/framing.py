"""The square that the picture of a clip shows: what `prepare` would cut out of a wider one.

`prepare` cuts a square of `enlarge` times the side of the detector's box, `raise_by` above it (xactor_jax/media/crop.py). Here

    middle of the box = e + `TOWARDS_NOSE` (n - e)                                                        (1)
    side of the box   = `EYES_TO_MOUTH` |m - e| + `BETWEEN_EYES` |l - r|                                  (2)

predict it from points of the face in the picture: eyes l and r, their middle e, nose n, mouth m. The clip's is the median over
its frames. Over 480 pictures of 120 people (1) is .007 and .011 of the square's side off (standard deviation), (2) .07: hair,
beards and light mislead the detector. So data/heads/render.py `find_frame` corrects both by what it finds in some frames. Of
120 clips, `prepare`'s own square then had no edge more than .02 off in 83 %, .03 in 97 %; half were within .012 (docs/heads.md
has later ones, by the size of the video). The detector's
box by itself changes by .018 of its side (standard deviation) with the resolution of one and the same video.
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
"""Of equations 1 and 2."""

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Lowest and highest x (of either sign), y and z, decimetres on the mesh."""

EYES_WITH_BROWS: Box = ((0.0, 0.60), (7.10, 7.62), (1.0, 2.0))
MOUTH_WITH_CHIN: Box = ((0.0, 0.36), (6.05, 6.80), (1.1, 2.0))
NOSE: Box = ((0.0, 0.1), (6.8, 7.0), (1.5, 2.0))

USUAL_SIDE = 2.45
"""Of a framed square, decimetres; where the search for it begins."""

MEDIAN_OF = 28
"""Most frames of a clip whose median box is framed."""

Controls, Units = Float[np.ndarray, "t 14"], Float[np.ndarray, "t 52"]


@functools.cache
def within(box: Box) -> Int[np.ndarray, "k"]:
    """Vertices of the skin that lie, on the mesh at rest, in a box on either side."""
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
    """Middles of the person's right eye, left eye, mouth and tip of the nose."""
    return np.stack([vertices[group].mean(0) for group in _face()]).astype(np.float32)


def middle_of_eyes(shape: Shape) -> Float32[np.ndarray, "3"]:
    """The point between the eyes of a face at rest."""
    return face_points(shape.vertices)[:2].mean(0)


def face_boxes(points: Float[np.ndarray, "t 4 2"]) -> tuple[Float[np.ndarray, "t 2"], Float[np.ndarray, "t"]]:
    """Equations 1 and 2: middles and sides, from `face_points` in the picture."""
    right, left, mouth, nose = (points[:, i] for i in range(4))
    eyes = (right + left) / 2
    length = lambda way: np.linalg.norm(way, axis=-1)
    return eyes + TOWARDS_NOSE * (nose - eyes), EYES_TO_MOUTH * length(mouth - eyes) + BETWEEN_EYES * length(left - right)


def frame_boxes(middles: Float[np.ndarray, "t 2"], sides: Float[np.ndarray, "t"], before: Framing) -> Framing:
    """The square that `prepare` cuts about the median of boxes, which are in fractions of the square `before`."""
    crop = CropSettings()
    side = crop.enlarge * float(np.median(sides))
    x, y = np.median(middles, axis=0).tolist()
    middle = before.middle[0] + (x - 0.5) * before.side, before.middle[1] - (y - crop.raise_by * side - 0.5) * before.side
    return Framing(middle=middle, side=side * before.side, plane=before.plane)


def moved(of: Callable[[np.ndarray], np.ndarray], shape: Shape, units: Units) -> Float32[np.ndarray, "t n 3"]:
    """Points of a head with the expressions of a clip, before it is turned: `of` takes them from a frame's vertices."""
    return np.stack([of(express(shape, weights)) for weights in units])


def in_picture(
    points: Float[np.ndarray, "t n 3"], shape: Shape, lens: Lens, framing: Framing, controls: Controls
) -> Float32[np.ndarray, "t n 2"]:
    """Where points of the head (`moved`) fall, as fractions of the picture."""
    eyes, whole = middle_of_eyes(shape), np.ones(points.shape[1], np.float32)
    poses = [Pose.from_controls(row, eyes, framing.side) for row in np.asarray(controls, np.float64)]
    return np.stack([project(pose.apply(p, whole), lens, framing)[:, :2] for pose, p in zip(poses, points, strict=True)])


def some_of(frames: int, count: int) -> Int[np.ndarray, "n"]:
    """At most `count` frames, evenly over the clip from its first to its last."""
    return np.unique(np.linspace(0, frames - 1, count).round().astype(int))


def frame_clip(shape: Shape, lens: Lens, controls: Controls, units: Units) -> Framing:
    """The predicted square, from some of the frames. Shifts are fractions of its side, so it is found in two rounds."""
    return predict(shape, lens, controls, units)[0]


def predict(shape: Shape, lens: Lens, controls: Controls, units: Units) -> tuple[Framing, np.ndarray, np.ndarray, np.ndarray]:
    """(`frame_clip`, the frames it is found from, middles and sides of their boxes as fractions of the square)."""
    frames = some_of(len(controls), MEDIAN_OF)
    eyes, points = middle_of_eyes(shape), moved(face_points, shape, units[frames])
    framing = Framing(middle=(float(eyes[0]), float(eyes[1])), side=USUAL_SIDE, plane=float(eyes[2]))
    boxes = lambda: face_boxes(in_picture(points, shape, lens, framing, controls[frames]))
    for _ in range(2):
        framing = frame_boxes(*boxes(), framing)
    return framing, frames, *boxes()
