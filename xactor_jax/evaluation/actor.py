"""Scores of generated motion: lip synchronisation with held-out voices, liveliness, diversity and emotion.

(1)  e = mean over the mouth's channels c of mean (ŷ_c − y_c)² / var y_c,  ŷ the probe's prediction from motion, y the truth
(2)  audio gain = e of motion from another person's speech / e of motion from the clip's own speech; 1 if speech is ignored. For
     comparison, true motion scores e of another clip's true motion / e of the clip's own, which the probe's error limits.
(3)  FMD: `xactor_jax.evaluation.frechet`. "across": generated motion of one half of the clips against true motion of the other
     half, the mean of both ways. Compare it with "true_motion": true motion of one half against that of the other. "paired":
     all generated motion against all true motion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from xactor_jax.clips import ReadClip
from xactor_jax.evaluation import metrics
from xactor_jax.evaluation.emotion import EmotionProbe, emotion_scores
from xactor_jax.evaluation.frechet import motion_distance
from xactor_jax.evaluation.motion import column
from xactor_jax.evaluation.probes import RidgeProbe
from xactor_jax.labels import CONTROLS

Generate = Callable[[Float[np.ndarray, "b t a"], Float[np.ndarray, "b d"]], Float[np.ndarray, "b t d"]]
"""(audio features, reference motion) → motion latents."""

Curves = Float[np.ndarray, "b t"]
Motion = Float[np.ndarray, "b t d"]

MOUTH = ("jaw", "lip_width", "lip_round")
"""Controls that speech determines."""


class Motions(NamedTuple):
    """Motion latents of the same clips: true, generated from their own speech, generated from other people's speech."""

    true: Float[np.ndarray, "b t d"]
    own: Float[np.ndarray, "b t d"]
    other: Float[np.ndarray, "b t d"]


def other_speakers(people: Sequence[str]) -> list[int]:
    """Assigns another clip to each clip, of another person if possible. Every clip is used once.

    The list is rotated by the step that pairs the fewest clips with the same person. Clips are sorted by person, so there are
    no such pairs unless one person has more than half of the clips.
    """
    n = len(people)
    overlaps = [sum(people[i] == people[(i + turn) % n] for i in range(n)) for turn in range(1, max(n, 2))]
    turn = 1 + int(np.argmin(overlaps))
    return [(i + turn) % n for i in range(n)]


def generate_motions(generate: Generate, clips: Sequence[ReadClip], audio: Float[np.ndarray, "b t a"]) -> Motions:
    """Generates motion for each clip, from its first frame's latent, with its own speech and with another person's."""
    true = np.stack([clip.latents for clip in clips])
    others = other_speakers([clip.person for clip in clips])
    return Motions(true, generate(audio, true[:, 0]), generate(audio[others], true[:, 0]))


def jaw_curves(probe: RidgeProbe, motion: Float[np.ndarray, "b t d"]) -> Curves:
    """The jaw over time, read from motion by the probe."""
    return np.stack([column(probe(one), "jaw") for one in motion])


def lag_curve(read: Curves, true: Curves) -> Float[np.ndarray, "lags"]:
    """Mean correlation over clips at lags -10 … 10 frames. A positive lag means that `read` is late."""
    return np.mean([metrics.lag_correlations(a, b) for a, b in zip(read, true, strict=True)], axis=0)


def followed_scores(probe: RidgeProbe, clips: Sequence[ReadClip], motions: Motions) -> dict[str, Any]:
    """Jaw correlation within one frame of lag; for comparison, of true motion and of shuffled speech; and the lag curves."""
    true_jaw = np.stack([column(clip.controls, "jaw") for clip in clips])
    curves = {name: lag_curve(jaw_curves(probe, motion), true_jaw) for name, motion in motions._asdict().items()}
    return {
        "jaw_correlation": metrics.correlation_within(curves["own"]),
        "jaw_best_lag": metrics.best_lag(curves["own"]),
        "jaw_correlation_shuffled": metrics.correlation_within(curves["other"]),
        "jaw_correlation_true_motion": metrics.correlation_within(curves["true"]),
        "lag_curves": {name: curve.tolist() for name, curve in curves.items()},
    }


def mouth_error(probe: RidgeProbe, motion: Motion, controls: Float[np.ndarray, "b t controls"]) -> float:
    """Error e of the mouth (equation 1), over the channels of `MOUTH` that vary."""
    columns = [CONTROLS.index(name) for name in MOUTH]
    read, true = probe(motion)[..., columns].reshape(-1, len(MOUTH)), controls[..., columns].reshape(-1, len(MOUTH))
    return float(np.mean(1 - metrics.r_squared(true.astype(np.float64), read)))


def audio_gain(probe: RidgeProbe, clips: Sequence[ReadClip], motions: Motions) -> dict[str, float]:
    """Audio gain (equation 2), and the two errors of generated motion."""
    controls = np.stack([clip.controls for clip in clips])
    others = other_speakers([clip.person for clip in clips])
    error = lambda motion: mouth_error(probe, motion, controls)
    own, other, true, true_other = map(error, (motions.own, motions.other, motions.true, motions.true[others]))
    return {"gain": other / own, "true_motion": true_other / true, "error": own, "error_other": other}


def flat(motion: Motion) -> Float[np.ndarray, "n d"]:
    """Flattens clips into one list of frames."""
    return motion.reshape(-1, motion.shape[-1])


def distances(true: Motion, generated: Motion) -> dict[str, float]:
    """Fréchet distances of generated motion (equation 3)."""
    half = len(true) // 2
    of = lambda a, b: motion_distance(flat(a), flat(b))
    across = (of(generated[:half], true[half:]) + of(generated[half:], true[:half])) / 2
    return {"across": across, "true_motion": of(true[:half], true[half:]), "paired": of(generated, true)}


def lively_scores(motions: Motions, again: Float[np.ndarray, "s b t d"], chunk: int) -> dict[str, Any]:
    """Scores that need only latents. `again`: motion from the clips' own speech with other seeds than `motions.own`."""
    true, own = motions.true, motions.own
    speed = lambda motion: np.diff(motion, axis=1)
    return {
        **metrics.liveliness(true, own, chunk),
        "boundary_jerk_true_motion": metrics.boundary_jerk(true, chunk),
        "fmd": distances(true, own),
        "fmd_velocity": distances(speed(true), speed(own)),
        "diversity": metrics.diversity(np.concatenate([own[None], again]), true),
        "seeds": 1 + len(again),
    }


def emotion_part(probe: EmotionProbe | None, clips: Sequence[ReadClip], motions: Motions) -> dict[str, float] | None:
    """Accuracy of the emotion that generated motion shows; None if the true emotion is not known."""
    if probe is None or any(clip.emotion is None for clip in clips):
        return None
    return emotion_scores(probe, *motions, np.stack([clip.emotion for clip in clips]))


def actor_scores(
    probe: RidgeProbe,
    feelings: EmotionProbe | None,
    clips: Sequence[ReadClip],
    motions: Motions,
    again: Float[np.ndarray, "s b t d"],
    chunk: int,
) -> dict[str, Any]:
    """The actor's part of the report."""
    return {
        "clips": len(clips),
        "frames": motions.true.shape[1],
        **followed_scores(probe, clips, motions),
        "audio_gain": audio_gain(probe, clips, motions),
        **lively_scores(motions, again, chunk),
        "emotion": emotion_part(feelings, clips, motions),
    }
