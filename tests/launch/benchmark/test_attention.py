"""The benchmark of attention."""

from __future__ import annotations

import numpy as np
import pytest

from launch.benchmark import attention
from launch.benchmark.actor import attention_by
from launch.benchmark.attention import Size
from tests.launch.programs import run_here
from xactor_jax.layers import attention as layers
from xactor_jax.layers import spatial_attention


def test_sizes_are_those_of_the_base_presets() -> None:
    """512 pixels are 64 × 64 cells; widths of 320, 640 and 1280 in 8 heads; a level attends to itself and to the reference."""
    actor, *levels = attention.sizes(rows=24, divide=1)
    assert (actor.queries, actor.keys, actor.heads, actor.features) == (300, 300, 12, 64) and actor.chunk > 1
    assert [size[1:] for size in levels] == [(24, 4096, 8192, 8, 40, 0), (24, 1024, 2048, 8, 80, 0), (24, 256, 512, 8, 160, 0)]
    assert Size("x", 2, 3, 5, 7, 11).flops == 4 * 2 * 3 * 5 * 7 * 11


def test_the_mask_is_causal_over_chunks() -> None:
    mask = attention.causal(Size("x", 1, 4, 4, 1, 8, chunk=2))
    assert np.array_equal(mask, [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]])


@pytest.mark.parametrize("chunk", [0, 2])
def test_forward_and_gradient_are_timed_and_what_fails_has_a_sentence(chunk: int) -> None:
    size = Size("x", 1, 4, 4, 1, 8, chunk)
    forward, gradient = attention.rows_of(size, "xla", repeats=1)
    assert (forward["pass"], gradient["pass"]) == ("forward", "gradient")
    for row, times in ((forward, 1), (gradient, 3)):
        assert row["TFLOP/s"] == pytest.approx(1e-12 * times * size.flops / (1e-3 * row["ms"]))
    if chunk:  # few keys never use cuDNN in the renderer
        (failed,) = attention.rows_of(size, "cudnn", repeats=1)
        assert failed["by"] == "cudnn" and failed["result"] and "ms" not in failed


def test_an_implementation_is_forced_only_for_a_while() -> None:
    before = layers.implementation
    with attention_by("cudnn"):
        assert layers.implementation(None) == "cudnn" == spatial_attention.implementation(None)
    with attention_by("auto"):
        assert layers.implementation is before
    assert layers.implementation is before and spatial_attention.implementation is before


def test_mistakes_end_in_one_sentence() -> None:
    for wrong, said in ((["--implementations=flash"], "'flash'"), (["--rows=0"], "--rows=0")):
        done = run_here("benchmark/attention.py", *wrong)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
