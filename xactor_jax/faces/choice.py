"""Face detectors by name: what `--detector` may be."""

from __future__ import annotations

from xactor_jax.errors import UserError
from xactor_jax.media.faces import CsvDetector, FaceDetector, HaarDetector, YuNetDetector

DETECTOR = "blazeface"
"""What finds faces where nothing else is asked for."""

DETECTORS = "blazeface, opencv (a cascade, for upright faces), yunet:MODEL.onnx or csv:BOXES.csv"
"""What `make_detector` knows, for people."""


def make_detector(text: str) -> FaceDetector:
    """The detector that `blazeface`, `opencv`, `yunet:FILE` or `csv:FILE` names; a `UserError` for anything else."""
    kind, _, file = text.partition(":")
    if kind == "opencv" and not file:
        return HaarDetector()
    if kind == "blazeface" and not file:
        from xactor_jax.faces.detector import BlazeFaceDetector  # imports JAX, which the names do not need

        return BlazeFaceDetector()
    if kind == "yunet" and file:
        return YuNetDetector(file)
    if kind == "csv" and file:
        return CsvDetector(file)
    raise UserError(f"there is no face detector {text!r}: use {DETECTORS}.")
