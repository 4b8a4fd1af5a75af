"""Emotion accuracy: a linear probe, fitted on true motion of other people, recognises the emotion of generated motion.

(1)  φ = [mean_t m_t ; std_t m_t] of a window of motion latents in which one known emotion lasts throughout
(2)  accuracy = share of windows whose emotion has the largest score of a logistic probe on φ

Not every window of true motion shows its emotion. So compare the accuracy of generated motion with that of true motion in the
same windows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from xactor_jax.clips import ReadClip
from xactor_jax.evaluation.probes import LinearClassifier, fit_logistic
from xactor_jax.labels import UNKNOWN_EMOTION
from xactor_jax.timing import FRAME_RATE

WINDOW, HOP = 2 * FRAME_RATE, FRAME_RATE
"""Length of a window, and frames from one window to the next."""

STRENGTH, STEPS = 0.1, 200
"""Settings of the logistic probe. Of the strengths 0.01, 0.1, 0.3 and 1, this one was best on validation puppets."""

Latents = Float[np.ndarray, "n t d"]
Labels = Int[np.ndarray, "n t"]
Windows = tuple[Float[np.ndarray, "_ features"], Int[np.ndarray, "_"]]
"""φ of each window, and its emotion."""


def starts(emotion: Int[np.ndarray, "t"], length: int, hop: int) -> list[int]:
    """First frames of the windows in which one known emotion lasts throughout."""
    at = range(0, len(emotion) - length + 1, hop)
    return [s for s in at if emotion[s] != UNKNOWN_EMOTION and (emotion[s : s + length] == emotion[s]).all()]


def windows(latents: Float[np.ndarray, "t d"], emotion: Int[np.ndarray, "t"], length: int, hop: int) -> Windows:
    """φ and emotion of every window that has one emotion (equation 1)."""
    kept = starts(emotion, length, hop)
    pieces = [latents[s : s + length] for s in kept]
    features = [np.concatenate([piece.mean(axis=0), piece.std(axis=0)]) for piece in pieces]
    return np.array(features).reshape(len(kept), 2 * latents.shape[1]), emotion[kept].astype(np.int64)


def joined(parts: Sequence[Windows]) -> Windows:
    """Concatenates the windows of several clips."""
    return np.concatenate([features for features, _ in parts]), np.concatenate([classes for _, classes in parts])


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmotionProbe:
    """Classifies the emotion of a window of latents, of which it uses every `step`-th frame."""

    classifier: LinearClassifier
    step: int
    length: int  # of a window, in frames used
    hop: int  # from one window to the next, in frames used

    def windows(self, latents: Latents, emotion: Labels) -> Windows:
        """Windows of n clips at the full frame rate."""
        thinned = zip(latents[:, :: self.step], emotion[:, :: self.step], strict=True)
        return joined([windows(x, e, self.length, self.hop) for x, e in thinned])

    def accuracy(self, latents: Latents, emotion: Labels) -> float:
        """Accuracy (equation 2); `nan` if there is no window or motion is not finite."""
        features, classes = self.windows(latents, emotion)
        readable = len(classes) and np.isfinite(features).all()
        return self.classifier.accuracy(features, classes) if readable else float("nan")

    def classes(self, emotion: Labels) -> Int[np.ndarray, "_"]:
        """Emotions of the windows."""
        thinned = emotion[:, :: self.step]
        return np.concatenate([one[starts(one, self.length, self.hop)] for one in thinned])

    def chance(self, emotion: Labels) -> float:
        """Accuracy of always predicting the most frequent emotion; `nan` if there are no windows."""
        classes = self.classes(emotion)
        return float(np.bincount(classes).max() / len(classes)) if len(classes) else float("nan")


def fit_emotion(clips: Sequence[ReadClip], step: int) -> EmotionProbe | None:
    """Fits a probe on clips that hold every `step`-th frame. None if they are not labelled with at least two emotions."""
    if any(clip.emotion is None for clip in clips):
        return None
    length = min(WINDOW // step, *(len(clip.latents) for clip in clips))
    hop = max(1, HOP // step)
    features, classes = joined([windows(clip.latents, clip.emotion, length, hop) for clip in clips])
    if len(np.unique(classes)) < 2:
        return None
    classifier = fit_logistic(features, classes, int(classes.max()) + 1, STRENGTH, STEPS)
    return EmotionProbe(classifier=classifier, step=step, length=length, hop=hop)


def emotion_scores(
    probe: EmotionProbe, true: Latents, own: Latents, other: Latents, emotion: Labels
) -> dict[str, float] | None:
    """Accuracy on motion from the clips' own speech, from other people's speech, and on true motion. None without windows.

    Motion from another person's speech shows how much of the emotion comes only from the reference motion.
    """
    count = len(probe.classes(emotion))
    if not count:
        return None
    scored = {"accuracy": own, "other_speech": other, "true_motion": true}
    scores = {name: probe.accuracy(motion, emotion) for name, motion in scored.items()}
    return {**scores, "chance": probe.chance(emotion), "windows": float(count)}
