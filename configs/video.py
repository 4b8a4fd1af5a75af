"""Stage 3: video from a portrait and motion latents, by latent diffusion.

python launch/train.py --config=configs/video.py            # a few minutes on two cores
python launch/train.py --config=configs/video.py:puppets    # of drawn faces
python launch/train.py --config=configs/video.py:heads      # people in three dimensions, 128 pixels a side, then:
python launch/train.py --config=configs/video.py:heads_finish --config.init_from=runs/video-heads
python launch/train.py --config=configs/video.py:tune       # data/assets/video on your own clips, by launch/train_all.py
python launch/train.py --config=configs/video.py:base       # the size of the nearest published renderer (X-NeMo), then:
python launch/train.py --config=configs/video.py:base --config.phase=temporal --config.init_from=runs/video-base --workdir=DIR

Both may start from released weights, made checkpoints by launch/import_weights.py: --config.init_from=runs/xnemo, or
--config.init_from=runs/sd_unet,runs/animatediff

heads: data/assets/video corrects the drafts of data/assets/motion, so far by little (docs/results.md); 0.56 steps a second, and
of heads_finish 0.75, on one core of an AMD EPYC (2026-11-29).

Measured on 2026-11-24, one core of an AMD EPYC: puppets, 66 minutes (1.1 steps a second); video of people never seen, from true
motion, 3.5 dB above repeating the reference (python launch/evaluate.py --out DIR).
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs import motion
from configs.autoencoder import get_network
from configs.common import apply_preset, get_common


def get_config(preset: str = "default") -> ConfigDict:
    c = get_common("video")
    c.data.update(kind="heads", clips_per_person=2, clip_seconds=3.0, image_size=128)
    c.steps = 300
    c.batch_size = 4  # windows of data.window frames
    c.optimizer.learning_rate = 1e-3
    c.phase = "all"  # what is trained: all; spatial, all but temporal modules, on single frames; temporal, these alone; finish
    c.train_motion = False  # in the spatial phase or all at once: the encoder of pretrained.motion too, by the renderer's error
    c.motion = motion.get_config()  # of network.draft and train_motion: filled in from the checkpoint in pretrained.motion
    c.data.augmentation = motion.get_config().data.augmentation  # of the frames that an encoder sees that is trained
    c.data.window = 8  # frames that the denoiser sees at once
    c.data.examples_per_clip = 1
    c.data.apart = 0.75  # share of training windows of frames from all over the clip, which do not see each other; of phase all
    c.autoencoder = get_network(
        preset.removesuffix("_finish")
    )  # sizes of the frozen autoencoder: those of the checkpoint in pretrained.autoencoder
    c.clip = _clip()
    c.predict_residual = True  # diffuse the difference from the draft's latent, or without one the reference's; not the latent

    c.keep_draft = True  # add to pictures what the autoencoder loses of the draft: what is not corrected stays as sharp

    c.diffusion = ConfigDict()
    c.diffusion.schedule = "cosine"  # cosine or scaled_linear (of Stable Diffusion)
    c.diffusion.prediction = "v"  # what the network says: v, eps or x0. Of a residual of unit deviation v has the c_skip, c_out
    # and c_in of EDM (arXiv 2206.00364); with x0 its error counts most where motion decides
    c.network = _network()

    c.loss = ConfigDict()
    c.loss.time_shift = 3.0  # 1: noise levels uniform; above 1, more of the high ones, where it is motion that decides
    c.loss.weighting = "none"  # of noise levels: none, min_snr or sigmoid
    c.loss.gamma = 5.0  # signal-to-noise ratio at which min_snr clips
    c.loss.weight_floor = 0.0  # smallest weight of any noise level
    c.loss.box_weight = 2.0  # extra weight of cells inside the eyes' and the mouth's boxes
    c.loss.change_weight = 1.0  # extra weight of cells that differ from the reference, by how much over the mean
    c.loss.reference_masked = 0.3  # share of the reference features' pixels hidden in training
    c.loss.reference_drop = 0.0  # probability that an example sees no reference features
    c.loss.motion_drop = 0.05  # probability that an example is told the reference's motion in every frame
    c.loss.statistics_decay = 0.99  # of the running size of the difference from the reference, per step

    c.loss.sampled_levels = True  # noise levels are those at which render calls the network; else all, by time_shift

    c.finish = ConfigDict()  # phase=finish: all that is trained in all, on the pictures that render makes (video/finish.py)
    c.finish.pixel = 1.0  # mean absolute error
    c.finish.gradient = 1.0  # mean absolute error of image differences at three scales
    c.finish.component = 2.0  # extra weight of eyes and mouth in both: each counts as much as this many whole pictures
    c.finish.motion = 0.5  # extra weight of pixels that differ from the reference
    c.finish.perceptual = 0.0  # distance by a network in pretrained.perceptual; 0: there is none
    c.finish.perceptual_kind = "vgg16"  # which one that is: vgg16 or lpips
    c.finish.adversarial = 0.02  # fooling a patch discriminator
    c.finish.feature_matching = 0.2  # distance of its features
    c.finish.part_adversarial = 0.02  # fooling a discriminator of eyes and mouth alone, and its features' distance
    c.finish.adversarial_kind = "hinge"  # hinge or non_saturating
    c.finish.patch = 4  # of both discriminators: pixels along the side of the squares that they see first
    c.finish.widths = (32, 64, 64)  # channels at every halving after that
    c.finish.part_side = 32  # side to which eyes and mouth are brought, pixels

    c.motion_noise = ConfigDict()  # on the motion latents in training, largest deviation; latents have unit deviation
    c.motion_noise.bias = 0.1  # one offset per window
    c.motion_noise.drift = 0.1  # random walk, deviation at the window's end
    c.motion_noise.jitter = 0.05  # apart in every frame

    c.render = ConfigDict()  # previews, and what a program samples with where it is not told otherwise
    c.render.steps = 1  # denoising steps; one is enough to correct a draft
    c.render.guidance_scale = 1.0  # away from the reference's own motion; 1: off, and half the work
    c.render.guidance_keeps_reference = True  # whether the negative branch sees the reference
    c.render.window_overlap = 2  # frames that neighbouring windows share
    c.render.windows_per_segment = 3  # windows denoised together; memory grows with it
    c.render.known_frames = 2  # finished frames that each segment takes over from the one before
    c.render.first_time = 1.0  # noise level in (0, 1] at which denoising starts; below 1, from the noised reference
    c.render.spacing = "even"  # of noise levels: even, or leading (of Stable Diffusion's published schedulers)
    c.render.blur_size = 0  # cells of the Gaussian that blurs the reference before it is noised; 0: not blurred
    c.render.blur_sigma = 18.0  # its deviation, cells
    c.render.offline = False  # whole clips at once, by windows around a closed loop; False: segment by segment
    heads = {"heads": _heads, "heads_finish": _heads_finish, "tune": _tune}
    return apply_preset(c, {"puppets": _puppets, **heads, "base": _base}, preset)


def _clip() -> ConfigDict:
    """Sizes of the frozen encoder of the reference picture, CLIP's ViT-L/14: those of the checkpoint in pretrained.clip."""
    c = ConfigDict()
    c.depth = 0  # blocks (released: 24); 0: there is no encoder, and the network is told zeros in an embedding's place
    c.image_size = 224  # side that pictures are brought to, pixels
    c.patch = 14  # side of a patch, pixels
    c.width = 1024
    c.heads = 16
    c.mlp_width = 4096
    c.projection = 768  # features of the embedding: network.unet.context_width
    c.activation = "quick_gelu"  # or gelu
    c.epsilon = 1e-5  # of layer normalisation
    return c


