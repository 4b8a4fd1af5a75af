"""The sound track of a video to write: taken from a file or an array, with its rate and channels, or from a
waveform, or mixed from several of them.

AAC without gaps between its packets is copied without decoding; the mp4's edit list hides what lies before the start of the
video. All other sound is encoded to AAC, at the file's rate or the next higher one that AAC supports, at most 48 kHz and
stereo. A mix has the highest rate of its parts, and is stereo if one of them is. It is their sum, divided by its peak if that
exceeds 1. So each part keeps its level as long as nothing is clipped, and several loud ones are not distorted.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol, runtime_checkable

import av
import numpy as np
from jaxtyping import Float

from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import NETWORK_SOUND, Block, SoundForm, decoded, read_blocks, segments
from xactor_jax.media.containers import open_container, video_origin
from xactor_jax.media.sound_array import SoundArray, array_blocks

HIGHEST_RATE, MOST_CHANNELS = 48_000, 2

BIT_RATE = 192_000
"""Bits per second. AAC itself allows at most six bits per sample."""

BLOCK = 1024
"""Samples in a packet of AAC."""


class SoundFile(NamedTuple):
    """Sound of a file from `start` seconds on, `seconds` long; None: to the end. For `whole` see `audio_io.read_blocks`."""

    path: str
    start: float = 0.0
    seconds: float | None = None
    whole: bool = False


class Mix(NamedTuple):
    """Several recordings at once, each from the start; it lasts as long as the longest."""

    parts: tuple[SoundFile | SoundArray, ...]


Sound = SoundFile | SoundArray | Mix | Float[np.ndarray, "samples"]
"""Sound of a file; or an array with its rate; or a mix; or a waveform, 16 kHz mono in [-1, 1]."""


@runtime_checkable
class Track(Protocol):
    """Sound that is being written into a container."""

    def write(self, until: Fraction) -> None:
        """Writes the packets that end before `until` seconds."""

    def finish(self) -> None:
        """Writes the remaining packets."""

    def close(self) -> None:
        """Closes the source."""


def open_track(target: av.container.OutputContainer, sound: Sound) -> Track:
    """Opens the sound for writing. Raises `UserError` where the file cannot be read or has no sound."""
    if isinstance(sound, SoundFile) and (first := first_moment(sound.path)) is not None:
        return Copied(target, sound, first)
    form = form_of(sound)
    return Encoded(target, blocks_of(sound, form), form)


def blocks_of(sound: Sound, form: SoundForm) -> Iterator[Block]:
    """The sound in a form, in blocks. A waveform has the form `NETWORK_SOUND` already."""
    if isinstance(sound, Mix):
        return mixed(sound.parts, form)
    if isinstance(sound, SoundArray):
        return array_blocks(sound, form)
    if isinstance(sound, SoundFile):
        return cut(read_blocks(sound.path, form, sound.whole), form, sound.start, sound.seconds)
    return iter([sound[None]])


def mixed(parts: Sequence[Sound], form: SoundForm) -> Iterator[Block]:
    """The mix of sounds (module docstring). They are read twice, the first time for the peak, so that memory stays small."""
    peak = max((float(np.abs(block).max()) for block in _sums(parts, form)), default=0.0)
    return (block / np.float32(max(1.0, peak)) for block in _sums(parts, form))


def _sums(parts: Sequence[Sound], form: SoundForm) -> Iterator[Block]:
    """The sum of sounds in blocks of `BLOCK` samples; sounds that have ended are zero.

    A mono part is read as mono and added to both channels, because FFmpeg would make it 3 dB quieter.
    """
    forms = (SoundForm(form.rate, form_of(part).layout) for part in parts)
    packets = [in_packets(blocks_of(part, own)) for part, own in zip(parts, forms, strict=True)]
    for blocks in itertools.zip_longest(*packets):
        present = [block for block in blocks if block is not None]
        whole = np.zeros((1 if form.layout == "mono" else 2, max(block.shape[1] for block in present)), np.float32)
        for block in present:
            whole[:, : block.shape[1]] += block
        yield whole


def _stream(container: av.container.InputContainer, path: str) -> av.AudioStream:
    if not container.streams.audio or container.streams.audio[0].codec_context is None:
        raise UserError(f"{path} has no sound that can be decoded: give a file with an audio stream.")
    return container.streams.audio[0]


def form_of(sound: Sound) -> SoundForm:
    """The form closest to the sound's own among those that are written."""
    if isinstance(sound, Mix):
        rates, layouts = zip(*map(form_of, sound.parts), strict=True)
        return SoundForm(max(rates), max(layouts))  # "stereo" is after "mono"
    if isinstance(sound, SoundArray):
        return written_form(sound.rate, sound.samples.shape[1])
    if not isinstance(sound, SoundFile):
        return NETWORK_SOUND
    with open_container(sound.path, "audio file") as container:
        stream = _stream(container, sound.path)
        return written_form(stream.rate, stream.layout.nb_channels)


