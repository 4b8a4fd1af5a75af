"""Face detectors behind one small interface.

A box is (x0, y0, x1, y1) in pixels, from mid-forehead to chin as OpenCV's frontal-face cascades draw it. Boxes of other
detectors are tighter or looser, and so are the crops around them (`crop`).
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from etils import epath
from jaxtyping import UInt8

from xactor_jax.errors import UserError
from xactor_jax.media.containers import require_file
from xactor_jax.media.tables import plain, read_table

OVERLAP = 0.4
"""Two boxes are one face from this overlap on: intersection over the area of the smaller box."""


class FaceBox(NamedTuple):
    """A face in pixels. A higher `score` is more confident; only scores of one detector can be compared."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float = 1.0

    @property
    def size(self) -> float:
        """The longer side, pixels."""
        return float(max(self.x1 - self.x0, self.y1 - self.y0))

    @property
    def area(self) -> float:
        return float((self.x1 - self.x0) * (self.y1 - self.y0))

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle (x, y), pixels."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


@runtime_checkable
class FaceDetector(Protocol):
    """Interface of a face detector."""

    def detect(self, image: UInt8[np.ndarray, "h w 3"]) -> list[FaceBox]:
        """Faces of an RGB image, the most confident and largest (score × area) first."""
        ...


def by_prominence(faces: Sequence[FaceBox]) -> list[FaceBox]:
    """Boxes sorted by score × area. Of boxes that overlap, only the first is kept."""
    kept: list[FaceBox] = []
    for face in sorted(faces, key=lambda f: f.score * f.area, reverse=True):
        if all(overlap(face, other) < OVERLAP for other in kept):
            kept.append(face)
    return kept


def overlap(a: FaceBox, b: FaceBox) -> float:
    """Area of the intersection, as a fraction of the smaller box."""
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(0.0, float(width)) * max(0.0, float(height)) / max(min(a.area, b.area), 1e-9)


def shrunk(image: UInt8[np.ndarray, "h w 3"], longest: int) -> tuple[np.ndarray, float]:
    """The image, reduced to at most `longest` pixels a side, and the factor that scales coordinates back."""
    factor = max(image.shape[:2]) / longest
    if factor <= 1:
        return image, 1.0
    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), factor


@dataclasses.dataclass(frozen=True, kw_only=True)
class HaarDetector:
    """OpenCV's bundled cascades: `alt2`, and where it finds nothing `alt` with twice the required agreement.

    Finds upright faces up to half profile. The score is the number of agreeing windows: above 14 for 95 % of true faces, mostly
    4 to 7 for false ones found beside them. A second face must therefore have a higher score than an only one.
    """

    longest: int = 480  # pixels; larger images are reduced to this side
    smallest: float = 0.08  # side of the smallest face, as a fraction of the longer side of the image
    neighbours: int = 3  # number of windows that must agree
    beside: float = 10.0  # least score of a face beside the first one

    def detect(self, image: UInt8[np.ndarray, "h w 3"]) -> list[FaceBox]:
        """See `FaceDetector`."""
        small, factor = shrunk(image, self.longest)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        found = self._find(grey, factor, "alt2", self.neighbours)
        faces = by_prominence(found or self._find(grey, factor, "alt", 2 * self.neighbours))
        return faces[:1] + [face for face in faces[1:] if face.score >= self.beside]

    def _find(self, grey: UInt8[np.ndarray, "h w"], factor: float, name: str, neighbours: int) -> list[FaceBox]:
        smallest = max(20, round(self.smallest * max(grey.shape)))
        boxes, counts = _cascade(name).detectMultiScale2(
            grey, scaleFactor=1.1, minNeighbors=neighbours, minSize=(smallest, smallest)
        )
        return [_scaled(box, factor, float(count)) for box, count in zip(boxes, counts, strict=True)]


