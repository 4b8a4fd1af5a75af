"""wav2vec 2.0's hidden states at the video's frame rate, computed in overlapping pieces.

The network hears a recording as a whole and normalises by it, so it is run on windows of one length: piece k gives the P video
frames from k P on and hears C frames more on either side, as far as there is sound; beyond the recording's two ends nothing
counts (`wav2vec2.Wav2Vec2`). A stream and a whole recording go through the same windows, so they are equal bit for bit, in
memory that does not grow and with one compiled program for all lengths. A recording of up to P frames is heard as a whole,
just as the published network hears it.

Frame i of the network is centred on sample 320 i + 200, video frame t on sample 640 t + 320. Linear interpolation gives

    (1)  f_t = (1 - w) h_j + w h_{j+1},    j + w = (640 t + 320 - 200) / 320 = 2 t + 3/8

    (2)  concat: F_t = (f⁰_t, f¹_t, …)      sum: F_t = Σ_l w_l fˡ_t           over the chosen hidden states l

where the indices j and j + 1 stop at the first and last frame that the recording fills. Of the last video frame the network
often gives h_j alone.

What pieces cost, measured on 2026-11-24 on a minute of English speech with random weights of the base model (5 s pieces, 2 s
context; python launch/study/compare_audio_pieces.py --audio FILE): the features differ from those of the minute heard as a
whole by 0.11 (h⁰) to 0.14 of their root mean square. It is 0.11 already before the first block, where only normalisation hears
further than a window. Relative to the deviation over time it is 0.12 (h⁰), 0.35 (h⁴), 1.3 (h⁸) and 5.1 (h¹²), for random
attention averages over time and leaves little of it. With released weights nothing was measured: run the command on them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xactor_jax.audio.features import AudioFeatures, Features, Settings, Waveform, known_fields
from xactor_jax.audio.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from xactor_jax.errors import UserError
from xactor_jax.settings import Several, Text, check_fields, choice, real, setting
from xactor_jax.timing import FRAME_RATE, SAMPLES_PER_FRAME, num_frames

Params = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class PieceSettings:
    """Which hidden states, and how long the windows are."""

    layers: str = setting(
        "all", Text(), 'hidden states: all, last, or numbers such as "8" or "1,4,-1"; 0: what enters the first block'
    )
    combine: str = setting("concat", choice(("concat", "sum")), "what becomes of several hidden states")
    weights: tuple[float, ...] = setting(
        (), Several(real(-math.inf), least=0), "of the sum, one for each hidden state; none: their mean"
    )
    piece: float = setting(5.0, real(1 / FRAME_RATE, 600.0), "P, sound that is computed at a time, seconds")
    context: float = setting(2.0, real(0.0, 600.0), "C, sound that is seen on either side of a piece, seconds")

    def __post_init__(self) -> None:
        check_fields(self, "data.audio")
        if self.weights and self.combine == "concat":
            raise UserError("weights of audio layers have no meaning where the layers are concatenated: combine them by sum.")

    @property
    def piece_frames(self) -> int:
        """P."""
        return round(self.piece * FRAME_RATE)

    @property
    def context_frames(self) -> int:
        """C."""
        return round(self.context * FRAME_RATE)

    @property
    def window(self) -> int:
        """Samples of a window."""
        return (self.piece_frames + 2 * self.context_frames) * SAMPLES_PER_FRAME

    def states(self, depth: int) -> tuple[int, ...]:
        """Numbers of the chosen hidden states of a network of `depth` blocks. Raises `UserError` where there is none such."""
        named = {"all": range(depth + 1), "last": [depth]}
        try:
            chosen = named[self.layers] if self.layers in named else [int(number) for number in self.layers.split(",")]
            return tuple(range(depth + 1)[number] for number in chosen)
        except (ValueError, IndexError):
            hint = f"use all, last, or numbers from 0 to {depth} separated by commas"
            raise UserError(f"there are no audio layers {self.layers!r}: {hint}.") from None

    def mixture(self, depth: int) -> tuple[float, ...]:
        """w in (2). Raises `UserError` if there are not as many as chosen states."""
        count = len(self.states(depth))
        if self.weights and len(self.weights) != count:
            raise UserError(f"{len(self.weights)} weights are given for {count} audio layers: give one each.")
        return self.weights or (1 / count,) * count


class Window(NamedTuple):
    """What piece k is computed from; samples outside [first, last) are zero and do not count."""

    samples: Float[np.ndarray, "window"]
    first: int
    last: int
    frames: int  # that the piece gives, at most P


def windows(chunks: Iterable[Waveform], settings: PieceSettings) -> Iterator[Window]:
    """The windows of a recording that arrives in chunks, each as soon as its last sample has arrived."""
    step, margin = (n * SAMPLES_PER_FRAME for n in (settings.piece_frames, settings.context_frames))
    buffer, total, pieces = np.zeros(margin, np.float32), 0, 0

    def window(frames: int) -> Window:
        samples = np.zeros(settings.window, np.float32)
        samples[: len(buffer)] = buffer[: settings.window]
        return Window(samples, max(0, margin - pieces * step), min(len(buffer), settings.window), frames)

    for chunk in chunks:
        buffer, total = np.concatenate([buffer, chunk.astype(np.float32)]), total + len(chunk)
        while len(buffer) >= settings.window:
            yield window(settings.piece_frames)
            buffer, pieces = buffer[step:], pieces + 1
    while (left := num_frames(total) - pieces * settings.piece_frames) > 0:
        yield window(min(left, settings.piece_frames))
        buffer, pieces = buffer[step:], pieces + 1


def neighbours(network: Wav2Vec2Settings, settings: PieceSettings) -> tuple[np.ndarray, np.ndarray]:
    """j and w in (1) of the P frames of a window, counted from the window's beginning."""
    t = settings.context_frames + np.arange(settings.piece_frames)
    position = (SAMPLES_PER_FRAME * t + SAMPLES_PER_FRAME / 2 - network.view / 2) / network.stride
    below = np.floor(position)
    return below.astype(np.int32), (position - below).astype(np.float32)


