"""Whether the head's motion follows the rhythm of the speech: the Beat Align Score.

(1)  BAS = mean over onsets a of the sound of exp(−min_k (a − k)² / 2σ²),  σ = `SIGMA` frames, k the kinematic beats

as in Bailando (Siyao et al., CVPR 2022, arXiv 2203.13055; code lisiyao21/Bailando, utils/metrics_new.py), from which SadTalker
(arXiv 2211.12194) takes it for heads. Kinematic beats are the local minima of the angular speed of the head, filtered by a
Gaussian with standard deviation `SMOOTH` frames; onsets are librosa's.
"""

from __future__ import annotations

import librosa
import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelmin

from xactor_jax.scoring.curves import without_gaps
from xactor_jax.scoring.dynamics import speed
from xactor_jax.scoring.face_motion import head_pose
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case
from xactor_jax.timing import FRAME_RATE, SAMPLE_RATE

SIGMA = 3.0
SMOOTH = 5.0


def kinematic_beats(pose: Float[np.ndarray, "t 3"]) -> Int[np.ndarray, "k"]:
    """Frames in which the head slows down most."""
    return argrelmin(gaussian_filter1d(without_gaps(speed(pose)), SMOOTH))[0]


def onsets(waveform: Float[np.ndarray, "samples"]) -> Float[np.ndarray, "n"]:
    """Onsets of the sound, in frames of the video."""
    return FRAME_RATE * librosa.onset.onset_detect(y=waveform, sr=SAMPLE_RATE, units="time")


def beat_align(sounds: Float[np.ndarray, "n"], beats: Int[np.ndarray, "k"]) -> float:
    """Equation 1; `nan` without onsets or without beats."""
    if not len(sounds) or not len(beats):
        return float("nan")
    nearest = np.abs(sounds[:, None] - beats).min(axis=1)
    return float(np.exp(-np.square(nearest) / (2 * SIGMA**2)).mean())


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    beats = kinematic_beats(head_pose(landmarks_of(case.generated)))
    return Measured(values={"beat_align": beat_align(onsets(case.generated.waveform), beats)})


PROTOCOL = Protocol(
    name="beat_align",
    source="Siyao et al. 2022, arXiv 2203.13055 (code lisiyao21/Bailando); for heads: SadTalker, arXiv 2211.12194",
    definition=f"Mean over librosa's onsets of exp(−d²/2σ²), d the distance to the nearest local minimum of the head's angular "
    f"speed (filtered by a Gaussian of {SMOOTH:g} frames), σ = {SIGMA:g} frames at 25 frames a second.",
    numbers=(Number(name="beat_align", title="Beat align", better="higher"),),
    measure=measure,
    needs_sound=True,
    limits="Speech has 5 to 8 onsets a second and a head about one such minimum, so the score is near "
    "chance: six true clips have .15 to .23, and .17 to .26 if the sound is shifted. Higher does not prove a better head.",
)
