"""Writes the motion latents and audio features of a data set. The actor and the video stage train on them.

python launch/encode.py --data CLIPS --motion CKPT --out DIR
python launch/encode.py --data CLIPS --motion CKPT --out DIR --autoencoder CKPT    # the video stage then encodes no pictures
python launch/encode.py --data CLIPS --out DIR --audio wav2vec2 --audio_checkpoint W2V    # made by launch/import_weights.py

The same command continues after a stop. Several processes (docs/scale.md) share the clips; the data set is the same.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch._options import add_stages
from xactor_jax.checkpoints.embedded import checkpoint
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel import processes, supervision
from xactor_jax.settings import whole


def parse() -> argparse.Namespace:
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--data", required=True, help="folder of clip records, made by launch/prepare.py")
    add_stages(about, ("motion",))
    add("--out", required=True, help="new folder to write, local or gs://")
    add("--batch_size", type=int, default=64, help="number of frames that are encoded at once")
    add(
        "--autoencoder",
        default="",
        metavar="CKPT",
        help="also write the latents of every frame, for training the video stage: run or export of its autoencoder",
    )
    add(
        "--image_encoder",
        default="",
        metavar="CKPT",
        help="also write CLIP's embedding of every frame: folder made by launch/import_weights.py --what clip",
    )
    add("--audio", default="log_mel", choices=("log_mel", "wav2vec2"), help="kind of audio features")
    add("--audio_checkpoint", default="", metavar="CKPT", help="wav2vec2: folder made by launch/import_weights.py")
    add(
        "--audio_layers",
        metavar="L",
        help="wav2vec2: hidden states: all (default), last, or numbers such as 8 or 1,4,8; 0: input of the first block",
    )
    add("--audio_combine", choices=("concat", "sum"), help="wav2vec2: how several layers are combined; default: concat")
    add("--audio_weights", metavar="W", type=numbers, help="wav2vec2: weights of the sum, such as 0.2,0.8; default: the mean")
    add(
        "--audio_piece",
        type=float,
        metavar="SECONDS",
        help="wav2vec2: length of the pieces that are computed at once; default: 5",
    )
    add("--audio_context", type=float, metavar="SECONDS", help="wav2vec2: context before and after each piece; default: 2")
    return about.parse_args()


def numbers(text: str) -> tuple[float, ...]:
    """Numbers from a list separated by commas."""
    return tuple(float(number) for number in text.split(","))


def audio_settings(arguments: argparse.Namespace) -> dict[str, object]:
    """Settings of the audio features from the options. Raises `UserError` for settings that log-mel does not have."""
    names = ("checkpoint", "layers", "combine", "weights", "piece", "context")
    given = {name: getattr(arguments, f"audio_{name}") for name in names}
    given = {name: value for name, value in given.items() if value not in (None, "")}
    if given and arguments.audio == "log_mel":
        raise UserError(f"--audio_{next(iter(given))} means nothing to log-mel features: add --audio wav2vec2.")
    return {"kind": arguments.audio, **given}


def picture_networks(arguments: argparse.Namespace) -> dict[str, str]:
    """Frozen networks of the video stage from the options. Raises `UserError` for embeddings without latents."""
    given = {"autoencoder": arguments.autoencoder, "clip": arguments.image_encoder}
    if arguments.image_encoder and not arguments.autoencoder:
        raise UserError("--image_encoder without --autoencoder saves the video stage no work: add --autoencoder CKPT.")
    return {name: path for name, path in given.items() if path}


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parse()
    with exit_on_user_error(), supervision.leaving_at_once(several := processes.several()):
        supervision.guard(several)
        check_numbers(arguments, {"batch_size": whole(1, 65_536)})
        audio, pictures = audio_settings(arguments), picture_networks(arguments)
        processes.initialize()
        from data.encode import encode_dataset

        motion = checkpoint("motion", arguments.motion)
        encode_dataset(arguments.data, motion, arguments.out, arguments.batch_size, audio=audio, pictures=pictures)
        print(arguments.out)


if __name__ == "__main__":
    main()
