"""A portrait moves as saved motion or another video says.

    python launch/render.py --image P --driving V.mp4 --out V2.mp4
    python launch/render.py --image P --motion M.npz --audio A --out V2.mp4

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
from xactor_jax.errors import exit_on_user_error
from xactor_jax.media.faces import DETECTOR, DETECTORS
from xactor_jax.settings import ranges

STAGES = ("motion", "video")
RENDER = ("steps", "guidance_scale", "offline")
"""Options that change the checkpoint's own `RenderSettings`."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--image", required=True, help="the portrait: any picture file")
    add("--motion", default="", metavar="FILE.npz", help="saved motion that it is to follow")
    add("--driving", default="", metavar="VIDEO", help="a video of one person, the same or another, that it is to move like")
    add("--out", required=True, help="the video to write, .mp4")
    add("--audio", default="", help="the sound: any sound or video file; default: that of the driving video")
    for stage in STAGES:
        add(f"--{stage}_checkpoint", default="", metavar="CKPT", help=f"of the {stage} stage; default: the embedded one")
    add("--crop", default="auto", help="auto: the square around the face; released: as X-NeMo's weights know it; none: cropped")
    add("--driving_crop", default="", help="the same of the driving video; default: as --crop")
    relative = "begin as the portrait is and take the motion's changes alone; default: for --driving, whose person is another"
    add("--relative", action=argparse.BooleanOptionalAction, default=None, help=relative)
    add("--detector", default=DETECTOR, help=f"what finds faces: {DETECTORS}")
    add("--face_index", type=int, help="which face of the portrait, if there are several, from 0")
    add("--guidance_scale", type=float, help="how strongly frames follow the motion; 1: no guidance")
    add("--steps", type=int, help="denoising steps")
    mode = argparse.BooleanOptionalAction
    add("--offline", action=mode, default=None, help="all frames at once, in a closed loop, or segment by segment")
    add("--seed", type=int, default=0)
    add("--save_motion", default="", metavar="FILE.npz", help="write the motion latents too")
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Numbers that make sense."""
    from xactor_jax.video.sampler import RenderSettings

    check_numbers(arguments, {name: ranges(RenderSettings)[name] for name in ("steps", "guidance_scale")})


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        from data.embedded import embedded_checkpoint
        from launch._progress import counting
        from xactor_jax.sampling.load import load_models
        from xactor_jax.sampling.pipeline import make_settings
        from xactor_jax.sampling.reenactment import reenact
        from xactor_jax.sampling.request import RenderRequest, check_render_request

        names = "image motion driving out audio crop driving_crop relative detector face_index seed save_motion"
        arguments.relative = bool(arguments.driving) if arguments.relative is None else arguments.relative
        request = RenderRequest(**{name: getattr(arguments, name) for name in names.split()})
        check_render_request(request)
        models = load_models({s: getattr(arguments, f"{s}_checkpoint") or embedded_checkpoint(s) for s in STAGES})
        changed = {name: value for name in RENDER if (value := getattr(arguments, name)) is not None}
        settings = make_settings(models, {}, changed)
        with counting("frames") as progress:
            reenact(models, request, settings, progress, warn)
        print(request.out)


if __name__ == "__main__":
    main()
