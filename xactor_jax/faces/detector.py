"""BlazeFace as a `FaceDetector`. It finds small and tilted faces; its boxes are converted to those of OpenCV's cascades.

r, l and m are a face's eyes and mouth, w the width of BlazeFace's box, from brows to chin. The cascade's box then has

    middle = e + `CASCADE_RAISED` (m - e),  e = (r + l) / 2
    side   = `CASCADE_SIDE` w

The two constants were fitted to 263 frames of 69 videos and to 43 photographs and paintings in which both detectors find the
face, the cascade with a score above 14 (frames only give .240 and 1.12, the others only .235 and 1.08). The standard deviation
of the centre's error is .012 across and .020 down in frames, .015 and .013 in the others (in units of the cascade's side); that
of the side is 8 and 6 %; the intersection over union is .87 and .89. On 91 pictures of rendered heads, which were not used in
the fit: .017, .016, 8 %, and 3 % larger. For comparison, the cascade's own box moves by .018 with the resolution of one and the
same video (data/heads/framing.py).

Of 42 portraits, all of which the cascade finds upright, BlazeFace finds all, upright or rotated (by 15, 25 and 30 degrees
either way, by 45 and 60 anticlockwise), 40 rotated by 90, and 41 where the face is 5 % as wide as the picture. The cascade
finds 34 to 36 rotated by 15 degrees, 7 to 12 by 25, 1 by 30, and none of the small ones. On one core it
takes 9 ms for a picture of 512 pixels, the cascade 46; where no face is found, 56 and 85.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.faces.detection import Found, find, joined, merged
from xactor_jax.faces.landmarks import landmarks_at
from xactor_jax.faces.region import CASCADE_RAISED, CASCADE_SIDE, around_box, tilt
from xactor_jax.media.faces import FaceBox, by_prominence, shrunk


def cascade_boxes(found: Found) -> list[FaceBox]:
    """Boxes as OpenCV's cascades draw them; see the module docstring."""
    eyes, mouth = found.points[:, :2].mean(axis=1), found.points[:, 3]
    middle = eyes + CASCADE_RAISED * (mouth - eyes)
    half = CASCADE_SIDE / 2 * (found.boxes[:, 2:3] - found.boxes[:, :1])
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    return [FaceBox(*box, score) for box, score in zip(boxes.tolist(), found.scores.tolist(), strict=True)]


def turned(image: UInt8[np.ndarray, "h w 3"], angle: float) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2 3"]]:
    """The image rotated about its centre, clockwise by an angle in degrees, and the affine map back to the image."""
    height, width = image.shape[:2]
    there = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1.0)
    return cv2.warpAffine(image, there, (width, height)), cv2.invertAffineTransform(there)


def turned_back(found: Found, way: Float[np.ndarray, "2 3"]) -> Found:
    """Detections in a rotated image, mapped back. Boxes stay upright and keep their size."""
    back = lambda points: points @ way[:, :2].T + way[:, 2]
    half = (found.boxes[:, 2:] - found.boxes[:, :2]) / 2
    middle = back(found.boxes[:, :2] + half)
    return Found(found.scores, np.concatenate([middle - half, middle + half], axis=1), back(found.points))


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlazeFaceDetector:
    """Detects at two sizes; where no face is found, at a larger one, and then in the rotated image."""

    sides: tuple[int, ...] = (128, 256)
    finer: tuple[int, ...] = (512,)
    longest: int = 1024  # pixels; larger images are reduced to this side before they are rotated
    tilts: tuple[float, ...] = (-30.0, 30.0)  # degrees
    threshold: float = 0.7
    presence: float = 0.5  # least presence of a face according to Face Mesh

    def detect(self, image: UInt8[np.ndarray, "h w 3"]) -> list[FaceBox]:
        """See `FaceDetector`."""
        found = self.find(image)
        return by_prominence(cascade_boxes(found))

    def find(self, image: UInt8[np.ndarray, "h w 3"]) -> Found:
        """Detections with BlazeFace's own boxes."""
        for sides in (self.sides, self.finer):
            found = self._checked(image, find(image, sides, self.threshold))
            if len(found.scores):
                return found
        small, factor = shrunk(image, self.longest)
        looks = []
        for angle in self.tilts:
            other, way = turned(small, angle)
            looks.append(turned_back(find(other, self.sides, self.threshold), way))
        found = merged(joined(looks))
        return self._checked(image, Found(found.scores, found.boxes * factor, found.points * factor))

    def _checked(self, image: UInt8[np.ndarray, "h w 3"], found: Found) -> Found:
        """The detections that Face Mesh confirms."""
        regions = (around_box(box, tilt(*points[:2])) for box, points in zip(found.boxes, found.points, strict=True))
        seen = [landmarks_at(image, region, rounds=1)[1] > self.presence for region in regions]
        return Found(*(part[np.array(seen, bool)] for part in found))
