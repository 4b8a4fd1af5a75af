"""Stability of generated motion: all measures for each segment of a long performance, compared with true motion.

B performances are measured together. S_k are the frames of segment k, m is true motion and g the motion that is measured:

(1)  FMD_k = d²(g[S_k], m): against the true motion of all segments. For true motion itself it is d²(m[S_k], m without S_k)
(2)  FMD_k of frame differences inside segments
(3)  Std-R_k = mean_{b,d} std_{t ∈ S_k} g / mean over segments j of mean_{b,d} std_{t ∈ S_j} m;  VC-R_k: of frame differences
(4)  correlation of the jaw, read by a probe, with the true one: the highest within one frame of lag, the mean over b
(5)  the jerk ratio of `xactor_jax.evaluation.metrics`, the norm ‖mean_{t ∈ S_k} g‖, the mean over b, and the accuracy of
     `xactor_jax.evaluation.emotion`

d² is the Fréchet distance (equation 1 of `xactor_jax.evaluation.frechet`). It depends on the number of frames, so only segments
of the same size are compared.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xactor_jax.actor.liveliness import mean_std
from xactor_jax.evaluation import metrics, trends
from xactor_jax.evaluation.actor import flat, jaw_curves, lag_curve
from xactor_jax.evaluation.emotion import EmotionProbe
from xactor_jax.evaluation.frechet import Gaussian, Moments, frechet_distance
from xactor_jax.evaluation.probes import RidgeProbe
from xactor_jax.timing import FRAME_RATE

Motion = Float[np.ndarray, "b t d"]
Curves = dict[str, list[float]]
"""Measure → its value in each segment."""

SEGMENT = 10 * FRAME_RATE
"""Length of a segment in frames."""

NAMES = {
    "fmd": "FMD",
    "fmd_velocity": "FMD of frame differences",
    "std_ratio": "Std-R",
    "velocity_ratio": "VC-R",
    "jaw_correlation": "jaw correlation",
    "boundary_jerk": "jerk at joins",
    "mean_norm": "norm of the mean latent",
    "emotion_accuracy": "emotion accuracy",
}
"""Measure → its name in tables and plots."""


class Statistics(NamedTuple):
    """Statistics of a segment for equations 1 to 3. To combine segments, add them field by field."""

    position: Moments
    velocity: Moments
    std: float
    velocity_std: float


def statistics(motion: Motion) -> Statistics:
    """Statistics of B performances together."""
    speed = np.diff(motion, axis=1)
    return Statistics(Moments.of(flat(motion)), Moments.of(flat(speed)), float(mean_std(motion)), float(mean_std(speed)))


Reference = Callable[[Statistics], tuple[Gaussian, Gaussian]]
"""The distributions that a segment is compared with: of true latents and of their frame differences."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """True motion of B performances, their jaws and, if known, their emotions. `latents` may be a file mapped into memory."""

    latents: Motion
    jaw: Float[np.ndarray, "b t"]
    emotion: Int[np.ndarray, "b t"] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ruler:
    """Measures motion against a truth, in segments of one size."""

    truth: Truth
    probe: RidgeProbe
    feelings: EmotionProbe | None = None
    segment: int = SEGMENT

    @property
    def parts(self) -> list[slice]:
        return trends.segments(self.truth.latents.shape[1], self.segment)

    @property
    def minutes(self) -> list[float]:
        """Time of the middle of each segment, in minutes."""
        return trends.middles(self.parts)

    @property
    def emotion_chance(self) -> float:
        """Accuracy of always predicting the most frequent emotion; `nan` if emotions are not known."""
        known = self.feelings is not None and self.truth.emotion is not None
        return self.feelings.chance(self.truth.emotion) if known else float("nan")

    @functools.cached_property
    def whole(self) -> Statistics:
        """Statistics of all true segments, added up."""
        each = (statistics(np.asarray(self.truth.latents[:, part])) for part in self.parts)
        return functools.reduce(lambda a, b: Statistics(*map(operator.add, a, b)), each)

    @functools.cached_property
    def gaussians(self) -> tuple[Gaussian, Gaussian]:
        """Gaussians fitted to all true latents and to their frame differences."""
        return self.whole.position.gaussian(), self.whole.velocity.gaussian()

    def curves(self, motion: Motion, chunk: int) -> Curves:
        """Measures of motion that was generated in chunks of `chunk` frames."""
        return self._curves(motion, chunk, lambda segment: self.gaussians)

    def true_curves(self, chunk: int) -> Curves:
        """Measures of true motion: each segment is compared with all others. `chunk` places the joins of the jerk ratio."""
        whole = self.whole
        rest = lambda s: ((whole.position - s.position).gaussian(), (whole.velocity - s.velocity).gaussian())
        return self._curves(self.truth.latents, chunk, rest)

    def _curves(self, motion: Motion, chunk: int, reference: Reference) -> Curves:
        rows = [self._scores(np.asarray(motion[:, part]), part, chunk, reference) for part in self.parts]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _scores(self, motion: Motion, part: slice, chunk: int, reference: Reference) -> dict[str, float]:
        segment, truth, count = statistics(motion), self.truth, len(self.parts)
        position, velocity = reference(segment)
        scores = {
            "fmd": frechet_distance(position, segment.position.gaussian()),
            "fmd_velocity": frechet_distance(velocity, segment.velocity.gaussian()),
            "std_ratio": count * segment.std / self.whole.std,
            "velocity_ratio": count * segment.velocity_std / self.whole.velocity_std,
            "jaw_correlation": jaw_correlation(self.probe, motion, truth.jaw[:, part]),
            "boundary_jerk": metrics.boundary_jerk(motion, chunk, part.start),
            "mean_norm": float(np.linalg.norm(motion.mean(axis=1, dtype=np.float64), axis=-1).mean()),
        }
        if self.feelings is not None and truth.emotion is not None:
            scores["emotion_accuracy"] = self.feelings.accuracy(motion, truth.emotion[:, part])
        return scores


def jaw_correlation(probe: RidgeProbe, motion: Motion, jaw: Float[np.ndarray, "b t"]) -> float:
    """Correlation of the jaw read from motion with the true one (equation 4)."""
    return metrics.correlation_within(lag_curve(jaw_curves(probe, motion), jaw))


def trends_of(minutes: Sequence[float], curves: Curves, span: int = 1) -> dict[str, dict[str, float]]:
    """Measure → its trend over time, by `trends.trend`."""
    return {name: trends.trend(minutes, values, span) for name, values in curves.items()}


def over_time(ruler: Ruler, motion: Motion, chunk: int) -> dict[str, Any]:
    """Part of the JSON report: curves and trends of generated and of true motion."""
    curves = {"true": ruler.true_curves(chunk), "own": ruler.curves(motion, chunk)}
    return {
        "segment_seconds": ruler.segment / FRAME_RATE,
        "minutes": ruler.minutes,
        "curves": curves,
        "trends": {name: trends_of(ruler.minutes, curve) for name, curve in curves.items()},
    }


HEAD = ("", "mean", "true motion", "slope per minute", "true motion", "last / first segment", "true motion")
"""Column titles of `trend_rows`."""


def trend_rows(own: Mapping[str, Mapping[str, float]], true: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """Rows of a table, from `trends_of` generated and of true motion."""
    number = lambda key: lambda t: f"{t[key]:.3g}"
    cells = (number("mean"), slope_text, number("last_over_first"))
    return [(NAMES[name], *(cell(of[name]) for cell in cells for of in (own, true))) for name in own]


def slope_text(trend: Mapping[str, float]) -> str:
    """A slope with its standard error."""
    return f"{trend['slope']:+.2g} ± {trend['slope_error']:.1g}"
