"""Sound of any container, aligned with the picture: as 16 kHz mono, which the networks hear, or in another form.

Sample 0 is the moment at which the first picture is shown; in a file without pictures, the first sample there is. Sound that
starts late is preceded by zeros, sound before time 0 is dropped (unless it is asked for: `whole`), gaps in the time stamps are
filled with zeros. Encoder delay (the 1,024 samples that AAC encoders put in front, and their like) is skipped as the container
says.

Fewer channels are made of more by the weights of ITU-R BS.775 over their sum, so that what all channels have stays as loud.
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
"""Seconds by which time stamps may wander (containers round them) before it counts as a gap in the recording."""

Block = Float[np.ndarray, "c _"]


class SoundForm(NamedTuple):
    """Samples a second, and the channels: mono or stereo."""

    rate: int = SAMPLE_RATE
    layout: str = "mono"


HEARD = SoundForm()
"""What the networks hear."""


def decoded(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Frames of the first sound; packets that cannot be decoded are passed over, and leave a gap in the time stamps."""
    for packet in container.demux(container.streams.audio[0]):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def _layout(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def segments(frames: Iterable[av.AudioFrame]) -> Iterator[tuple[bool, av.AudioFrame]]:
    """Frames, each with whether a new recording starts there: a gap in time, or another rate or layout."""
    expected, layout = None, None
    for frame in frames:
        time = frame.time if frame.time is not None else expected or 0.0
        jump = expected is None or abs(time - expected) > GAP
        yield jump or _layout(frame) != layout, frame
        layout = _layout(frame)
        expected = (time if jump else expected) + frame.samples / frame.sample_rate


class _Resampler:
    """FFmpeg's, told to keep the level: by itself it makes two equal channels into one that is 3 dB louder."""

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
        """The samples that a frame completes; of None: those that are left."""
        self._graph.push(frame)
        while True:
            try:
                yield self._graph.pull().to_ndarray()
            except (BlockingIOError, av.EOFError):  # it wants more; it has given all
                return


def _resampled(frames: Iterable[av.AudioFrame], form: SoundForm) -> Iterator[tuple[float | None, Block]]:
    """Blocks of sound of that form; the first block after a gap comes with its time stamp, an empty block."""
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
    """(Seconds of silence before it, block) one after the other from `origin` on; see `read_blocks` for `whole`.

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


def read_blocks(path: epath.PathLike, form: SoundForm = HEARD, whole: bool = False) -> Iterator[Block]:
    """Blocks of sound in [-1, 1] (module docstring), at constant memory however long the file is.

    whole: begins with the first sample there is, where that is before the first picture.

    Raises:
        UserError: the file is missing, cannot be read, has no sound, or holds what is none.
    """
    found, silence = False, 0.0
    with open_container(path, "audio file") as container:
        if not container.streams.audio:
            raise UserError(f"{path} has no sound: give a file with an audio stream.")
        origin = video_origin(container)
        for gap, block in _aligned(_resampled(decoded(container), form), origin, form.rate, whole):
            check_gap(path, silence := silence + gap)
            if not np.isfinite(block).all():
                raise UserError(f"{path} holds samples that are no numbers (NaN or infinity): it is damaged; export it anew.")
            yield from _zeros(round(gap * form.rate), len(block))
            found = True
            yield np.clip(block, -1.0, 1.0)
    if not found:
        raise UserError(f"{path} holds no sound that can be decoded: it is empty or damaged.")


def read_audio(path: epath.PathLike, whole: bool = False) -> Float[np.ndarray, "samples"]:
    """The sound of a file as 16 kHz mono in [-1, 1]; `whole` and errors as `read_blocks`."""
    return np.concatenate([block[0] for block in read_blocks(path, whole=whole)])


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
