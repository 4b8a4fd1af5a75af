"""Two measures of THEval (Quignon et al., arXiv 2511.04520; code Newbyl/THEval, folder Synchronization) that need no weights.

With speech frames S, openness o_t (the mean height of eight lower points of the inner lips minus that of eight upper points,
over the horizontal distance of the middles of the eyes), loudness a_t (50 ms RMS every 50 ms), and x̂ = (x − min) / (max − min)
over S:

(1)  lip sync            mean_S |ô_t − â_t|;  no value if less than a tenth of the frames are speech
(2)  silent lip stability  median |q_t − mean q| over silent frames, in silences of at least 0.3 s, with
     q_t = mean over the eight pairs of points |height difference| / distance of the eyes' outer corners

Departures: silence is found by loudness (loudness.py), not by Silero VAD; the sound has 16 kHz. THEval reports .2528 and .0263
of its own true videos; six true clips of ours give .15 to .19 and .003 to .039.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import label

from xactor_jax.scoring.face_motion import EYES, Landmarks
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.loudness import GAP, WINDOW, loudness, speaks
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case

UPPER = (191, 80, 81, 82, 13, 312, 311, 310)
LOWER = (95, 88, 178, 87, 14, 317, 402, 318)
RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)

LEAST_SPEECH = 0.1
FEWEST = 2
"""Frames."""

SMALLEST = 1e-8
"""Added to the range of x̂."""


def openness(points: Landmarks) -> Float[np.ndarray, "t"]:
    """o of equation 1."""
    height = lambda part: points[:, list(part), 1].mean(axis=1)
    across = lambda part: points[:, list(part), 0].mean(axis=1)
    return np.abs(height(LOWER) - height(UPPER)) / np.abs(across(LEFT_EYE) - across(RIGHT_EYE))


def silent_openness(points: Landmarks) -> Float[np.ndarray, "t"]:
    """q of equation 2."""
    heights = np.abs(points[:, list(LOWER), 1] - points[:, list(UPPER), 1]).mean(axis=1)
    right, left = (points[:, eye, :2] for eye in EYES)
    return heights / np.linalg.norm(right - left, axis=1)


def lip_sync(open_: Float[np.ndarray, "t"], loud: Float[np.ndarray, "t"], speech: Bool[np.ndarray, "t"]) -> float:
    """Mean difference of openness and loudness, each scaled to 0 to 1 over speech; nan: too little speech (equation 1)."""
    chosen = speech & np.isfinite(open_)
    if speech.mean() < LEAST_SPEECH or chosen.sum() < FEWEST:
        return float("nan")
    scaled = lambda x: (x - x.min()) / (np.ptp(x) + SMALLEST)
    return float(np.abs(scaled(open_[chosen]) - scaled(loud[chosen])).mean())


def silences(speech: Bool[np.ndarray, "t"]) -> Bool[np.ndarray, "t"]:
    """Frames of silences of at least `GAP` frames."""
    runs, _ = label(~speech)
    return (np.bincount(runs.ravel())[runs] >= GAP) & (runs > 0)


def silent_lip_stability(open_: Float[np.ndarray, "t"], silent: Bool[np.ndarray, "t"]) -> float:
    """Median absolute deviation of openness in silences; nan: too few silent frames (equation 2)."""
    values = open_[silent & np.isfinite(open_)]
    return float(np.median(np.abs(values - values.mean()))) if len(values) >= FEWEST else float("nan")


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    points = landmarks_of(case.generated)
    speech = speaks(case.generated.waveform, len(points))
    loud = loudness(case.generated.waveform, len(points), hop=WINDOW)
    sync = lip_sync(openness(points), loud, speech)
    return Measured(
        values={"lip_sync": sync, "silent_lip_stability": silent_lip_stability(silent_openness(points), silences(speech))}
    )


PROTOCOL = Protocol(
    name="theval",
    source="Quignon et al., THEval, arXiv 2511.04520; code Newbyl/THEval",
    definition="Lip sync: mean absolute difference of mouth openness and 50 ms RMS, each scaled to 0..1 over the frames with "
    "speech. Silent lip stability: median absolute deviation of mouth openness from its mean in silences of at least 0.3 s. "
    "Speech is what is at most 25 dB quieter than the 95th percentile, where THEval uses Silero VAD.",
    numbers=(
        Number(name="lip_sync", title="THEval lip sync", better="truth", digits=4),
        Number(name="silent_lip_stability", title="THEval silent lip stability", better="truth", digits=4),
    ),
    measure=measure,
    needs_sound=True,
    limits="Lip sync is scaled by the loudest and the widest frame, so it does not depend only on timing. THEval "
    "scores both by their distance from true videos: .2528 and .0263 on its own set.",
)