def interpolated(
    states: Float[Array, "states frames width"],
    valid: Bool[Array, "frames"],
    j: np.ndarray,
    w: np.ndarray,
) -> Float[Array, "states video_frames width"]:
    """(1) among the valid frames, which are neighbours."""
    first, last = jnp.argmax(valid), len(valid) - 1 - jnp.argmax(valid[::-1])
    below, above = (states[:, jnp.clip(index, first, last)] for index in (j, j + 1))
    return (1 - w[:, None]) * below + w[:, None] * above


def piece_features(
    network: Wav2Vec2Settings, settings: PieceSettings, params: Params, samples: Float[Array, "window"], first, last
) -> Float[Array, "piece features"]:
    """(2) of the P frames of a window; pure. At least one frame of the network counts, filled up with silence if need be."""
    place = jnp.arange(settings.window)
    valid = (place >= first) & (place < jnp.maximum(last, first + network.view))
    states, seen = Wav2Vec2(network).apply({"params": params}, samples[None], valid[None])
    chosen = states[np.array(settings.states(network.depth)), 0]
    f = interpolated(chosen, seen[0], *neighbours(network, settings))
    if settings.combine == "sum":
        return jnp.tensordot(np.array(settings.mixture(network.depth), np.float32), f, axes=1)
    return jnp.moveaxis(f, 0, 1).reshape(f.shape[1], -1)


@dataclasses.dataclass(frozen=True, eq=False)
class Wav2Vec2Features(AudioFeatures):
    """The hidden states of a checkpoint. Pieces come `context` seconds after their last sample.

    Args:
        params: of the network.
        checkpoint, hash: where they came from, for the record.

    Raises:
        UserError: the settings do not fit the network.
    """

    network: Wav2Vec2Settings
    params: Params
    settings: PieceSettings
    checkpoint: str
    hash: str

    def __post_init__(self) -> None:
        self.settings.mixture(self.network.depth)
        if SAMPLES_PER_FRAME % self.network.stride or self.settings.window < self.network.view:
            steps = f"steps of {self.network.stride} samples and views of {self.network.view}"
            raise UserError(f"a network with {steps} does not fit pieces of {self.settings.piece} s: use longer pieces.")

    @staticmethod
    def settings_from(settings: Settings) -> PieceSettings:
        """Of what `to_dict` gave; what is left out is as in `PieceSettings`."""
        known = known_fields(PieceSettings, settings)
        return PieceSettings(**{**known, "weights": tuple(known.get("weights", ()))})

    @property
    def num_features(self) -> int:
        states = len(self.settings.states(self.network.depth)) if self.settings.combine == "concat" else 1
        return states * self.network.width

    @functools.cached_property
    def _piece_features(self):
        return jax.jit(functools.partial(piece_features, self.network, self.settings))

    def stream(self, chunks: Iterable[Waveform]) -> Iterator[Features]:
        for window in windows(chunks, self.settings):
            yield np.asarray(self._piece_features(self.params, window.samples, window.first, window.last))[: window.frames]

    def to_dict(self) -> dict[str, Any]:
        origin = {"checkpoint": self.checkpoint, "hash": self.hash}
        return {"kind": "wav2vec2", **origin, **dataclasses.asdict(self.settings), "num_features": self.num_features}
