"""Many streams in one program: one stride of the actor, or one segment of the renderer, for a fixed number of slots.

    (1)  y_i = f(x_i)  for every taken slot i;  x_i, y_i are a stream's own inputs and results, of batch size 1

A stream has no slot of its own: at each call, the streams that have enough input are put into the first slots. So streams may
start, wait and end at different times, and the state of each stays with the stream. Free slots are filled with a copy of the
first inputs, and their results are dropped.

Slots are computed in groups of `together`, one group after another, and groups without a stream are skipped. With
`together = 1`, f is the very function that a single stream runs; larger groups use `jax.vmap`, which accelerators compute
faster, and whose sums may be in another order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from xactor_jax.actor.rollout import Guide, RolloutState, Window
from xactor_jax.emotion import Emotion
from xactor_jax.variables import Tree, Variables
from xactor_jax.video import denoising
from xactor_jax.video.conditions import Portrait
from xactor_jax.video.model import VideoModel
from xactor_jax.video.pictures import Drawn
from xactor_jax.video.sampler import RenderSettings


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


class Slots(NamedTuple):
    """How many streams one program takes, and how many of them it computes at the same time."""

    count: int
    together: int = 1

    @property
    def size(self) -> int:
        """Slots of the program: whole groups."""
        return -(-self.count // self.together) * self.together

    def filled(self, items: Sequence[Tree]) -> tuple[Bool[np.ndarray, "slots"], tuple[Tree, ...]]:
        """Which slots are taken, and the inputs of all slots."""
        return np.arange(self.size) < len(items), (*items, *(items[0] for _ in range(self.size - len(items))))


def advance(
    window: Window, params: Tree, slots: Slots, strides: Sequence[Stride]
) -> list[tuple[RolloutState, Float[Array, "1 stride d"]]]:
    """One call of the window for each stream, at most `slots.count`."""
    return list(_advance(slots.together, window, params, *slots.filled(strides))[: len(strides)])


def render(
    model: VideoModel, settings: RenderSettings, variables: Variables, slots: Slots, segments: Sequence[Segment]
) -> list[tuple[Drawn, Float[Array, "1 k h w c"]]]:
    """One segment for each stream, at most `slots.count`."""
    return list(_render(slots.together, model, settings, variables, *slots.filled(segments))[: len(segments)])


@functools.partial(jax.jit, static_argnums=0)
def _advance(together: int, window: Window, params: Tree, taken: Bool[Array, "slots"], strides: tuple[Stride, ...]) -> tuple:
    one = lambda s: window.advance(Guide(params, s.keys, s.reference), s.rollout, s.audio, s.emotion)
    return in_groups(one, together, taken, strides)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _render(
    together: int,
    model: VideoModel,
    settings: RenderSettings,
    variables: Variables,
    taken: Bool[Array, "slots"],
    segments: tuple[Segment, ...],
) -> tuple:
    return in_groups(lambda s: denoising.segment(model, settings, variables, *s), together, taken, segments)


def in_groups(
    function: Callable[[Any], Any], together: int, taken: Bool[Array, "slots"], items: tuple[Tree, ...]
) -> tuple[Tree, ...]:
    """`function` of every taken item (equation 1), `together` at a time; zeros for the groups that have none."""
    groups = [items[start : start + together] for start in range(0, len(items), together)]
    stacked = _stacked([_stacked(group) for group in groups])
    several = jax.vmap(function) if together > 1 else lambda group: _stacked([function(_at(group, 0))])
    shapes = jax.eval_shape(several, _stacked(groups[0]))
    nothing = lambda _: jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), shapes)
    body = lambda group: jax.lax.cond(group[0], several, nothing, group[1])
    done = jax.lax.map(body, (taken.reshape(-1, together).any(axis=1), stacked))
    return tuple(_at(_at(done, index // together), index % together) for index in range(len(items)))


def _stacked(trees: Sequence[Tree]) -> Tree:
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *trees)


def _at(tree: Tree, index: int) -> Tree:
    return jax.tree.map(lambda array: array[index], tree)
