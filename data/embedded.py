"""The embedded data set and checkpoints: what a program works on when it is told of nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable

from etils import epath
from ml_collections import ConfigDict

from data.encode import encode_dataset
from data.encoded import encoded_metadata
from data.performers.bodies import load_body
from data.performers.build import build
from data.storage import is_prepared
from xactor_jax.errors import UserError
from xactor_jax.motion.model import motion_hash
from xactor_jax.pretrained.audio import audio_hash, load_audio_features
from xactor_jax.training.checkpoints import load_variables, peek
from xactor_jax.training.experiment import tuples
from xactor_jax.training.start import whole_with
from xactor_jax.training.task import FROM_START

ASSETS = epath.Path(__file__).parent / "assets"
NEEDS_ENCODED = ("actor", "video")
NEEDS_CLIPS = ("motion", "autoencoder", "video")


def embedded_checkpoint(stage: str) -> epath.Path:
    """Folder of the small checkpoint of a stage that comes with the project: of heads, at 128 pixels a side."""
    return ASSETS / stage


def ensure_clips(config: ConfigDict) -> epath.Path:
    """Folder of clip records: the one that the config names, or the performers that it describes, built on first use."""
    d = config.data
    if d.path:
        return epath.Path(d.path)
    path = epath.Path(d.cache) / _recipe_name(d)
    settings = {"persons": d.persons, "clips_per_person": d.clips_per_person, "seconds": d.clip_seconds, "size": d.image_size}
    who = {"kind": d.kind, "voice": d.voice}
    return _made(path, lambda: build(path, **settings, **who, seed=d.seed, processes=os.cpu_count() or 1, progress=True))


def _recipe_name(d: ConfigDict) -> str:
    """Folder of the embedded data set that `config.data` describes; another recipe has another name."""
    body = load_body(d.kind)
    voice = f"-{d.voice}" if d.voice not in ("", body.VOICE) else ""
    size = f"{d.persons}x{d.clips_per_person}x{d.clip_seconds:g}s-{d.image_size}px"
    return f"{d.kind}-v{body.GENERATOR}-{size}-seed{d.seed}{voice}"


def ensure_encoded(config: ConfigDict) -> epath.Path:
    """Folder of motion latents and audio features: the one that the config names, or made from the clips on first use."""
    if config.data.encoded_path:
        return epath.Path(config.data.encoded_path)
    clips = ensure_clips(config)
    latents = motion_hash(load_variables(config.pretrained.motion, "motion")[1])
    path = clips.parent / f"{clips.name}-encoded-{latents}{audio_suffix(config)}"
    return _made(path, lambda: encode_dataset(clips, config.pretrained.motion, path, audio=config.data.audio))


def _made(path: epath.Path, make: Callable[[], object]) -> epath.Path:
    """Records that are made on first use; of several processes that make the same at once, the first one's stay."""
    if not is_prepared(path):
        try:
            make()
        except UserError:
            if not is_prepared(path):
                raise
    return path


def audio_suffix(config: ConfigDict) -> str:
    """What tells records with other audio features than log-mel apart; empty for log-mel."""
    return "" if config.data.audio.kind == "log_mel" else f"-{audio_hash(load_audio_features(config.data.audio).to_dict())}"


def fill_in_audio(config: ConfigDict) -> None:
    """What the encoded records say of their audio features replaces what the config asks for.

    Raises:
        UserError: the config asks for another kind, or the network takes another number of features.
    """
    recorded = {"kind": "log_mel", **encoded_metadata(config.data.encoded_path).get("audio", {})}
    asked = config.data.audio.kind
    if asked not in ("log_mel", recorded["kind"]):
        again = f"encode them with launch/encode.py --audio {asked}"
        raise UserError(f"{config.data.encoded_path} has {recorded['kind']} features, not {asked}: {again}.")
    size, given = config.network.get("audio_dim"), recorded.get("num_features")
    if config.stage == "actor" and size and given and size != given:
        raise UserError(f"the records have {given} audio features a frame, not {size}: add --config.network.audio_dim={given}.")
    config.data.audio = ConfigDict(tuples(recorded))


def fill_in_frozen(config: ConfigDict) -> None:
    """Frozen networks of the video stage that are not named come from the checkpoint in `init_from`, where it has them.

    Their sizes, and those of CLIP in `pretrained.clip`, replace what the config says. Raises `UserError` for a wrong folder.
    """
    for name in ("autoencoder", "clip"):
        if not config.pretrained[name] and (found := whole_with(config.init_from, config.stage, name)):
            _, saved = found
            size = {"image_size": config.autoencoder.image_size} if name == "autoencoder" else {}
            config[name].update({**saved[name].to_dict(), **size})
            config.pretrained[name] = FROM_START
    if config.pretrained.clip not in ("", "random", FROM_START):
        config.clip.update(peek(config.pretrained.clip, "clip")[0].network)


def fill_in_motion(config: ConfigDict) -> None:
    """A motion stage of which a renderer uses a part has its own settings; an encoder that is trained starts as it is there.

    What its backward pass computes again is as this run says: that changes memory and no numbers.
    """
    with config.unlocked():
        config.motion = peek(config.pretrained.motion, "motion")[0]
        config.motion.remat = config.remat
    if config.train_motion:
        config.init_from = ",".join(filter(None, (f"motion_encoder={config.pretrained.motion}", config.init_from)))


def ensure_data(config: ConfigDict) -> ConfigDict:
    """Fills in the paths that a config leaves to the project, building what they name where it is missing; returns it."""
    if config.stage == "video":
        fill_in_frozen(config)
    for stage in ("motion", "autoencoder"):
        if not config.pretrained[stage]:
            config.pretrained[stage] = str(embedded_checkpoint(stage))
    if config.stage == "video" and (config.train_motion or config.network.draft):
        fill_in_motion(config)
    if config.data.encoded_path and config.stage == "video" and not config.data.path:
        raise UserError("data.encoded_path is set without data.path: the video stage needs the clips that were encoded, too")
    if config.stage in NEEDS_ENCODED:
        config.data.encoded_path = str(ensure_encoded(config))
        config.pretrained.motion_hash = encoded_metadata(config.data.encoded_path)["motion_hash"]
        fill_in_audio(config)
    if config.stage in NEEDS_CLIPS:
        config.data.path = str(ensure_clips(config))
    return config
