"""The training task of stage 2: diffusion forcing over motion latents, conditioned on audio."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from xactor_jax.actor.distillation import (
    PHASES,
    DistillationSettings,
    consistency_error,
    training_buffers,
    updated,
)
from xactor_jax.actor.liveliness import std_ratio, velocity_ratio
from xactor_jax.actor.model import ActorModel
from xactor_jax.actor.network import Conditions, Keep
from xactor_jax.actor.objective import Objective, emotion_error, keep_all, masked_mean, surrounded_audio
from xactor_jax.actor.program import rollout_levels
from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.checkpoints.exports import TRAINING, load_variables
from xactor_jax.checkpoints.start import sources
from xactor_jax.diffusion.noise_levels import SCHEDULED
from xactor_jax.emotion import Emotion
from xactor_jax.errors import UserError
from xactor_jax.labels import UNKNOWN_EMOTION
from xactor_jax.run_settings import RunSettings
from xactor_jax.settings import choice, setting
from xactor_jax.variables import Batch, LossOutput, Rules, Tree, Variables, applied

PREVIEWED = 4
"""Number of clips that a preview generates."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorRunSettings(RunSettings):
    """The run settings of configs/actor.py, at the top of the config."""

    phase: str = setting(
        "forcing",
        choice(PHASES),
        "training phase: forcing (diffusion forcing) or consistency (distils the actor in init_from; samples in 1 or 2 steps)",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorTask:
    """Training task of the actor.

    Batch: `motion_latents` [B, T, D], `audio_features` [B, T, A], `emotion` int32 [B, T] (-1 unknown) and its
    `emotion_intensity` [B, T] in [0, 1], `reference_motion` [B, D], a latent of another moment of the clip, and `mask` [B, T],
    1 for real frames and 0 for padding at the end.
    """

    model: ActorModel
    objective: Objective
    window: int
    preview_settings: RolloutSettings
    distillation: DistillationSettings | None = None
    """Set in the phase consistency."""
    teacher: str = ""
    """Folder of the actor that is distilled."""
    stage: str = "actor"
    frame_entries: tuple[str, ...] = ("motion_latents", "audio_features", "emotion", "emotion_intensity", "mask")
    folds_frames: bool = False
    partition_rules: Rules = (
        (r"(query|key|value|inner|token|sink/linear|reference/linear|modulation/all)/kernel", P("fsdp", "tensor")),
        (r"(out|outer|prediction)/kernel", P("tensor", "fsdp")),
    )

    @classmethod
    def from_config(cls, config: ConfigDict) -> ActorTask:
        model = ActorModel.from_config(config)
        o = dict(config.objective)
        levels = tuple((name, float(weight)) for name, weight in o.pop("noise_levels").items() if weight)
        if o["audio_emotion"] and not model.network.audio_memory:
            raise UserError(
                "objective.audio_emotion needs a summary of the audio: set network.audio_memory above 0, or audio_emotion to 0"
            )
        if model.network.bidirectional_window and [name for name, _ in levels] != [SCHEDULED]:
            raise UserError(
                f"network.bidirectional_window needs objective.noise_levels to be only {SCHEDULED}: set the others to 0"
            )
        settings = RolloutSettings(**config.rollout)
        rollout = rollout_levels(settings, model.network)
        objective = Objective(process=model.process, noise_levels=levels, rollout=rollout, **o)
        task = cls(model=model, objective=objective, window=config.data.window, preview_settings=settings)
        if config.phase != "consistency":
            return task
        if not config.init_from:
            raise UserError("the phase consistency distils an actor: name its folder by --config.init_from=FOLDER")
        how = DistillationSettings(**config.distillation)
        return dataclasses.replace(task, distillation=how, teacher=sources(config.init_from)[-1].folder)

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape, d, a = (batch_size, self.window), self.model.network.latent_dim, self.model.audio_dim
        return {
            "motion_latents": jax.ShapeDtypeStruct((*shape, d), jnp.float32),
            "audio_features": jax.ShapeDtypeStruct((*shape, a), jnp.float32),
            "emotion": jax.ShapeDtypeStruct(shape, jnp.int32),
            "emotion_intensity": jax.ShapeDtypeStruct(shape, jnp.float32),
            "reference_motion": jax.ShapeDtypeStruct((batch_size, d), jnp.float32),
            "mask": jax.ShapeDtypeStruct(shape, jnp.float32),
        }

    def init(self, key: jax.Array) -> Variables:
        batch = {name: jnp.zeros(x.shape, x.dtype) for name, x in self.example_batch(1).items()}
        arguments = batch["motion_latents"], batch["mask"], self.conditions(batch), keep_all(1), batch["mask"] > 0
        params = self.model.network.init(key, *arguments)["params"]
        return Variables(params, training_buffers(params) if self.distillation else {})

    def pretrained_buffers(self) -> Mapping[str, Tree]:
        return training_buffers(load_variables(self.teacher, self.stage)[1].params) if self.distillation else {}

    def param_labels(self, params: Tree) -> Tree:
        return jax.tree.map(lambda _: "default", params)

    def conditions(self, batch: Batch) -> Conditions:
        """The conditions of a batch; the audio is extended beyond both ends of the window."""
        audio = surrounded_audio(batch["audio_features"], batch["mask"], self.model.network.audio_radius)
        return Conditions(audio, batch["reference_motion"], Emotion(batch["emotion"], batch["emotion_intensity"]))

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> LossOutput:
        """Loss by equations 1 to 6 of `xactor_jax.actor.objective`. Conditions are dropped only in training."""
        if self.distillation:
            return self.distilled(self.distillation, variables, batch, key, train)
        noise_key, keep_key = jax.random.split(key)
        size, mask = batch["motion_latents"].shape[0], batch["mask"]
        noised = self.objective.noised(noise_key, batch["motion_latents"], self.model.network.chunk)
        keep = self.objective.keep(keep_key, size) if train else keep_all(size)
        conditions, keep = drop_labels(self.conditions(batch), keep)
        arguments = noised.x_t, noised.t, conditions, keep, mask > 0, noised.active
        answer = applied(self.model.network, variables.params, *arguments)
        loss, metrics = self.objective.loss(answer.prediction, noised, mask)
        if self.objective.audio_emotion:
            error, accuracy = emotion_error(answer.emotion_logits, self.conditions(batch).emotion, mask)
            metrics |= {"audio_emotion_error": error, "audio_emotion_accuracy": accuracy}
            loss += self.objective.audio_emotion * error
        return LossOutput(loss, metrics, variables.buffers)

    def distilled(
        self, how: DistillationSettings, variables: Variables, batch: Batch, key: jax.Array, train: bool
    ) -> LossOutput:
        """Loss by equation 4 of `xactor_jax.actor.distillation`. Only emotion labels are dropped, and only in training."""
        keep_key, draw_key = jax.random.split(key)
        mask, everything = batch["mask"], keep_all(len(batch["mask"]))
        drawn = self.objective.keep(keep_key, len(mask)).emotion if train else everything.emotion
        conditions, _ = drop_labels(self.conditions(batch), everything._replace(emotion=drawn))
        arguments = variables.buffers[TRAINING], batch["motion_latents"], conditions, everything, mask > 0, draw_key
        error, counted = consistency_error(self.model.network, self.model.process, how, variables.params, *arguments)
        loss = masked_mean(error, mask * counted)
        buffers = updated(variables.buffers, variables.params, how.target_decay) if train else variables.buffers
        return LossOutput(loss, {"consistency_error": loss}, buffers)

    def preview(self, variables: Variables, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Curves of the first latents of two clips (generated in colour, true in grey), Std-R and VC-R."""
        true, audio, reference, mask = (
            batch[name][:PREVIEWED] for name in ("motion_latents", "audio_features", "reference_motion", "mask")
        )
        emotion = Emotion(batch["emotion"][:PREVIEWED], batch["emotion_intensity"][:PREVIEWED])
        generated = self.model.rollout(variables, key, audio, reference, emotion, self.preview_settings)
        panels = [motion_curves(true[i], generated[i]) for i in range(min(2, len(true)))]
        ratios = {ratio.__name__: jnp.asarray(ratio(generated, true, mask)) for ratio in (std_ratio, velocity_ratio)}
        return {"motion": jnp.concatenate(panels, axis=1), **ratios}


def drop_labels(conditions: Conditions, keep: Keep) -> tuple[Conditions, Keep]:
    """Sets dropped emotion labels to unknown, so that the network may still estimate the emotion from the audio."""
    label = jnp.where(keep.emotion[:, None], conditions.emotion.label, UNKNOWN_EMOTION)
    emotion = conditions.emotion._replace(label=label)
    return conditions._replace(emotion=emotion), keep._replace(emotion=jnp.ones_like(keep.emotion))


def curve(values: Float[Array, "frames"], height: int, frame_width: int) -> Float[Array, "{height} columns"]:
    """Draws a line through values in [-3, 3], `frame_width` pixels per frame: 1 on the line and 0 elsewhere."""
    row = (0.5 - jnp.clip(values, -3.0, 3.0) / 6.0) * (height - 1)
    row = jnp.interp(jnp.arange(len(values) * frame_width) / frame_width, jnp.arange(len(values)), row)
    after = jnp.append(row[1:], row[-1])
    pixel = jnp.arange(height)[:, None]
    return ((pixel >= jnp.minimum(row, after) - 0.6) & (pixel <= jnp.maximum(row, after) + 0.6)).astype(jnp.float32)


def motion_curves(
    true: Float[Array, "frames dim"],
    generated: Float[Array, "frames dim"],
    *,
    rows: int = 6,
    height: int = 48,
    frame_width: int = 4,
) -> UInt8[Array, "h w 3"]:
    """Plots of the first `rows` latents over time, one below another: true in grey, generated in red, on white."""
    grey, red = jnp.array([90.0, 90.0, 90.0]), jnp.array([10.0, 200.0, 190.0])
    panels = []
    for d in range(min(rows, true.shape[1])):
        lines = (curve(x[:, d], height, frame_width)[..., None] for x in (true, generated))
        ink = [line * colour for line, colour in zip(lines, (grey, red), strict=True)]
        panels.append((255.0 - jnp.maximum(*ink)).at[-1].set(200.0))
    return jnp.concatenate(panels).astype(jnp.uint8)
