"""Whether a linear probe, fitted on true motion of other people, hears the same emotion in generated motion.

(1)  φ = [mean_t m_t ; std_t m_t] of a window of motion latents that has one known emotion throughout
(2)  accuracy = share of windows whose emotion is the largest score of a logistic probe on φ

Emotion cannot be told from every window of true motion either: the accuracy of generated motion is read beside that of the
true motion of the same windows.
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
"""Length of a window and frames from one to the next."""

STRENGTH, STEPS = 0.1, 200
"""Of the logistic probe: of 0.01, 0.1, 0.3 and 1 the strength that read validation puppets best."""

Latents = Float[np.ndarray, "n t d"]
Labels = Int[np.ndarray, "n t"]
Windows = tuple[Float[np.ndarray, "_ features"], Int[np.ndarray, "_"]]
"""φ of each, and its emotion."""


def starts(emotion: Int[np.ndarray, "t"], length: int, hop: int) -> list[int]:
    """First frames of the windows that have one known emotion throughout."""
    at = range(0, len(emotion) - length + 1, hop)
    return [s for s in at if emotion[s] != UNKNOWN_EMOTION and (emotion[s : s + length] == emotion[s]).all()]


def windows(latents: Float[np.ndarray, "t d"], emotion: Int[np.ndarray, "t"], length: int, hop: int) -> Windows:
    """φ of equation (1) and the emotion of every window that has one."""
    kept = starts(emotion, length, hop)
    pieces = [latents[s : s + length] for s in kept]
    features = [np.concatenate([piece.mean(axis=0), piece.std(axis=0)]) for piece in pieces]
    return np.array(features).reshape(len(kept), 2 * latents.shape[1]), emotion[kept].astype(np.int64)


def joined(parts: Sequence[Windows]) -> Windows:
    """Windows of several clips together."""
    return np.concatenate([features for features, _ in parts]), np.concatenate([classes for _, classes in parts])


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmotionProbe:
    """Tells the emotion of a window of latents of which every `step`-th frame is looked at."""

    classifier: LinearClassifier
    step: int
    length: int  # of a window, in frames looked at
    hop: int

    def windows(self, latents: Latents, emotion: Labels) -> Windows:
        """Of n clips at the full frame rate."""
        thinned = zip(latents[:, :: self.step], emotion[:, :: self.step], strict=True)
        return joined([windows(x, e, self.length, self.hop) for x, e in thinned])

    def accuracy(self, latents: Latents, emotion: Labels) -> float:
        """Equation (2); `nan` where there is no window, or motion that is not finite."""
        features, classes = self.windows(latents, emotion)
        readable = len(classes) and np.isfinite(features).all()
        return self.classifier.accuracy(features, classes) if readable else float("nan")

    def classes(self, emotion: Labels) -> Int[np.ndarray, "_"]:
        """Emotions of the windows."""
        thinned = emotion[:, :: self.step]
        return np.concatenate([one[starts(one, self.length, self.hop)] for one in thinned])

    def chance(self, emotion: Labels) -> float:
        """Accuracy of saying the most frequent emotion of every window; `nan` where there is none."""
        classes = self.classes(emotion)
        return float(np.bincount(classes).max() / len(classes)) if len(classes) else float("nan")


def fit_emotion(clips: Sequence[ReadClip], step: int) -> EmotionProbe | None:
    """Fitted on clips that hold every `step`-th frame. None where they are not labelled with two emotions at least."""
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
    """Accuracy on motion from the clips' own speech, from other people's and on true motion. None where there is no window.

    Motion from another's speech shows what of the emotion the reference motion alone gives away.
    """
    count = len(probe.classes(emotion))
    if not count:
        return None
    scored = {"accuracy": own, "other_speech": other, "true_motion": true}
    scores = {name: probe.accuracy(motion, emotion) for name, motion in scored.items()}
    return {**scores, "chance": probe.chance(emotion), "windows": float(count)}
