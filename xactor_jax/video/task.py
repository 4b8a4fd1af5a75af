"""Training of the denoiser: noise on the latents of a window of frames, told by motion latents and a reference frame.

Batch: {"frames": float32 [B, T, H, W, 3] in [-1, 1], "reference": float32 [B, H, W, 3], "motion_latents": float32 [B, T, D],
"reference_motion": float32 [B, D], "component_boxes": float32 [B, T, 2, 4] fractions of the picture, "frames_apart": bool [B]:
frames from all over the clip, which do not see each other (joint training on images and video, Ho et al. 2022)}, and where
the motion encoder is trained too "driving", the frames as it sees them, whose motion replaces that of the batch. A renderer
with drafts (draft.py) is told the draft of the disturbed motion, as in sampling, and what is left to the truth is diffused.

X-NeMo (2025) trains in two phases, of which `phase` names one:
    spatial    everything but the temporal modules, which frames go around, so that these are pictures of one person
    temporal   the temporal modules alone, on frames in a row
What a phase does not train is frozen. No offset is added to the noise. Two more are ours: `all`, both at once; and `finish`,
all of it on the pictures that the sampler makes (finish.py), with discriminators that stay in the checkpoint.

Noise levels are drawn by (1) t = s u / (1 + (s − 1) u), u uniform in [0, 1]                (Esser et al. 2024, SD 3)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.checkpoints.start import FROM_START
from xactor_jax.diffusion.weighting import WEIGHTINGS, loss_weight
from xactor_jax.errors import UserError
from xactor_jax.layers.critics import PARTS, WHOLE
from xactor_jax.layers.latents import kept_statistics, running_moment
from xactor_jax.layers.picture_losses import psnr
from xactor_jax.motion.model import MotionModel, initial_statistics
from xactor_jax.parallel.partition import path_name
from xactor_jax.pictures import picture_grid
from xactor_jax.run_settings import RunSettings
from xactor_jax.settings import SHARE, Flag, check_fields, check_value, choice, real, setting
from xactor_jax.variables import Batch, LossOutput, Rules, Tree, Variables
from xactor_jax.video.autoencoder import AutoencoderSettings
from xactor_jax.video.denoiser import Denoiser
from xactor_jax.video.disturbance import MotionNoise, disturb
from xactor_jax.video.finish import Finish, roll_out
from xactor_jax.video.losses import movement_weights
from xactor_jax.video.model import Base, Told, VideoModel, own_motion
from xactor_jax.video.partition import TRANSFORMER_RULES
from xactor_jax.video.reference import mask_bank

LEFT = ("random", FROM_START)
"""As `config.pretrained.autoencoder` or `clip`: keep the untrained one, for tests and timing; that of `config.init_from`."""

Predict = Callable[[jax.Array, Float[Array, "b"]], jax.Array]
PHASES = ("all", "spatial", "temporal", "finish")
LEVEL_WEIGHTINGS = tuple(name for name in WEIGHTINGS if name != "fused_snr")  # which is of frames with levels of their own
TEMPORAL = "_attention/temporal/"
"""In the names of the temporal modules' parameters."""


@dataclass(frozen=True, kw_only=True)
class VideoRunSettings(RunSettings):
    """The config's top."""

    phase: str = setting(allowed=choice(PHASES))
    train_motion: bool = setting(allowed=Flag())
    predict_residual: bool = setting(allowed=Flag())
    keep_draft: bool = setting(allowed=Flag())


