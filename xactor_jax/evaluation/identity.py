"""Identity of a face in an image: Fisher's linear probe (`probes`, equation 3) on the pixels of the inner face.

Background, clothes and most of the hair are excluded, because it is easy to copy them from the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.clips import TrueClip
from xactor_jax.evaluation.probes import LinearClassifier, fit_fisher

INNER = (0.25, 0.85, 0.27, 0.73)
"""First and last row, first and last column, as fractions of the crop: brows to chin, cheek to cheek."""

GRID = (16, 12)
"""Rows and columns of the reduced inner face."""


def face_pixels(frames: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n d"]:
    """Colours of the inner face, in [0, 1]."""
    height, width = frames.shape[1:3]
    top, bottom = (round(height * part) for part in INNER[:2])
    left, right = (round(width * part) for part in INNER[2:])
    small = [cv2.resize(frame[top:bottom, left:right], GRID[::-1], interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).reshape(len(frames), -1).astype(np.float64) / 255


class IdentityProbe(NamedTuple):
    """The people, and a classifier that recognises them."""

    people: list[str]
    classifier: LinearClassifier

    def share(self, videos: UInt8[np.ndarray, "b t h w 3"], people: Sequence[str]) -> float:
        """Share of frames classified as the person given for their video."""
        numbers = np.repeat([self.people.index(person) for person in people], videos.shape[1])
        return self.classifier.accuracy(face_pixels(videos.reshape(-1, *videos.shape[2:])), numbers)


def fit_identity(clips: Sequence[TrueClip], step: int) -> IdentityProbe:
    """Fits a probe for all people of true clips on every `step`-th frame."""
    people = sorted({clip.person for clip in clips})
    thinned = [clip.frames[::step] for clip in clips]
    numbers = np.concatenate([np.full(len(f), people.index(c.person)) for f, c in zip(thinned, clips, strict=True)])
    pixels = np.concatenate([face_pixels(frames) for frames in thinned])
    return IdentityProbe(people, fit_fisher(pixels, numbers, len(people)))
