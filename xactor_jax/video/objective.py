"""The denoiser's loss: the weighted error of its prediction at randomly drawn noise levels.

Noise levels: (1) t = s u / (1 + (s − 1) u), u uniform in [0, 1]                            (Esser et al. 2024, SD 3)
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
LEVEL_WEIGHTINGS = tuple(name for name in WEIGHTINGS if name != "fused_snr")  # fused_snr needs a noise level for each frame


@dataclass(frozen=True, kw_only=True)
class VideoLossSettings:
    """Weights of the losses, `config.loss` of configs/video.py."""

    time_shift: float = setting(
        3.0,
        real(0.0, above=True),
        "shift s of the noise levels drawn (equation 1); 1: uniform; above 1: more high levels, where motion is decided",
    )
    weighting: str = setting("none", choice(LEVEL_WEIGHTINGS), "loss weight as a function of the noise level")
    gamma: float = setting(5.0, real(0.0, above=True), "signal-to-noise ratio at which min_snr clips the weight")
    weight_floor: float = setting(
        0.0, real(0.0), "smallest weight of any noise level; above 0, the highest noise levels are trained too"
    )
    box_weight: float = setting(2.0, real(0.0), "extra weight of latent cells inside the boxes of eyes and mouth")
    change_weight: float = setting(
        1.0, real(0.0), "extra weight of latent cells that differ from the reference, times their difference over its mean"
    )
    reference_masked: float = setting(
        0.3, real(0.0, 1.0, below=True), "share of the reference features' pixels that are hidden in training"
    )
    reference_drop: float = setting(0.0, SHARE, "probability that the reference is hidden in a training example")
    motion_drop: float = setting(
        0.05, SHARE, "probability that every frame of a training example has the reference's motion as its condition"
    )
    statistics_decay: float = setting(0.99, SHARE, "decay of the running root mean square of the residual, per step")
    sampled_levels: bool = setting(
        True,
        Flag(),
        "whether training only uses the noise levels of rendering; else all levels, drawn by time_shift",
    )

    def __post_init__(self) -> None:
        check_fields(self, "loss")


def stratified_times(key: jax.Array, count: int, shift: float = 1.0) -> Float[Array, "count"]:
    """Noise levels (equation 1). Each of `count` equal parts of [0, 1] gives one u, so that every batch covers all levels."""
    u = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count
    return shift * u / (1.0 + (shift - 1.0) * u)


def sampled_times(model: VideoModel) -> Float[Array, "levels"]:
    """Noise levels of sampling, falling to 0."""
    return model.render_settings.times(model.process.steps)


def draw_times(model: VideoModel, s: VideoLossSettings, key: jax.Array, count: int) -> Float[Array, "count"]:
    """Random noise levels of a batch."""
    if not s.sampled_levels:
        return stratified_times(key, count, s.time_shift)
    return jax.random.choice(key, sampled_times(model)[:-1], (count,))


def cell_weights(s: VideoLossSettings, batch: Batch, z: Latents, z_ref: Float[Array, "b h w c"]) -> jax.Array:
    """Loss weight of each latent cell [b, t, h, w, 1]: larger for eyes and mouth, and for what differs from the reference."""
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
    """Weighted error of the prediction at noise levels t, and the metrics to report."""
    eps = jax.random.normal(key, x0.shape)
    x_t, target = process.add_noise(x0, eps, t), process.target(x0, eps, t)
    prediction = predict(x_t, t)
    squared = jnp.mean(where * (prediction - target) ** 2, axis=(1, 2, 3, 4))
    weight = jnp.maximum(loss_weight(s.weighting, process, t, s.gamma), s.weight_floor)
    return jnp.mean(weight * squared), reports(process, prediction, target, x_t, x0, t)


def reports(
    process: GaussianProcess, prediction: Latents, target: Latents, x_t: Latents, x0: Latents, t: Float[Array, "b"]
) -> dict[str, Float[Array, ""]]:
    """Mean squared errors of the prediction and of the clean latent. `clean_power` is the error of predicting zero."""
    x0_hat = process.to_x0(prediction, x_t, t)
    return {
        "prediction_mse": jnp.mean((prediction - target) ** 2),
        "clean_mse": jnp.mean((x0_hat - x0) ** 2),
        "clean_power": jnp.mean(x0**2),
    }


def with_statistics(buffers: Tree, residual: Latents, decay: float) -> Tree:
    """Updates the running root mean square of z − b for each channel."""
    count, square = buffers["residual_count"], jnp.mean(residual**2, axis=(0, 1, 2, 3))
    square = running_moment(buffers["residual_std"] ** 2, square, count, decay)
    std = jnp.sqrt(jnp.maximum(square, 1e-6))
    return {**buffers, "residual_std": std, "residual_count": count + 1}
