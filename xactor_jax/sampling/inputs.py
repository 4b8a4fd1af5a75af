"""Inputs of a sample: a picture and a recording, as files or as arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.errors import UserError
from xactor_jax.faces.choice import make_detector
from xactor_jax.media.audio_io import is_silent, read_audio
from xactor_jax.media.image_io import read_image
from xactor_jax.media.sound_array import SoundArray, array_blocks
from xactor_jax.media.sound_track import Sound, SoundFile
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.portrait import Portrait, cropped
from xactor_jax.sampling.request import Request, Wanted

Picture = str | UInt8[np.ndarray, "h w 3"]
Recording = str | SoundArray


class Sources(NamedTuple):
    """A picture and a recording: paths of files, or what is in memory."""

    image: Picture
    audio: Recording

    @property
    def hashed(self) -> dict[str, str | np.ndarray]:
        """Name → file or array, for the hashes in the JSON file."""
        return {"image": self.image, "audio": self.audio.samples if isinstance(self.audio, SoundArray) else self.audio}


class Inputs(NamedTuple):
    """The sources, and what the models take of them."""

    sources: Sources
    portrait: Portrait
    waveform: Float[np.ndarray, "samples"]  # 16 kHz mono
    sound: Sound  # of the video, with the recording's own sampling rate and channels


def audio_warning(name: str, waveform: Float[np.ndarray, "samples"]) -> str:
    """Warning about a recording that can be used but looks wrong; empty if there is none."""
    return f"{name} is silent: the mouth will stay closed" if is_silent(waveform) else ""


def read_speech(audio: Recording) -> Float[np.ndarray, "samples"]:
    """Reads 16 kHz mono sound; of a video also the part before its first frame.

    Raises:
        UserError: the file cannot be read or has no sound.
    """
    if isinstance(audio, SoundArray):
        return np.concatenate([block[0] for block in array_blocks(audio)])
    waveform = read_audio(audio, whole=True)
    if not len(waveform):
        raise UserError(f"{audio} holds no sound: give a recording.")
    return waveform


def sound_of(audio: Recording) -> Sound:
    """The sound of the video: the same part as `read_speech`, with the recording's own sampling rate and channels."""
    return audio if isinstance(audio, SoundArray) else SoundFile(audio, whole=True)


def portrait_of(request: Wanted, models: Models, image: Picture | None = None) -> Portrait:
    """The portrait of a request; its picture may be in memory. Raises the errors of `read_portrait`."""
    image = request.image if image is None else image
    pixels, name = (read_image(image), image) if isinstance(image, str) else (image, "the picture")
    return cropped(pixels, name, models.sides, request.crop, request.face_index, make_detector(request.detector))


def sources_of(request: Request) -> Sources:
    """The files that a request names."""
    return Sources(request.image, request.audio)


def read_inputs(request: Request, sources: Sources, models: Models, warn: Callable[[str], None]) -> Inputs:
    """Reads the sources, and crops the picture as the request says.

    Raises:
        UserError: one of them cannot be used.
    """
    portrait = portrait_of(request, models, sources.image)
    waveform = read_speech(sources.audio)
    if warning := audio_warning(request.audio or "the recording", waveform):
        warn(warning)
    return Inputs(sources, portrait, waveform, sound_of(sources.audio))
