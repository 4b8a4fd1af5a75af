"""Fréchet distance between motion latents (FMD), in NumPy and double precision.

With N(μ, C) fitted to each set of latents,

(1)  d² = ‖μ₁ − μ₂‖² + tr(C₁ + C₂) − 2 tr (C₁^½ C₂ C₁^½)^½              (Dowson and Landau 1982)
(2)  tr (C₁^½ C₂ C₁^½)^½ = Σᵢ √λᵢ,  λ the eigenvalues of the symmetric matrix C₁^½ C₂ C₁^½; negative rounding errors count as 0
(3)  n, Σ m and Σ m mᵀ of the whole are the sums of those of its parts, so parts can be added and subtracted

Motar (arXiv 2609.10317) calls this distance FMD, in X-NeMo's motion latents. It depends on the number of samples: for two sets
of n independent samples of one Gaussian it is not 0 but

(4)  d² ≈ (2 tr C + Σᵢⱼ (1 + δᵢⱼ) λᵢ λⱼ / (λᵢ + λⱼ)) / n,   λ the eigenvalues of C

which is (2 D + D (D + 1) / 2) / n for C = I in D dimensions. Frames of one clip are correlated, so n frames count as fewer
independent samples. Compare only distances between sets of the same sizes: reports give the distance of true motion at the same
size with each of them.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a Gaussian."""

    mean: Float[np.ndarray, "d"]
    covariance: Float[np.ndarray, "d d"]

    @cached_property
    def root(self) -> Float[np.ndarray, "d d"]:
        """The symmetric square root C^½ of the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.mean).all() and np.isfinite(self.covariance).all())


@dataclasses.dataclass(frozen=True)
class Moments:
    """Number of latents, their sum and the sum of their outer products (equation 3), in double precision."""

    count: int
    total: Float[np.ndarray, "d"]
    outer: Float[np.ndarray, "d d"]

    @classmethod
    def of(cls, x: Float[np.ndarray, "n d"]) -> Moments:
        x = x.astype(np.float64)
        return cls(len(x), x.sum(axis=0), x.T @ x)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.count - other.count, self.total - other.total, self.outer - other.outer)

    def gaussian(self) -> Gaussian:
        """Mean and unbiased covariance; all `nan` for fewer than two latents."""
        if self.count < 2:
            return Gaussian(np.full_like(self.total, np.nan), np.full_like(self.outer, np.nan))
        mean = self.total / self.count
        return Gaussian(mean, (self.outer - self.count * np.outer(mean, mean)) / (self.count - 1))


def fit_gaussian(x: Float[np.ndarray, "n d"]) -> Gaussian:
    """Mean and unbiased covariance of latents."""
    return Moments.of(x).gaussian()


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """d², at least 0 (equations 1 and 2); `nan` if any input is not finite."""
    if not (a.is_finite and b.is_finite):
        return float("nan")
    product = a.root @ b.covariance @ a.root
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh((product + product.T) / 2), 0.0)).sum()
    distance = np.square(a.mean - b.mean).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return max(0.0, float(distance))


def motion_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """FMD of two sets of latents."""
    return frechet_distance(fit_gaussian(a), fit_gaussian(b))
