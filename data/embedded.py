"""The embedded data set. Programs use it, and the embedded checkpoints, where the config names no others."""

from __future__ import annotations

import os
from collections.abc import Callable

from etils import epath
from ml_collections import ConfigDict

from data.encode import encode_dataset
from data.encoded import KIND as ENCODED
from data.encoded import encoded_metadata
from data.fit import check_side, value_of
from data.performers.bodies import load_body
from data.performers.build import build
from data.precomputed import check_precomputed, fill_in_precomputed
from data.records import KIND as CLIPS
from data.settings import AudioSettings
from data.stage_data import StageData
from data.storage import is_prepared
from xactor_jax.checkpoints.config_file import tuples
from xactor_jax.checkpoints.embedded import embedded_checkpoint
from xactor_jax.checkpoints.exports import load_variables, peek
from xactor_jax.checkpoints.start import FROM_START, last_with_buffer
from xactor_jax.errors import UserError
from xactor_jax.motion.model import motion_hash
from xactor_jax.pretrained.audio import audio_hash, load_audio_features


def ensure_clips(config: ConfigDict) -> epath.Path:
    """Folder of clip records: the one that the config names, else the embedded data set it describes, built on first use."""
    d = config.data
    if d.path:
        return epath.Path(d.path)
    path = epath.Path(d.cache) / _recipe_name(d)
    settings = {"persons": d.persons, "clips_per_person": d.clips_per_person, "seconds": d.clip_seconds, "size": d.image_size}
    who = {"kind": d.kind, "voice": d.voice}
    return _made(path, lambda: build(path, **settings, **who, seed=d.seed, processes=os.cpu_count() or 1, progress=True))


def _recipe_name(d: ConfigDict) -> str:
    """Folder name of the embedded data set that `config.data` describes. Every recipe has a name of its own."""
    body = load_body(d.kind)
    voice = f"-{d.voice}" if d.voice not in ("", body.VOICE) else ""
    size = f"{d.persons}x{d.clips_per_person}x{d.clip_seconds:g}s-{d.image_size}px"
    return f"{d.kind}-v{body.GENERATOR}-{size}-seed{d.seed}{voice}"


def ensure_encoded(config: ConfigDict) -> epath.Path:
    """Folder of encoded records (latents, audio features): the one that the config names, else made from clips on first use."""
    if config.data.encoded_path:
        return epath.Path(config.data.encoded_path)
    clips = ensure_clips(config)
    latents = motion_hash(load_variables(config.pretrained.motion, "motion")[1])
    path = clips.parent / f"{clips.name}-encoded-{latents}{audio_suffix(config)}"
    return _made(path, lambda: encode_dataset(clips, config.pretrained.motion, path, audio=config.data.audio))


def _made(path: epath.Path, make: Callable[[], object]) -> epath.Path:
    """Makes records on first use. Where several processes make the same records at once, those of the first one are kept."""
    if not is_prepared(path):
        try:
            make()
        except UserError:
            if not is_prepared(path):
                raise
    return path


def audio_suffix(config: ConfigDict) -> str:
    """Suffix for records whose audio features are not log-mel, to tell them apart; empty for log-mel."""
    return "" if config.data.audio.kind == "log_mel" else f"-{audio_hash(load_audio_features(config.data.audio).to_dict())}"


def requested_audio(config: ConfigDict) -> dict[str, object]:
    """Audio settings (except folders) that differ from their defaults. A default accepts whatever the records have."""
    default, requested = AudioSettings(), config.data.audio
    names = ("kind", "layers", "combine", "weights", "piece", "context")
    return {n: tuples(requested[n]) for n in names if n in requested and tuples(requested[n]) != getattr(default, n)}


def fill_in_audio(config: ConfigDict, features: str) -> None:
    """Replaces the audio settings of the config by those stored with the encoded records.

    Args:
        features: name of the setting with the number of audio features per frame; "": the network takes none.

    Raises:
        UserError: the config requests another kind, or the network takes another number of features.
    """
    recorded = {"kind": "log_mel", **encoded_metadata(config.data.encoded_path).get("audio", {})}
    for name, requested in requested_audio(config).items():
        if name in recorded and tuples(recorded[name]) != requested:
            raise UserError(
                f"{config.data.encoded_path} has audio features of {name} {recorded[name]}, not {requested}: give "
                f"--config.data.audio.{name}={recorded[name]}, or encode the clips again with launch/encode.py --audio."
            )
    given = recorded.get("num_features")
    if features and given and (size := value_of(config, features)) != given:
        raise UserError(f"the records have {given} audio features a frame, not {size}: add --config.{features}={given}.")
    config.data.audio = ConfigDict(tuples(recorded))