def _scaled(box: np.ndarray, factor: float, score: float) -> FaceBox:
    """A box from a detector's row (x, y, width, height, …) in the reduced image."""
    x, y, width, height = (float(v) * factor for v in box[:4])
    return FaceBox(x, y, x + width, y + height, score)


@functools.lru_cache(maxsize=4)
def _cascade(name: str) -> cv2.CascadeClassifier:
    folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
    file = os.path.join(folder, f"haarcascade_frontalface_{name}.xml")
    if not os.path.exists(file):
        raise UserError("this OpenCV has no bundled face cascades: install opencv-python-headless<5, or use yunet:FILE.")
    return cv2.CascadeClassifier(file)


class YuNetDetector:
    """OpenCV's YuNet, from the model file that OpenCV Zoo publishes (face_detection_yunet_*.onnx).

    Its boxes are narrower than the cascades' and reach from hairline to chin. It finds profiles, too.

    Raises:
        UserError: the file is missing or is no YuNet model.
    """

    def __init__(self, model_path: epath.PathLike, *, longest: int = 640, threshold: float = 0.7):
        path = require_file(model_path, "YuNet model")
        self.longest = longest
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (longest, longest), threshold)
        except cv2.error as error:
            raise UserError(f"{path} is not a YuNet model: download face_detection_yunet_2023mar.onnx.") from error

    def detect(self, image: UInt8[np.ndarray, "h w 3"]) -> list[FaceBox]:
        small, factor = shrunk(image, self.longest)
        self._network.setInputSize((small.shape[1], small.shape[0]))
        rows = self._network.detect(np.ascontiguousarray(small[..., ::-1]))[1]
        return by_prominence([_scaled(row, factor, float(row[-1])) for row in (rows if rows is not None else ())])


class CsvDetector:
    """Boxes from a csv with the columns file, frame or time, x0, y0, x1, y1 and optionally score.

    `file` is the path inside the folder of videos (with /), `frame` is the index as stored, from 0, `time` is in seconds. The
    nearest time within 0.2 s is used, or exactly the frame. `detect` is for a csv of one image, and gives all its boxes.

    Raises:
        UserError: the file is missing, lacks a column or has a value that is no number.
    """

    WITHIN = 0.2

    def __init__(self, path: epath.PathLike):
        rows = read_table(path, "csv of face boxes", ("file", "x0", "y0", "x1", "y1"))
        columns = rows[0].cells.keys()
        if not columns & {"frame", "time"}:
            raise UserError(f"{path} must have a column frame or time: add one.")
        self._by_frame = "frame" in columns
        self._rows: dict[str, list[tuple[float, FaceBox]]] = {}
        for number, cells in rows:
            try:
                self._rows.setdefault(plain(cells["file"]), []).append(self._parse(cells))
            except ValueError as error:
                raise UserError(f"{path}, row {number}, holds a value that is no number ({error}): correct it.") from error

    def _parse(self, row: dict[str, str]) -> tuple[float, FaceBox]:
        box = FaceBox(*(float(row[name]) for name in ("x0", "y0", "x1", "y1")), float(row.get("score") or 1.0))
        at = float(row["frame"] if self._by_frame else row["time"])
        if not np.isfinite([at, *box]).all():
            raise ValueError("nan or inf")
        return at, box

    def boxes_at(self, file: str, frame: int, time: float) -> list[FaceBox]:
        """Boxes of one frame of one file; none where the csv has no row for it."""
        rows = self._rows.get(plain(file), [])
        key, within = (float(frame), 0.5) if self._by_frame else (time, self.WITHIN)
        nearest = min((abs(at - key) for at, _ in rows), default=np.inf)
        return by_prominence([box for at, box in rows if abs(at - key) == nearest]) if nearest <= within else []

    def detect(self, image: UInt8[np.ndarray, "h w 3"]) -> list[FaceBox]:
        return by_prominence([box for rows in self._rows.values() for _, box in rows])
