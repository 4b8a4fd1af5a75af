"""Folders of videos of any system as cases: files are paired by name, and the two videos of a pair are made alike.

Every video is read at 25 frames a second, from its first frame on. The truth is resized to the size of the generated video
(OpenCV's INTER_AREA), because a generated video is judged as it is. Both are cut to the shorter one. A generated video without
sound gets the sound of its truth, because many systems write silent videos.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from etils import epath
from jaxtyping import Float

from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import cut_sound, has_audio, read_audio
from xactor_jax.media.containers import VIDEO_SUFFIXES, open_container, video_origin, video_stream
from xactor_jax.media.scan import scan
from xactor_jax.media.video_io import NoPictures, read_at_frame_rate
from xactor_jax.paths import place_of
from xactor_jax.scoring.video import Case, Video
from xactor_jax.timing import SAMPLE_RATE, SAMPLES_PER_FRAME, num_frames

ABOUT = (
    "Videos are read at 25 frames a second. True videos are resized to the size of the generated ones (INTER_AREA), and both "
    "are cut to the shorter one. Generated videos without sound are scored with the sound of their truth."
)
"""The same for readers of a report."""

ASPECT = 0.02
"""Largest relative difference between the aspect ratios of a pair. Sizes are even numbers, so they may differ a little."""


class Pair(NamedTuple):
    """The file of a generated video, and that of the true video of the same moments; "" if there is none."""

    system: str
    name: str
    generated: str
    truth: str = ""


class Pairing(NamedTuple):
    """Pairs of one system, and the names of files that have no partner."""

    pairs: list[Pair]
    without_truth: list[str]
    unused_truth: list[str]


def list_videos(folder: epath.PathLike) -> dict[str, str]:
    """Name → path of all videos below a folder; the name is the path inside it, without the suffix. Hidden files do not count.

    Raises:
        UserError: there is no such folder, it has no videos, or two videos differ in their suffix only.
    """
    root = epath.Path(folder)
    if not root.is_dir():
        raise UserError(f"there is no folder {folder}: name a folder of videos.")
    found: dict[str, str] = {}
    for path in sorted(_below(root)):
        name = str(path.with_suffix(""))[len(str(root)) :].strip("/")
        if name in found:
            raise UserError(f"{folder} has two videos called {name}: keep one of {found[name]} and {path}.")
        found[name] = str(path)
    if not found:
        raise UserError(f"there are no videos in {folder}: name a folder with {' '.join(VIDEO_SUFFIXES[:7])} files.")
    return found


def _below(folder: epath.Path, above: tuple[str, ...] = ()) -> Iterator[epath.Path]:
    """Videos below a folder; `above` are the folders that it lies in, to which a link may lead back."""
    trail = (*above, place_of(folder))
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _below(path, trail) if place_of(path) not in trail else ()
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            yield path


def pair(system: str, generated: Mapping[str, str], truth: Mapping[str, str] | None) -> Pairing:
    """Pairs videos with the same path inside their folders, else with the same file name; None: there are no true videos.

    A pair has the name of its true video, so that the videos of several systems have one name.

    Raises:
        UserError: no video has a partner, or several true videos have the name of a generated one.
    """
    if truth is None:
        return Pairing([Pair(system, name, path) for name, path in generated.items()], [], [])
    partners = {name: _partner(name, generated, truth) for name in generated}
    if not any(partners.values()):
        few = ", ".join(itertools.islice(generated, 3))
        raise UserError(f"no video of {system} has the name of a true one ({few}, …): name the files alike, or --truth none.")
    pairs = [Pair(system, other, generated[name], truth[other]) for name, other in partners.items() if other]
    unused = sorted(truth.keys() - {other for other in partners.values() if other})
    return Pairing(pairs, [name for name, other in partners.items() if not other], unused)


def _partner(name: str, generated: Mapping[str, str], truth: Mapping[str, str]) -> str:
    """Name of the true video; "" if there is none."""
    if name in truth:
        return name
    stem = lambda n: n.rpartition("/")[2]
    same = [other for other in truth if stem(other) == stem(name)]
    rivals = [other for other in generated if stem(other) == stem(name)]
    if len(same) > 1 or (same and len(rivals) > 1):
        several = ", ".join(same if len(same) > 1 else rivals)
        raise UserError(f"several videos are called {stem(name)} ({several}): put both sides into folders of the same names.")
    return same[0] if same else ""


def open_case(pair: Pair, sound: bool = True) -> Case:
    """The videos of a pair, made alike as the module says; without `sound`, only their pictures. Damaged sound counts as none.

    Raises:
        UserError: a file cannot be read, or the two have different aspect ratios.
    """
    generated = open_video(pair.name, pair.generated, sound)
    if not pair.truth:
        return Case(generated)
    truth = resized(open_video(pair.name, pair.truth, sound), generated.side)
    if generated.waveform is None:
        generated = dataclasses.replace(generated, waveform=truth.waveform)
    count = min(generated.count, truth.count)
    return Case(cut(generated, count), cut(truth, count))


def open_video(name: str, path: epath.PathLike, sound: bool = True) -> Video:
    """A file as a video at 25 frames a second. Reads its time stamps and first frame, and its sound.

    Raises:
        UserError: it cannot be read.
    """
    count = count_frames(path)
    first = next(read_at_frame_rate(path, 0.0, 1))
    waveform = _sound(path, count) if sound and has_audio(path) else None
    return Video(name, count, first.shape[:2], lambda: read_at_frame_rate(path, 0.0, count), waveform)


def _sound(path: epath.PathLike, count: int) -> Float[np.ndarray, "samples"] | None:
    try:
        return cut_sound(read_audio(path), 0.0, count)
    except UserError:
        return None


def count_frames(path: epath.PathLike) -> int:
    """Length in frames at 25 a second, from time stamps without decoding; files without time stamps are decoded.

    Raises:
        UserError: the file cannot be read or has no pictures.
    """
    times = _time_stamps(path)
    if len(times) < 2:
        return num_frames(round(scan(path, lambda *_: []).seconds * SAMPLE_RATE))
    seconds = times[-1] + float(np.median(np.diff(times)))
    return num_frames(round(seconds * SAMPLE_RATE))


def _time_stamps(path: epath.PathLike) -> list[float]:
    """Times of all frames in seconds, in order; none if a frame has no time stamp."""
    with open_container(path, "video") as container:
        stream = video_stream(container)
        if stream is None:
            raise NoPictures(f"{path} has no pictures: give a file with a video stream.")
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        origin = video_origin(container)
        if any(packet.pts is None for packet in packets):
            return []
        return sorted(float(packet.pts * packet.time_base) - origin for packet in packets)


def resized(video: Video, side: tuple[int, int]) -> Video:
    """The video with another height and width. Raises `UserError` if that would distort it."""
    if video.side == side:
        return video
    (height, width), (own_height, own_width) = side, video.side
    if abs(height * own_width / (width * own_height) - 1) > ASPECT:
        sizes = f"{width}×{height}, its truth {own_width}×{own_height}"
        raise UserError(f"{video.name} is {sizes}: crop both alike.")
    fit = lambda: (cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in video.read())
    return dataclasses.replace(video, side=side, read=fit)


def cut(video: Video, count: int) -> Video:
    """The first `count` frames, and their sound."""
    sound = None if video.waveform is None else video.waveform[: count * SAMPLES_PER_FRAME]
    return dataclasses.replace(video, count=count, read=lambda: itertools.islice(video.read(), count), waveform=sound)
