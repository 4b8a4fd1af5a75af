"""Stage 2: the audio-conditioned diffusion-forcing transformer over motion latents.

python launch/train.py --config=configs/actor.py            # or :demo, the same: a few minutes on two cores
python launch/train.py --config=configs/actor.py:puppets    # of drawn faces
python launch/train.py --config=configs/actor.py:heads      # the same of people in three dimensions
python launch/train.py --config=configs/actor.py:tune       # data/assets/actor on your own clips, by launch/train_all.py
python launch/train.py --config=configs/actor.py:base       # 122 M parameters, wav2vec 2.0 base features
python launch/train.py --config=configs/actor.py:large      # 547 M parameters, wav2vec 2.0 large features

Measured on 2026-11-28, one core of an AMD EPYC beside other programs: puppets, 47 minutes (0.84 steps a second) after the clips
of 20 s are drawn and encoded (25 minutes). The command of the evaluation is in docs/results.md. It lets 2 people never seen
perform for an hour: the jaw correlates with the true one at 0.957. A linear probe recognises 0.59 of the emotions from the
generated motion, 0.68 from true motion, 0.23 by chance; with rollout.history geometric 0.57. On 2026-11-24, with
network.audio_memory 125 and levels independent per chunk alone: 0.49 and 0.47. Without objective.heard, and label embeddings
that start at the size of what they join, it was no better than chance.
"""

from ml_collections import ConfigDict

from configs.common import apply_preset, get_common
from xactor_jax.labels import EMOTIONS


def get_config(preset: str = "default") -> ConfigDict:
    c = get_common("actor")
    c.data.update(kind="heads", clips_per_person=2, clip_seconds=4.0, image_size=128)
    c.steps = 1_200
    c.batch_size = 16
    c.optimizer.learning_rate = 2e-3
    c.data.window = 80  # frames of a training example; shorter clips are padded and masked
    c.data.reference = "other_clip"  # whence the reference motion: other_clip of the person where there is one, or same_clip

    c.data.sound_augmentation = ConfigDict()  # of log-mel features, so that other voices and rooms are understood
    c.data.sound_augmentation.probability = 0.0  # of each of the four changes; 0: the sound stays as it is
    c.data.sound_augmentation.tract = 0.15  # ± factor of the frequency axis: shorter and longer vocal tracts
    c.data.sound_augmentation.gain = 0.6  # ± of the base-10 logarithm of power; 1 is 10 dB
    c.data.sound_augmentation.equaliser = 0.6  # ± the same at each of its points, linear between them
    c.data.sound_augmentation.equaliser_points = 5
    c.data.sound_augmentation.reverberation = 0.6  # longest time in which a room's power falls by 60 dB, seconds
    c.data.sound_augmentation.reverberation_share = 0.6  # most of the power that comes from the room
    c.data.sound_augmentation.noise_lowest = 0.0  # signal over noise at the most noise, dB
    c.data.sound_augmentation.noise_highest = 40.0  # … at the least

    c.network = ConfigDict()
    c.network.latent_dim = 512  # D, size of a motion latent: that of the motion stage
    c.network.audio_dim = 320  # A, size of a frame's audio features: 4 log-mel columns of 80 bands
    c.network.width = 96  # features of a token
    c.network.depth = 3  # transformer blocks
    c.network.heads = 3  # of every attention
    c.network.chunk = 10  # frames that share a noise level and see each other fully
    c.network.context = 50  # frames of past that a chunk sees, a multiple of chunk
    c.network.audio_radius = 2  # frames of audio on either side that a token attends to
    c.network.audio_memory = 0  # frames of past audio whose summary every token is told; 0: none
    c.network.emotions = len(EMOTIONS)  # labels known, from the first of xactor_jax.labels.EMOTIONS on, beside "unknown"
    c.network.mlp_ratio = 4  # width inside a block's MLP over width
    c.network.look_ahead = -1  # frames of its own chunk after itself that a frame sees; -1: the whole chunk
    c.network.scan_layers = False  # blocks as one loop of the compiled program
    c.network.sink_chunk = False  # whether the first chunk is seen for ever, when the context has left it behind

    c.diffusion = ConfigDict()
    c.diffusion.schedule = "cosine"  # cosine, scaled_linear (of Stable Diffusion) or flow (a straight line)
    c.diffusion.shift = 4.0  # factor on noise over signal: 512 numbers of some 26 degrees of freedom drown in so much more
    c.diffusion.prediction = "x0"  # what the network says: v, flow, eps or x0; noise of 512 numbers does not fit in width 96

    c.objective = ConfigDict()
    c.objective.noise_levels = ConfigDict()  # how often a clip's levels are drawn in each way, relative to one another
    c.objective.noise_levels.independent_per_chunk = 1.0  # every chunk its own
    c.objective.noise_levels.monotone_per_chunk = 0.0  # the same, sorted: never falling from chunk to chunk
    c.objective.noise_levels.monotone_from_anchor = 0.0  # never falling, crowded towards 0 before a chunk and 1 after it
    c.objective.noise_levels.independent_per_token = 0.0  # every frame its own
    c.objective.noise_levels.shared = 0.0  # one for the clip
    c.objective.noise_levels.teacher_forcing = 0.0  # one chunk noisy, all others clean: the ablation of diffusion forcing
    c.objective.discrete_steps = 0  # noise levels above 0 that there are, evenly spaced; 0: all
    c.objective.weighting = "none"  # of the loss by noise level: none, min_snr, fused_snr or sigmoid
    c.objective.gamma = 5.0  # bound of the signal-to-noise ratio in min_snr and fused_snr
    c.objective.fused_decay = 0.98  # fused_snr: factor per frame by which a token's past fades
    c.objective.sigmoid_bias = -1.0  # sigmoid: log signal-to-noise ratio at which the weight of noise's error is a half
    c.objective.velocity = 0.0  # weight of the error in motion's velocity, the difference from frame to frame
    c.objective.heard = 0.0  # weight of telling the labelled emotion from the summary of the audio; needs network.audio_memory
    c.objective.drop_audio = 0.1  # probability that a clip is shown without its audio
    c.objective.drop_reference = 0.1  # … without its reference motion
    c.objective.drop_emotion = 0.3  # … without its emotion label

    c.rollout = ConfigDict()  # how previews are sampled
    c.rollout.steps = 12  # steps from noise to motion, for each chunk
    c.rollout.stepper = "ddim"  # ddim, ancestral, euler or heun (two network calls a step)
    c.rollout.eta = 0.0  # ddim: 0 is deterministic, 1 ancestral
    c.rollout.schedule = "autoregressive"  # autoregressive, pyramid or full_sequence
    c.rollout.offset = 4  # pyramid: steps between a chunk and the next
    c.rollout.chunks = 0  # full_sequence: chunks denoised together; 0: as many as the context holds
    c.rollout.context = 0  # frames of past that a chunk sees, a multiple of chunk below network.context; 0: all of that
    c.rollout.use_reference = True  # False: only speech and its own history say how motion goes on
    c.rollout.audio_guidance = 1.5  # 1: the conditional prediction alone
    c.rollout.emotion_guidance = 1.0
    c.rollout.nested_guidance = False  # whether emotion guides what audio has guided, or each by itself
    c.rollout.history_guidance = 1.0  # away from what would be said without history
    c.rollout.history_fraction = 0.0  # 0: the history guides as it is; else the noise level at which it does
    c.rollout.history = "geometric"  # noise of finished history over its age: constant, geometric, linear or none
    c.rollout.history_level = 0.05  # noise level in [0, 1] of the youngest finished chunk as the network sees it
    c.rollout.history_decay = 0.5  # geometric: factor by which it falls with every chunk of age, until it is below 0.001
    c.rollout.history_span = 4  # linear: chunks after which it is 0
    c.rollout.history_noise = "noise"  # noise, or scale: said to be at its level and scaled down, without the noise
    return apply_preset(
        c, {"demo": lambda c: c, "puppets": _puppets, "heads": _heads, "tune": _tune, "base": _base, "large": _large}, preset
    )


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 2_400
    c.data.update(kind="puppets", persons=400, clips_per_person=2, image_size=64)
    c.data.clip_seconds = 20.0  # long enough for emotions to change in
    c.data.examples_per_clip = 2
    c.data.window = 125
    c.network.width = 128
    c.network.heads = 4
    c.network.audio_memory = 60
    c.network.emotions = 5  # that performers have
    c.diffusion.shift = 12.0
    c.objective.noise_levels.update(shared=1.0, monotone_from_anchor=1.0)
    c.objective.heard = 0.1
    c.objective.drop_emotion = 0.5
    c.rollout.emotion_guidance = 3.0
    c.rollout.history = "none"
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    """The puppets' recipe on the clips of the other stages' `heads`: many people and voices, for a few seconds each."""
    c = _puppets(c)
    c.data.update(kind="heads", persons=1_600, clips_per_person=1, clip_seconds=3.0, image_size=128)
    c.data.window = 75
    return c


