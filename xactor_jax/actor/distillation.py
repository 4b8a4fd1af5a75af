"""Causal consistency distillation: an actor that needs one or two network calls per chunk instead of dozens.

(1)  t_k = k / N,  k ~ U{0 … N - 1};  z_{k+1} = alpha(t_{k+1}) x_0 + sigma(t_{k+1}) eps  in one chunk, all other chunks clean
(2)  z_k   = one DDIM step from t_{k+1} to t_k with the teacher's guided prediction
(3)  f(z, t) = x_0 that corresponds to the network's prediction at (z, t);  f(z, 0) = z
(4)  L = mean over frames of  sqrt(|f_theta(z_{k+1}, t_{k+1}) - f_theta'(z_k, t_k)|² + c²) - c,   c = huber sqrt(D)
(5)  theta' <- mu theta' + (1 - mu) theta                                                          after each batch

The student theta learns to give the end of the teacher's path from every point on it, because two neighbouring points must give
the same end, and the end itself is given at t = 0. Clean history is what the student sees in sampling (Causal Forcing++,
2605.15141). The teacher's guidance becomes part of the student, which then samples without branches. (1) to (3), (5): Song et
al. 2023 (2303.01469). (4): Song and Dhariwal 2024 (2310.14189), whose c is 0.00054 sqrt(D). No gradient reaches theta'.

The teacher and theta' are buffers under `TRAINING`, which exports leave out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from xactor_jax.actor.branches import weighted_branches
from xactor_jax.actor.network import ActorNetwork, Conditions, Keep
from xactor_jax.checkpoints.exports import TRAINING
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.guidance import GUIDANCE, weighted
from xactor_jax.diffusion.noise_levels import repeat_chunks
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.settings import SHARE, check_fields, real, setting, whole
from xactor_jax.variables import Tree, applied

PHASES = ("forcing", "consistency")
"""Training phases of the actor: diffusion forcing, or distillation of the actor in `init_from`."""

Tokens = Float[Array, "batch frames dim"]
Levels = Float[Array, "batch frames"]
Forward = Callable[[Tree, Tokens, Levels, Keep], Tokens]
"""(parameters, x, t, kept conditions) → prediction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """`config.distillation`, of the phase consistency."""

    grid: int = setting(48, whole(2, 10_000), "N, noise levels of the teacher's path above 0")
    audio_guidance: float = setting(1.5, GUIDANCE, "guidance scale of the audio that the student learns; 1: no guidance")
    emotion_guidance: float = setting(1.0, GUIDANCE, "guidance scale of the emotion that the student learns; 1: no guidance")
    target_decay: float = setting(0.95, SHARE, "mu, decay per batch of the average of parameters that gives the target")
    huber: float = setting(5.4e-4, real(0.0, above=True), "constant of the pseudo-Huber loss, over the square root of D")

    def __post_init__(self) -> None:
        check_fields(self, "distillation")


def training_buffers(teacher: Tree) -> dict[str, Tree]:
    """The buffers of a new distillation: the target starts as the teacher."""
    return {TRAINING: {"teacher": teacher, "target": jax.tree.map(lambda x: x, teacher)}}


def updated(buffers: Tree, params: Tree, decay: float) -> Tree:
    """The buffers with the target moved towards the parameters (equation 5)."""
    average = lambda old, new: decay * old + (1.0 - decay) * jax.lax.stop_gradient(new)
    training = buffers[TRAINING]
    return {**buffers, TRAINING: {**training, "target": jax.tree.map(average, training["target"], params)}}


def drawn_levels(
    key: Key[Array, ""], batch: int, frames: int, chunk: int, grid: int
) -> tuple[Levels, Levels, Bool[Array, "batch frames"]]:
    """t_{k+1} and t_k of every token (equation 1), which are 0 outside the noisy chunk, and which tokens are in it."""
    level_key, chunk_key = jax.random.split(key)
    chunks = -(-frames // chunk)
    k = jax.random.randint(level_key, (batch, 1), 0, grid)
    noisy = jnp.arange(chunks) == jax.random.randint(chunk_key, (batch, 1), 0, chunks)
    upper, lower = (repeat_chunks(jnp.where(noisy, k + i, 0) / grid, frames, chunk) for i in (1, 0))
    return upper, lower, repeat_chunks(noisy, frames, chunk)


def consistent(process: GaussianProcess, prediction: Tokens, z: Tokens, t: Levels) -> Tokens:
    """f(z, t) (equation 3)."""
    return jnp.where((t > 0.0)[..., None], process.to_x0(prediction, z, t), z)


def pseudo_huber(difference: Tokens, huber: float) -> Levels:
    """The distance of equation 4 for each token."""
    c = huber * difference.shape[-1] ** 0.5
    return jnp.sqrt(jnp.sum(difference**2, axis=-1) + c**2) - c


def guided(forward: Forward, teacher: Tree, z: Tokens, t: Levels, keep: Keep, how: DistillationSettings) -> Tokens:
    """The teacher's guided prediction, over the branches of sampling (`xactor_jax.actor.branches`)."""
    branches = weighted_branches(how.audio_guidance, how.emotion_guidance, 1.0)
    shown = [Keep(keep.audio & b.audio, keep.reference, keep.emotion & b.emotion) for b in branches]
    return weighted([forward(teacher, z, t, one) for one in shown], jnp.asarray([*branches.values()], z.dtype))


def consistency_error(
    network: ActorNetwork,
    process: GaussianProcess,
    how: DistillationSettings,
    params: Tree,
    training: Tree,
    x0: Tokens,
    conditions: Conditions,
    keep: Keep,
    valid: Bool[Array, "batch frames"],
    key: Key[Array, ""],
) -> tuple[Levels, Bool[Array, "batch frames"]]:
    """The distance of equation 4 for each token, and which tokens have one. `training` holds the teacher and the target."""
    forward = lambda p, z, t, kept: applied(network, p, z, t, conditions, kept, valid).prediction
    (level_key, noise_key), (batch, frames) = jax.random.split(key), x0.shape[:2]
    t, s, noisy = drawn_levels(level_key, batch, frames, network.chunk, how.grid)
    z = process.add_noise(x0, jax.random.normal(noise_key, x0.shape), t)
    z_s = ddim_step(process, z, guided(forward, training["teacher"], z, t, keep, how), t, s)
    end = consistent(process, forward(training["target"], z_s, s, keep), z_s, s)
    start = consistent(process, forward(params, z, t, keep), z, t)
    return pseudo_huber(start - jax.lax.stop_gradient(end), how.huber), noisy
