"""Whether generated motion follows voices never heard, and whether it is as lively as true motion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from xactor_jax.evaluation import metrics
from xactor_jax.evaluation.clips import ReadClip
from xactor_jax.evaluation.motion import column
from xactor_jax.evaluation.probes import RidgeProbe

Generate = Callable[[Float[np.ndarray, "b t a"], Float[np.ndarray, "b d"]], Float[np.ndarray, "b t d"]]
"""Audio features and reference motion to motion latents."""

Curves = Float[np.ndarray, "b t"]


class Motions(NamedTuple):
    """Motion latents of the same clips: the true ones, and generated from their own and from other people's speech."""

    true: Float[np.ndarray, "b t d"]
    own: Float[np.ndarray, "b t d"]
    other: Float[np.ndarray, "b t d"]


def other_speakers(people: Sequence[str]) -> list[int]:
    """For each clip another clip, of another person wherever there is one; every clip is taken once.

    Clips are in order of their people, so turning the list by the longest run of one person leaves no one with themselves
    unless one person has more than half of the clips.
    """
    n = len(people)
    overlaps = [sum(people[i] == people[(i + turn) % n] for i in range(n)) for turn in range(1, max(n, 2))]
    turn = 1 + int(np.argmin(overlaps))
    return [(i + turn) % n for i in range(n)]


def generate_motions(generate: Generate, clips: Sequence[ReadClip], audio: Float[np.ndarray, "b t a"]) -> Motions:
    """Rolls out each clip from its first frame's latent, with its own speech and with another person's."""
    true = np.stack([clip.latents for clip in clips])
    others = other_speakers([clip.person for clip in clips])
    return Motions(true, generate(audio, true[:, 0]), generate(audio[others], true[:, 0]))


def jaw_curves(probe: RidgeProbe, motion: Float[np.ndarray, "b t d"]) -> Curves:
    """The jaw as the probe reads it."""
    return np.stack([column(probe(one), "jaw") for one in motion])


def lag_curve(read: Curves, true: Curves) -> Float[np.ndarray, "lags"]:
    """Correlation at lags -10 … 10 frames, the mean over clips; positive where what is read comes late."""
    return np.mean([metrics.lag_correlations(a, b) for a, b in zip(read, true, strict=True)], axis=0)


def actor_scores(probe: RidgeProbe, clips: Sequence[ReadClip], motions: Motions) -> dict[str, Any]:
    """Jaw correlation within one frame of lag, beside what true motion and shuffled speech score; Std-R and VC-R."""
    true_jaw = np.stack([column(clip.controls, "jaw") for clip in clips])
    curves = {name: lag_curve(jaw_curves(probe, motion), true_jaw) for name, motion in motions._asdict().items()}
    return {
        "clips": len(clips),
        "frames": motions.true.shape[1],
        "jaw_correlation": metrics.correlation_within(curves["own"]),
        "jaw_best_lag": metrics.best_lag(curves["own"]),
        "jaw_correlation_shuffled": metrics.correlation_within(curves["other"]),
        "jaw_correlation_true_motion": metrics.correlation_within(curves["true"]),
        "std_ratio": metrics.std_ratio(motions.own, motions.true),
        "velocity_ratio": metrics.velocity_ratio(motions.own, motions.true),
        "lag_curves": {name: curve.tolist() for name, curve in curves.items()},
    }
