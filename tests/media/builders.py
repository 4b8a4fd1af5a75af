"""Small media files made with PyAV, for tests."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np


def numbered_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames whose brightness is their number: `read_number` gets it back after lossy coding. uint8 [count, h, w, 3]."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[:] = (30 + 4 * (np.arange(count) % 50))[:, None, None, None]
    return frames


def read_number(frame: np.ndarray) -> int:
    return round((float(frame.mean()) - 30) / 4)


def click_track(seconds: float, rate: int, at: Sequence[float]) -> np.ndarray:
    """Silence with a short burst of tone at each of the times `at`. float32 [n]."""
    samples = np.zeros(round(seconds * rate), np.float32)
    for time in at:
        n = np.arange(round(0.02 * rate))
        samples[round(time * rate) :][: len(n)] = 0.8 * np.sin(2 * np.pi * 1000 * n / rate)[: len(samples) - round(time * rate)]
    return samples


def onset(samples: np.ndarray, rate: int = 16000) -> float:
    """Time at which the first burst begins."""
    return float(np.argmax(np.abs(samples) > 0.2)) / rate


def write_media(
    path: pathlib.Path,
    frames: np.ndarray | None = None,
    times: Sequence[float] | None = None,
    fps: int = 25,
    audio: np.ndarray | None = None,
    audio_rate: int = 48000,
    audio_start: float = 0.0,
    layout: str = "stereo",
    video_codec: str = "libx264",
    audio_codec: str = "aac",
    pixel_aspect: Fraction | None = None,
    title: str = "",
) -> pathlib.Path:
    """Writes frames (at `times`, or `fps`) and sound (from `audio_start` on, the same in every channel)."""
    with av.open(str(path), "w") as container:
        if title:
            container.metadata["title"] = title
        if frames is not None:
            video = container.add_stream(video_codec, rate=fps)
            video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
            if video_codec == "libx264":
                video.options = {"crf": "8"}
            else:
                video.bit_rate = 2_000_000
            if times is not None:
                video.codec_context.time_base = Fraction(1, 1000)
            if pixel_aspect is not None:
                video.codec_context.sample_aspect_ratio = pixel_aspect
        if audio is not None:
            sound = container.add_stream(audio_codec, rate=audio_rate, layout=layout)
        if frames is not None:
            for i, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                if times is not None:
                    frame.pts, frame.time_base = round(times[i] * 1000), Fraction(1, 1000)
                else:
                    frame.pts, frame.time_base = i, Fraction(1, fps)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None:
            _write_sound(container, sound, audio, audio_rate, audio_start)
    return path


def _write_sound(container, stream, audio: np.ndarray, rate: int, start: float) -> None:
    channels = stream.layout.nb_channels
    resampler = av.AudioResampler(format=stream.format.name, layout=stream.layout.name, rate=rate)
    block = stream.frame_size or 1024
    for first in range(0, len(audio), block):
        piece = np.ascontiguousarray(np.repeat(audio[None, first : first + block], channels, 0), np.float32)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate) + first, Fraction(1, rate)
        for converted in resampler.resample(frame):
            container.mux(stream.encode(converted))
    container.mux(stream.encode(None))