def fill_in_frozen(config: ConfigDict) -> None:
    """Takes frozen networks of a renderer that the config does not name from the checkpoint in `init_from`, if it has them.

    Their sizes, and the size of the CLIP in `pretrained.clip`, replace the config's. Raises `UserError` for a wrong folder.
    """
    for name in ("autoencoder", "clip"):
        if not config.pretrained[name] and (found := last_with_buffer(config.init_from, config.stage, name)):
            _, saved = found
            size = {"image_size": config.autoencoder.image_size} if name == "autoencoder" else {}
            config[name].update({**saved[name].to_dict(), **size})
            config.pretrained[name] = FROM_START
    if config.pretrained.clip not in ("", "random", FROM_START):
        config.clip.update(peek(config.pretrained.clip, "clip")[0].network)


def fill_in_motion(config: ConfigDict) -> None:
    """Takes the motion stage's settings from its checkpoint, and starts a trained encoder from that checkpoint's parameters.

    `remat` (recomputation in the backward pass) stays as in this run: it changes only memory, not results.
    """
    with config.unlocked():
        config.motion = peek(config.pretrained.motion, "motion")[0]
        config.motion.remat = config.remat
    encoder = f"motion_encoder={config.pretrained.motion}"
    if config.train_motion and encoder not in config.init_from.split(","):
        config.init_from = ",".join(filter(None, (encoder, config.init_from)))


def fill_in_networks(config: ConfigDict) -> None:
    """Fills in the checkpoints that the config leaves empty, and the settings stored with them. Builds no data.

    Raises:
        UserError: a folder holds no such checkpoint.
    """
    if "autoencoder" in config:
        fill_in_frozen(config)
    for stage in ("motion", "autoencoder"):
        if not config.pretrained[stage]:
            config.pretrained[stage] = str(embedded_checkpoint(stage))
    if "motion" in config and (config.train_motion or config.network.draft):
        fill_in_motion(config)
    if "precomputed" in config.data:
        fill_in_precomputed(config)


def check_motion(config: ConfigDict) -> None:
    """Raises `UserError` where the user's records were encoded with another motion stage than the config names or needs."""
    path, recorded = config.pretrained.motion, encoded_metadata(config.data.encoded_path)
    named = path != str(embedded_checkpoint("motion"))
    drafts = "motion" in config and config.network.draft
    if not (named or drafts) or (own := motion_hash(load_variables(path, "motion")[1])) == recorded["motion_hash"]:
        return
    maker = recorded.get("motion_checkpoint", "another")
    raise UserError(
        f"{config.data.encoded_path} was encoded with the motion stage {recorded['motion_hash']} ({maker}), not with {own} "
        f"({path}): name the one that it was encoded with by --config.pretrained.motion, or encode the clips again with "
        "launch/encode.py --motion."
    )


def ensure_data(config: ConfigDict, data: StageData) -> ConfigDict:
    """Fills in the paths that a config leaves empty, makes missing data, and returns the config.

    Raises:
        UserError: existing data does not fit the config.
    """
    fill_in_networks(config)
    needs = data.kinds(config)
    if config.data.encoded_path and not config.data.path and {CLIPS, ENCODED} <= {*needs}:
        raise UserError(
            f"data.encoded_path is set without data.path: the {config.stage} stage needs the clips that were encoded, too"
        )
    if not config.data.path and CLIPS in needs:
        check_side(config, data.side, config.data.image_size, "the embedded data")
    if ENCODED in needs:
        if config.data.encoded_path:
            check_motion(config)
            if "precomputed" in config.data:
                check_precomputed(config)
        config.data.encoded_path = str(ensure_encoded(config))
        config.pretrained.motion_hash = encoded_metadata(config.data.encoded_path)["motion_hash"]
        fill_in_audio(config, data.features)
    if CLIPS in needs:
        config.data.path = str(ensure_clips(config))
    return config
