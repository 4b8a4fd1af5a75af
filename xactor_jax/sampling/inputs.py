"""Inputs of a sample: a picture, and a recording or one for each of several faces, as files or as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.errors import UserError
from xactor_jax.faces.choice import make_detector
from xactor_jax.media.audio_io import is_silent, read_audio
from xactor_jax.media.image_io import read_image
from xactor_jax.media.sound_array import SoundArray, array_blocks
from xactor_jax.media.sound_track import Mix, Sound, SoundFile
from xactor_jax.sampling.cast import from_left, numbers_of
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.portrait import Portrait, choose_face, cut, look
from xactor_jax.sampling.request import Request, Wanted
from xactor_jax.sampling.scene import Scene, scene_of

Picture = str | UInt8[np.ndarray, "h w 3"]
Recording = str | SoundArray


class Sources(NamedTuple):
    """A picture and a recording: paths of files, or what is in memory. Several faces have a recording each, by name."""

    image: Picture
    audio: Recording | Mapping[str, Recording]

    @property
    def voices(self) -> dict[str, Recording]:
        """Name of a face → its recording; the only face of a portrait has no name."""
        return dict(self.audio) if isinstance(self.audio, Mapping) else {"": self.audio}

    @property
    def hashed(self) -> dict[str, str | np.ndarray]:
        """Name → file or array, for the hashes in the JSON file."""
        content = lambda audio: audio.samples if isinstance(audio, SoundArray) else audio
        voices = {f"audio_{name}" if name else "audio": content(audio) for name, audio in self.voices.items()}
        return {"image": self.image, **voices}


class Role(NamedTuple):
    """A face and what it speaks."""

    portrait: Portrait
    waveform: Float[np.ndarray, "samples"]  # 16 kHz mono
    seed: int


class Inputs(NamedTuple):
    """The sources, and what the models take of them. The recordings of all roles have one length."""

    sources: Sources
    roles: tuple[Role, ...]
    sound: Sound  # of the video, with the recording's own sampling rate and channels
    scene: Scene | None = None  # the picture into which the faces are put back; None: the video shows only the one face

    @property
    def samples(self) -> int:
        """Length of the recordings, at 16 kHz."""
        return len(self.roles[0].waveform)


class View(NamedTuple):
    """What is taken of a picture: faces, their indices from the left, and the scene if they are put back into it."""

    portraits: tuple[Portrait, ...]
    numbers: tuple[int, ...]
    scene: Scene | None


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


def sound_of(audio: Recording) -> SoundFile | SoundArray:
    """The sound of the video: the same part as `read_speech`, with the recording's own sampling rate and channels."""
    return audio if isinstance(audio, SoundArray) else SoundFile(audio, whole=True)


def view_of(request: Wanted, models: Models, image: Picture | None = None, names: Sequence[str] = ()) -> View:
    """Finds and crops the faces of a request: those with `names`, or the one that `choose_face` chooses.

    Args:
        image: the picture, if it is in memory.

    Raises:
        UserError: the picture cannot be used; see `choose_face`, `numbers_of` and `scene_of`.
    """
    image = request.image if image is None else image
    pixels, name = (read_image(image), image) if isinstance(image, str) else (image, "the picture")
    numbered = lambda faces: [from_left(faces)[number] for number in numbers_of(names, len(faces), name)]
    choose = numbered if names else lambda faces: [choose_face(faces, request.face_index, name)]
    seen = look(pixels, name, request.crop, choose, make_detector(request.detector))
    portraits = tuple(cut(pixels, place, models.sides, request.crop) for place in seen.places)
    squares = [place.for_video for place in seen.places]
    scene = scene_of(pixels, name, models.sides[1], squares, seen.beside) if request.in_picture else None
    numbers = numbers_of(names, len(seen.places) + len(seen.beside), name) if names else [0]
    return View(portraits, tuple(numbers), scene)


def sources_of(request: Request) -> Sources:
    """The files that a request names."""
    return Sources(request.image, request.voices or request.audio)


def read_inputs(request: Request, sources: Sources, models: Models, warn: Callable[[str], None]) -> Inputs:
    """Reads the sources, and crops the picture as the request says.

    The face with index k from the left has the seed of the request plus k, so that no two faces move alike in silence.

    Raises:
        UserError: one of them cannot be used.
    """
    voices = sources.voices
    view = view_of(request, models, sources.image, [name for name in voices if name])
    waveforms = [read_speech(audio) for audio in voices.values()]
    for audio, waveform in zip(voices.values(), waveforms, strict=True):
        if warning := audio_warning("the recording" if isinstance(audio, SoundArray) else audio, waveform):
            warn(warning)
    longest = max(map(len, waveforms))
    seeds = [(request.seed + number) % 2**32 for number in view.numbers]
    padded = [np.pad(waveform, (0, longest - len(waveform))) for waveform in waveforms]
    sounds = tuple(map(sound_of, voices.values()))
    sound = sounds[0] if len(sounds) == 1 else Mix(sounds)
    return Inputs(sources, tuple(map(Role, view.portraits, padded, seeds)), sound, view.scene)
