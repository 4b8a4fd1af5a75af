"""Options that several programs here have, each declared once, and what comes of their values."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from xactor_jax.errors import UserError, exit_on_user_error

STAGES = ("motion", "actor", "video")
RENDER = ("steps", "guidance_scale", "offline")
"""Options that change the checkpoint's own `RenderSettings`."""


def add_stages(about: argparse.ArgumentParser, stages: Sequence[str] = STAGES) -> None:
    """--motion, --actor and --video: in every program the checkpoint of that stage."""
    for stage in stages:
        what = f"run or export of the {stage} stage; default: the embedded one"
        about.add_argument(f"--{stage}", default="", metavar="CKPT", help=what)


def checkpoint(stage: str, path: str = "") -> object:
    """The one that was named, else the embedded one."""
    from data.embedded import embedded_checkpoint

    return path or embedded_checkpoint(stage)


def checkpoints(arguments: argparse.Namespace, stages: Sequence[str] = STAGES) -> dict[str, object]:
    """Stage → its checkpoint."""
    return {stage: checkpoint(stage, getattr(arguments, stage)) for stage in stages}


def add_portrait(about: argparse.ArgumentParser) -> None:
    """How the face in the portrait is found and cropped."""
    from xactor_jax.faces.choice import DETECTOR, DETECTORS

    add = about.add_argument
    add("--crop", default="auto", help="auto: the square around the face; released: as X-NeMo's weights know it; none: cropped")
    add("--detector", default=DETECTOR, help=f"what finds faces: {DETECTORS}")
    add("--face_index", type=int, help="which face of the portrait, if there are several, from 0")


def add_renderer(about: argparse.ArgumentParser) -> None:
    """How frames are drawn, and what is written beside the video."""
    add, mode = about.add_argument, argparse.BooleanOptionalAction
    add("--steps", type=int, help="denoising steps of the renderer")
    add("--guidance_scale", type=float, help="how strongly frames follow the motion; 1: no guidance")
    add("--offline", action=mode, default=None, help="render all frames at once, in a closed loop, or segment by segment")
    add("--seed", type=int, default=0)
    add("--save_motion", default="", metavar="FILE.npz", help="write the motion latents too")


def given(arguments: argparse.Namespace, **names: str) -> dict[str, object]:
    """Settings (field=option) whose option was given."""
    values = {field: getattr(arguments, option) for field, option in names.items()}
    return {field: value for field, value in values.items() if value is not None}


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def add_renamed(about: argparse.ArgumentParser, old: str, new: str) -> None:
    """Who still writes the old option is told the new one."""
    about.add_argument(old, action=_Renamed, nargs="?", const=new, help=argparse.SUPPRESS)


class _Renamed(argparse.Action):
    def __call__(self, *_: object) -> None:
        with exit_on_user_error():
            raise UserError(f"{self.option_strings[0]} has another name now: write {self.const}.")