def written_form(rate: int, channels: int) -> SoundForm:
    """The form closest to sound of that rate and number of channels among those that are written."""
    rates = sorted(known for known in av.codec.Codec("aac", "w").audio_rates if known <= HIGHEST_RATE)
    return SoundForm(next((known for known in rates if known >= rate), HIGHEST_RATE), "mono" if channels == 1 else "stereo")


def first_moment(path: str) -> float | None:
    """Time stamp of the first sample in seconds, where the sound can be copied; None where it must be encoded."""
    with open_container(path, "audio file") as container:
        stream, first = _stream(container, path), None
        usual = stream.codec_context.name.startswith("aac") and stream.profile == "LC" and bool(stream.codec_context.extradata)
        if not usual or stream.rate > HIGHEST_RATE or stream.layout.nb_channels > MOST_CHANNELS:
            return None
        for starts, frame in segments(decoded(container)):
            if frame.time is None or (starts and first is not None):
                return None
            first = frame.time if first is None else first
    return first


def cut(blocks: Iterable[Block], form: SoundForm, start: float, seconds: float | None) -> Iterator[Block]:
    """The sound from `start` on, exactly `seconds` long, with zeros where it ends early; None: to the end."""
    skip, left = round(start * form.rate), None if seconds is None else round(seconds * form.rate)
    for block in blocks:
        kept = block[:, skip:][:, :left]
        skip = max(0, skip - block.shape[1])
        left = None if left is None else left - kept.shape[1]
        yield kept
        if left == 0:
            return
    if left:
        yield np.zeros((1 if form.layout == "mono" else 2, left), np.float32)


def in_packets(blocks: Iterable[Block]) -> Iterator[Block]:
    """The same sound in blocks of `BLOCK` samples; the last may be shorter."""
    held: list[Block] = []
    for block in blocks:
        held.append(block)
        if sum(piece.shape[1] for piece in held) >= BLOCK:
            joined = np.concatenate(held, axis=1)
            whole = joined.shape[1] // BLOCK * BLOCK
            yield from (joined[:, start : start + BLOCK] for start in range(0, whole, BLOCK))
            held = [joined[:, whole:]]
    if held and (rest := np.concatenate(held, axis=1)).shape[1]:
        yield rest


class Encoded:
    """Sound that is encoded to AAC. The same sound gives the same bytes."""

    def __init__(self, target: av.container.OutputContainer, blocks: Iterator[Block], form: SoundForm):
        self._target, self._form, self._written = target, form, 0
        self._stream = target.add_stream("aac", rate=form.rate, layout=form.layout)
        self._stream.bit_rate = min(BIT_RATE, 6 * form.rate * self._stream.layout.nb_channels)
        self._stream.codec_context.flags |= av.codec.context.Flags.bitexact
        self._blocks = in_packets(blocks)
        self._next = next(self._blocks, None)

    def write(self, until: Fraction) -> None:
        """See `Track`."""
        while self._next is not None and self._written + self._next.shape[1] <= until * self._form.rate:
            self._encode()

    def _encode(self) -> None:
        samples, rate = np.ascontiguousarray(self._next, np.float32), self._form.rate
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._form.layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, self._written, Fraction(1, rate)
        self._target.mux(self._stream.encode(frame))
        self._written += samples.shape[1]
        self._next = next(self._blocks, None)

    def finish(self) -> None:
        """See `Track`."""
        while self._next is not None:
            self._encode()
        self._target.mux(self._stream.encode(None))

    def close(self) -> None:
        """See `Track`."""
        self._blocks.close()


class Copied:
    """Packets of AAC that are copied from a file."""

    def __init__(self, target: av.container.OutputContainer, sound: SoundFile, first: float):
        self._target, self._stack = target, contextlib.ExitStack()
        source = self._stack.enter_context(open_container(sound.path, "audio file"))
        stream, origin = source.streams.audio[0], video_origin(source)
        self._rate, self._stream = stream.rate, target.add_stream_from_template(stream)
        begins = origin if origin is not None and not (sound.whole and first < origin) else first
        self._packets = self._placed(source.demux(stream), begins + sound.start, sound.seconds)
        self._next = next(self._packets, None)

    def _placed(self, packets: Iterator[av.Packet], origin: float, seconds: float | None) -> Iterator[av.Packet]:
        """Packets between `origin` and the end, with time stamps relative to the start of the video."""
        position, end = None, np.inf if seconds is None else seconds * self._rate
        for packet in packets:
            if packet.pts is None:  # the end of the file
                continue
            position = round((packet.pts * packet.time_base - origin) * self._rate) if position is None else position + BLOCK
            if position + 2 * BLOCK > 0 and position < end:  # a decoder needs one packet before the first audible one
                packet.stream, packet.time_base = self._stream, Fraction(1, self._rate)
                packet.pts = packet.dts = position
                yield packet

    def write(self, until: Fraction) -> None:
        """See `Track`."""
        while self._next is not None and self._next.pts + BLOCK <= until * self._rate:
            self._target.mux(self._next)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """See `Track`."""
        self.write(Fraction(1 << 40))

    def close(self) -> None:
        """See `Track`."""
        self._packets.close()
        self._stack.close()
