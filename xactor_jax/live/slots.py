"""Many streams in one program: one stride of the actor, or one segment of the renderer, for each.

    (1)  y_i = f(x_i)  for every stream i;  x_i, y_i are a stream's own inputs and results, of batch size 1

A program has `together` slots. A stream has no slot of its own: at each call, the streams that have enough input are cut into
groups of that size. So streams may start, wait and end at different times, and the state of each stays with the stream. Free
slots of the last group are filled with a copy of its first inputs, and their results are dropped.

Groups are computed side by side, in threads: two cores that compute a group each are faster than two cores that share every
convolution of one group. With `together = 1`, f is the very program that a single stream runs; larger groups use `jax.vmap`,
which accelerators compute faster, and whose sums may be in another order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from xactor_jax.actor.rollout import Guide, RolloutState, Window
from xactor_jax.emotion import Emotion
from xactor_jax.variables import Tree, Variables
from xactor_jax.video import denoising
from xactor_jax.video.conditions import Portrait
from xactor_jax.video.model import VideoModel
from xactor_jax.video.pictures import Drawn
from xactor_jax.video.sampler import RenderSettings

Mapped = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Applies a function to items, in order or at the same time: `map`, or that of a pool of threads."""


class Stride(NamedTuple):
    """Inputs of one call of the actor's window for one stream."""

    keys: Key[Array, "1"]
    reference: Float[Array, "1 d"]
    rollout: RolloutState
    audio: Float[np.ndarray, "1 stride features"]
    emotion: Emotion


class Segment(NamedTuple):
    """Inputs of one segment of the renderer for one stream."""

    portrait: Portrait
    keys: Key[Array, "1"]
    index: Int[np.ndarray, ""]
    motion: Float[np.ndarray, "1 s d"]
    known: Float[Array, "1 k h w c"]


def advance(
    window: Window, params: Tree, together: int, strides: Sequence[Stride], mapped: Mapped = map
) -> list[tuple[RolloutState, Float[Array, "1 stride d"]]]:
    """One call of the window for each stream."""
    return in_groups(lambda group: _advance(window, params, group), together, strides, mapped)


def render(
    model: VideoModel,
    settings: RenderSettings,
    variables: Variables,
    together: int,
    segments: Sequence[Segment],
    mapped: Mapped = map,
) -> list[tuple[Drawn, Float[Array, "1 k h w c"]]]:
    """One segment for each stream."""
    return in_groups(lambda group: _render(model, settings, variables, group), together, segments, mapped)


def in_groups(
    program: Callable[[tuple], Sequence[Any]], together: int, items: Sequence[Any], mapped: Mapped = map
) -> list[Any]:
    """Results of all items, by calls of `program` for `together` of them (equation 1)."""

    def done(start: int) -> Sequence[Any]:
        group = items[start : start + together]
        filled = (*group, *(group[0] for _ in range(together - len(group))))
        return jax.block_until_ready(program(filled))[: len(group)]

    return [result for results in mapped(done, range(0, len(items), together)) for result in results]


@jax.jit
def _advance(window: Window, params: Tree, strides: tuple[Stride, ...]) -> tuple:
    one = lambda s: window.advance(Guide(params, s.keys, s.reference), s.rollout, s.audio, s.emotion)
    return _each(one, strides)


@functools.partial(jax.jit, static_argnums=0)
def _render(model: VideoModel, settings: RenderSettings, variables: Variables, segments: tuple[Segment, ...]) -> tuple:
    return _each(lambda s: denoising.segment(model, settings, variables, *s), segments)


def _each(function: Callable[[Any], Tree], items: tuple[Any, ...]) -> tuple[Tree, ...]:
    """`function` of every item, in one batch if there are several."""
    if len(items) == 1:
        return (function(items[0]),)
    done = jax.vmap(function)(jax.tree.map(lambda *arrays: jnp.stack(arrays), *items))
    return tuple(jax.tree.map(lambda array, index=index: array[index], done) for index in range(len(items)))
