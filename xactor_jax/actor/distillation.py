"""Causal consistency distillation: an actor that needs one or two network calls per chunk instead of dozens.

(1)  t_k = k / N,  k ~ U{0 … N - 1} for each chunk;  z_{k+1} = alpha(t_{k+1}) x_0 + sigma(t_{k+1}) eps
(2)  z_k   = one DDIM step from t_{k+1} to t_k with the teacher's guided prediction
(3)  f(z, t) = x_0 that corresponds to the network's prediction at (z, t);  f(z, 0) = z
(4)  L = mean over frames of  sqrt(|f_theta(z_{k+1}, t_{k+1}) - f_theta'(z_k, t_k)|² + c²) - c,   c = huber sqrt(D)
(5)  theta' <- mu theta' + (1 - mu) theta                                                          after each batch

The student theta learns to give the end of the teacher's path from every point on it, because two neighbouring points must
give the same end, and the end itself is given at t = 0. Every chunk is predicted after clean earlier chunks, which is what
the student sees in sampling (Causal Forcing++, 2605.15141): `chunk_predictions` computes their keys and values once for all
chunks. The teacher's guidance becomes part of the student, which then samples without branches. (1) to (3), (5): Song et al.
2023 (2303.01469). (4): Song and Dhariwal 2024 (2310.14189), whose c is 0.00054 sqrt(D). No gradient reaches theta'.

The teacher and theta' are buffers under `TRAINING`, which exports leave out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from xactor_jax.actor.branches import weighted_branches
from xactor_jax.actor.network import ActorNetwork, Conditions, Keep
from xactor_jax.checkpoints.exports import TRAINING
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.guidance import GUIDANCE, weighted
from xactor_jax.diffusion.noise_levels import repeat_chunks
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.emotion import Emotion
from xactor_jax.layers.attention import KeyValue
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


def drawn_levels(key: Key[Array, ""], batch: int, frames: int, chunk: int, grid: int) -> tuple[Levels, Levels]:
    """t_{k+1} and t_k of every token (equation 1): one k for each chunk."""
    k = jax.random.randint(key, (batch, -(-frames // chunk)), 0, grid)
    return repeat_chunks((k + 1) / grid, frames, chunk), repeat_chunks(k / grid, frames, chunk)


def whole_chunks(valid: Bool[Array, "batch frames"], chunk: int) -> Bool[Array, "batch frames"]:
    """Which frames are in chunks without padding."""
    frames = valid.shape[1]
    chunks = _padded(valid, frames + -frames % chunk).reshape(len(valid), -1, chunk)
    return repeat_chunks(chunks.all(axis=-1), frames, chunk)


def chunk_predictions(
    network: ActorNetwork,
    params: Tree,
    x0: Tokens,
    z: Tokens,
    t: Levels,
    conditions: Conditions,
    keep: Keep,
    valid: Bool[Array, "batch frames"],
) -> Tokens:
    """Predictions for each chunk of z, at noise levels t, after the clean chunks of x_0 before it.

    They equal the network's predictions for a clip in which only that chunk is noisy. All chunks together cost as much as two
    clips. Frames of the last chunk that the clip lacks are zeros.
    """
    frames, chunk = x0.shape[1], network.chunk
    whole = frames + -frames % chunk
    memory = applied(network, params, x0, jnp.zeros_like(t), conditions, keep, valid).memory
    z, t, conditions = _padded(z, whole), _padded(t, whole), _from_the_beginning(network, conditions, whole)
    around = [(network.context, whole - frames), (0, 0), (0, 0)]
    before = KeyValue(*(jnp.pad(x, [*[(0, 0)] * (x.ndim - 3), *around]) for x in memory.past))

    def predicted(start: Int[Array, ""]) -> Tokens:
        part = lambda x, length=chunk, axis=1: jax.lax.dynamic_slice_in_dim(x, start, length, axis)
        past = KeyValue(*(part(x, network.context, x.ndim - 3) for x in before))
        audio = part(conditions.audio, network.audio_before + chunk + network.audio_radius)
        own = Conditions(audio, conditions.reference, Emotion(*map(part, conditions.emotion)))
        inputs = part(z), part(t), own, keep, start, memory._replace(past=past)
        return applied(network, params, *inputs, method="continued")[0]

    chunks = jax.vmap(predicted, out_axes=1)(jnp.arange(0, whole, chunk))
    return chunks.reshape(len(z), whole, -1)[:, :frames]


def _padded(x: Shaped[Array, "batch frames *rest"], frames: int) -> Shaped[Array, "batch {frames} *rest"]:
    """Zeros (or False) after the last frame."""
    return jnp.pad(x, [(0, 0), (0, frames - x.shape[1]), *[(0, 0)] * (x.ndim - 2)])


def _from_the_beginning(network: ActorNetwork, conditions: Conditions, frames: int) -> Conditions:
    """Conditions of `frames` frames as `continued` needs them. Audio before the beginning, which is not used, is zero."""
    audio, before = conditions.audio, network.audio_before - network.audio_radius
    audio = _padded(jnp.pad(audio, ((0, 0), (before, 0), (0, 0))), frames + network.audio_before + network.audio_radius)
    emotion = Emotion(*(_padded(jnp.asarray(x), frames) for x in conditions.emotion))
    return Conditions(audio, conditions.reference, emotion)


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
    """The distance of equation 4 for each token, and which tokens count: those of whole chunks.

    `training` holds the teacher and the target.
    """
    forward = lambda p, z, t, kept: chunk_predictions(network, p, x0, z, t, conditions, kept, valid)
    (level_key, noise_key), (batch, frames) = jax.random.split(key), x0.shape[:2]
    t, s = drawn_levels(level_key, batch, frames, network.chunk, how.grid)
    z = process.add_noise(x0, jax.random.normal(noise_key, x0.shape), t)
    z_s = ddim_step(process, z, guided(forward, training["teacher"], z, t, keep, how), t, s)
    end = consistent(process, forward(training["target"], z_s, s, keep), z_s, s)
    start = consistent(process, forward(params, z, t, keep), z, t)
    return pseudo_huber(start - jax.lax.stop_gradient(end), how.huber), whole_chunks(valid, network.chunk)
