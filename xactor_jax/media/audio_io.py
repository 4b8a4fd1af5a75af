"""Sound of any container as 16 kHz mono, aligned with the picture.

Sample 0 is the moment at which the first picture is shown; in a file without pictures, the first sample there is. Sound that
starts late is preceded by zeros, sound before time 0 is dropped, gaps in the time stamps are filled with zeros. Encoder
delay (the 1,024 samples that AAC encoders put in front, and their like) is skipped as the container says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
import numpy as np
from etils import epath
from jaxtyping import Float

from xactor_jax.errors import UserError
from xactor_jax.media.containers import open_container, video_origin
from xactor_jax.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

SILENCE_RMS = 1e-3
"""Root mean square below which 100 ms count as silent: -60 dB of full scale."""

GAP = 0.05
"""Seconds by which time stamps may wander (containers round them) before it counts as a gap in the recording."""


def _frames(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Decoded frames; packets that cannot be decoded are passed over, and leave a gap in the time stamps."""
    for packet in container.demux(container.streams.audio[0]):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def _layout(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _segments(frames: Iterable[av.AudioFrame]) -> Iterator[tuple[bool, av.AudioFrame]]:
    """Frames, each with whether a new recording starts there: a gap in time, or another rate or layout."""
    expected, layout = None, None
    for frame in frames:
        time = frame.time if frame.time is not None else expected or 0.0
        jump = expected is None or abs(time - expected) > GAP
        yield jump or _layout(frame) != layout, frame
        layout = _layout(frame)
        expected = (time if jump else expected) + frame.samples / frame.sample_rate


def _resampled(frames: Iterable[av.AudioFrame]) -> Iterator[tuple[float | None, Float[np.ndarray, "_"]]]:
    """Blocks of 16 kHz mono sound; the first block after a gap comes with its time stamp, an empty block."""
    resampler = None
    for starts, frame in _segments(frames):
        if starts:
            yield from ((None, block.to_ndarray()[0]) for block in (resampler.resample(None) if resampler else ()))
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            yield frame.time or 0.0, np.zeros(0, np.float32)
        frame.pts = None  # the resampler counts samples; rounded time stamps would only disturb it
        yield from ((None, block.to_ndarray()[0]) for block in resampler.resample(frame))
    yield from ((None, block.to_ndarray()[0]) for block in (resampler.resample(None) if resampler else ()))


def _aligned(
    blocks: Iterable[tuple[float | None, Float[np.ndarray, "_"]]], origin: float | None
) -> Iterator[Float[np.ndarray, "_"]]:
    """Blocks one after the other from `origin` on (seconds; None: the first time stamp), gaps filled with zeros."""
    written = position = 0
    for time, block in blocks:
        if time is not None:
            origin = time if origin is None else origin
            position = round((time - origin) * SAMPLE_RATE)
        kept = block[max(0, written - position) :]
        position += len(block)
        if len(kept):
            yield from _zeros(position - len(kept) - written)
            yield np.clip(kept, -1.0, 1.0)
            written = position


def _zeros(samples: int, most: int = 60 * SAMPLE_RATE) -> Iterator[Float[np.ndarray, "_"]]:
    for start in range(0, samples, most):
        yield np.zeros(min(most, samples - start), np.float32)


def read_audio_blocks(path: epath.PathLike) -> Iterator[Float[np.ndarray, "_"]]:
    """Blocks of 16 kHz mono sound in [-1, 1] (module docstring), at constant memory however long the file is.

    Raises:
        UserError: the file is missing, cannot be read, or has no sound.
    """
    found = False
    with open_container(path, "audio file") as container:
        if not container.streams.audio:
            raise UserError(f"{path} has no sound: give a file with an audio stream.")
        for block in _aligned(_resampled(_frames(container)), video_origin(container)):
            found = True
            yield block
    if not found:
        raise UserError(f"{path} holds no sound that can be decoded: it is empty or damaged.")


def read_audio(path: epath.PathLike) -> Float[np.ndarray, "samples"]:
    """The whole sound of a file as 16 kHz mono in [-1, 1]; errors as `read_audio_blocks`."""
    return np.concatenate(list(read_audio_blocks(path)))


def cut_sound(waveform: Float[np.ndarray, "samples"] | None, start: float, frames: int) -> Float[np.ndarray, "cut"]:
    """Exactly 640 samples a frame from `start` seconds on, zeros where there is no sound."""
    cut = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    first = round(start * SAMPLE_RATE)
    if waveform is not None:
        piece = waveform[first : first + len(cut)]
        cut[: len(piece)] = piece
    return cut


def seconds_of(path: epath.PathLike) -> float:
    """Length of a recording as its header tells it, which costs no decoding; 0 where it does not or cannot be read."""
    try:
        with open_container(path, "audio") as container:
            return max(0.0, float(container.duration or 0) / av.time_base)
    except UserError:
        return 0.0


def has_audio(path: epath.PathLike) -> bool:
    """Whether the file has an audio stream."""
    with open_container(path, "file") as container:
        return bool(container.streams.audio)


def is_silent(waveform: Float[np.ndarray, "samples"], threshold: float = SILENCE_RMS) -> bool:
    """Whether no 100 ms of the waveform reach `threshold` (root mean square; the mean level does not count)."""
    size = SAMPLE_RATE // 10
    padded = np.pad(waveform, (0, -len(waveform) % size)).reshape(-1, size)
    if not padded.size:
        return True
    return bool(np.sqrt(padded.var(axis=1)).max() < threshold)
