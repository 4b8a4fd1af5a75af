"""Sampling from Python, by the same code as launch/sample.py.

from xactor_jax import Pipeline

pipeline = Pipeline.load()
video = pipeline("portrait.png", "speech.wav", emotion="happy", seed=1)
video.save("talking.mp4")
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import PIL.Image
from etils import epath
from jaxtyping import Shaped, UInt8

from xactor_jax.checkpoints.embedded import checkpoint
from xactor_jax.errors import UserError
from xactor_jax.faces.choice import DETECTOR
from xactor_jax.media.image_io import image_pixels
from xactor_jax.media.marks import draw_mark
from xactor_jax.media.sound_array import sound_array
from xactor_jax.sampling.inputs import Inputs, Recording, Sources, read_inputs
from xactor_jax.sampling.load import ENTRIES, Models, load_models
from xactor_jax.sampling.output import Frames, Progress, Stopwatch
from xactor_jax.sampling.pipeline import (
    Settings,
    check_emotion,
    make_settings,
    perform_roles,
    pictures,
    split_options,
    write_sample,
)
from xactor_jax.sampling.request import Request, check_faces, check_outputs, check_values
from xactor_jax.timing import num_frames

Image = epath.PathLike | Shaped[np.ndarray, "..."] | PIL.Image.Image
"""A picture: a file, local or gs://; uint8 RGB pixels [height, width, 3]; or a picture of Pillow."""

Audio = epath.PathLike | tuple[Shaped[np.ndarray, "..."], int]
"""A recording: a sound or video file; or samples, float in [-1, 1] or int16, and their rate in Hz."""


@dataclasses.dataclass(frozen=True, eq=False)
class TalkingVideo:
    """A video that can be generated. Nothing is kept: each use generates it from the start, with the same result."""

    models: Models
    settings: Settings
    request: Request
    inputs: Inputs

    def __len__(self) -> int:
        """Number of frames, 25 a second."""
        return num_frames(self.inputs.samples)

    @property
    def frames(self) -> Iterator[Frames]:
        """Pieces uint8 [t, height, width, 3] as they are rendered. Memory does not grow with the length."""
        performances = perform_roles(self.models, self.inputs, self.request, self.settings)
        return (draw_mark(piece, self.request.mark) for piece in pictures(self.inputs.scene, performances))

    def array(self) -> UInt8[np.ndarray, "t h w 3"]:
        """All frames of the video, uint8."""
        return np.concatenate(list(self.frames))

    def save(self, out: epath.PathLike, *, save_motion: epath.PathLike = "", progress: Progress = lambda *_: None) -> None:
        """Writes the mp4 with its sound, and the JSON file beside it, as launch/sample.py does.

        Args:
            save_motion: .npz file for the motion latents; empty: not written.
            progress: Called with (frames written, all frames).

        Raises:
            UserError: a file cannot be written.
        """
        request = dataclasses.replace(self.request, out=os.fspath(out), save_motion=os.fspath(save_motion))
        check_outputs(request)
        check_faces(request, list(filter(None, self.inputs.sources.voices)))
        write_sample(self.models, request, self.settings, self.inputs, progress, Stopwatch())


@dataclasses.dataclass(frozen=True, eq=False)
class Pipeline:
    """The trained stages, with their settings of sampling."""

    models: Models
    settings: Settings

    @classmethod
    def load(
        cls,
        motion: epath.PathLike = "",
        actor: epath.PathLike = "",
        video: epath.PathLike = "",
        audio_checkpoint: str = "",
        **settings: Any,
    ) -> Pipeline:
        """Loads the stages.

        Args:
            motion, actor, video: Folder of a run or an export, local or gs://; empty: the embedded checkpoint.
            audio_checkpoint: wav2vec 2.0 for the actor's audio features; empty: that of its training.
            settings: Changes of the checkpoints' own settings: fields of `RolloutSettings` and `RenderSettings`, with the names
                of launch/sample.py (`steps` of the renderer, `actor_steps`, `guidance_scale`, `audio_guidance`, …).

        Raises:
            UserError: a checkpoint cannot be used, or there is no such setting or value.
        """
        rollout, render = split_options(settings)
        paths = dict(zip(ENTRIES, (motion, actor, video), strict=True))
        models = load_models({stage: checkpoint(stage, path) for stage, path in paths.items()}, audio_checkpoint)
        return cls(models, make_settings(models, rollout, render))

    def __call__(
        self,
        image: Image,
        audio: Audio | Mapping[str, Audio],
        *,
        emotion: str = "",
        seed: int = 0,
        crop: str = "auto",
        detector: str = DETECTOR,
        face_index: int | None = None,
        mark: str = "",
        c2pa: str = "",
        paste_back: bool = False,
    ) -> TalkingVideo:
        """A portrait that speaks a recording. The inputs are read here; the frames are generated when they are used.

        Args:
            audio: The recording; or one for each of several faces of the picture, by names {"left": …, "right": …} or numbers
                from the left {"1": …, "2": …}.
            emotion: A label (`happy`), with an intensity (`happy@0.6`), or a track over seconds (`happy@0.5:0-20,sad:20-`);
                empty: the actor estimates it from the voice.
            seed: Of all random numbers.
            crop: `auto`, `released` or `none`; see `xactor_jax.sampling.portrait.CROPS`.
            detector: The face detector; see `xactor_jax.faces.choice.DETECTORS`.
            face_index: Which face, from 0, if there are several.
            mark: Text to draw into a corner of the pictures, such as "AI-generated".
            c2pa: CERT.pem,KEY.pem: signs the mp4 with a C2PA manifest.
            paste_back: Whether the frames are the whole picture with the face in it, as they always are for several faces.

        Raises:
            UserError: the picture or the recording cannot be used, or an argument is not possible.
        """
        several = isinstance(audio, Mapping)
        if several and not audio:
            raise UserError('no face is named: give a recording for each that speaks, as in {"left": "a.wav"}.')
        voices = {name: _recording(one) for name, one in audio.items()} if several else _recording(audio)
        sources = Sources(os.fspath(image) if _is_path(image) else image_pixels(image), voices)
        how = {"emotion": emotion, "seed": seed, "crop": crop, "detector": detector, "face_index": face_index}
        how |= {"mark": mark, "c2pa": c2pa, "paste_back": paste_back or several}
        request = Request(out="", **_files(sources), **how)
        check_faces(request, voices if several else ())
        check_values(request)
        check_emotion(self.models, request.emotion_track)
        return TalkingVideo(self.models, self.settings, request, read_inputs(request, sources, self.models, _warn))


def _recording(audio: Audio) -> Recording:
    return os.fspath(audio) if _is_path(audio) else sound_array(*audio)


def _files(sources: Sources) -> dict[str, str]:
    """The fields of a request that name its inputs; empty for what is in memory."""
    path = lambda source: source if isinstance(source, str) else ""
    voices = {name: path(audio) for name, audio in sources.voices.items()}
    named = voices if "" in voices else {}
    faces = "" if named else ",".join(f"{name}={file}" for name, file in voices.items() if file)
    return {"image": path(sources.image), "audio": named.get("", ""), "faces": faces}


def _is_path(given: Any) -> bool:
    return isinstance(given, str | os.PathLike)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
