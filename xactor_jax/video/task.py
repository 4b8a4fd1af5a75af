"""Training of the denoiser on the latents of a window of frames, with motion latents and a reference frame as conditions.

Batch: {"frames": [B, T, H, W, 3], "reference": [B, H, W, 3], "motion_latents": float32 [B, T, D], "reference_motion": float32
[B, D], "component_boxes": float32 [B, T, 2, 4] fractions of the picture, "frames_apart": bool [B]}. Where the records have
what the frozen networks compute, the batch has "frame_latents": bfloat16 [B, T, h, w, c], "reference_latent": bfloat16 [B, h,
w, c] and "reference_embedding": bfloat16 [B, E], and only the pictures that the phase still needs (entries.py). Latents are
posterior means, as this stage has always used them, so nothing random is stored. An example with `frames_apart` has frames
from all over the clip, which do not attend to each other (joint training on images and video, Ho et al. 2022). If the motion
encoder is trained too, the motion of augmented frames replaces that of the batch. A renderer with drafts (draft.py) uses
drafts of the disturbed motion, as in sampling, and diffuses what remains to the true frames.

examples.py prepares a batch, phases.py says which parameters a phase trains, objective.py and finish.py have the losses, and
frozen.py loads the frozen networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.layers.augmentation import DrivingAugmentation
from xactor_jax.motion.model import MotionModel, initial_statistics
from xactor_jax.pictures import picture_grid
from xactor_jax.run_settings import RunSettings
from xactor_jax.settings import Flag, check_value, choice, setting
from xactor_jax.variables import Batch, LossOutput, Rules, Tree, Variables, applied
from xactor_jax.video import examples, frozen
from xactor_jax.video.denoiser import Denoiser
from xactor_jax.video.disturbance import MotionNoise
from xactor_jax.video.entries import PIXELS, BatchEntries, batch_entries
from xactor_jax.video.examples import Example
from xactor_jax.video.finish import Finish, picture_loss
from xactor_jax.video.model import VideoModel
from xactor_jax.video.objective import (
    VideoLossSettings,
    cell_weights,
    diffusion_loss,
    draw_times,
    with_statistics,
)
from xactor_jax.video.partition import TRANSFORMER_RULES
from xactor_jax.video.phases import PHASES, labels, trained_denoiser
from xactor_jax.video.preparation import prepare
from xactor_jax.video.rendering import draw_portraits


@dataclass(frozen=True, kw_only=True)
class VideoRunSettings(RunSettings):
    """The run settings of configs/video.py, at the top of the config."""

    phase: str = setting(
        "all",
        choice(PHASES),
        "training phase: all (everything), spatial (everything but the temporal modules, on single frames), temporal (only "
        "these modules) or finish (everything, on sampled pictures)",
    )
    train_motion: bool = setting(
        False,
        Flag(),
        "whether the encoder of pretrained.motion is trained too, by the renderer's loss; only in the phases all and spatial",
    )
    predict_residual: bool = setting(
        True,
        Flag(),
        "whether to diffuse the residual from the draft's latent (without drafts, the reference's), not the latent",
    )
    keep_draft: bool = setting(
        True, Flag(), "whether pictures add back what the autoencoder loses of the draft, so that uncorrected parts stay sharp"
    )


@dataclass(frozen=True)
class VideoTask:
    """The video stage as the trainer uses it."""

    model: VideoModel
    settings: VideoLossSettings
    noise: MotionNoise
    autoencoder_path: str
    clip_path: str
    phase: str
    motion: MotionModel | None = None
    """The motion stage whose encoder is trained too: parameters "motion_encoder", and buffers "motion" for its statistics."""
    motion_path: str = ""
    augmentation: DrivingAugmentation | None = None
    """How the frames that its encoder sees in training are changed."""
    finish: Finish | None = None
    """Set in the phase of this name."""
    entries: BatchEntries = PIXELS
    stage: ClassVar[str] = "video"
    frame_entries: ClassVar[tuple[str, ...]] = ("frames", "frame_latents", "motion_latents", "component_boxes")
    folds_frames: ClassVar[bool] = True
    partition_rules: ClassVar[Rules] = TRANSFORMER_RULES
    start_copies: ClassVar[tuple[tuple[str, str], ...]] = (("trunk", "reference"),)

    start_stages: ClassVar[Mapping[str, tuple[str, str]]] = {"motion_encoder": ("motion", "generator/encoder")}

    def __post_init__(self) -> None:
        check_value("phase", self.phase, choice(PHASES))
        if self.motion and self.phase in ("temporal", "finish"):
            raise UserError(f"the {self.phase} phase trains no motion encoder: leave out --config.train_motion.")
        if not self.model.render_settings.steps and (self.finish or self.settings.sampled_levels):
            raise UserError("render.steps=0 has no noise level to train on: set it to 1 at least.")

    @classmethod
    def from_config(cls, config: ConfigDict) -> VideoTask:
        return cls(
            model=VideoModel.from_config(config),
            finish=Finish.from_config(config) if config.phase == "finish" else None,
            settings=VideoLossSettings(**config.loss.to_dict()),
            noise=MotionNoise(**config.motion_noise.to_dict()),
            autoencoder_path=config.pretrained.autoencoder,
            clip_path=config.pretrained.clip,
            phase=config.phase,
            motion=MotionModel.from_config(config.motion) if config.train_motion else None,
            augmentation=DrivingAugmentation(**config.data.augmentation) if config.train_motion else None,
            motion_path=config.pretrained.motion,
            entries=batch_entries(config),
        )

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return examples.shapes(self.model, batch_size, self.entries)

    def init(self, key: jax.Array) -> Variables:
        key_denoiser, key_others = jax.random.split(key)
        m = self.model
        x, motion = jnp.zeros((1, m.window, *m.latent_shape)), jnp.zeros((1, m.window, m.motion_dim))
        params: Tree = m.denoiser.init(key_denoiser, x, jnp.zeros(1), motion, x[:, 0], method="initialise")["params"]
        buffers = frozen.untrained(m, key_others)
        if self.motion:
            picture = jnp.zeros((1, *2 * (self.motion.encoder_size,), 3))
            params |= {"motion_encoder": self.motion.encoder.init(jax.random.fold_in(key_others, 2), picture)["params"]}
            buffers |= {"motion": initial_statistics(self.motion.latent_dim)}
        if self.finish:
            params |= self.finish.init(jax.random.fold_in(key_others, 4), m.image_size)
            buffers |= self.finish.perceptual.init(key_others)
        return Variables(params, buffers)

    def pretrained_buffers(self) -> Mapping[str, Tree]:
        """Frozen networks that `init_from` does not provide. Raises `UserError` if no path is given or the sizes differ."""
        m = self.model
        loaded = frozen.load_autoencoder(m, self.autoencoder_path) | frozen.load_clip(m, self.clip_path)
        loaded |= frozen.load_motion_statistics(self.motion_path) if self.motion else {}
        loaded |= {"draft": m.draft.load(self.motion_path)} if m.draft else {}
        return {**loaded, **(self.finish.perceptual.pretrained() if self.finish else {})}

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> LossOutput:
        """Weighted squared error of the prediction, or the loss of pictures. `train=False` disturbs and hides nothing."""
        key_time, key_noise, key_example = jax.random.split(key, 3)
        example = self._example(variables, batch, key_example, train)
        predict = lambda x_t, t: applied(self._denoiser, variables.params, x_t, t, *example.inputs)
        if self.finish:
            return picture_loss(self.finish, self.model, variables, key_noise, predict, batch, example.base)
        m, s, buffers = self.model, self.settings, variables.buffers
        if train:
            buffers = with_statistics(buffers, example.latents - example.base.latent, s.statistics_decay)
        x0 = m.to_diffused(variables._replace(buffers=buffers), example.latents, example.base.latent)
        where = cell_weights(s, batch, example.latents, example.reference)
        loss, reports = diffusion_loss(m.process, s, predict, x0, draw_times(m, s, key_time, len(x0)), key_noise, where)
        return LossOutput(loss, {"loss": loss, **reports}, buffers)

    def _example(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> Example:
        """Prepares a batch for the loss. The last phase does not hide the reference, because sampling does not."""
        m, s = self.model, self.settings
        key_mask, key_motion, key_reference = jax.random.split(key, 3)
        latents, reference = examples.latents_of(m, variables, batch)
        augmentation = self.augmentation if train else None
        motion, reference_motion = examples.motion_of(self.motion, variables, batch, jax.random.fold_in(key, 3), augmentation)
        motion = examples.disturbed(key_motion, motion, reference_motion, self.noise, s.motion_drop) if train else motion
        conditions, base = examples.conditions_and_base(m, variables, batch, motion, reference_motion, reference)
        inputs = examples.denoiser_inputs(m, self._denoiser, variables, batch, conditions, reference)
        if train and not self.finish:
            inputs = examples.hide_reference((key_mask, key_reference), inputs, s.reference_masked, s.reference_drop)
        return Example(latents, reference, base, inputs)

    @property
    def _denoiser(self) -> Denoiser:
        return trained_denoiser(self.model.denoiser, self.phase)

    def param_labels(self, params: Tree) -> Tree:
        return labels(params, self.phase)

    def preview(self, variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        """Two clips, every second frame: a row of true frames above a row of rendered ones, both after the reference.

        Without pictures in the batch, the true ones are those that the autoencoder makes of their latents.
        """
        m, few = self.model, {name: value[:2] for name, value in batch.items()}
        motion, reference_motion = examples.motion_of(self.motion, variables, few)
        frames, references = examples.pictures_of(m, variables, few)
        known = examples.embedding_of(m, variables, few), examples.latents_of(m, variables, few)[1]
        portrait = prepare(m, variables, references, reference_motion, *known)
        drawn = draw_portraits(m, variables, jax.random.split(key, len(frames)), portrait, motion)
        rows = []
        for i, reference in enumerate(references):
            rows += [jnp.concatenate([reference[None], clip[i, ::2]]) for clip in (frames, drawn.frames / 127.5 - 1.0)]
        return {"reference_true_above_rendered": picture_grid(rows)}
