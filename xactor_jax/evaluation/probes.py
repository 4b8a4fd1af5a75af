"""Linear probes in NumPy: they measure what a linear map can read from a representation z.

(1)  Ridge:     W = argmin Σᵢ ‖yᵢ − ȳ − Wᵀ(zᵢ − z̄)‖² + λ n ‖W‖²  =  (Zᵀ Z + λ n I)⁻¹ Zᵀ Y,  Z and Y centred.
(2)  Logistic:  W = argmin (1/n) Σᵢ −log softmax(Wᵀzᵢ + b)[cᵢ] + λ/2 ‖W‖²,  by accelerated gradient descent (Nesterov 1983)
     with step 1/L, L = σ_max(Z)²/(2n) + λ, on z scaled to unit standard deviations.
(3)  Fisher:    W = Σ⁻¹ M, b = −½ diag(Mᵀ Σ⁻¹ M), M the means of the classes, Σ = (1 − λ) S + λ tr(S)/d I with S the covariance
     within classes (Fisher 1936; shrunk towards a sphere): the nearest mean under Σ, for many classes of few examples.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from xactor_jax.evaluation.metrics import r_squared

STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridge strengths λ that are tried."""


@dataclasses.dataclass(frozen=True)
class RidgeProbe:
    """An affine map from z to targets, one column for each target."""

    weights: Float[np.ndarray, "d k"]
    bias: Float[np.ndarray, "k"]

    def __call__(self, z: Float[np.ndarray, "*batch d"]) -> Float[np.ndarray, "*batch k"]:
        return z @ self.weights + self.bias


def fit_ridge(z: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"], strength: float) -> RidgeProbe:
    """Fits a ridge probe with λ = `strength`, in double precision (equation 1)."""
    z, y = z.astype(np.float64), y.astype(np.float64)
    z_mean, y_mean = z.mean(axis=0), y.mean(axis=0)
    zc, n, d = z - z_mean, *z.shape
    weights = np.linalg.solve(zc.T @ zc + strength * n * np.eye(d), zc.T @ (y - y_mean))
    return RidgeProbe(weights, y_mean - z_mean @ weights)


def choose_strengths(
    z: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"], z_held: Float[np.ndarray, "m d"], y_held: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, "k"]:
    """The λ of `STRENGTHS` that predicts held-out examples best, separately for each target."""
    scores = np.stack([r_squared(y_held.astype(np.float64), fit_ridge(z, y, strength)(z_held)) for strength in STRENGTHS])
    return np.array(STRENGTHS)[np.argmax(np.nan_to_num(scores, nan=-np.inf), axis=0)]


def fit_controls(
    z: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"], z_held: Float[np.ndarray, "m d"], y_held: Float[np.ndarray, "m k"]
) -> RidgeProbe:
    """Fits a ridge probe. λ is chosen on held-out people for each target; then the probe is fitted again on all people."""
    z_all, y_all = np.concatenate([z, z_held]), np.concatenate([y, y_held])
    chosen = choose_strengths(z, y, z_held, y_held)
    columns = [fit_ridge(z_all, y_all[:, [k]], strength) for k, strength in enumerate(chosen)]
    return RidgeProbe(np.concatenate([c.weights for c in columns], 1), np.concatenate([c.bias for c in columns]))


@dataclasses.dataclass(frozen=True)
class LinearClassifier:
    """A linear classifier of z; the class with the largest score is the prediction."""

    weights: Float[np.ndarray, "d classes"]
    bias: Float[np.ndarray, "classes"]

    def scores(self, z: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n classes"]:
        return z @ self.weights + self.bias

    def accuracy(self, z: Float[np.ndarray, "n d"], classes: Int[np.ndarray, "n"]) -> float:
        """Share of examples that are classified correctly."""
        return float(np.mean(self.scores(z).argmax(axis=1) == classes))


def fit_logistic(
    z: Float[np.ndarray, "n d"], classes: Int[np.ndarray, "n"], num_classes: int, strength: float = 1e-4, steps: int = 500
) -> LinearClassifier:
    """Fits a logistic probe with λ = `strength` on the weights but not on the bias (equation 2)."""
    mean, std = z.mean(axis=0), z.std(axis=0) + 1e-8
    x = np.concatenate([(z - mean) / std, np.ones((len(z), 1))], axis=1).astype(np.float64)
    decay = np.append(np.full(z.shape[1], strength), 0.0)[:, None]
    w = _descend(x, np.eye(num_classes)[classes], decay, steps)
    weights = w[:-1] / std[:, None]
    return LinearClassifier(weights, w[-1] - mean @ weights)


def fit_fisher(
    z: Float[np.ndarray, "n d"], classes: Int[np.ndarray, "n"], num_classes: int, shrinkage: float = 0.1
) -> LinearClassifier:
    """Fits Fisher's probe with λ = `shrinkage` (equation 3). Every class needs an example."""
    z = z.astype(np.float64)
    means = np.stack([z[classes == c].mean(axis=0) for c in range(num_classes)])
    inside = z - means[classes]
    covariance, d = inside.T @ inside / len(z), z.shape[1]
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / d * np.eye(d)
    weights = np.linalg.solve(shrunk, means.T)
    return LinearClassifier(weights, -0.5 * np.einsum("cd,dc->c", means, weights))


def _descend(
    x: Float[np.ndarray, "n e"], one_hot: Float[np.ndarray, "n c"], decay: Float[np.ndarray, "e 1"], steps: int
) -> Float[np.ndarray, "e c"]:
    """Nesterov's accelerated gradient descent on equation (2), from zero."""
    step = 1 / (np.linalg.norm(x, 2) ** 2 / (2 * len(x)) + decay.max())
    w = ahead = np.zeros((x.shape[1], one_hot.shape[1]))
    for k in range(steps):
        gradient = x.T @ (_softmax(x @ ahead) - one_hot) / len(x) + decay * ahead
        w, previous = ahead - step * gradient, w
        ahead = w + k / (k + 3) * (w - previous)
    return w


def _softmax(x: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
