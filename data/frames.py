"""Frames of a record as bytes: JPEG pictures, or H.264 in short groups of frames.

In both formats a record has one entry of bytes per frame, so the length of a clip is the number of entries. An entry of "jpeg"
is a picture by itself. An entry of "h264" is the packet of one frame. Every `GROUP`-th packet is a key frame and begins with
the parameters of the stream; the others need all packets since the last key frame. So a window of frames is decoded from the
key frame before it on, and no container has to be read. The first bytes of an entry show its format.

The colours of both formats are Y'CbCr of ITU-R BT.601 with the full range 0…255, as JFIF has them. JPEG averages Cb and Cr over
2 × 2 pixels. H.264 keeps them: at the same PSNR its files are then smaller, and lips have truer colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np
from av.codec.context import Flags
from jaxtyping import UInt8

from xactor_jax.errors import UserError
from xactor_jax.timing import FRAME_RATE

Picture = UInt8[np.ndarray, "h w 3"]

DEFAULT = "jpeg"
"""The fastest to decode."""

JPEG_QUALITY = 95
GROUP = 8
"""Frames from one key frame of H.264 to the next."""

H264_OPTIONS = {
    "crf": "11",
    "preset": "medium",
    "tune": "fastdecode",
    "x264-params": f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:bframes=0:mbtree=0",
}
"""PSNR is within 1 dB of JPEG at 95, see `launch/benchmark/records.py`. Without B frames, each packet gives its frame at once.
The macroblock tree is off for the reason in `xactor_jax.media.video_io`."""

START_CODES = (b"\0\0\0\1", b"\0\0\1")
"""First bytes of every packet (ITU-T H.264, B.1.1). No JPEG begins so."""

START_OF_KEY = (b"\0\0\0\1\x67", b"\0\0\0\1\x27")
"""Start code and sequence parameter set (ITU-T H.264, 7.3.1)."""

LAYOUT, BT601, FULL_RANGE = "yuv444p", 6, 2
"""FFmpeg's name of three planes of one size, and its numbers of the colours."""

LAYOUTS = (LAYOUT, "yuvj444p")
"""Names of the same layout; decoders of FFmpeg use the second for the full range."""

DAMAGED = "a frame of the data set cannot be decoded: the data set is damaged, make it again."


def encode_frames(frames: Iterable[Picture], kind: str = DEFAULT) -> list[bytes]:
    """RGB frames as bytes, one entry per frame. The same frames give the same bytes.

    Args:
        frames: read one at a time; all of one size.
        kind: of `FORMATS`.
    """
    return list(FORMATS[kind](frames))


def decode_frames(frames: Sequence[bytes], indices: Iterable[int] | None = None) -> UInt8[np.ndarray, "n h w 3"]:
    """RGB pixels of some frames of a record, in the order of `indices`; of all frames without them.

    Frames that share a group are decoded together, so one call for all frames of an example is the fastest.

    Raises:
        UserError: a frame is damaged.
    """
    chosen = [int(i) for i in (range(len(frames)) if indices is None else indices)]
    h264 = bool(chosen) and frames[chosen[0]].startswith(START_CODES)
    decoded = dict(_decoded_h264(frames, sorted(set(chosen))) if h264 else _decoded_jpeg(frames, set(chosen)))
    if len({picture.shape for picture in decoded.values()}) > 1:
        raise UserError(DAMAGED)
    return np.stack([decoded[i] for i in chosen])


def check_format(kind: str) -> None:
    """Raises `UserError` for an unknown format."""
    if kind not in FORMATS:
        raise UserError(f"--frames {kind} is not possible: use {' or '.join(FORMATS)}.")


def _encoded_jpeg(frames: Iterable[Picture]) -> Iterator[bytes]:
    flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return (cv2.imencode(".jpg", frame[..., ::-1], flags)[1].tobytes() for frame in frames)


def _decoded_jpeg(frames: Sequence[bytes], wanted: Iterable[int]) -> Iterator[tuple[int, Picture]]:
    for i in wanted:
        pixels = cv2.imdecode(np.frombuffer(frames[i], np.uint8), cv2.IMREAD_COLOR_RGB) if frames[i] else None
        if pixels is None:
            raise UserError(DAMAGED)
        yield i, pixels


def _encoded_h264(frames: Iterable[Picture]) -> Iterator[bytes]:
    encoder = None
    for i, frame in enumerate(frames):
        encoder = encoder or _encoder(*frame.shape[:2])
        picture = av.VideoFrame.from_ndarray(to_planes(frame), format=LAYOUT)
        picture.pts, picture.time_base = i, encoder.time_base
        yield from map(bytes, encoder.encode(picture))
    if encoder:
        yield from map(bytes, encoder.encode(None))


FORMATS: dict[str, Callable[[Iterable[Picture]], Iterator[bytes]]] = {"jpeg": _encoded_jpeg, "h264": _encoded_h264}
"""Formats of frames, and what encodes them."""


def _encoder(height: int, width: int) -> av.VideoCodecContext:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, LAYOUT
    encoder.framerate, encoder.time_base = Fraction(FRAME_RATE), Fraction(1, FRAME_RATE)
    encoder.color_range, encoder.colorspace = FULL_RANGE, BT601
    encoder.thread_count, encoder.options = 1, dict(H264_OPTIONS)  # x264's output depends on its number of threads
    return encoder


def _decoder() -> av.VideoCodecContext:
    """A decoder without threads of its own, which gives the frame of each packet at once and does not conceal errors."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count, decoder.options = 1, {"err_detect": "explode"}
    decoder.flags |= Flags.low_delay
    return decoder


def _decoded_h264(packets: Sequence[bytes], wanted: Sequence[int]) -> Iterator[tuple[int, Picture]]:
    """The wanted frames, which are in ascending order. No packet is decoded twice."""
    decoder, done = _decoder(), 0
    for i in wanted:
        key = next((k for k in range(i, -1, -1) if packets[k].startswith(START_OF_KEY)), None)
        if key is None:
            raise UserError(DAMAGED)
        for k in range(max(key, done), i + 1):
            frame = _frame_of(decoder, packets[k])
        done = i + 1
        yield i, to_rgb(frame)


def _frame_of(decoder: av.VideoCodecContext, packet: bytes) -> av.VideoFrame:
    try:
        (frame,) = decoder.decode(av.Packet(packet))
    except (av.FFmpegError, ValueError):
        raise UserError(DAMAGED) from None
    if frame.is_corrupt or frame.format.name not in LAYOUTS:
        raise UserError(DAMAGED)
    return frame


def to_planes(pixels: Picture) -> UInt8[np.ndarray, "3 h w"]:
    """Planes Y', Cb and Cr of a picture."""
    return np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]].transpose(2, 0, 1))


def to_rgb(frame: av.VideoFrame) -> Picture:
    """RGB pixels of a decoded frame. Fixed-point arithmetic: swscale would make pictures darker by half a grey level."""
    y, cb, cr = (np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes)
    return cv2.cvtColor(cv2.merge([y, cr, cb]), cv2.COLOR_YCrCb2RGB)
