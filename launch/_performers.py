"""Shared by `puppets.py` and `heads.py`: makes a data set of synthetic people, sheets of pictures, or one clip with sound."""

from __future__ import annotations

import argparse
import os

from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import SEED, real, whole


def parser(about: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="write a data set to this folder, local or gs://; it must not exist")
    parser.add_argument("--sheet", help="write --persons people with a neutral face to this PNG file")
    parser.add_argument(
        "--contact_sheet", help="write at most 12 people (rows) with several expressions (columns) to this PNG file"
    )
    parser.add_argument("--clip", help="write one clip with sound to this mp4 file")
    parser.add_argument("--person", type=int, default=0, help="number of the person in --clip, from 0")
    parser.add_argument("--persons", type=int, default=48, help="number of people")
    parser.add_argument("--clips-per-person", type=int, default=4, help="number of clips of each person")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a clip, seconds")
    parser.add_argument("--size", type=int, default=64, help="side of the pictures, pixels")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--voice", default="", help="formant or recorded; default: the usual voice of these people")
    parser.add_argument("--frames", default="jpeg", help="format of the frames of a record: jpeg or h264 (docs/data.md)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes that make the data set")
    return parser


def write_sheets(args: argparse.Namespace, kind: str) -> None:
    """Writes the requested sheets."""
    from data.performers.bodies import load_body
    from data.performers.sheet import contact_sheet, portrait_sheet
    from xactor_jax.media.image_io import write_image

    body = load_body(kind)
    if args.sheet:
        write_image(args.sheet, portrait_sheet(body, args.seed, args.persons, args.size))
    if args.contact_sheet:
        write_image(args.contact_sheet, contact_sheet(body, args.seed, min(args.persons, 12), args.size))


def write_clip(args: argparse.Namespace, kind: str) -> None:
    """Writes one clip as mp4, with metadata that marks it as synthetic."""
    import numpy as np

    from data.performers.bodies import load_body, perform
    from data.performers.voices import check_voice
    from xactor_jax.media.video_io import VideoWriter
    from xactor_jax.timing import FRAME_RATE

    body = load_body(kind)
    frames = round(args.seconds * FRAME_RATE)
    performance = perform(body, args.seed, args.person, 0, frames, voice=check_voice(args.voice or body.VOICE))
    pictures = body.make_figure(args.seed, args.person, 0, performance.acting).render(performance.acting, args.size)
    with VideoWriter(args.clip, args.size, sound=performance.audio.astype(np.float32) / 32768.0) as writer:
        writer.write(pictures)


def check_usage(args: argparse.Namespace) -> None:
    """Raises `UserError` for requests that cannot be fulfilled, before anything is made."""
    from data.frames import check_format
    from data.performers.voices import check_voice
    from xactor_jax.targets import check_target

    targets = {args.sheet: ".png", args.contact_sheet: ".png", args.clip: ".mp4"}
    if not (args.out or any(targets)):
        raise UserError("nothing to make: give --out DIR for a data set, --sheet FILE.png or --clip FILE.mp4.")
    counts = {
        "person": whole(0, SEED),
        "persons": whole(1, 1_000_000),
        "clips_per_person": whole(1, 100_000),
        "processes": whole(0, 1_000),
    }
    check_numbers(args, {**counts, "size": whole(16, 8_192), "seed": whole(0, SEED), "seconds": real(0.04, 36_000.0)})
    if args.clip and args.size % 2:
        raise UserError(f"--size {args.size} is odd, which video does not allow: take {args.size + 1}.")
    check_format(args.frames)
    if args.voice:
        check_voice(args.voice)
    for path, suffix in targets.items():
        if path:
            check_target(path, suffix)


def run(about: str, kind: str) -> None:
    """Runs the program: makes everything that the command line requests."""
    from xactor_jax.threads import use_one_thread

    args = parser(about).parse_args()
    with exit_on_user_error():
        check_usage(args)
        use_one_thread()
        write_sheets(args, kind)
        if args.clip:
            write_clip(args, kind)
        if args.out:
            from data.performers.build import build

            sizes = (args.persons, args.clips_per_person, args.seconds, args.size, args.seed, args.processes)
            build(args.out, *sizes, kind=kind, voice=args.voice, frames=args.frames)
