"""Sound of any container, aligned with the pictures: as 16 kHz mono, which the networks take, or in another form.

Sample 0 is at the time of the first picture, or of the first sample in a file without pictures. Sound that starts late is
preceded by zeros; sound before time 0 is dropped (except with `whole`); gaps in the time stamps are filled with zeros. Encoder
delay (such as the 1,024 samples that AAC encoders put in front) is skipped where the container specifies it.

Channels are mixed down by the weights of ITU-R BS.775, divided by their sum, so that sound common to all channels keeps its
level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from etils import epath
from jaxtyping import Float

from xactor_jax.errors import UserError
from xactor_jax.media.containers import check_gap, open_container, video_origin
from xactor_jax.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

SILENCE_RMS = 1e-3
"""Root mean square below which 100 ms count as silent: -60 dB of full scale."""

GAP = 0.05
"""Seconds by which time stamps may be off (containers round them) before the difference counts as a gap in the recording."""

Block = Float[np.ndarray, "c _"]


class SoundForm(NamedTuple):
    """Sampling rate in Hz, and channel layout: mono or stereo."""

    rate: int = SAMPLE_RATE
    layout: str = "mono"


NETWORK_SOUND = SoundForm()
"""The form that the networks take: 16 kHz mono."""


def decoded(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Frames of the first audio stream. Packets that cannot be decoded are skipped and leave a gap in the time stamps."""
    for packet in container.demux(container.streams.audio[0]):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def _layout(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def segments(frames: Iterable[av.AudioFrame]) -> Iterator[tuple[bool, av.AudioFrame]]:
    """Pairs (whether a new segment starts here, frame). A segment starts after a gap in time, or at a new rate or layout."""
    expected, layout = None, None
    for frame in frames:
        time = frame.time if frame.time is not None else expected or 0.0
        jump = expected is None or abs(time - expected) > GAP
        yield jump or _layout(frame) != layout, frame
        layout = _layout(frame)
        expected = (time if jump else expected) + frame.samples / frame.sample_rate


class _Resampler:
    """FFmpeg's resampler, set to keep the level: its default mixes two equal channels into one that is 3 dB louder."""

    def __init__(self, frame: av.AudioFrame, form: SoundForm):
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=frame.time_base or Fraction(1, frame.sample_rate),
        )
        wanted = f"out_sample_rate={form.rate}:out_chlayout={form.layout}:out_sample_fmt=fltp:rematrix_maxval=1"
        self._graph.link_nodes(source, self._graph.add("aresample", wanted), self._graph.add("abuffersink")).configure()

    def __call__(self, frame: av.AudioFrame | None) -> Iterator[Block]:
        """The samples that a frame completes; for None, the remaining ones."""
        self._graph.push(frame)
        while True:
            try:
                yield self._graph.pull().to_ndarray()
            except (BlockingIOError, av.EOFError):  # it needs more input, or has no more output
                return


def resampled(frames: Iterable[av.AudioFrame], form: SoundForm) -> Iterator[tuple[float | None, Block]]:
    """Resampled blocks. Each segment starts with (its time stamp, an empty block); later blocks have no time stamp."""
    resampler = None
    for starts, frame in segments(frames):
        if starts:
            yield from ((None, block) for block in (resampler(None) if resampler else ()))
            resampler = _Resampler(frame, form)
            yield frame.time or 0.0, np.zeros((1, 0), np.float32)
        frame.pts = None  # the resampler counts samples; rounded time stamps would only disturb it
        yield from ((None, block) for block in resampler(frame))
    yield from ((None, block) for block in (resampler(None) if resampler else ()))


def _aligned(
    blocks: Iterable[tuple[float | None, Block]], origin: float | None, rate: int = SAMPLE_RATE, whole: bool = False
) -> Iterator[tuple[float, Block]]:
    """Pairs (seconds of silence before the block, block), from `origin` on; for `whole` see `read_blocks`.

    Args:
        origin: seconds; None: the first time stamp.
    """
    written = position = 0
    for number, (time, block) in enumerate(blocks):
        if time is not None:
            earlier = origin is None or (whole and number == 0 and time < origin)
            origin = time if earlier else origin
            position = round((time - origin) * rate)
        kept = block[:, max(0, written - position) :]
        position += block.shape[1]
        if kept.shape[1]:
            yield (position - kept.shape[1] - written) / rate, kept
            written = position


def _zeros(samples: int, channels: int, most: int = 1 << 20) -> Iterator[Block]:
    for start in range(0, samples, most):
        yield np.zeros((channels, min(most, samples - start)), np.float32)


def read_blocks(path: epath.PathLike, form: SoundForm = NETWORK_SOUND, whole: bool = False) -> Iterator[Block]:
    """Blocks of sound in [-1, 1], aligned as the module docstring says. Memory does not grow with the length of the file.

    Args:
        whole: whether sound before the first picture is included.

    Raises:
        UserError: the file is missing, cannot be read, has no sound, or has samples that are not finite.
    """
    found, silence = False, 0.0
    with open_container(path, "audio file") as container:
        if not container.streams.audio:
            raise UserError(f"{path} has no sound: give a file with an audio stream.")
        origin = video_origin(container)
        for gap, block in _aligned(resampled(decoded(container), form), origin, form.rate, whole):
            check_gap(path, silence := silence + gap)
            if not np.isfinite(block).all():
                raise UserError(f"{path} holds samples that are no numbers (NaN or infinity): it is damaged; export it again.")
            yield from _zeros(round(gap * form.rate), len(block))
            found = True
            yield np.clip(block, -1.0, 1.0)
    if not found:
        raise UserError(f"{path} holds no sound that can be decoded: it is empty or damaged.")


def read_audio(path: epath.PathLike, whole: bool = False) -> Float[np.ndarray, "samples"]:
    """The sound of a file as 16 kHz mono in [-1, 1]. For `whole` and errors see `read_blocks`."""
    return np.concatenate([block[0] for block in read_blocks(path, whole=whole)])


def cut_sound(waveform: Float[np.ndarray, "samples"] | None, start: float, frames: int) -> Float[np.ndarray, "cut"]:
    """The sound of `frames` video frames (640 samples each) from `start` seconds on; zeros where there is no sound."""
    cut = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    first = round(start * SAMPLE_RATE)
    if waveform is not None:
        piece = waveform[first : first + len(cut)]
        cut[: len(piece)] = piece
    return cut


def seconds_of(path: epath.PathLike) -> float:
    """Length of a recording according to its header, without decoding; 0 where that is unknown or cannot be read."""
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
    """Whether no 100 ms of the waveform reach `threshold` in root mean square after their mean is subtracted."""
    size = SAMPLE_RATE // 10
    padded = np.pad(waveform, (0, -len(waveform) % size)).reshape(-1, size)
    if not padded.size:
        return True
    return bool(np.sqrt(padded.var(axis=1)).max() < threshold)
