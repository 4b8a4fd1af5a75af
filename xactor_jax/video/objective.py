"""What the denoiser is trained on: the weighted error of its prediction at noise levels that are drawn.

Noise levels are drawn by (1) t = s u / (1 + (s − 1) u), u uniform in [0, 1]                (Esser et al. 2024, SD 3)
No offset is added to the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.weighting import WEIGHTINGS, loss_weight
from xactor_jax.layers.latents import running_moment
from xactor_jax.settings import SHARE, Flag, check_fields, choice, real, setting
from xactor_jax.variables import Batch, Tree
from xactor_jax.video.losses import movement_weights
from xactor_jax.video.model import VideoModel

Predict = Callable[[Float[Array, "b t h w c"], Float[Array, "b"]], Float[Array, "b t h w c"]]
Latents = Float[Array, "b t h w c"]
LEVEL_WEIGHTINGS = tuple(name for name in WEIGHTINGS if name != "fused_snr")  # which is of frames with levels of their own


@dataclass(frozen=True, kw_only=True)
class VideoLossSettings:
    """`config.loss` of configs/video.py."""

    time_shift: float = setting(
        3.0,
        real(0.0, above=True),
        "of the noise levels drawn, equation 1; 1: uniform; above 1, more of the high ones, where it is motion that decides",
    )
    weighting: str = setting("none", choice(LEVEL_WEIGHTINGS), "of noise levels")
    gamma: float = setting(5.0, real(0.0, above=True), "signal-to-noise ratio at which min_snr clips")
    weight_floor: float = setting(
        0.0, real(0.0), "smallest weight of any noise level; above 0, the start of sampling is trained too"
    )
    box_weight: float = setting(2.0, real(0.0), "extra weight of cells inside the eyes' and the mouth's boxes")
    change_weight: float = setting(
        1.0, real(0.0), "extra weight of cells that differ from the reference, by how much over the mean"
    )
    reference_masked: float = setting(
        0.3, real(0.0, 1.0, below=True), "share of the reference features' pixels hidden in training"
    )
    reference_drop: float = setting(0.0, SHARE, "probability that an example sees no reference features")
    motion_drop: float = setting(0.05, SHARE, "probability that an example is given the reference's motion in every frame")
    statistics_decay: float = setting(0.99, SHARE, "of the running size of the difference from the reference, per step")
    sampled_levels: bool = setting(
        True, Flag(), "noise levels are those at which render calls the network; else all, by time_shift"
    )

    def __post_init__(self) -> None:
        check_fields(self, "loss")


def stratified_times(key: jax.Array, count: int, shift: float = 1.0) -> Float[Array, "count"]:
    """Noise levels by equation 1, of one u from each of `count` equal parts, so that every batch covers all levels."""
    u = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count
    return shift * u / (1.0 + (shift - 1.0) * u)


def sampled_times(model: VideoModel) -> Float[Array, "levels"]:
    """Noise levels that sampling passes, falling to 0."""
    return model.render_settings.times(model.process.steps)


def draw_times(model: VideoModel, s: VideoLossSettings, key: jax.Array, count: int) -> Float[Array, "count"]:
    """Noise levels of a batch."""
    if not s.sampled_levels:
        return stratified_times(key, count, s.time_shift)
    return jax.random.choice(key, sampled_times(model)[:-1], (count,))


def where_it_matters(s: VideoLossSettings, batch: Batch, z: Latents, z_ref: Float[Array, "b h w c"]) -> jax.Array:
    """Weight of each cell [b, t, h, w, 1]: of eyes and mouth, and of what differs from the reference."""
    return movement_weights(z - z_ref[:, None], batch["component_boxes"], s.box_weight, s.change_weight)


def diffusion_loss(
    process: GaussianProcess,
    s: VideoLossSettings,
    predict: Predict,
    x0: Latents,
    t: Float[Array, "b"],
    key: jax.Array,
    where: Float[Array, "b t h w 1"],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Weighted error of the prediction at noise levels t, and what is reported of it."""
    eps = jax.random.normal(key, x0.shape)
    x_t, target = process.add_noise(x0, eps, t), process.target(x0, eps, t)
    prediction = predict(x_t, t)
    squared = jnp.mean(where * (prediction - target) ** 2, axis=(1, 2, 3, 4))
    weight = jnp.maximum(loss_weight(s.weighting, process, t, s.gamma), s.weight_floor)
    return jnp.mean(weight * squared), reports(process, prediction, target, x_t, x0, t)


def reports(
    process: GaussianProcess, prediction: Latents, target: Latents, x_t: Latents, x0: Latents, t: Float[Array, "b"]
) -> dict[str, Float[Array, ""]]:
    """Squared errors of the prediction, and of the clean latent behind it beside saying zero (the reference repeated)."""
    x0_hat = process.to_x0(prediction, x_t, t)
    return {
        "prediction_mse": jnp.mean((prediction - target) ** 2),
        "clean_mse": jnp.mean((x0_hat - x0) ** 2),
        "clean_power": jnp.mean(x0**2),
    }


def with_statistics(buffers: Tree, residual: Latents, decay: float) -> Tree:
    """Running root mean square per channel of z − b."""
    count, square = buffers["residual_count"], jnp.mean(residual**2, axis=(0, 1, 2, 3))
    square = running_moment(buffers["residual_std"] ** 2, square, count, decay)
    std = jnp.sqrt(jnp.maximum(square, 1e-6))
    return {**buffers, "residual_std": std, "residual_count": count + 1}
