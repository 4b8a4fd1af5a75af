"""Detectors: the table of boxes, the bundled cascades on drawn and real faces, names on the command line."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.faces.choice import make_detector
from xactor_jax.media.faces import CsvDetector, FaceBox, HaarDetector, YuNetDetector, by_prominence, overlap
from xactor_jax.media.image_io import read_image


def drawn_face(size: int = 240, canvas: int = 400, x: int = 80, y: int = 60) -> np.ndarray:
    """A shaded oval with eyes, brows, nose and mouth, soft enough for a cascade."""
    image = np.full((canvas, canvas, 3), 90, np.uint8)
    at = lambda u, v: (round(x + u * size), round(y + v * size))
    scale = lambda u: max(1, round(u * size))
    cv2.ellipse(image, at(0.5, 0.5), (scale(0.42), scale(0.58)), 0, 0, 360, (225, 185, 160), -1)
    for side in (0.3, 0.7):
        cv2.ellipse(image, at(side, 0.4), (scale(0.14), scale(0.09)), 0, 0, 360, (170, 125, 105), -1)
        cv2.ellipse(image, at(side, 0.41), (scale(0.09), scale(0.045)), 0, 0, 360, (240, 240, 240), -1)
        cv2.circle(image, at(side, 0.41), scale(0.045), (50, 30, 20), -1)
        cv2.ellipse(image, at(side, 0.29), (scale(0.12), scale(0.025)), 0, 0, 360, (60, 40, 30), -1)
    cv2.ellipse(image, at(0.5, 0.62), (scale(0.08), scale(0.03)), 0, 0, 360, (190, 140, 120), -1)
    cv2.ellipse(image, at(0.5, 0.8), (scale(0.17), scale(0.05)), 0, 0, 360, (150, 60, 60), -1)
    return cv2.GaussianBlur(image, (0, 0), size / 80)


@pytest.mark.parametrize("canvas, size, x, y", [(400, 240, 80, 60), (1600, 800, 300, 420)])
def test_haar_finds_a_drawn_face_where_it_is(canvas, size, x, y):
    faces = HaarDetector().detect(drawn_face(size, canvas, x, y))
    assert len(faces) == 1
    true = FaceBox(x, y, x + size, y + size)
    assert overlap(faces[0], true) > 0.8 and 0.75 < faces[0].size / size < 1.25


def test_haar_finds_nothing_in_noise(rng):
    assert HaarDetector().detect(rng.integers(0, 256, (300, 300, 3), np.uint8)) == []


def test_haar_finds_two():
    image = np.concatenate([drawn_face(), drawn_face(200)], axis=1)
    assert len(HaarDetector().detect(image)) == 2


def test_prominence_drops_boxes_over_one_another():
    a, b, c = FaceBox(0, 0, 10, 10, 2.0), FaceBox(1, 1, 9, 9, 3.0), FaceBox(20, 0, 40, 20, 1.0)
    assert by_prominence([b, a, c]) == [c, a]


def test_csv_by_frame_and_by_time(tmp_path):
    (tmp_path / "f.csv").write_text("file,frame,x0,y0,x1,y1\na/b.mp4,3,1,2,5,6\na/b.mp4,4,1,2,7,8\na/b.mp4,4,10,2,11,3\n")
    detector = make_detector(f"csv:{tmp_path / 'f.csv'}")
    assert detector.boxes_at("a/b.mp4", 3, 99.0) == [FaceBox(1, 2, 5, 6)]
    assert detector.boxes_at("a/b.mp4", 4, 0.0) == [FaceBox(1, 2, 7, 8), FaceBox(10, 2, 11, 3)]
    assert detector.boxes_at("a/b.mp4", 5, 0.0) == [] == detector.boxes_at("b.mp4", 3, 0.0)
    (tmp_path / "t.csv").write_text("file,time,x0,y0,x1,y1,score\nb.mp4,0.5,1,2,5,6,0.7\nb.mp4,1.0,1,2,7,8,0.9\n")
    detector = CsvDetector(tmp_path / "t.csv")
    assert detector.boxes_at("b.mp4", 0, 0.65) == [FaceBox(1, 2, 5, 6, 0.7)]
    assert detector.boxes_at("b.mp4", 0, 0.85) == [FaceBox(1, 2, 7, 8, 0.9)]
    assert detector.boxes_at("b.mp4", 0, 1.3) == []


def test_errors(tmp_path):
    with pytest.raises(UserError, match="no face detector"):
        make_detector("magic")
    with pytest.raises(UserError, match="there is no YuNet model"):
        make_detector(f"yunet:{tmp_path / 'none.onnx'}")
    (tmp_path / "bad.onnx").write_text("nothing")
    with pytest.raises(UserError, match="not a YuNet model"):
        YuNetDetector(tmp_path / "bad.onnx")
    (tmp_path / "bad.csv").write_text("file,x0\na,1\n")
    with pytest.raises(UserError, match="must have the columns"):
        CsvDetector(tmp_path / "bad.csv")
    for row in ("a,0,one,2,3,4", "a,0,nan,2,3,4", "a,0,1,2,1e999,4", "a,inf,1,2,3,4"):
        (tmp_path / "text.csv").write_text(f"file,frame,x0,y0,x1,y1\n{row}\n")
        with pytest.raises(UserError, match="no number"):
            CsvDetector(tmp_path / "text.csv")


def test_haar_on_real_portraits(real_data):
    counts = {file.name: len(HaarDetector().detect(read_image(file))) for file in sorted((real_data / "images").iterdir())}
    assert counts.pop("multi_01_p071.jpg") == 4 and counts.pop("neg_01_p076.jpg") == 0
    assert set(counts.values()) == {1}
