"""Weights of the loss by noise level, of the squared error in the network's own prediction.

A weight is stated for the squared error of x_0 and divided by how many times larger that of the prediction p is. With
SNR = alpha² / sigma² and the determinant D of `xactor_jax.diffusion.gaussian`, which (4) there gives at once:

(1)  |p - p_hat|² = f |x_0 - x_0_hat|²,  f = D² / sigma²:  1 of x0, SNR of eps, (alpha² + sigma²) (SNR + 1) of v,
                                                           (1 + sqrt(SNR))² of flow
(2)  min_snr:    w = min(SNR, gamma) / f(SNR)                                  Hang et al. 2023 (min-SNR-gamma), eq. 7
(3)  sigmoid:    w = SNR sigmoid(bias - log SNR) / f(SNR),                     Kingma & Gao 2023 (2303.00848)
                 that is sigmoid(bias - log SNR) of the error of eps
(4)  fused_snr:  w_i = gamma S_i / f(gamma F_i),                               Chen et al. 2024 (2407.01392)
                 S_i = 1 - (1 - h_i) (1 - s_i),  F_i = 1 - (1 - h_i) (1 - SNR_i / gamma),  s = min(SNR, gamma) / gamma
(5)              h_i = d m_{c(i)-1},  m_c = d m_{c-1} + (1 - d) s_c,  m_0 = s_0,  m_{-1} = 0
(6)  none:       w = 1

(4) counts what a token's past tells of it as signal: h is a fading memory of how clean the past is. The token of (5) is the
chunk c(i) of frame i, whose s_c is the mean over its frames, because the frames of a chunk are denoised together and none is
the past of another; with chunks of one frame it is the published rule for tokens. d = decay^C for chunks of C frames, so that
`decay` is per frame and the memory is as long in seconds whatever the chunk. Only the past counts: padding at the end of a
clip, and a last chunk cut short by it, change no weight of a real frame.

f is taken from an SNR clipped to exp(±20), so that all are finite at both ends.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from xactor_jax.diffusion.gaussian import GaussianProcess

WEIGHTINGS = ("none", "min_snr", "fused_snr", "sigmoid")
"""Names of what a config can ask for."""


def snr(process: GaussianProcess, t: Float[ArrayLike, "*lead"]) -> Float[Array, "*lead"]:
    """SNR(t), clipped as `GaussianProcess.log_snr` is."""
    return jnp.exp(process.log_snr(t))


def error_ratio(process: GaussianProcess, t: Float[ArrayLike, "*lead"], ratio: Float[Array, "*lead"]) -> Float[Array, "*lead"]:
    """f of (1) at time t, with `ratio` for the signal-to-noise ratio there."""
    alpha, sigma = process.alpha_sigma(t)
    return {
        "x0": jnp.ones_like(ratio),
        "eps": ratio,
        "v": (alpha**2 + sigma**2) * (ratio + 1.0),
        "flow": (1.0 + jnp.sqrt(ratio)) ** 2,
    }[process.prediction]


def uniform_weight(t: Float[ArrayLike, "*lead"]) -> Float[Array, "*lead"]:
    """(6)."""
    return jnp.ones_like(jnp.asarray(t, jnp.float32))


def min_snr_weight(process: GaussianProcess, t: Float[ArrayLike, "*lead"], gamma: float = 5.0) -> Float[Array, "*lead"]:
    """(2)."""
    ratio = snr(process, t)
    return jnp.minimum(ratio, gamma) / error_ratio(process, t, ratio)


def sigmoid_weight(process: GaussianProcess, t: Float[ArrayLike, "*lead"], bias: float = -1.0) -> Float[Array, "*lead"]:
    """(3)."""
    ratio = snr(process, t)
    return ratio * jax.nn.sigmoid(bias - process.log_snr(t)) / error_ratio(process, t, ratio)


def fused_snr_weight(
    process: GaussianProcess, t: Float[Array, "batch frames"], gamma: float = 5.0, decay: float = 0.98, chunk: int = 1
) -> Float[Array, "batch frames"]:
    """(4)."""
    ratio = snr(process, t)
    s, n = jnp.minimum(ratio, gamma) / gamma, ratio / gamma
    memory = jnp.asarray(memory_matrix(t.shape[1], decay, chunk), jnp.float32)
    h = jnp.matmul(s, memory.T, precision=jax.lax.Precision.HIGHEST)
    # 1 - (1 - h) (1 - s) without the difference of numbers close to 1.
    fused = lambda x: x + h * (1.0 - x)
    return gamma * fused(s) / error_ratio(process, t, gamma * fused(n))


def memory_matrix(frames: int, decay: float, chunk: int) -> Float[np.ndarray, "frames frames"]:
    """(5) solved: h = M s with M_ij = d^(c(i)-c(j)) (1 - d, or 1 of the first chunk) / C where c(j) < c(i), else 0."""
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
    """The weight called `name` in a config, one of `WEIGHTINGS`, at levels `t`, for fused_snr those of whole clips.

    Raises:
      ValueError: another name, or fused_snr of levels that are not [batch, frames].
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
