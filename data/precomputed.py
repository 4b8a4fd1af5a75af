"""What the renderer's frozen networks computed when a data set was encoded, and whether a config may use it."""

from __future__ import annotations

from ml_collections import ConfigDict

from data.encoded import encoded_metadata
from data.storage import is_prepared
from xactor_jax.errors import UserError
from xactor_jax.video.entries import PRECOMPUTED
from xactor_jax.video.frozen import chosen_hash

REDO = "python launch/encode.py --data {clips} --motion CKPT {networks} --out DIR"
OPTIONS = {"autoencoder": "--autoencoder", "clip": "--image_encoder"}
"""Frozen network → the option of launch/encode.py that names it."""


def recorded(path: str) -> str:
    """What a folder of encoded records has, as a value of `data.precomputed`. Later checks report a folder without records."""
    known = encoded_metadata(path) if path and is_prepared(path) else {}
    return PRECOMPUTED[sum(f"{name}_hash" in known for name in OPTIONS)]


def fill_in_precomputed(config: ConfigDict) -> None:
    """Replaces `data.precomputed=auto` by what the records have. Raises `UserError` if more is requested than they have."""
    d, has = config.data, recorded(config.data.encoded_path)
    if d.precomputed == "auto":
        d.precomputed = has
    if d.precomputed in PRECOMPUTED[PRECOMPUTED.index(has) + 1 :]:
        raise UserError(
            f"data.precomputed={d.precomputed} needs encoded records that have this, which "
            f"{d.encoded_path or 'data made on first use'} lacks: name such records by --config.data.encoded_path, made by "
            f"`{command(config)}`, or give --config.data.precomputed={has}."
        )


def command(config: ConfigDict) -> str:
    """The command that encodes the clips with the networks of a config."""
    path = lambda name: config.pretrained[name] if "/" in config.pretrained[name] else "CKPT"
    networks = [f"{option} {path(name)}" for name, option in OPTIONS.items() if name == "autoencoder" or config.clip.depth]
    return REDO.format(clips=config.data.path or "CLIPS", networks=" ".join(networks))


def check_precomputed(config: ConfigDict) -> None:
    """Raises `UserError` if other frozen networks than those of the config computed what is to be read from the records."""
    known = encoded_metadata(config.data.encoded_path)
    used = {"none": (), "latents": ("autoencoder",), "all": ("autoencoder", *["clip"] * bool(config.clip.depth))}
    for name in used[config.data.precomputed]:
        theirs, own, path = known[f"{name}_hash"], chosen_hash(config, name), config.pretrained[name]
        if theirs != own:
            raise UserError(
                f"{config.data.encoded_path} has pictures encoded by the {name} {theirs} ({known[f'{name}_checkpoint']}), not "
                f"by {own} ({path or 'none is given'}): encode the clips again by `{command(config)}`, name the one that "
                f"encoded them by --config.pretrained.{name}, or compute from pixels by --config.data.precomputed=none."
            )
