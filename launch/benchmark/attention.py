"""Measures only the attention of the actor and of the renderer: by XLA, by cuDNN and by PyTorch.

    python launch/benchmark/attention.py --json attention.json          # on a GPU: bfloat16, the sizes of the base presets
    python launch/benchmark/attention.py --implementations xla --divide 8 --repeats 1

actor: self-attention of a training window, causal over chunks by a mask. level 0, 1, …: self-attention of pixels in the UNet
of the video stage at 512 pixels, to the pixels of the frame and to as many of the reference. xla and cudnn are what the layers
compute with that implementation; torch is PyTorch's scaled_dot_product_attention. "forward" is only the attention; "gradient"
is that of its product with random numbers with respect to queries, keys and values, with the forward pass. FLOPs are those of
the two matrix products, (1) 4 · rows · heads · queries · keys · features, also for keys that a mask hides, and three times as
many for the gradient. What an implementation cannot compute has a sentence in place of numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch.benchmark import _table
from launch.benchmark.actor import attention_by
from launch.benchmark.networks import seconds_of
from xactor_jax.errors import UserError, exit_on_user_error, first_line
from xactor_jax.settings import whole

TORCH = "torch"
IMPLEMENTATIONS = ("xla", "cudnn", TORCH)
ACTOR = "actor"


class Size(NamedTuple):
    """Sizes of an attention."""

    what: str
    rows: int
    queries: int
    keys: int
    heads: int
    features: int
    chunk: int = 0
    """Tokens of a chunk, if attention is causal over chunks."""

    @property
    def flops(self) -> int:
        """FLOPs of the forward pass (equation 1)."""
        return 4 * self.rows * self.heads * self.queries * self.keys * self.features


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--implementations", default=",".join(IMPLEMENTATIONS), help="separated by commas")
    add("--rows", type=int, default=24, help="number of clips of the actor, and of frames of the renderer")
    add("--divide", type=int, default=1, help="divides the numbers of queries and keys, to try the program on small machines")
    add("--repeats", type=int, default=10, help="measured calls, after one call as a warm-up; the fastest counts")
    add("--json", default="", metavar="FILE", help="also write the numbers to this file")
    return about


def sizes(rows: int, divide: int) -> Iterator[Size]:
    """The attentions of the presets `base`."""
    from xactor_jax.training.experiment import load_config

    actor, video = load_config("configs/actor.py:base"), load_config("configs/video.py:base")
    n, tokens = actor.network, actor.data.window // divide
    yield Size(ACTOR, rows, tokens, tokens, n.heads, n.width // n.heads, n.chunk)
    side = video.autoencoder.image_size // 2 ** (len(video.autoencoder.channels) - 1) // video.autoencoder.patch
    unet = video.network.unet
    for level, (channels, attends) in enumerate(zip(unet.channels, unet.attention, strict=True)):
        if attends:
            pixels = (side // 2**level) ** 2 // divide
            yield Size(f"level {level}", rows, pixels, 2 * pixels, unet.heads, channels // unet.heads)


def by_jax(size: Size) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Calls of the layers' attention in bfloat16: forward, and gradient."""
    import jax
    import jax.numpy as jnp

    from xactor_jax.layers.attention import masked_attention
    from xactor_jax.layers.spatial_attention import attend

    draw = lambda i, n: jax.random.normal(jax.random.key(i), (size.rows, n, size.heads, size.features), jnp.bfloat16)
    inputs, weights = (draw(0, size.queries), draw(1, size.keys), draw(2, size.keys)), draw(3, size.queries)
    mask = jnp.asarray(causal(size))[None] if size.chunk else None
    forward = jax.jit(lambda q, k, v: attend(q, k, v) if mask is None else masked_attention(q, k, v, mask))
    gradient = jax.jit(lambda w, *x: jax.vjp(forward, *x)[1](w))
    return lambda: jax.block_until_ready(forward(*inputs)), lambda: jax.block_until_ready(gradient(weights, *inputs))


def by_torch(size: Size) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Calls of PyTorch's attention in bfloat16, on CUDA where there is any: forward, and gradient."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    draw = lambda n: torch.randn(size.rows, size.heads, n, size.features, dtype=torch.bfloat16, device=device)
    inputs = [draw(n).requires_grad_() for n in (size.queries, size.keys, size.keys)]
    mask = torch.from_numpy(causal(size)).to(device) if size.chunk else None
    call = lambda: torch.nn.functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
    weights = draw(size.queries)
    finish = torch.cuda.synchronize if device == "cuda" else lambda: None

    def forward() -> None:
        with torch.no_grad():
            call()
        finish()

    return forward, lambda: (torch.autograd.grad(call(), inputs, weights), finish())


def causal(size: Size) -> Any:
    """Boolean mask [queries, keys]: each token sees its own chunk and the earlier ones."""
    import numpy as np

    chunks = np.arange(size.keys) // size.chunk
    return chunks[: size.queries, None] >= chunks[None]


def rows_of(size: Size, implementation: str, repeats: int) -> Iterator[dict[str, Any]]:
    """The forward row and the gradient row, or one row that says why there are no numbers."""
    of = {"attention": size.what, "by": implementation, "queries": size.queries, "keys": size.keys, "features": size.features}
    try:
        with attention_by(implementation) if implementation != TORCH else contextlib.nullcontext():
            calls = by_torch(size) if implementation == TORCH else by_jax(size)
            for name, call, times in zip(("forward", "gradient"), calls, (1, 3), strict=True):
                seconds = seconds_of(call, repeats)
                yield {**of, "pass": name, "ms": 1e3 * seconds, "TFLOP/s": 1e-12 * times * size.flops / seconds}
    except Exception as error:  # libraries raise errors of many kinds for what they do not support
        yield {**of, "result": first_line(error)}


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        names = arguments.implementations.split(",")
        if unknown := [name for name in names if name not in IMPLEMENTATIONS]:
            raise UserError(f"there is no implementation {unknown[0]!r}: use {', '.join(IMPLEMENTATIONS)}.")
        check_numbers(arguments, dict.fromkeys(("rows", "divide", "repeats"), whole(1, 100_000)))
        several = list(sizes(arguments.rows, arguments.divide))
        rows = [row for size in several for name in names for row in rows_of(size, name, arguments.repeats)]
        _table.show(rows)
        _table.write(arguments.json, rows)


if __name__ == "__main__":
    main()