@dataclass(frozen=True, kw_only=True)
class VideoLossSettings:
    """`config.loss` of configs/video.py."""

    time_shift: float = setting(1.0, real(0.0, above=True))
    """Of the noise levels that are drawn, equation 1; 1: uniform, above 1: more of the high ones."""
    weighting: str = setting("min_snr", choice(LEVEL_WEIGHTINGS))
    gamma: float = setting(5.0, real(0.0, above=True))
    weight_floor: float = setting(0.0, real(0.0))
    """Smallest weight of any noise level; above 0, the start of sampling is trained too."""
    box_weight: float = setting(0.0, real(0.0))
    change_weight: float = setting(0.0, real(0.0))
    reference_masked: float = setting(0.3, real(0.0, 1.0, below=True))
    """Share of the bank's pixels hidden in training."""
    reference_drop: float = setting(0.1, SHARE)
    """Probability that an example sees no reference at all."""
    motion_drop: float = setting(0.0, SHARE)
    """Probability that an example is told the reference's motion in every frame."""
    statistics_decay: float = setting(0.99, SHARE)
    sampled_levels: bool = setting(False, Flag())
    """Noise levels are those at which sampling calls the network; else all, by equation 1."""

    def __post_init__(self) -> None:
        check_fields(self, "loss")


