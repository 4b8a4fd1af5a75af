"""A portrait moves as saved motion or another video says.

    python launch/render.py --image P --driving V.mp4 --out V2.mp4
    python launch/render.py --image P --motion_latents M.npz --audio A --out V2.mp4

Writes one mp4 at 25 frames a second, with the sound of the driving video or the recording named, and a JSON beside it that
says what it was made from. M.npz is what sample.py or this program writes with --save_motion. Every path may be gs://.
"""

from __future__ import annotations

import argparse
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
    add("--motion_latents", default="", metavar="FILE.npz", help="saved motion that it is to follow")
    add("--driving", default="", metavar="VIDEO", help="a video of one person, the same or another, that it is to move like")
    add("--out", required=True, help="the video to write, .mp4")
    add("--audio", default="", help="the sound: any sound or video file; default: that of the driving video")
    add_stages(about, STAGES)
    for stage in STAGES:
        add_renamed(about, f"--{stage}_checkpoint", f"--{stage}")
    add_portrait(about)
    add("--driving_crop", default="", help="as --crop, of the driving video; default: as --crop")
    relative = "begin as the portrait is and take the motion's changes alone; default: for --driving, whose person is another"
    add("--relative", action=argparse.BooleanOptionalAction, default=None, help=relative)
    add_renderer(about)
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Numbers that make sense, and a checkpoint that is none of motion latents."""
    from xactor_jax.video.sampler import RenderSettings

    check_numbers(arguments, {name: ranges(RenderSettings)[name] for name in ("steps", "guidance_scale")})
    if arguments.motion.endswith(".npz"):
        raise UserError(f"--motion names a checkpoint: give saved motion by --motion_latents {arguments.motion}.")


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        from launch._progress import counting
        from xactor_jax.sampling.load import load_models
        from xactor_jax.sampling.pipeline import make_settings
        from xactor_jax.sampling.reenactment import reenact
        from xactor_jax.sampling.request import RenderRequest, check_render_request

        names = "image motion_latents driving out audio crop driving_crop relative detector face_index seed save_motion"
        arguments.relative = bool(arguments.driving) if arguments.relative is None else arguments.relative
        request = RenderRequest(**{name: getattr(arguments, name) for name in names.split()})
        check_render_request(request)
        models = load_models(checkpoints(arguments, STAGES))
        settings = make_settings(models, {}, given(arguments, **{name: name for name in RENDER}))
        with counting("frames") as progress:
            reenact(models, request, settings, progress, warn)
        print(request.out)


if __name__ == "__main__":
    main()
