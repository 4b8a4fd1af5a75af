"""Animates a portrait with saved motion, or with the motion of another video.

    python launch/render.py --image P --driving V.mp4 --out V2.mp4
    python launch/render.py --image P --motion_latents M.npz --audio A --out V2.mp4

Writes an mp4 at 25 frames a second with the sound of the driving video or of --audio, and beside it a JSON file that records
what it was made from. M.npz is a file that sample.py or this program wrote with --save_motion. Every path may be gs://.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch._options import RENDER, add_portrait, add_renamed, add_renderer, add_stages, checkpoints, given, warn
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import ranges

STAGES = ("motion", "video")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--image", required=True, help="the portrait: any picture file")
    add("--motion_latents", default="", metavar="FILE.npz", help="saved motion")
    add("--driving", default="", metavar="VIDEO", help="video of one person, the same or another, whose motion is used")
    add("--out", required=True, help="the video to write, .mp4")
    add("--audio", default="", help="the sound: any sound or video file; default: that of the driving video")
    add_stages(about, STAGES)
    for stage in STAGES:
        add_renamed(about, f"--{stage}_checkpoint", f"--{stage}")
    add_portrait(about)
    add("--driving_crop", default="", help="the same as --crop for the driving video; default: the value of --crop")
    relative = "add only the changes of the motion to that of the portrait; default: yes with --driving, else no"
    add("--relative", action=argparse.BooleanOptionalAction, default=None, help=relative)
    add_renderer(about)
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for numbers out of range, and for a motion file in place of a checkpoint."""
    from xactor_jax.video.sampler import RenderSettings

    check_numbers(arguments, {name: ranges(RenderSettings)[name] for name in ("steps", "guidance_scale")})
    if arguments.motion.endswith(".npz"):
        raise UserError(f"--motion names a checkpoint: give saved motion by --motion_latents {arguments.motion}.")


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        from launch._progress import counting
        from xactor_jax.sampling.load import load_models
        from xactor_jax.sampling.pipeline import make_settings
        from xactor_jax.sampling.reenactment import reenact
        from xactor_jax.sampling.request import RenderRequest, check_render_request

        arguments.relative = bool(arguments.driving) if arguments.relative is None else arguments.relative
        request = RenderRequest(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(RenderRequest)})
        check_render_request(request)
        models = load_models(checkpoints(arguments, STAGES))
        settings = make_settings(models, {}, given(arguments, **{name: name for name in RENDER}))
        with counting("frames") as progress:
            reenact(models, request, settings, progress, warn)
        print(request.out)


if __name__ == "__main__":
    main()
