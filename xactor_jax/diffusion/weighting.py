"""Loss weights as a function of the noise level, for the squared error of the network's prediction.

Weights are defined for the squared error of x_0. The squared error of the prediction p is f times as large, so the weight is
divided by f. With SNR = alpha² / sigma² and the determinant D of `xactor_jax.diffusion.gaussian`, equation 4 there gives:

(1)  |p - p_hat|² = f |x_0 - x_0_hat|²,  f = D² / sigma²:  1 for x0, SNR for eps, (alpha² + sigma²) (SNR + 1) for v,
                                                           (1 + sqrt(SNR))² for flow
(2)  min_snr:    w = min(SNR, gamma) / f(SNR)                                  Hang et al. 2023 (min-SNR-gamma), eq. 7
(3)  sigmoid:    w = SNR sigmoid(bias - log SNR) / f(SNR),                     Kingma & Gao 2023 (2303.00848)
                 that is sigmoid(bias - log SNR) for the error of eps
(4)  fused_snr:  w_i = gamma S_i / f(gamma F_i),                               Chen et al. 2024 (2407.01392)
                 S_i = 1 - (1 - h_i) (1 - s_i),  F_i = 1 - (1 - h_i) (1 - SNR_i / gamma),  s = min(SNR, gamma) / gamma
(5)              h_i = d m_{c(i)-1},  m_c = d m_{c-1} + (1 - d) s_c,  m_0 = s_0,  m_{-1} = 0
(6)  none:       w = 1

(4) counts information from a token's past as signal, because a clean past makes a noisy token easier to predict. h_i is an
exponential moving average of how clean the past is. In (5) the average is over chunks: c(i) is the chunk of frame i, and s_c is
the mean over the frames of chunk c. The frames of a chunk are denoised together, so none of them is the past of another. With
chunks of one frame this is the published rule for tokens. d = decay^C for chunks of C frames, so `decay` is per frame and the
average covers the same time for every chunk length. Only the past counts: padding at the end of a clip changes no weight of a
real frame.

f is computed from an SNR clipped to exp(±20), so that all weights are finite at t = 0 and t = 1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from xactor_jax.diffusion.gaussian import GaussianProcess

WEIGHTINGS = ("none", "min_snr", "fused_snr", "sigmoid")
"""Names of the weightings in a config."""


def snr(process: GaussianProcess, t: Float[ArrayLike, "*lead"]) -> Float[Array, "*lead"]:
    """SNR(t), clipped like `GaussianProcess.log_snr`."""
    return jnp.exp(process.log_snr(t))


def error_ratio(process: GaussianProcess, t: Float[ArrayLike, "*lead"], ratio: Float[Array, "*lead"]) -> Float[Array, "*lead"]:
    """f of equation 1 at time t; `ratio` is the signal-to-noise ratio at t."""
    alpha, sigma = process.alpha_sigma(t)
    return {
        "x0": jnp.ones_like(ratio),
        "eps": ratio,
        "v": (alpha**2 + sigma**2) * (ratio + 1.0),
        "flow": (1.0 + jnp.sqrt(ratio)) ** 2,
    }[process.prediction]


def uniform_weight(t: Float[ArrayLike, "*lead"]) -> Float[Array, "*lead"]:
    """Weight 1 at every level (equation 6)."""
    return jnp.ones_like(jnp.asarray(t, jnp.float32))


def min_snr_weight(process: GaussianProcess, t: Float[ArrayLike, "*lead"], gamma: float = 5.0) -> Float[Array, "*lead"]:
    """Min-SNR-gamma weight (equation 2)."""
    ratio = snr(process, t)
    return jnp.minimum(ratio, gamma) / error_ratio(process, t, ratio)


def sigmoid_weight(process: GaussianProcess, t: Float[ArrayLike, "*lead"], bias: float = -1.0) -> Float[Array, "*lead"]:
    """Sigmoid weight (equation 3)."""
    ratio = snr(process, t)
    return ratio * jax.nn.sigmoid(bias - process.log_snr(t)) / error_ratio(process, t, ratio)


def fused_snr_weight(
    process: GaussianProcess, t: Float[Array, "batch frames"], gamma: float = 5.0, decay: float = 0.98, chunk: int = 1
) -> Float[Array, "batch frames"]:
    """Fused-SNR weight of every frame, which counts a clean past as signal (equation 4)."""
    ratio = snr(process, t)
    s, n = jnp.minimum(ratio, gamma) / gamma, ratio / gamma
    memory = jnp.asarray(memory_matrix(t.shape[1], decay, chunk), jnp.float32)
    h = jnp.matmul(s, memory.T, precision=jax.lax.Precision.HIGHEST)
    # Equals 1 - (1 - h) (1 - s), but avoids the rounding error of a difference of numbers close to 1.
    fused = lambda x: x + h * (1.0 - x)
    return gamma * fused(s) / error_ratio(process, t, gamma * fused(n))


def memory_matrix(frames: int, decay: float, chunk: int) -> Float[np.ndarray, "frames frames"]:
    """M with h = M s, the solution of equation 5.

    M_ij = d^(c(i)-c(j)) (1 - d) / C if c(j) < c(i), with 1 in place of 1 - d for the first chunk; else 0.
    """
    c, d = np.arange(frames) // chunk, decay**chunk
    age = c[:, None] - c
    share = np.where(c == 0, 1.0, 1.0 - d) / chunk
    return np.where(age > 0, d ** np.maximum(age, 0) * share, 0.0)


def loss_weight(
    name: str,
    process: GaussianProcess,
    t: Float[ArrayLike, "*lead"],
    gamma: float = 5.0,
    *,
    bias: float = -1.0,
    decay: float = 0.98,
    chunk: int = 1,
) -> Float[Array, "*lead"]:
    """The weight called `name`, one of `WEIGHTINGS`, at levels `t`; fused_snr needs the levels of whole clips.

    Raises:
      ValueError: no weighting has this name, or the levels for fused_snr are not [batch, frames].
    """
    if name == "none":
        return uniform_weight(t)
    if name == "min_snr":
        return min_snr_weight(process, t, gamma)
    if name == "sigmoid":
        return sigmoid_weight(process, t, bias)
    if name != "fused_snr":
        raise ValueError(f"no weighting is called {name!r}; there are {', '.join(WEIGHTINGS)}")
    if jnp.ndim(t) != 2:
        raise ValueError(f"fused_snr needs levels of whole clips, [batch, frames], not of shape {jnp.shape(t)}")
    return fused_snr_weight(process, jnp.asarray(t, jnp.float32), gamma, decay, chunk)
