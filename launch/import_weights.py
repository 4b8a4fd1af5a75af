"""Makes a checkpoint from released weights: python launch/import_weights.py --what wav2vec2 --from model.safetensors --to DIR.

Reads .safetensors and PyTorch files (.bin, .pt, .pth). No code in these files is run.

These commands make a complete renderer for launch/render.py and launch/sample.py, from the files of X-NeMo, Stable Video
Diffusion and CLIP:

    python launch/import_weights.py --what xnemo_motion --from DIR/xnemo_motion_encoder.pth --to motion
    python launch/import_weights.py --what xnemo_video --from DIR --motion motion --to video \\
        --autoencoder vae/diffusion_pytorch_model.safetensors --clip image_encoder/model.safetensors

Without the last three options the result can only be a start of training (--config.init_from). To train an actor on it, add
--data CLIPS (made by launch/prepare.py) to the first command.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from xactor_jax.errors import UserError, exit_on_user_error

MOTION = "xnemo_motion"
PARTS = ("autoencoder", "clip", "motion", "data")
FROM = "released weights, local or gs://; for a network in several files: their folder, or ROLE=FILE for each"


def parse() -> argparse.Namespace:
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--what", required=True, metavar="KIND", help="kind of network: wav2vec2, xnemo_motion, …; an unknown one lists all")
    add("--from", dest="source", required=True, nargs="+", metavar="FILE", help=FROM)
    add("--config", default="", help="config.json of the weights (default: the one beside them), or configs/NAME.py:PRESET")
    add("--to", dest="target", required=True, metavar="DIR", help="folder to write, local or gs://")
    add("--dtype", default="float32", choices=("float32", "float16"), help="number type of the written weights")
    part = "xnemo_video: add this network"
    add("--autoencoder", default="", metavar="FILE", help=f"{part}; a released file, or the folder of an import or a run")
    add(
        "--clip",
        default="",
        metavar="FILE",
        help=f"{part} for embeddings of the portrait; a released file, or the folder of an import",
    )
    add("--motion", default="", metavar="CKPT", help="xnemo_video: motion stage whose latents the renderer will get")
    about_data = "xnemo_motion: clips for standardising motion latents, needed to train an actor"
    add("--data", default="", metavar="CLIPS", help=f"{about_data}; default: latents as released")
    return about.parse_args()


def named(argument: str) -> tuple[str, str]:
    """(role, file) of ROLE=FILE."""
    role, _, file = argument.rpartition("=")
    return role, file


def config_of(what: str, given: str):
    """The config for a network that is released without one, else the file `given`. Raises `UserError` for an unknown kind."""
    from xactor_jax.paths import REPOSITORY
    from xactor_jax.pretrained.importing import kind_of
    from xactor_jax.training.experiment import load_config

    preset = kind_of(what).preset
    return load_config(given or str(REPOSITORY / preset)) if preset else given


def write(arguments: argparse.Namespace, source: Any, given: dict[str, str]) -> None:
    """Writes the checkpoint."""
    from data.encode import measured_statistics
    from xactor_jax.checkpoints.exports import check_target, write_export
    from xactor_jax.motion.model import MotionModel
    from xactor_jax.pretrained.importing import import_weights, read_weights
    from xactor_jax.pretrained.joining import WHAT, import_renderer

    config = config_of(arguments.what, arguments.config)
    if arguments.what == WHAT:
        import_renderer(source, arguments.target, config, arguments.dtype, **given)
    elif clips := given.get("data"):
        check_target(arguments.target, "motion")
        config, variables = read_weights(arguments.what, source, config)
        buffers = measured_statistics(clips, MotionModel.from_config(config), variables)
        write_export(arguments.target, config, variables._replace(buffers=buffers), arguments.dtype)
    else:
        import_weights(arguments.what, source, arguments.target, config, arguments.dtype)


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parse()
    with exit_on_user_error():
        from xactor_jax.checkpoints.exports import checkpoint_hash
        from xactor_jax.pretrained.joining import WHAT

        source = arguments.source[0] if len(arguments.source) == 1 else dict(map(named, arguments.source))
        given = {name: value for name in PARTS if (value := getattr(arguments, name))}
        if odd := [name for name in given if arguments.what != {**dict.fromkeys(PARTS, WHAT), "data": MOTION}[name]]:
            raise UserError(f"--{odd[0]} means nothing to {arguments.what}: leave it out.")
        write(arguments, source, given)
        print(f"{arguments.target}: {checkpoint_hash(arguments.target)}")


if __name__ == "__main__":
    main()