@dataclass(frozen=True)
class VideoTask:
    """The video stage as the trainer sees it."""

    model: VideoModel
    settings: VideoLossSettings
    noise: MotionNoise
    autoencoder_path: str
    clip_path: str = ""
    phase: str = "all"
    motion: MotionModel | None = None
    """Whose encoder is trained too: the parameters "motion_encoder", the statistics "motion" among the buffers."""
    motion_path: str = ""
    finish: Finish | None = None
    """In the phase of that name."""
    stage: ClassVar[str] = "video"
    frame_entries: ClassVar[tuple[str, ...]] = ("frames", "motion_latents", "component_boxes")
    folds_frames: ClassVar[bool] = True
    partition_rules: ClassVar[Rules] = TRANSFORMER_RULES
    start_copies: ClassVar[tuple[tuple[str, str], ...]] = (("trunk", "reference"),)

    start_stages: ClassVar[Mapping[str, tuple[str, str]]] = {"motion_encoder": ("motion", "generator/encoder")}

    def __post_init__(self) -> None:
        check_value("phase", self.phase, choice(PHASES))
        if self.motion and self.phase in ("temporal", "finish"):
            raise UserError(f"the {self.phase} phase trains no motion encoder: leave out --config.train_motion.")

    @classmethod
    def from_config(cls, config: ConfigDict) -> VideoTask:
        return cls(
            model=VideoModel.from_config(config),
            finish=Finish.from_config(config) if config.get("phase") == "finish" else None,
            settings=VideoLossSettings(**config.loss.to_dict()),
            noise=MotionNoise(**config.motion_noise.to_dict()),
            autoencoder_path=config.pretrained.autoencoder,
            clip_path=config.pretrained.get("clip", ""),
            phase=config.get("phase", "all"),
            motion=MotionModel.from_config(config.motion) if config.get("train_motion") else None,
            motion_path=config.pretrained.motion,
        )

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        size, window, dim = self.model.image_size, self.model.window, self.model.motion_dim
        shapes = {
            "frames": (window, size, size, 3),
            "reference": (size, size, 3),
            "motion_latents": (window, dim),
            "reference_motion": (dim,),
            "component_boxes": (window, 2, 4),
        }
        arrays = {name: jax.ShapeDtypeStruct((batch_size, *shape), jnp.float32) for name, shape in shapes.items()}
        arrays |= {"driving": arrays["frames"]} if self.motion else {}
        return arrays | {"frames_apart": jax.ShapeDtypeStruct((batch_size,), jnp.bool_)}

    def init(self, key: jax.Array) -> Variables:
        key_denoiser, key_autoencoder = jax.random.split(key)
        m, channels = self.model, self.model.latent_shape[-1]
        x, motion = jnp.zeros((1, m.window, *m.latent_shape)), jnp.zeros((1, m.window, m.motion_dim))
        params = m.denoiser.init(key_denoiser, x, jnp.zeros(1), motion, x[:, 0], method="initialise")["params"]
        buffers = {
            "autoencoder": m.autoencoder.init(key_autoencoder),
            "residual_std": jnp.ones(channels),
            "residual_count": jnp.zeros((), jnp.int32),
        }
        buffers |= {"clip": m.clip.init(jax.random.fold_in(key_autoencoder, 1))} if m.clip else {}
        buffers |= {"draft": m.draft.init(jax.random.fold_in(key_autoencoder, 3))} if m.draft else {}
        if self.motion:
            picture = jnp.zeros((1, *2 * (self.motion.encoder_size,), 3))
            params |= {"motion_encoder": self.motion.encoder.init(jax.random.fold_in(key_autoencoder, 2), picture)["params"]}
            buffers |= {"motion": initial_statistics(self.motion.latent_dim)}
        if self.finish:
            params |= self.finish.init(jax.random.fold_in(key_autoencoder, 4), m.image_size)
            buffers |= self.finish.perceptual.init(key_autoencoder)
        return Variables(params, buffers)

    def pretrained_buffers(self) -> Mapping[str, Tree]:
        """The frozen networks that do not come with `init_from`; `UserError` if none are named or they have other sizes."""
        draft = {"draft": self.model.draft.load(self.motion_path)} if self.model.draft else {}
        frozen = {**self._autoencoder(), **self._clip(), **self._motion_statistics(), **draft}
        return {**frozen, **(self.finish.perceptual.pretrained() if self.finish else {})}

    def _motion_statistics(self) -> dict[str, Tree]:
        from xactor_jax.checkpoints.exports import load_variables

        if not self.motion:
            return {}
        return {"motion": kept_statistics(load_variables(self.motion_path, "motion")[1].buffers)}

    def _autoencoder(self) -> dict[str, Tree]:
        from xactor_jax.checkpoints.exports import load_variables

        if self.autoencoder_path in LEFT:
            return {}
        if not self.autoencoder_path:
            raise UserError("The video stage needs a trained autoencoder: name one by --config.pretrained.autoencoder=FOLDER.")
        config, variables = load_variables(self.autoencoder_path, "autoencoder")
        if not self.model.autoencoder.settings.fits(AutoencoderSettings.from_config(config.network)):
            raise UserError(
                f"The autoencoder in {self.autoencoder_path} has other sizes than this config's `autoencoder`: "
                "train one with the same preset or change the config."
            )
        return {"autoencoder": {"params": variables.params["autoencoder"], "buffers": kept_statistics(variables.buffers)}}

    def _clip(self) -> dict[str, Tree]:
        from xactor_jax.checkpoints.exports import load_variables

        if self.model.clip is None or self.clip_path in LEFT:
            return {}
        if not self.clip_path:
            raise UserError(
                "The embedding of the reference picture needs CLIP's image encoder: import it with launch/import_weights.py "
                "--what clip and name it by --config.pretrained.clip=FOLDER, or do without by --config.clip.depth=0."
            )
        return {"clip": load_variables(self.clip_path, "clip")[1].params}

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> LossOutput:
        """Weighted squared error of the prediction, or of pictures; `train=False` disturbs and hides nothing."""
        key_time, key_noise, key_conditions = jax.random.split(key, 3)
        key_mask, key_motion, key_reference = jax.random.split(key_conditions, 3)
        z, z_ref = self._latents(variables, batch)
        told, base = self._told(variables, key_motion, batch, z_ref, train)
        if self.finish:
            return self._picture_loss(variables, key_noise, batch, told, base, z_ref)
        hidden = (key_mask, key_reference) if train else None
        predict = lambda x, t: self._predict(variables, hidden, x, t, told, z_ref, batch)
        buffers = self._with_statistics(variables.buffers, z - base.latent) if train else variables.buffers
        x0 = self.model.to_diffused(variables._replace(buffers=buffers), z, base.latent)
        where = self._where(batch, z, z_ref)
        loss, reports = self._diffusion_loss(predict, x0, self._levels(key_time, len(x0)), key_noise, where)
        return LossOutput(loss, {"loss": loss, **reports}, buffers)

    def _levels(self, key: jax.Array, count: int) -> Float[Array, "count"]:
        """Noise levels of a batch."""
        if not self.settings.sampled_levels:
            return stratified_times(key, count, self.settings.time_shift)
        return jax.random.choice(key, self._times()[:-1], (count,))

    def _times(self) -> Float[Array, "levels"]:
        """Noise levels that sampling passes, falling to 0."""
        return self.model.render_settings.times(self.model.process.steps)

    def _where(self, batch: Batch, z: jax.Array, z_ref: jax.Array) -> Float[Array, "b t h w 1"]:
        s = self.settings
        return movement_weights(z - z_ref[:, None], batch["component_boxes"], s.box_weight, s.change_weight)

    def _diffusion_loss(
        self, predict: Predict, x0: jax.Array, t: Float[Array, "b"], key: jax.Array, where: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Weighted error of the prediction at noise levels t, and what is reported of it."""
        process, s = self.model.process, self.settings
        eps = jax.random.normal(key, x0.shape)
        x_t, target = process.add_noise(x0, eps, t), process.target(x0, eps, t)
        prediction = predict(x_t, t)
        squared = jnp.mean(where * (prediction - target) ** 2, axis=(1, 2, 3, 4))
        weight = jnp.maximum(loss_weight(s.weighting, process, t, s.gamma), s.weight_floor)
        return jnp.mean(weight * squared), self._reports(prediction, target, x_t, x0, t)

    def _picture_loss(
        self, variables: Variables, key: jax.Array, batch: Batch, told: Told, base: Base, z_ref: jax.Array
    ) -> LossOutput:
        """Equation 3 of finish.py, and how near pictures and drafts come to the truth."""
        m, frames = self.model, batch["frames"]
        noise = jax.random.normal(key, (*frames.shape[:2], *m.latent_shape))
        predict = lambda x, t: self._predict(variables, None, x, t, told, z_ref, batch)
        x = roll_out(m.process, predict, m.start(m.render_settings, variables, base.latent), noise, self._times())
        images = m.pictures(variables, m.from_diffused(variables, x, base.latent), base)
        flat = lambda a: a.reshape(-1, *a.shape[2:])
        reference = flat(jnp.broadcast_to(batch["reference"][:, None], frames.shape))
        images, target, boxes = flat(images), flat(frames), flat(batch["component_boxes"])
        terms = self.finish.terms(variables, images, target, reference, boxes)
        loss, reports = self.finish.total(terms), {"psnr": psnr(images, target), "reference_psnr": psnr(reference, target)}
        reports |= {"draft_psnr": psnr(flat(base.picture), target)} if base.picture is not None else {}
        return LossOutput(loss, {"loss": loss, **terms, **reports}, variables.buffers)

    def param_labels(self, params: Tree) -> Tree:
        trained = {"spatial": (False, True), "temporal": (True, False)}.get(self.phase, (True, True))

        def label(path: Any, _: Any) -> str:
            name = path_name(path)
            if name.split("/")[0] in (WHOLE, PARTS):
                return "discriminator"
            return "default" if trained[TEMPORAL not in name] else "frozen"

        return jax.tree_util.tree_map_with_path(label, params)

    def preview(self, variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        """Two clips, every other frame: rows of true frames over rendered ones, the reference in front of both."""
        few = {name: value[:2] for name, value in batch.items()}
        motion, still = self._motion(variables, few)
        arguments = (few["reference"], still, motion)
        rendered = self.model.render_batch(variables, jax.random.split(key, len(few["frames"])), *arguments)
        rendered = rendered / 127.5 - 1.0
        rows = []
        for i, reference in enumerate(few["reference"]):
            rows += [jnp.concatenate([reference[None], clip[i, ::2]]) for clip in (few["frames"], rendered)]
        return {"reference_true_above_rendered": picture_grid(rows)}

    def _latents(self, variables: Variables, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """Of the frames and of the reference, apart: together, frames and one more could not be split evenly over devices."""
        frozen = variables.buffers["autoencoder"]
        encode = lambda x: jax.lax.stop_gradient(self.model.autoencoder.encode(frozen, x))
        return encode(batch["frames"]), encode(batch["reference"])

    def _with_statistics(self, buffers: Tree, residual: Float[Array, "b t h w c"]) -> Tree:
        """Running root mean square per channel of z − b."""
        count, square = buffers["residual_count"], jnp.mean(residual**2, axis=(0, 1, 2, 3))
        square = running_moment(buffers["residual_std"] ** 2, square, count, self.settings.statistics_decay)
        std = jnp.sqrt(jnp.maximum(square, 1e-6))
        return {**buffers, "residual_std": std, "residual_count": count + 1}

    def _told(self, variables: Variables, key: jax.Array, batch: Batch, z_ref: jax.Array, train: bool) -> tuple[Told, Base]:
        """What the denoiser is told of the frames, and what it corrects."""
        motion, still = self._motion(variables, batch)
        motion = self._told_motion(key, motion, still) if train else motion
        if self.model.draft is None:
            return Told(motion), Base(z_ref[:, None])
        base = jax.lax.stop_gradient(self.model.drafts(variables, batch["reference"], still, motion))
        return self.model.told(motion, base), base

    def _predict(
        self,
        variables: Variables,
        hidden: tuple[jax.Array, jax.Array] | None,
        x_t: jax.Array,
        t: jax.Array,
        told: Told,
        z_ref: jax.Array,
        batch: Batch,
    ) -> jax.Array:
        """The denoiser's answer; with two keys in `hidden`, parts of the reference are hidden from it, as in training."""
        denoiser, weights, shown = self._denoiser(), {"params": variables.params}, None
        embedding = self.model.embed(variables, batch["reference"])
        bank = denoiser.apply(weights, z_ref, embedding, method="appearance")
        if hidden:
            key_mask, key_reference = hidden
            bank = mask_bank(key_mask, bank, self.settings.reference_masked)
            shown = ~jax.random.bernoulli(key_reference, self.settings.reference_drop, t.shape)
        conditions = (told.motion, z_ref, bank, shown, batch["frames_apart"], embedding, told.draft)
        return denoiser.apply(weights, x_t, t, *conditions)

    def _denoiser(self) -> Denoiser:
        """What is trained; in the spatial phase without temporal modules, whose parameters stay in the tree."""
        denoiser = self.model.denoiser
        if self.phase != "spatial":
            return denoiser
        unet = replace(denoiser.settings.unet, temporal=False)
        return denoiser.clone(settings=replace(denoiser.settings, unet=unet))

    def _motion(self, variables: Variables, batch: Batch) -> tuple[Float[Array, "b t d"], Float[Array, "b d"]]:
        """Standardised motion of the frames and of the reference."""
        if self.motion is None:
            return batch["motion_latents"], batch["reference_motion"]
        pictures = jnp.concatenate([batch["reference"][:, None], batch["driving"]], axis=1)
        z = self.motion.encode(own_motion(variables), pictures.reshape(-1, *pictures.shape[2:]))
        z = z.reshape(*pictures.shape[:2], -1)
        return z[:, 1:], z[:, 0]

    def _told_motion(
        self, key: jax.Array, motion: Float[Array, "b t d"], reference: Float[Array, "b d"]
    ) -> Float[Array, "b t d"]:
        """Disturbed motion, or in some examples the reference's own in every frame."""
        key_drop, key_noise = jax.random.split(key)
        dropped = jax.random.bernoulli(key_drop, self.settings.motion_drop, (len(motion), 1, 1))
        return jnp.where(dropped, reference[:, None], disturb(key_noise, motion, self.noise))

    def _reports(
        self, prediction: jax.Array, target: jax.Array, x_t: jax.Array, x0: jax.Array, t: jax.Array
    ) -> dict[str, jax.Array]:
        """Squared errors of the prediction, and of the clean latent behind it beside saying zero (the reference repeated)."""
        x0_hat = self.model.process.to_x0(prediction, x_t, t)
        return {
            "prediction_mse": jnp.mean((prediction - target) ** 2),
            "clean_mse": jnp.mean((x0_hat - x0) ** 2),
            "clean_power": jnp.mean(x0**2),
        }


def stratified_times(key: jax.Array, count: int, shift: float = 1.0) -> Float[Array, "count"]:
    """Noise levels by equation 1, of one u from each of `count` equal parts, so that every batch covers all levels."""
    u = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count
    return shift * u / (1.0 + (shift - 1.0) * u)
