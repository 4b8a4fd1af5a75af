"""Completes a released renderer: adds the autoencoder and the image encoder, and adapts it to a motion stage.

X-NeMo's files contain neither network. They come from the files of Stable (Video) Diffusion and CLIP, or from folders of
earlier imports. Our motion stages standardise latents by a mean m and a standard deviation s. The released renderer expects
latents r = s z + m that are not standardised. So its first layer over latents, r ↦ r W + b, becomes a layer over z:
    (1) z ↦ z (s W) + (m W + b)
"""

from __future__ import annotations

import json

import jax
import numpy as np
from etils import epath
from flax.core import unfreeze
from ml_collections import ConfigDict

from xactor_jax.checkpoints.config_file import FILE
from xactor_jax.checkpoints.exports import check_target, load_variables, write_export
from xactor_jax.errors import UserError
from xactor_jax.layers.latents import kept_statistics
from xactor_jax.motion.model import latent_statistics, motion_hash
from xactor_jax.pretrained.importing import Source, read_weights
from xactor_jax.variables import Tree, Variables
from xactor_jax.video.model import trained_motion_encoder

WHAT = "xnemo_video"
AUTOENCODERS = {"AutoencoderKL": "sd_vae", "AutoencoderKLTemporalDecoder": "svd_vae"}
"""Class name in a config.json → kind of network."""


def import_renderer(
    source: Source,
    target: epath.PathLike,
    config: ConfigDict,
    dtype: str = "float32",
    autoencoder: epath.PathLike = "",
    clip: epath.PathLike = "",
    motion: epath.PathLike = "",
) -> None:
    """`import_weights` for a renderer, with other networks added. Without an autoencoder it can only be a start of training.

    Args:
        autoencoder: the released file of Stable Diffusion or Stable Video Diffusion, or the folder of an autoencoder stage.
        clip: the released file of CLIP's image encoder, or the folder of an import of it.
        motion: folder of the motion stage whose latents the renderer will get, for instance an import of `xnemo_motion`.

    Raises:
        UserError: as `import_weights`, or one of the networks does not fit the renderer.
    """
    check_target(target, "video")
    settings, variables = read_weights(WHAT, source, config)
    settings = settings.copy_and_resolve_references()
    settings.clip.depth = 0
    if autoencoder:
        variables = _with_autoencoder(settings, variables, epath.Path(autoencoder))
    if clip:
        variables = _with_clip(settings, variables, epath.Path(clip))
    if motion:
        variables = _for_motion(settings, variables, motion)
    write_export(target, settings, variables, dtype)


def export_motion(source: epath.PathLike, target: epath.PathLike, dtype: str = "float32") -> None:
    """Writes the motion encoder that was trained together with a renderer, as an export of a motion stage without decoder.

    Raises `UserError` if the renderer was trained without its motion encoder.
    """
    config, variables = load_variables(source, "video")
    own = trained_motion_encoder(variables)
    if own is None:
        raise UserError(f"{source} was trained without its motion encoder: use the motion stage that it was trained on.")
    write_export(target, config.motion, own, dtype)


def _with_autoencoder(config: ConfigDict, variables: Variables, path: epath.Path) -> Variables:
    """Adds the autoencoder, and sets its sizes in the config."""
    what = "" if _is_stage(path) else _autoencoder_kind(path)
    saved, found = read_weights(what, path) if what else load_variables(path, "autoencoder")
    channels = config.autoencoder.latent_channels
    if saved.network.latent_channels != channels:
        raise UserError(f"the latents of {path} have {saved.network.latent_channels} channels, the renderer's {channels}.")
    config.autoencoder.update({**saved.network.to_dict(), "image_size": config.autoencoder.image_size})
    frozen = {"params": found.params["autoencoder"], "buffers": kept_statistics(found.buffers)}
    return _with_buffer(variables, "autoencoder", frozen)


def _with_clip(config: ConfigDict, variables: Variables, path: epath.Path) -> Variables:
    """Adds the image encoder, and sets its sizes in the config."""
    saved, found = load_variables(path, "clip") if _is_stage(path) else read_weights("clip", path)
    if saved.network.projection != (width := config.network.unet.context_width):
        raise UserError(f"the embeddings of {path} have {saved.network.projection} numbers, the renderer takes {width}.")
    config.clip.update(saved.network)
    return _with_buffer(variables, "clip", found.params)


def _for_motion(config: ConfigDict, variables: Variables, path: epath.PathLike) -> Variables:
    """Adapts the renderer to a motion stage (equation 1), and writes the hash of the stage to the config."""
    saved, found = load_variables(path, "motion")
    if saved.network.latent_dim != (size := config.network.motion_dim):
        raise UserError(f"the motion latents of {path} have {saved.network.latent_dim} numbers, the renderer takes {size}.")
    if config.network.motion_hidden or "motion_tokens" not in variables.params:
        raise UserError("the renderer has no linear layer over motion latents: import it with the files of X-NeMo's sizes.")
    config.pretrained.motion_hash = motion_hash(found)
    mean, std = map(np.asarray, latent_statistics(jax.device_put(found.buffers)))
    params = unfreeze(variables.params)
    params["motion_tokens"]["project"] = standardised(params["motion_tokens"]["project"], mean, std)
    return variables._replace(params=params)


def standardised(layer: Tree, mean: np.ndarray, std: np.ndarray) -> Tree:
    """Equation 1 for a layer whose first inputs are a motion latent; weights of other inputs, such as a box, do not change."""
    kernel, d = layer["kernel"].astype(np.float64), len(mean)
    scaled = np.concatenate([std[:, None] * kernel[:d], kernel[d:]])
    bias = layer["bias"] + mean @ kernel[:d]
    return {"kernel": scaled.astype(np.float32), "bias": bias.astype(np.float32)}


def _with_buffer(variables: Variables, name: str, tree: Tree) -> Variables:
    return variables._replace(buffers={**variables.buffers, name: tree})


def _is_stage(path: epath.Path) -> bool:
    """Whether the path is a folder (a run or an import) and not a released file."""
    return path.is_dir()


def _autoencoder_kind(file: epath.Path) -> str:
    """Kind of network of a released file. Raises `UserError` if the config.json beside it names none."""
    try:
        name = json.loads((file.parent / FILE).read_text()).get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"the config.json beside {file} cannot be read ({error}): put the released one there.") from None
    if name not in AUTOENCODERS:
        raise UserError(f"the config.json beside {file} is of {name!r}: use a release of {' or '.join(AUTOENCODERS)}.")
    return AUTOENCODERS[name]
