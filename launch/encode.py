"""Writes motion latents and audio features of a data set, which the actor and the video stage train on.

python launch/encode.py --data CLIPS --motion CKPT --out DIR
"""

from __future__ import annotations

import argparse

import _root  # noqa: F401  (puts the project on the path)

from xactor_jax.errors import exit_on_user_error


def parse() -> argparse.Namespace:
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--data", required=True, help="folder of clip records, made by launch/prepare.py")
    add("--motion", default="", metavar="CKPT", help="run or export of the motion stage; default: the embedded one")
    add("--out", required=True, help="folder to write, local or gs://; new")
    add("--batch_size", type=int, default=64, help="frames encoded at once")
    return about.parse_args()


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    arguments = parse()
    with exit_on_user_error():
        from data.embedded import embedded_checkpoint
        from data.encode import encode_dataset

        motion = arguments.motion or embedded_checkpoint("motion")
        encode_dataset(arguments.data, motion, arguments.out, arguments.batch_size)
        print(arguments.out)


if __name__ == "__main__":
    main()