def _tune(c: ConfigDict) -> ConfigDict:
    """The embedded checkpoint on other people: their latents, from pretrained.motion, and their speech."""
    c = _heads(c)
    c.init_from = "data/assets/actor"
    c.steps = 1_500
    c.optimizer.learning_rate = 7e-4  # a third of what the checkpoint was trained with
    c.checkpoint.every = c.eval_every = c.preview_every = 300
    return c


def _base(c: ConfigDict) -> ConfigDict:
    c.steps = 300_000
    c.batch_size = 128
    c.precision = "bfloat16"
    c.diffusion.update(prediction="v", shift=1.0)
    c.objective.weighting = "min_snr"
    c.ema_decay = 0.9999
    c.optimizer.learning_rate = 1e-4
    c.optimizer.warmup_steps = 5_000
    c.optimizer.weight_decay = 1e-3
    c.data.window = 300
    c.network.audio_dim = 768  # wav2vec 2.0 base, one hidden layer
    c.network.width = 768
    c.network.depth = 12
    c.network.heads = 12
    c.network.context = 250
    c.checkpoint.every = c.eval_every = c.preview_every = 5_000
    return c


def _large(c: ConfigDict) -> ConfigDict:
    c = _base(c)
    c.remat = "dots"  # eight clips then keep 2.5 GiB for the backward pass, and 10.1 without, by the shapes of what is kept
    c.optimizer.learning_rate = 5e-5
    c.network.audio_dim = 1024  # wav2vec 2.0 large, one hidden layer
    c.network.width = 1280
    c.network.depth = 20
    c.network.heads = 20
    return c
