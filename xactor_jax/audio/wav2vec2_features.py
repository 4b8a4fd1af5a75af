"""wav2vec 2.0's hidden states at the video's frame rate, computed in overlapping pieces.

The published network takes a whole recording at once and normalises by it. Here it runs on windows of one length: piece k gives
the P video frames from k P on, and its window has C frames more on either side, as far as there is sound. What lies beyond the
recording's two ends is masked (`wav2vec2.Wav2Vec2`). A stream and a whole recording use the same windows. Their features are
therefore equal bit for bit, memory does not grow with the recording, and one compiled program serves all lengths. A recording
of up to P frames is computed at once, exactly as by the published network.

Frame i of the network is centred on sample 320 i + 200, video frame t on sample 640 t + 320. Linear interpolation gives

    (1)  f_t = (1 - w) h_j + w h_{j+1},    j + w = (640 t + 320 - 200) / 320 = 2 t + 3/8

    (2)  concat: F_t = (f⁰_t, f¹_t, …)      sum: F_t = Σ_l w_l fˡ_t           over the chosen hidden states l

The indices j and j + 1 are limited to the first and last network frame of the recording. For the last video frame, often only
h_j is left.

The error due to pieces was measured on 2026-11-24 on a minute of English speech with random weights of the base model (5 s
pieces, 2 s context; python launch/study/compare_audio_pieces.py --audio FILE). The features differ from those of the whole
minute computed at once by 0.11 (h⁰) to 0.14 of their root mean square. It is 0.11 already before the first block, where only
normalisation depends on sound outside a window. Relative to the standard deviation over time it is 0.12 (h⁰), 0.35 (h⁴), 1.3
(h⁸) and 5.1 (h¹²), because random attention averages over time and leaves little variation. With released weights nothing was
measured: run the command on them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xactor_jax.audio.features import AudioFeatures, Features, Settings, Waveform, known_fields
from xactor_jax.audio.sound import Sound, silence
from xactor_jax.audio.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from xactor_jax.errors import UserError
from xactor_jax.settings import Several, Text, check_fields, choice, real, setting
from xactor_jax.timing import FRAME_RATE, SAMPLES_PER_FRAME, num_frames

Params = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class PieceSettings:
    """The chosen hidden states, and the length of the windows."""

    layers: str = setting(
        "all", Text(), 'chosen hidden states: all, last, or numbers such as "8" or "1,4,-1"; 0: the input of the first block'
    )
    combine: str = setting(
        "concat", choice(("concat", "sum")), "how several hidden states are combined: concatenated or summed"
    )
    weights: tuple[float, ...] = setting(
        (), Several(real(-math.inf), least=0), "sum: weights, one per hidden state; none: their mean"
    )
    piece: float = setting(5.0, real(1 / FRAME_RATE, 600.0), "P, length of the pieces in which features are computed, seconds")
    context: float = setting(2.0, real(0.0, 600.0), "C, context before and after each piece, seconds")

    def __post_init__(self) -> None:
        check_fields(self, "data.audio")
        if self.weights and self.combine == "concat":
            raise UserError("weights of audio layers have no meaning where the layers are concatenated: combine them by sum.")

    @property
    def piece_frames(self) -> int:
        """P: video frames per piece."""
        return round(self.piece * FRAME_RATE)

    @property
    def context_frames(self) -> int:
        """C: video frames of context on either side of a piece."""
        return round(self.context * FRAME_RATE)

    @property
    def window(self) -> int:
        """Samples in a window."""
        return (self.piece_frames + 2 * self.context_frames) * SAMPLES_PER_FRAME

    def states(self, depth: int) -> tuple[int, ...]:
        """Indices of the chosen hidden states of a network of `depth` blocks. Raises `UserError` for a wrong index."""
        named = {"all": range(depth + 1), "last": [depth]}
        try:
            chosen = named[self.layers] if self.layers in named else [int(number) for number in self.layers.split(",")]
            return tuple(range(depth + 1)[number] for number in chosen)
        except (ValueError, IndexError):
            hint = f"use all, last, or numbers from 0 to {depth} separated by commas"
            raise UserError(f"there are no audio layers {self.layers!r}: {hint}.") from None

    def mixture(self, depth: int) -> tuple[float, ...]:
        """The weights w_l of equation (2). Raises `UserError` if their number differs from that of the chosen states."""
        count = len(self.states(depth))
        if self.weights and len(self.weights) != count:
            raise UserError(f"{len(self.weights)} weights are given for {count} audio layers: give one each.")
        return self.weights or (1 / count,) * count


class Window(NamedTuple):
    """Input of one piece. Samples outside [first, last) are zero and masked."""

    samples: Float[np.ndarray, "window"]
    first: int
    last: int
    frames: int  # number of video frames of the piece, at most P


def begin(settings: PieceSettings) -> Sound:
    """The state before a recording."""
    return silence(settings.context_frames * SAMPLES_PER_FRAME)


def window_of(sound: Sound, settings: PieceSettings) -> Window:
    """The window of the next piece. Samples that have not arrived are missing."""
    samples, held = np.zeros(settings.window, np.float32), sound.waiting[: settings.window]
    samples[: len(held)] = held
    before = (settings.context_frames - sound.frames) * SAMPLES_PER_FRAME
    left = num_frames(sound.samples) - sound.frames
    return Window(samples, max(0, before), len(held), min(left, settings.piece_frames))


def push(sound: Sound, chunk: Waveform, settings: PieceSettings) -> tuple[Sound, list[Window]]:
    """The state after a chunk of any length, and the windows whose last sample it brings."""
    sound, done = sound.appended(chunk), []
    while len(sound.waiting) >= settings.window:
        done.append(window_of(sound, settings))
        sound = passed(sound, settings)
    return sound, done


def finish(sound: Sound, settings: PieceSettings) -> Iterator[Window]:
    """The remaining windows, after the last chunk."""
    while num_frames(sound.samples) > sound.frames:
        yield window_of(sound, settings)
        sound = passed(sound, settings)


def passed(sound: Sound, settings: PieceSettings) -> Sound:
    """The state after the next piece."""
    return sound.passed(settings.piece_frames * SAMPLES_PER_FRAME, settings.piece_frames)


def neighbours(network: Wav2Vec2Settings, settings: PieceSettings) -> tuple[np.ndarray, np.ndarray]:
    """Indices j and weights w of equation (1) for the P frames of a window, counted from the start of the window."""
    t = settings.context_frames + np.arange(settings.piece_frames)
    position = (SAMPLES_PER_FRAME * t + SAMPLES_PER_FRAME / 2 - network.receptive_field / 2) / network.stride
    below = np.floor(position)
    return below.astype(np.int32), (position - below).astype(np.float32)


def interpolated(
    states: Float[Array, "states frames width"],
    valid: Bool[Array, "frames"],
    j: np.ndarray,
    w: np.ndarray,
) -> Float[Array, "states video_frames width"]:
    """Interpolates hidden states to video frames, among the valid frames, which are consecutive (equation 1)."""
    first, last = jnp.argmax(valid), len(valid) - 1 - jnp.argmax(valid[::-1])
    below, above = (states[:, jnp.clip(index, first, last)] for index in (j, j + 1))
    return (1 - w[:, None]) * below + w[:, None] * above


def piece_features(
    network: Wav2Vec2Settings, settings: PieceSettings, params: Params, samples: Float[Array, "window"], first, last
) -> Float[Array, "piece features"]:
    """Features of the P frames of a window (equation 2). A recording shorter than one network frame is filled with silence."""
    place = jnp.arange(settings.window)
    valid = (place >= first) & (place < jnp.maximum(last, first + network.receptive_field))
    states, seen = Wav2Vec2(network).apply({"params": params}, samples[None], valid[None])
    chosen = states[np.array(settings.states(network.depth)), 0]
    f = interpolated(chosen, seen[0], *neighbours(network, settings))
    if settings.combine == "sum":
        return jnp.tensordot(np.array(settings.mixture(network.depth), np.float32), f, axes=1)
    return jnp.moveaxis(f, 0, 1).reshape(f.shape[1], -1)


@dataclasses.dataclass(frozen=True, eq=False)
class Wav2Vec2Features(AudioFeatures):
    """Audio features from the hidden states of a checkpoint. In a stream, a piece lags its last sample by `context` seconds.

    Args:
        params: parameters of the network.
        checkpoint, hash: origin of the parameters, for the metadata of data sets.

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
        if SAMPLES_PER_FRAME % self.network.stride or self.settings.window < self.network.receptive_field:
            steps = f"a stride of {self.network.stride} samples and a receptive field of {self.network.receptive_field}"
            raise UserError(f"a network with {steps} does not fit pieces of {self.settings.piece} s: use longer pieces.")

    @staticmethod
    def settings_from(settings: Settings) -> PieceSettings:
        """Settings from the output of `to_dict`. Missing ones get the defaults of `PieceSettings`."""
        known = known_fields(PieceSettings, settings)
        return PieceSettings(**{**known, "weights": tuple(known.get("weights", ()))})

    @property
    def num_features(self) -> int:
        states = len(self.settings.states(self.network.depth)) if self.settings.combine == "concat" else 1
        return states * self.network.width

    @functools.cached_property
    def _piece_features(self):
        return jax.jit(functools.partial(piece_features, self.network, self.settings))

    def begin(self) -> Sound:
        return begin(self.settings)

    def push(self, sound: Sound, piece: Waveform) -> tuple[Sound, list[Features]]:
        sound, done = push(sound, piece, self.settings)
        return sound, [self._features(window) for window in done]

    def finish(self, sound: Sound) -> Iterator[Features]:
        return map(self._features, finish(sound, self.settings))

    def _features(self, window: Window) -> Features:
        return np.asarray(self._piece_features(self.params, window.samples, window.first, window.last))[: window.frames]

    def to_dict(self) -> dict[str, Any]:
        origin = {"checkpoint": self.checkpoint, "hash": self.hash}
        return {"kind": "wav2vec2", **origin, **dataclasses.asdict(self.settings), "num_features": self.num_features}
