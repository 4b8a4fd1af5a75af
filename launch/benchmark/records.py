"""Measures formats of the frames of a record: bytes, quality, and the time to decode one frame, a pair and windows of frames.

    python launch/benchmark/records.py --videos talk.mp4 listen.mp4 --sizes 128,256,512
    python launch/benchmark/records.py --sizes 128 --codings jpeg,h264            # puppets; the two formats of records

"jpeg" and "h264" are the formats of `data/frames.py`. The quality of every other coding is the lowest whose PSNR reaches that
of "jpeg". Codings of video have a key frame every G frames (…/G), no frames that depend on later ones, and one thread; their
packets are decoded without a container, from the key frame before a wanted frame on. PSNR is that of RGB against the frames
before coding. "mouth" is the PSNR of Cb and Cr in the middle of the lower half. Times are processor time and include the
conversion to RGB.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401

os.environ.setdefault("SVT_LOG", "1")  # only errors of the AV1 encoder

# isort: split
import av
import cv2
import numpy as np

from data import frames as formats
from launch._numbers import check_numbers
from launch.benchmark import _table
from launch.benchmark._cpu import cpu_seconds
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.media.video_io import to_yuv420
from xactor_jax.settings import whole
from xactor_jax.threads import use_one_thread

Frames = np.ndarray
X264 = {"preset": "medium", "tune": "fastdecode", "x264-params": "scenecut=0:bframes=0:mbtree=0"}
X265 = {"preset": "fast", "tune": "fastdecode", "x265-params": "scenecut=0:bframes=0:pools=none:frame-threads=1:log-level=none"}
SVT = {"preset": "8", "svtav1-params": "fast-decode=1:pred-struct=1:lp=1:scd=0"}


class Coding(NamedTuple):
    """`encode` takes frames and a quality, `decode` entries and indices. Qualities go from the best to the worst."""

    encode: Callable[[Frames, int], list[bytes]]
    decode: Callable[[list[bytes], Sequence[int]], Any]
    qualities: Sequence[int] = (0,)


def of_records(kind: str) -> Coding:
    """A format of `data/frames.py`, at its own quality."""
    return Coding(lambda frames, _: formats.encode_frames(frames, kind), formats.decode_frames)


def webp() -> Coding:
    """WebP pictures through OpenCV."""
    encode = lambda frame, quality: cv2.imencode(".webp", frame[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    return Coding(
        lambda frames, quality: [encode(frame, quality) for frame in frames], formats.decode_frames, range(100, 39, -2)
    )


def video(name: str, decoder: str, layout: str, group: int, options: dict[str, str], worst: int) -> Coding:
    """A codec of FFmpeg, without a container."""
    return Coding(
        functools.partial(encode_video, name, layout, group, options),
        functools.partial(decode_video, decoder, group),
        range(1, worst),
    )


def encode_video(name: str, layout: str, group: int, options: dict[str, str], frames: Frames, quality: int) -> list[bytes]:
    """One packet per frame."""
    context = av.CodecContext.create(name, "w")
    context.height, context.width, context.pix_fmt = *frames.shape[1:3], layout
    context.framerate, context.time_base, context.gop_size = Fraction(25), Fraction(1, 25), group
    context.thread_count = 1
    context.options = {**options, "crf": str(quality)}
    packets = []
    for i, frame in enumerate(frames):
        planes = to_yuv420(frame) if layout == "yuv420p" else formats.to_planes(frame)
        picture = av.VideoFrame.from_ndarray(planes, format=layout)
        picture.pts, picture.time_base = i, context.time_base
        packets += context.encode(picture)
    return [bytes(packet) for packet in (*packets, *context.encode(None))]


def decode_video(name: str, group: int, packets: list[bytes], indices: Sequence[int]) -> list[Frames]:
    """Wanted frames; no packet is decoded twice."""
    context, decoded, done = av.CodecContext.create(name, "r"), {}, 0
    context.thread_count, context.flags = 1, context.flags | av.codec.context.Flags.low_delay
    for i in sorted(set(indices)):
        for k in range(max(i - i % group, done), i + 1):
            given = context.decode(av.Packet(packets[k]))
        done, decoded[i] = i + 1, to_rgb((given or context.decode(None))[-1])
    return [decoded[i] for i in indices]


CODINGS = {
    **{kind: of_records(kind) for kind in formats.FORMATS},
    "mjpeg": Coding(lambda frames, _: formats.encode_frames(frames), lambda *given: decode_video("mjpeg", 1, *given)),
    "webp": webp(),
    **{f"h264/{group}": video("libx264", "h264", "yuv444p", group, X264, 40) for group in (1, 4, 8, 12)},
    "h264 420/8": video("libx264", "h264", "yuv420p", 8, X264, 40),
    "hevc/8": video("libx265", "hevc", "yuv444p", 8, X265, 40),
    "av1/8": video("libsvtav1", "libdav1d", "yuv420p", 8, SVT, 60),
}


def to_rgb(frame: av.VideoFrame) -> Frames:
    """Frames with colours of half the resolution have limited range, except those of JPEG."""
    if frame.format.name == "yuv420p":
        return cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
    if frame.format.name == "yuv444p":
        return formats.to_rgb(frame)
    y, cb, cr = (np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes)
    cb, cr = (cv2.resize(x, y.shape[::-1], interpolation=cv2.INTER_LINEAR) for x in (cb, cr))
    return cv2.cvtColor(cv2.merge([y, cr, cb]), cv2.COLOR_YCrCb2RGB)


def psnr(a: Frames, b: Frames) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(np.float32) - b) ** 2))))


def mouth(frames: Frames) -> Frames:
    """Cb and Cr around the mouth."""
    side = frames.shape[1]
    part = frames[:, side // 2 : side * 4 // 5, side * 3 // 10 : side * 7 // 10]
    return np.stack([cv2.cvtColor(np.ascontiguousarray(x), cv2.COLOR_RGB2YCrCb)[..., 1:] for x in part])


def chosen_quality(coding: Coding, clips: Sequence[Frames], wanted: float) -> int:
    """By bisection, the last of the qualities whose mean PSNR is the wanted one."""
    low, high = 0, len(coding.qualities)
    while high - low > 1:
        middle = (low + high) // 2
        good = quality_of(clips, coding, coding.qualities[middle])[1] >= wanted
        low, high = (middle, high) if good else (low, middle)
    return coding.qualities[low]


def quality_of(clips: Sequence[Frames], coding: Coding, quality: int) -> tuple[list[list[bytes]], float, float]:
    """(entries of each clip, mean PSNR, that of colours of mouths)"""
    entries = [coding.encode(clip, quality) for clip in clips]
    decoded = [np.stack(coding.decode(x, range(len(x)))) for x in entries]
    means = [np.mean([psnr(f(a), f(b)) for a, b in zip(clips, decoded, strict=True)]) for f in (np.asarray, mouth)]
    return entries, float(means[0]), float(means[1])


def measure(coding: Coding, clips: Sequence[Frames], wanted: float, repeats: int) -> dict[str, Any]:
    """One row of the table."""
    quality = chosen_quality(coding, clips, wanted)
    entries, whole_picture, colours = quality_of(clips, coding, quality)
    count, rng = len(clips[0]), np.random.default_rng(0)
    starts = {size: rng.integers(count - min(size, count) + 1, size=repeats) for size in (8, 16)}
    cases = {
        "1": [rng.integers(count, size=1) for _ in range(repeats)],
        "2": [rng.choice(count, 2, replace=False) for _ in range(repeats)],
        **{f"window {size}": [np.arange(s, min(s + size, count)) for s in starts[size]] for size in (8, 16)},
    }
    each = lambda calls: [coding.decode(entries[i % len(clips)], call.tolist()) for i, call in enumerate(calls)]
    decode = lambda calls: cpu_seconds(lambda _: each(calls), 3) / repeats
    return {
        "quality": quality,
        "KB/frame": float(np.mean([len(x) for x in itertools.chain(*entries)])) / 1000,
        "PSNR": whole_picture,
        "mouth": colours,
        "encode ms": 1e3 * cpu_seconds(lambda _: coding.encode(clips[0], quality), 1) / count,
        **{f"{name}: ms": 1e3 * decode(calls) for name, calls in cases.items()},
    }


def make_clips(videos: Sequence[str], size: int, count: int) -> list[Frames]:
    """Frames from the second second of each video on, or of two puppets."""
    if not videos:
        from data.performers.clips import acting_of
        from data.performers.performance import make_performance
        from data.puppets import body

        actings = [acting_of(make_performance(0, person, 0, count).controls) for person in range(2)]
        return [body.make_figure(0, person, 0, acting).render(acting, size) for person, acting in enumerate(actings)]
    return [np.stack(list(scaled_frames(video, size, count))) for video in videos]


def scaled_frames(video: str, size: int, count: int) -> Iterator[Frames]:
    """The largest square in the middle, scaled."""
    from xactor_jax.media.video_io import read_at_frame_rate

    for pixels in read_at_frame_rate(video, 1.0, count):
        side = min(pixels.shape[:2])
        top, left = ((length - side) // 2 for length in pixels.shape[:2])
        square = pixels[top : top + side, left : left + side]
        yield square if side == size else cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--videos", nargs="*", default=[], metavar="FILE", help="videos of people; without them: puppets")
    add("--sizes", default="128,256,512", help="sides of the frames in pixels, separated by commas")
    add("--codings", default=",".join(CODINGS), help="separated by commas")
    add("--frames", type=int, default=50, help="frames of each clip")
    add("--repeats", type=int, default=24, help="calls of each measurement")
    add("--json", default="", metavar="FILE", help="also write the numbers to this file")
    return about


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    codings = arguments.codings.split(",")
    with exit_on_user_error():
        if unknown := [coding for coding in codings if coding not in CODINGS]:
            raise UserError(f"there is no coding {unknown[0]!r}: use {', '.join(CODINGS)}.")
        if not all(size.isdecimal() and int(size) >= 16 and int(size) % 2 == 0 for size in arguments.sizes.split(",")):
            raise UserError(f"--sizes {arguments.sizes} must be even numbers of at least 16, with commas.")
        check_numbers(arguments, dict.fromkeys(("frames", "repeats"), whole(2, 10_000)))
        use_one_thread()
        rows = []
        for size in map(int, arguments.sizes.split(",")):
            clips = make_clips(arguments.videos, size, arguments.frames)
            wanted = quality_of(clips, CODINGS["jpeg"], 0)[1]
            rows += [{"pixels": size, "coding": c, **measure(CODINGS[c], clips, wanted, arguments.repeats)} for c in codings]
        _table.show(rows)
        _table.write(arguments.json, rows)


if __name__ == "__main__":
    main()
