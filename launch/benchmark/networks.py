"""Measures a forward pass of the networks of stages 1 and 3 at full size on this machine: time, memory and FLOPs.

    python launch/benchmark/networks.py                                # preset base, one frame, float32
    python launch/benchmark/networks.py --networks reference,diffusers --json sizes.json
    .venv-parity/bin/python launch/benchmark/networks.py --torch       # also diffusers' network of the same architecture

encoder: the motion encoder of configs/motion.py, for one image of its size. reference: the reference network. denoiser: the
denoiser without reference features. denoiser+bank: the denoiser with reference features in every self-attention. trunk: the
reference network with its last layer, for --frames frames, as diffusers computes it. diffusers: UNet2DConditionModel of Stable
Diffusion 1.5 in PyTorch, on CUDA where there is any, without torch.compile. Each network runs in its own process, whose peak
memory on the host is reported. All weights have the same value, because time does not depend on them. FLOPs are
those of matrix products and convolutions, two for each multiplication. They include the end of the reference network's last
layer, which is not computed because nothing uses it.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch.benchmark import _table
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import whole

OURS = ("encoder", "reference", "denoiser", "denoiser+bank")
"""Networks that are measured by default."""
TRUNK = "trunk"
THEIRS = "diffusers"
Network = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and the shapes of its arguments, with the parameters first."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--preset", default="base", help="preset of configs/video.py and configs/motion.py")
    add("--networks", default=",".join(OURS), help=f"some of {', '.join((*OURS, TRUNK, THEIRS))}, separated by commas")
    add("--torch", action="store_true", help="also measure diffusers' network, if PyTorch is installed")
    add("--side", type=int, default=64, help="rows and columns of the latent")
    add("--frames", type=int, default=1)
    add("--precision", default="float32", choices=("float32", "bfloat16", "bf16"), help="of activations")
    add("--repeats", type=int, default=1, help="measured calls, after one call as a warm-up")
    add("--json", default="", metavar="FILE", help="also write the numbers to this file")
    add("--inside", default="", help=argparse.SUPPRESS)  # the network that this process measures
    return about


def seconds_of(call: Callable[[], Any], repeats: int) -> float:
    """Wall seconds of one call: the minimum of `repeats` calls, after one call as a warm-up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def ours(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures one of the project's networks."""
    import jax
    import numpy as np

    from xactor_jax.parallel.flops import count_flops

    function, shapes = (encoder if name == "encoder" else partial(unet, name))(arguments)
    size = sum(x.size for x in jax.tree.leaves(shapes[0]))
    compiled = jax.jit(function).lower(*shapes).compile()
    values = jax.device_put(jax.tree.map(lambda x: np.full(x.shape, 0.01, x.dtype), shapes))
    seconds = seconds_of(lambda: jax.block_until_ready(compiled(*values)), arguments.repeats)
    flops = count_flops(jax.make_jaxpr(function)(*shapes).jaxpr)
    return row(name, size, seconds, flops) | {"temporary GiB": compiled.memory_analysis().temp_size_in_bytes / 2**30}


def encoder(arguments: argparse.Namespace) -> Network:
    """The motion encoder, a function of (parameters, images)."""
    import jax
    import jax.numpy as jnp

    from configs.motion import get_config
    from xactor_jax.motion.networks import encoder_size, make_encoder

    config = get_config(arguments.preset)
    config.precision, side = arguments.precision, encoder_size(config)
    module, pictures = make_encoder(config), jax.ShapeDtypeStruct((arguments.frames, side, side, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), pictures)
    return module.apply, (variables, pictures)


def unet(name: str, arguments: argparse.Namespace) -> Network:
    """A network of the video stage, a function of (parameters, latents, times, conditions)."""
    import jax
    import jax.numpy as jnp

    from configs.video import get_config
    from xactor_jax.video.denoiser import DenoiserSettings
    from xactor_jax.video.unet import Conditions, UNet

    config = get_config(arguments.preset)
    settings = DenoiserSettings.from_config(config.network, config.autoencoder.latent_channels)
    dtype = None if arguments.precision == "float32" else jnp.bfloat16
    reference = UNet(settings.unet.for_reference(not settings.full_reference), dtype)
    others = {"reference": reference, TRUNK: UNet(settings.unet.for_reference(False), dtype)}
    module = others.get(name) or UNet(settings.unet, dtype)
    frames = 1 if name == "reference" else arguments.frames
    array = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    x, t = array(1, frames, arguments.side, arguments.side, settings.unet.out_channels), array(1)
    motion = array(1, frames, settings.motion_tokens, settings.motion_token_width) if module.settings.motion else None
    conditions = Conditions(motion=motion, embedding=array(1, settings.unet.context_width))
    if name == "denoiser+bank":
        still = jax.eval_shape(reference.init_with_output, jax.random.key(0), array(1, 1, *x.shape[2:]), t, conditions)
        conditions = conditions._replace(bank=still[0][1])
    params = jax.eval_shape(module.init, jax.random.key(0), x, t, conditions)["params"]
    index = 1 if name == "reference" else 0  # a network returns (prediction, bank); the reference network is used for its bank
    forward = lambda params, *inputs: module.apply({"params": params}, *inputs)[index]
    return forward, (params, x, t, conditions)


def theirs(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures diffusers' network in PyTorch. Raises `UserError` if it is not installed."""
    try:
        import diffusers
        import torch
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: `make parity` makes an environment that has it.") from None
    model = diffusers.UNet2DConditionModel(sample_size=arguments.side, cross_attention_dim=768).eval()
    dtype = torch.float32 if arguments.precision == "float32" else torch.bfloat16
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device, dtype)
    x = torch.ones(arguments.frames, 4, arguments.side, arguments.side, dtype=dtype, device=device)
    shown = torch.ones(arguments.frames, 1, 768, dtype=dtype, device=device)
    finish = torch.cuda.synchronize if device == "cuda" else lambda: None
    with torch.no_grad():
        seconds = seconds_of(lambda: (model(x, 0, shown), finish()), arguments.repeats)
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            model.to("meta")(x.to("meta"), 0, shown.to("meta"))
    return row(THEIRS, sum(p.numel() for p in model.parameters()), seconds, counter.get_total_flops())


def row(name: str, size: int, seconds: float, flops: float) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "network": name,
        "parameters": size,
        "s": seconds,
        "GFLOP": 1e-9 * flops,
        "GFLOP/s": 1e-9 * flops / seconds,
        "largest GiB": peak,
    }


def measured(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """A row, measured in its own process. Raises `UserError` with the last line of its output if it failed."""
    command = [sys.executable, __file__, *sys.argv[1:], "--inside", name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}; has the machine enough memory?"]
        raise UserError(f"{name} could not be measured: {lines[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    names = [*arguments.networks.split(","), *([THEIRS] if arguments.torch else [])]
    with exit_on_user_error():
        if unknown := [name for name in names if name not in (*OURS, TRUNK, THEIRS)]:
            raise UserError(f"there is no network {unknown[0]!r}: use {', '.join((*OURS, TRUNK, THEIRS))}.")
        check_numbers(arguments, dict.fromkeys(("repeats", "frames", "side"), whole(1)))
        if name := arguments.inside:
            print(json.dumps(theirs(arguments) if name == THEIRS else ours(name, arguments)))
            return
        rows = [measured(name, arguments) for name in dict.fromkeys(names)]
        _table.show(rows)
        _table.write(arguments.json, rows)


if __name__ == "__main__":
    main()
