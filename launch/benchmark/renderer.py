"""Measures how many frames a second a renderer makes with random weights, of any preset of configs/video.py.

    python launch/benchmark/renderer.py --preset base --frames 48    # the layout of the released weights, 512 pixels
    python launch/benchmark/renderer.py --preset puppets --set render.steps=4

It renders a clip of random motion from a random portrait as launch/sample.py does, with the settings of config.render: the
portrait's features, drafts if the preset has them, denoising with guidance, and decoding. Writing the video is left out. The
second and later calls are timed. FLOPs are those of matrix products and convolutions, two for each multiplication.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch.benchmark import _table
from launch.benchmark._need import name_networks
from xactor_jax.errors import exit_on_user_error
from xactor_jax.settings import whole
from xactor_jax.training.plan import Step, config_of, parse_setting

VIDEO = "video"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--preset", default="base", help="preset of configs/video.py")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the config")
    add("--frames", type=int, default=48, help="length of the clip")
    add("--repeats", type=int, default=1, help="timed calls, after one call as a warm-up; the fastest counts")
    add("--json", default="", metavar="FILE", help="also write the numbers to this file")
    return about


def measure(config: Any, frames: int, repeats: int) -> dict[str, Any]:
    """Speed of the renderer of a config on one clip."""
    import jax
    import numpy as np

    from configs.stages import make_task
    from xactor_jax.parallel.chips import chip_of
    from xactor_jax.parallel.flops import count_flops
    from xactor_jax.video import rendering

    task = make_task(config)
    model, rng, key = task.model, np.random.default_rng(0), jax.random.key(0)
    variables = jax.jit(task.init)(key)
    image = rng.uniform(-1, 1, (model.image_size, model.image_size, 3)).astype(np.float32)
    still, motion = (rng.normal(size=(*n, model.motion_dim)).astype(np.float32) for n in ((), (frames,)))
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        drawn = sum(map(len, rendering.render(model, variables, key, image, still, [motion])))
        times.append(time.perf_counter() - start)
    one = (variables, key[None], image[None], still[None], motion[None])
    flops = count_flops(jax.make_jaxpr(lambda *inputs: rendering.draw_batch(model, *inputs))(*one).jaxpr)
    device, seconds = jax.local_devices()[0], min(times[1:])
    chip = chip_of(device.device_kind)
    return {
        "device": device.device_kind,
        "side": model.image_size,
        "steps": model.render_settings.steps,
        "guided": model.render_settings.guided,
        "frames": drawn,
        "frames/s": drawn / seconds,
        "first call s": times[0],
        "TFLOP/frame": 1e-12 * flops / drawn,
        "TFLOP/s": 1e-12 * flops / seconds,
        **({"% of peak": 100 * flops / seconds / chip.peak_flops} if chip else {}),
    }


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_numbers(arguments, dict.fromkeys(("frames", "repeats"), whole(1, 100_000)))
        step = Step(VIDEO, VIDEO, arguments.preset, 1.0)
        settings = [parse_setting(f"{VIDEO}:{text}", [step]) for text in arguments.set]
        config = config_of(step, settings)
        name_networks(config)
        row = measure(config, arguments.frames, arguments.repeats)
        _table.show([row])
        _table.write(arguments.json, row)


if __name__ == "__main__":
    main()
