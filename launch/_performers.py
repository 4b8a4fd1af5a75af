"""What `puppets.py` and `heads.py` share: a data set of performers, sheets of them, or one clip with sound."""

from __future__ import annotations

import argparse
import os

from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import SEED, real, whole


def parser(about: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="folder of the data set, local or gs://; must not exist")
    parser.add_argument("--sheet", help="PNG file of --persons people at rest")
    parser.add_argument("--contact_sheet", help="PNG file of at most 12 people (rows) and expressions (columns)")
    parser.add_argument("--clip", help="mp4 file of one clip with its sound")
    parser.add_argument("--person", type=int, default=0, help="who is seen in --clip")
    parser.add_argument("--persons", type=int, default=48)
    parser.add_argument("--clips-per-person", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a clip")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--voice", default="", help="formant or recorded; default: what these performers have")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser


def write_sheets(args: argparse.Namespace, kind: str) -> None:
    """The sheets that were asked for."""
    from data.performers.bodies import load_body
    from data.performers.sheet import contact_sheet, portrait_sheet
    from xactor_jax.media.image_io import write_image

    body = load_body(kind)
    if args.sheet:
        write_image(args.sheet, portrait_sheet(body, args.seed, args.persons, args.size))
    if args.contact_sheet:
        write_image(args.contact_sheet, contact_sheet(body, args.seed, min(args.persons, 12), args.size))


def write_clip(args: argparse.Namespace, kind: str) -> None:
    """One clip as mp4, with metadata that says that it is synthetic."""
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
    """Raises `UserError` for what cannot be made, before anything is."""
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
    if args.voice:
        check_voice(args.voice)
    for path, suffix in targets.items():
        if path:
            check_target(path, suffix)


def run(about: str, kind: str) -> None:
    """Does what the command line asks for."""
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
            build(args.out, *sizes, kind=kind, voice=args.voice)
