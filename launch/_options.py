"""Command-line options that several programs share, and functions that evaluate them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from xactor_jax.checkpoints.embedded import checkpoint
from xactor_jax.errors import UserError, exit_on_user_error

STAGES = ("motion", "actor", "video")
ROLLOUT = ("audio_guidance", "emotion_guidance", "schedule", "actor_steps")
"""Options that change the checkpoint's own `RolloutSettings`."""
RENDER = ("steps", "guidance_scale", "offline")
"""Options that change the checkpoint's own `RenderSettings`."""


def add_stages(about: argparse.ArgumentParser, stages: Sequence[str] = STAGES) -> None:
    """Adds --motion, --actor and --video, which name the checkpoint of that stage."""
    for stage in stages:
        what = f"run or export of the {stage} stage; default: the embedded one"
        about.add_argument(f"--{stage}", default="", metavar="CKPT", help=what)


def add_audio_checkpoint(about: argparse.ArgumentParser) -> None:
    """Adds --audio_checkpoint, for actors whose audio features come from a network that was moved since their training."""
    what = "wav2vec 2.0 for the actor's audio features; default: that of its training"
    about.add_argument("--audio_checkpoint", default="", metavar="CKPT", help=what)


def add_rollout(about: argparse.ArgumentParser) -> None:
    """Adds --rollout, for settings of the actor that have no option of their own."""
    what = "other settings of the actor, with the names of its config.rollout"
    about.add_argument("--rollout", default="", metavar="KEY=VALUE,…", help=what)


def rollout_changes(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings that --rollout changes. Raises `UserError` for other names, and for values out of range."""
    from xactor_jax.actor.settings import parse_changes

    return parse_changes(filter(None, arguments.rollout.split(",")))


def checkpoints(arguments: argparse.Namespace, stages: Sequence[str] = STAGES) -> dict[str, object]:
    """Stage → its checkpoint."""
    return {stage: checkpoint(stage, getattr(arguments, stage)) for stage in stages}


def add_portrait(about: argparse.ArgumentParser) -> None:
    """Adds options for finding and cropping the face in the portrait."""
    from xactor_jax.faces.choice import DETECTOR, DETECTORS

    add = about.add_argument
    add(
        "--crop",
        default="auto",
        help="auto: a square around the face; released: the crop of X-NeMo's weights; none: the picture is cropped already",
    )
    add("--detector", default=DETECTOR, help=f"face detector: {DETECTORS}")
    add("--face_index", type=int, help="index of the face in the portrait if there are several, from 0")
    add("--paste_back", action="store_true", help="put the face back into the picture, so that the video shows all of it")


def add_renderer(about: argparse.ArgumentParser) -> None:
    """Adds options for rendering, for marks, and for files written beside the video."""
    add, mode = about.add_argument, argparse.BooleanOptionalAction
    add("--steps", type=int, help="denoising steps of the renderer; 0: show stage 1's drafts")
    add("--guidance_scale", type=float, help="how strongly frames follow the motion; 1: no guidance")
    add("--offline", action=mode, default=None, help="render all frames at once (in a closed loop) or segment by segment")
    add("--seed", type=int, default=0, help="seed of all random numbers")
    add("--save_motion", default="", metavar="FILE.npz", help="also write the motion latents to this file")
    add("--mark", default="", metavar="TEXT", help='text to draw into a corner of the video, such as "AI-generated"')
    add("--c2pa", default="", metavar="CERT.pem,KEY.pem", help="sign the mp4 with a C2PA manifest (requirements-c2pa.txt)")


def given(arguments: argparse.Namespace, **names: str) -> dict[str, object]:
    """Field → value of the options that were given; `names` are pairs field=option."""
    values = {field: getattr(arguments, option) for field, option in names.items()}
    return {field: value for field, value in values.items() if value is not None}


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def add_renamed(about: argparse.ArgumentParser, old: str, new: str) -> None:
    """Adds an old option that ends the program with an error naming the new one."""
    about.add_argument(old, action=_Renamed, nargs="?", const=new, help=argparse.SUPPRESS)


class _Renamed(argparse.Action):
    def __call__(self, *_: object) -> None:
        with exit_on_user_error():
            raise UserError(f"{self.option_strings[0]} has another name now: write {self.const}.")
