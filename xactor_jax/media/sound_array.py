"""Sound that is in memory as an array with its sampling rate. It is treated as the same samples in a file are."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np
from jaxtyping import Float32, Int16, Shaped

from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import NETWORK_SOUND, Block, SoundForm, resampled
from xactor_jax.settings import check_value, whole

RATE = whole(1_000, 384_000)
"""Sampling rates of recordings, in Hz."""

PIECE = 4096
"""Samples of each channel that are resampled at once."""

LAYOUTS = ("mono", "stereo")


class SoundArray(NamedTuple):
    """Samples of each channel, interleaved as in a file: float in [-1, 1] or int16; and their rate in Hz."""

    samples: Float32[np.ndarray, "n c"] | Int16[np.ndarray, "n c"]
    rate: int

    @property
    def layout(self) -> str:
        """FFmpeg's name of the channels, mono or stereo."""
        return LAYOUTS[self.samples.shape[1] - 1]


def sound_array(samples: Shaped[np.ndarray, "..."], rate: int) -> SoundArray:
    """Checks an array of sound.

    Args:
        samples: [samples], or [samples, channels] with one or two channels: float in [-1, 1] or int16.
        rate: samples per second, in Hz.

    Raises:
        UserError: it has another shape or type, no samples, or samples that are not finite.
    """
    samples = np.asarray(samples)
    check_value("the sampling rate", rate, RATE)
    if samples.dtype != np.int16 and not np.issubdtype(samples.dtype, np.floating):
        raise UserError(f"sound as an array of {samples.dtype} is not possible: give float in [-1, 1], or int16.")
    columns = samples[:, None] if samples.ndim == 1 else samples
    if columns.ndim != 2 or not 1 <= columns.shape[1] <= len(LAYOUTS) or not len(columns):
        raise UserError(f"sound of shape {samples.shape} is not possible: give [samples], or [samples, 2] for stereo.")
    if not np.isfinite(columns).all():
        raise UserError("the sound holds samples that are no numbers (NaN or infinity): give finite ones.")
    return SoundArray(np.ascontiguousarray(columns, columns.dtype if columns.dtype == np.int16 else np.float32), rate)


def array_blocks(sound: SoundArray, form: SoundForm = NETWORK_SOUND) -> Iterator[Block]:
    """The sound in another form, in blocks. See `audio_io.read_blocks`, which does the same with a file."""
    for time, block in resampled(_frames(sound), form):
        if time is None:  # otherwise it is the empty block at the start
            yield np.clip(block, -1.0, 1.0)


def _frames(sound: SoundArray) -> Iterator[av.AudioFrame]:
    """The samples as FFmpeg takes them: interleaved, a piece at a time."""
    name = "s16" if sound.samples.dtype == np.int16 else "flt"
    for start in range(0, len(sound.samples), PIECE):
        piece = sound.samples[start : start + PIECE].reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, format=name, layout=sound.layout)
        frame.sample_rate = sound.rate
        yield frame


def wav_file(sound: SoundArray) -> bytes:
    """The bytes of a WAV file of int16 samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((sound.samples.shape[1], sound.samples.itemsize, sound.rate, 0, "NONE", ""))
        file.writeframes(sound.samples.tobytes())
    return buffer.getvalue()
