"""Writes only the weights of a run into a small folder: python launch/export.py --from RUN --to DIR.

With --released KIND it writes a .safetensors file with the names of the released network of that kind:
python launch/export.py --from DIR --to FILE.safetensors --released xnemo_motion (network in several files: --to FOLDER).
With --motion_encoder it writes the motion encoder that was trained together with a renderer (--config.train_motion).
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._options import add_renamed
from xactor_jax.errors import UserError, exit_on_user_error


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", required=True, help="folder of a run, local or gs://")
    parser.add_argument("--to", dest="target", required=True, help="folder or file to write, local or gs://")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16"), help="number type of the written weights")
    parser.add_argument(
        "--released", default="", metavar="KIND", help="kind of network, one of those of launch/import_weights.py --what"
    )
    parser.add_argument(
        "--motion_encoder", action="store_true", help="write the motion encoder that was trained with the renderer"
    )
    add_renamed(parser, "--motion", "--motion_encoder")
    return parser.parse_args()


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parse()
    with exit_on_user_error():
        if arguments.released and arguments.motion_encoder:
            raise UserError("--motion_encoder writes a stage of our own: leave out --released, and export what it writes.")
        if arguments.released:
            from xactor_jax.pretrained.importing import export_weights

            export_weights(arguments.released, arguments.source, arguments.target, arguments.dtype)
            print(arguments.target)
            return
        from xactor_jax.checkpoints.exports import checkpoint_hash, export
        from xactor_jax.pretrained.joining import export_motion

        (export_motion if arguments.motion_encoder else export)(arguments.source, arguments.target, arguments.dtype)
        print(f"{arguments.target}: {checkpoint_hash(arguments.target)}")


if __name__ == "__main__":
    main()