def _network() -> ConfigDict:
    """Sizes for heads of 128 × 128 pixels: 16 × 16 and 8 × 8 latent cells, all of which see the reference."""
    n = ConfigDict()
    n.motion_dim = 512  # D, size of a motion latent
    n.motion_tokens = 8  # tokens made of one motion latent
    n.motion_token_width = 32  # features of each
    n.motion_hidden = 128  # hidden layer between the latent and its tokens; 0: one linear map
    n.box_width = 0  # features of the face's box beside the motion latent in the tokens; 0: they know of no box
    n.position_halves = False  # positions of tokens: all sines before all cosines; else they alternate
    n.concatenate_reference = True  # the reference latent as further input channels too
    n.draft = True  # correct what the decoder of pretrained.motion draws; off where that checkpoint has no decoder
    n.full_reference = False  # keep layers of the reference network that nothing reads
    n.unet = ConfigDict()
    n.unet.channels = (64, 96)  # width of each level, finest first
    n.unet.attention = (True, True)  # levels where pixels attend to each other and to the reference
    n.unet.blocks = 1  # layers per level on the way down; one more on the way up
    n.unet.heads = 4  # of every attention
    n.unet.groups = 8  # of group normalisation
    n.unet.module_groups = 0  # the same in motion and temporal modules; 0: as many
    n.unet.context_width = 0  # features of the reference picture's embedding (CLIP's: 768); 0: there is none
    n.unet.discrete_steps = 0  # N: noise levels are told as steps of a table of N (Stable Diffusion: 1000); 0: as they are
    n.unet.feed_forward = 2  # width inside the feed-forward part of spatial modules over that outside; 0: none
    n.unet.module_feed_forward = 0  # the same of motion and temporal modules
    n.unet.module_attentions = 1  # attentions in a row in each motion and temporal module
    n.unet.time_width = 128  # features of the noise level's embedding
    n.unet.coordinates = True  # tell each cell its row and column
    return n


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 4_500
    c.data.update(kind="puppets", persons=400, clips_per_person=3, clip_seconds=5.0, image_size=64)
    c.diffusion.prediction = "x0"
    c.loss.sampled_levels = False
    c.network.draft = False
    c.network.unet.update(channels=(48, 64), attention=(False, True))
    c.render.steps = 2
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    """A corrector of stage 1's drafts in few steps, trained for the noise levels that are sampled."""
    c.steps = 2_000
    c.data.update(persons=1_600, clips_per_person=1)
    c.optimizer.discriminator_scale = 0.3
    c.checkpoint.every = c.eval_every = c.preview_every = 500
    return c


def _heads_finish(c: ConfigDict) -> ConfigDict:
    """The same, on the pictures that it makes."""
    c = _heads(c)
    c.phase = "finish"
    c.batch_size = 2
    c.optimizer.learning_rate = 5e-4
    c.ema_decay = 0.995
    return c


def _tune(c: ConfigDict) -> ConfigDict:
    """The embedded checkpoint on other people, and on the drafts of pretrained.motion."""
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
    c.remat = "full"  # one window of 24 frames then keeps 3.0 GiB for the backward pass (temporal phase: 3.5), by shapes
    c.ema_decay = 0.9999
    c.optimizer.learning_rate = 1e-5
    c.optimizer.warmup_steps = 1_000
    c.data.image_size = 512
    c.data.window = 24
    c.data.apart = 0.0
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
