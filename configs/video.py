"""Stage 3: video from a portrait and motion latents, by latent diffusion.

python launch/train.py --config=configs/video.py            # a few minutes on two cores
python launch/train.py --config=configs/video.py:puppets    # drawn faces
python launch/train.py --config=configs/video.py:heads      # people in three dimensions, 128 pixels a side, then:
python launch/train.py --config=configs/video.py:heads_finish --config.init_from=runs/video-heads
python launch/train.py --config=configs/video.py:tune       # fine-tunes data/assets/video, by launch/train_all.py
python launch/train.py --config=configs/video.py:base       # the size of the nearest published renderer (X-NeMo), then:
python launch/train.py --config=configs/video.py:base --config.phase=temporal --config.init_from=runs/video-base --workdir=DIR

Both phases of base can start from released weights that launch/import_weights.py has imported: --config.init_from=runs/xnemo,
or --config.init_from=runs/sd_unet,runs/animatediff

heads: data/assets/video corrects the drafts of data/assets/motion, so far only a little (docs/results.md). heads makes 0.56
steps a second and heads_finish 0.75, on one core of an AMD EPYC (2026-11-29).

Measured on 2026-11-24, one core of an AMD EPYC: puppets takes 66 minutes (1.1 steps a second). Video of held-out people from
true motion is 3.5 dB better than repeating the reference (python launch/evaluate.py --out DIR).
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs import autoencoder
from configs.common import preset_config


def get_config(preset: str = "default") -> ConfigDict:
    """The config of a preset: the defaults of the stage with the changes in `PRESETS`."""
    return preset_config("video", PRESETS, preset)


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 4_500
    c.data.update(kind="puppets", persons=400, clips_per_person=3, clip_seconds=5.0, image_size=64)
    c.autoencoder.update(autoencoder.get_config("puppets").network)
    c.diffusion.prediction = "x0"
    c.loss.sampled_levels = False
    c.network.draft = False
    c.network.unet.update(channels=(48, 64), attention=(False, True))
    c.render.steps = 2
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    """Corrects the drafts of stage 1 in few denoising steps; trained only on the noise levels that sampling uses."""
    c.steps = 2_000
    c.data.update(persons=1_600, clips_per_person=1)
    c.optimizer.discriminator_scale = 0.3
    c.checkpoint.every = c.eval_every = c.preview_every = 500
    return c


def _heads_finish(c: ConfigDict) -> ConfigDict:
    """The last phase of `heads`, with losses on the sampled pictures."""
    c = _heads(c)
    c.phase = "finish"
    c.batch_size = 2
    c.optimizer.learning_rate = 5e-4
    c.optimizer.discriminator_scale = 1.0
    c.finish.update(detail=10.0, adversarial=0.05, part_adversarial=0.05)
    c.ema_decay = 0.995
    return c


def _tune(c: ConfigDict) -> ConfigDict:
    """Fine-tunes the embedded checkpoint on other people and on the drafts of pretrained.motion."""
    c = _heads_finish(c)
    c.init_from = "data/assets/video"
    c.steps = 800
    c.checkpoint.every = c.eval_every = c.preview_every = 200
    return c


def _base(c: ConfigDict) -> ConfigDict:
    """Stable Diffusion 1.5's trunk with X-NeMo's motion and temporal modules."""
    c.steps = 200_000
    c.batch_size = 64
    c.precision = "bfloat16"
    c.remat = "full"  # a window of 24 frames keeps 3.0 GiB for the backward pass (temporal: 3.5; computed from shapes)
    c.ema_decay = 0.9999
    c.optimizer.learning_rate = 1e-5
    c.optimizer.warmup_steps = 1_000
    c.data.image_size = 512
    c.data.window = 24
    c.data.apart = 0.0
    c.autoencoder.update(autoencoder.get_config("base").network)
    c.phase = "spatial"
    c.predict_residual = False
    c.loss.sampled_levels = False
    c.clip.depth = 24
    c.diffusion.update(schedule="scaled_linear", prediction="eps", beta_start=0.00085, beta_end=0.02)
    c.network.update(motion_tokens=32, motion_token_width=16, motion_hidden=0, box_width=64, position_halves=True)
    c.network.update(concatenate_reference=False, draft=False, full_reference=False)
    c.network.unet.update(channels=(320, 640, 1280, 1280), attention=(True, True, True, False), blocks=2, heads=8, groups=32)
    c.network.unet.update(context_width=768, discrete_steps=1000)
    c.network.unet.update(feed_forward=4, module_feed_forward=4, module_attentions=2, time_width=1280, coordinates=False)
    c.loss.update(time_shift=1.0, weighting="min_snr", box_weight=0.0, change_weight=0.0, reference_drop=0.1, motion_drop=0.0)
    c.render.update(steps=35, guidance_scale=2.5, guidance_keeps_reference=False, window_overlap=4, windows_per_segment=1)
    c.render.update(known_frames=4, spacing="leading", blur_size=9, blur_sigma=18.0, offline=True)
    c.checkpoint.every = c.eval_every = c.preview_every = 5_000
    return c


PRESETS = {"puppets": _puppets, "heads": _heads, "heads_finish": _heads_finish, "tune": _tune, "base": _base}
