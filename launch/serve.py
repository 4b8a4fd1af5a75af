"""A server of talking faces: clients send sound while somebody speaks, and get pictures (docs/live.md).

    pip install -r requirements-live.txt
    python launch/serve.py

Everything is compiled before the port opens. Only this machine is served. For another --host, clients need a token. The default
actor is data/assets/actor_fast, which needs one network call per chunk; `--actor data/assets/actor` is slower.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch._options import add_audio_checkpoint, add_stages, checkpoints, given
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import DOC, RANGE, Range, fields, ranges, whole

TOKEN = "XACTOR_TOKEN"
"""Variable of the environment with the token."""

TOGETHER = whole(1, 1_000)
PORT = whole(1, 65_535)


def parser() -> argparse.ArgumentParser:
    """The command line. The bounds are those of `xactor_jax.live.limits.Limits`."""
    from xactor_jax.faces.choice import DETECTOR, DETECTORS
    from xactor_jax.live.limits import Limits

    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--host", default="127.0.0.1", help="address to serve; one that is not local needs a token")
    add("--port", type=int, default=8765)
    add("--token", default="", help=f"what clients must know; default: the variable {TOKEN}")
    add("--detector", default=DETECTOR, help=f"face detector: {DETECTORS}")
    add_stages(about)
    add_audio_checkpoint(about)
    add("--windows_per_segment", type=int, help="windows of the renderer in a segment: fewer make the delay shorter")
    add("--actor_steps", type=int, help="denoising steps of the actor")
    add("--steps", type=int, help="denoising steps of the renderer; 0: show stage 1's drafts")
    add(
        "--together",
        type=int,
        default=1,
        help="sessions that are computed at the same time: more use an accelerator better; 1: bit for bit as sample.py",
    )
    for name, field in fields(Limits).items():
        add(
            f"--{name}",
            type=type(field.default),
            default=field.default,
            help=f"{field.metadata[DOC]} ({field.metadata[RANGE]})",
        )
    return about


def allowed() -> dict[str, Range]:
    """Ranges of the options: option → range."""
    from xactor_jax.actor.settings import RolloutSettings
    from xactor_jax.video.sampler import RenderSettings

    render = {name: ranges(RenderSettings)[name] for name in ("windows_per_segment", "steps")}
    return {"port": PORT, "together": TOGETHER, "actor_steps": ranges(RolloutSettings)["steps"], **render}


def token_of(arguments: argparse.Namespace) -> str:
    """The token. Raises `UserError` if there is none for an address that others can reach."""
    from launch._live_guard import is_local

    token = arguments.token or os.environ.get(TOKEN, "")
    if not token and not is_local(arguments.host):
        raise UserError(f"{arguments.host} can be reached from other machines: give a --token that clients must know.")
    return token


def make_engine(arguments: argparse.Namespace):
    """The engine with its checkpoints loaded, everything compiled, and its places measured."""
    from xactor_jax.checkpoints.embedded import FAST_ACTOR
    from xactor_jax.live.engine import Engine
    from xactor_jax.live.limits import Limits
    from xactor_jax.live.programs import Programs
    from xactor_jax.sampling.load import load_models
    from xactor_jax.sampling.pipeline import make_settings

    limits = Limits(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Limits)})
    paths = {**checkpoints(arguments), "actor": arguments.actor or FAST_ACTOR}
    models = load_models(paths, arguments.audio_checkpoint)
    render = {"offline": False, **given(arguments, windows_per_segment="windows_per_segment", steps="steps")}
    settings = make_settings(models, given(arguments, steps="actor_steps"), render)
    engine = Engine(Programs(models, settings, arguments.together), limits)
    portrait = grey(models.sides)
    engine.warm_up(portrait)
    engine.measure(portrait)
    return engine


def summary(engine) -> str:
    """Delay, places, and how much computing a session needs. It says so if even one session is not in real time."""
    slow = "" if engine.cost <= 1.0 else "; too slow for real time: pictures will be late"
    places = f"places {engine.places}, a session takes {engine.cost:.2f} s of computing per second{slow}"
    return f"delay {engine.programs.delay_seconds:.2f} s, {places}"


def grey(sides: tuple[int, int]):
    """A portrait to compile and to measure with."""
    import numpy as np

    from xactor_jax.sampling.portrait import Portrait

    return Portrait(*(np.full((side, side, 3), 128, np.uint8) for side in sides))


def serve(arguments: argparse.Namespace) -> None:
    """Serves until it is stopped. Raises `UserError` if the packages for it are missing."""
    try:
        import uvicorn

        from launch._live_app import make_app
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install -r requirements-live.txt") from None
    from xactor_jax.faces.choice import make_detector
    from xactor_jax.live.renders import Renders

    check_numbers(arguments, allowed())
    token, detector = token_of(arguments), make_detector(arguments.detector)
    engine = make_engine(arguments)
    print(f"http://{arguments.host}:{arguments.port}  {summary(engine)}", flush=True)
    renders = Renders(engine.programs.models, engine.limits, arguments.detector)
    app = make_app(engine, detector, token, renders)
    bounds = {"ws_max_size": arguments.message_bytes, "limit_concurrency": 8 * arguments.sessions + 32}
    # No pings: while a client's sound is not read because too much waits, neither are its answers. Idle sessions end anyway.
    bounds |= {"ws_ping_interval": None, "ws_per_message_deflate": False}
    quiet = {"log_level": "warning", "access_log": False}  # addresses hold names of sessions, and tokens
    uvicorn.run(app, host=arguments.host, port=arguments.port, **bounds, **quiet)


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        serve(arguments)


if __name__ == "__main__":
    main()
