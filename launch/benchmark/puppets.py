"""Measures how fast one core makes puppets: drawing frames, synthesising speech, and complete clips (both, and encoding).

python launch/benchmark/puppets.py --size 64 --frames 250
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root  # noqa: F401

# isort: split
from data.performers.clips import make_clip
from data.performers.performance import make_performance
from data.puppets import body, face
from data.puppets.identity import make_identity
from launch._numbers import check_numbers
from launch.benchmark._cpu import cpu_seconds
from xactor_jax.errors import exit_on_user_error
from xactor_jax.settings import whole
from xactor_jax.threads import use_one_thread
from xactor_jax.timing import FRAME_RATE


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="image size in pixels")
    parser.add_argument("--frames", type=int, default=250, help="length of a clip")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with exit_on_user_error():
        check_numbers(args, {"size": whole(16, 8_192), "frames": whole(1), "repeats": whole(1)})
    use_one_thread()

    performances = [make_performance(0, person, 0, args.frames) for person in range(args.repeats)]
    drawn = cpu_seconds(lambda i: face.render(make_identity(0, i), performances[i].controls, args.size), args.repeats)
    spoken = cpu_seconds(lambda i: make_performance(0, i, 0, args.frames), args.repeats)
    clip = cpu_seconds(lambda i: make_clip(body, 0, i, 0, args.frames, args.size), args.repeats)
    print(f"drawing at {args.size}×{args.size}: {args.frames / drawn:.0f} frames/s per core")
    print(f"speech and controls: {args.frames / FRAME_RATE / spoken:.0f} s/s per core")
    print(f"complete clips at {args.size}×{args.size}: {args.frames / clip:.0f} frames/s per core")


if __name__ == "__main__":
    main()
