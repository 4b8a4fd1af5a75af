"""Measures how fast one core draws 3-D heads: frames per second, and the time to prepare a person and a clip.

It measures processor time, which hardly depends on other programs.

python launch/benchmark/heads.py --size 128 --people 5
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root  # noqa: F401

# isort: split
import numpy as np

from data.heads.framing import frame_clip
from data.heads.model import Model, make_model
from data.heads.painter import Painter
from data.heads.scene import Scene, make_scene
from data.heads.shape import Shape, express, make_shape
from launch._numbers import check_numbers
from launch.benchmark._cpu import cpu_seconds
from xactor_jax.errors import exit_on_user_error
from xactor_jax.labels import CONTROLS, UNITS
from xactor_jax.settings import whole
from xactor_jax.threads import use_one_thread


def _acting(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Controls and units of a head that turns, looks around and speaks."""
    phase = np.arange(frames)[:, None] / 7.0
    controls = 0.15 * np.sin(phase + np.arange(len(CONTROLS)))
    units = np.zeros((frames, len(UNITS)), np.float32)
    for i, name in enumerate(("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp")):
        units[:, UNITS.index(name)] = 0.3 + 0.3 * np.sin(phase[:, 0] + i)
    return controls, units


def _person(number: int) -> tuple[Model, Shape, Scene]:
    shape = make_shape(np.random.default_rng([number, 0]))
    return make_model(np.random.default_rng([number, 1]), shape), shape, make_scene(np.random.default_rng([number, 2]))


def _drawing(number: int, size: int, frames: int, repeats: int) -> tuple[float, float, int]:
    """(seconds per frame, seconds to prepare a clip, number of triangles) of one person."""
    model, shape, scene = _person(number)
    controls, units = _acting(frames)
    framing = frame_clip(shape, scene.lens, controls, units)
    prepare = lambda _: Painter(model, shape, scene, framing, size)
    painter = prepare(0)
    draw = lambda _: [painter.frame(express(shape, units[t]), controls[t], t) for t in range(frames)]
    return cpu_seconds(draw, repeats) / frames, cpu_seconds(prepare, 1), len(model.triangles)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="image size in pixels")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with exit_on_user_error():
        check_numbers(args, {"size": whole(16, 8_192), "frames": whole(1), "people": whole(1), "repeats": whole(1)})
    use_one_thread()

    rows = [_drawing(number, args.size, args.frames, args.repeats) for number in range(args.people)]
    frame, clip, _ = np.mean(rows, axis=0)
    print(f"at {args.size}×{args.size}, {min(r[2] for r in rows)} to {max(r[2] for r in rows)} triangles:")
    print(f"drawing: {1 / frame:.1f} frames/s per core (slowest person {1 / max(r[0] for r in rows):.1f})")
    print(f"a clip's preparation: {1000 * clip:.0f} ms; a person: {1000 * cpu_seconds(_person, 1):.0f} ms")


if __name__ == "__main__":
    main()
