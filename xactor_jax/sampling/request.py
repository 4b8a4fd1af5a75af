"""Requests for one video, and the checks that need no computation."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection

from etils import epath

from xactor_jax.emotion import EmotionTrack, parse_emotion
from xactor_jax.errors import UserError
from xactor_jax.faces.choice import DETECTOR, make_detector
from xactor_jax.media.marks import Marks, check_marks, parse_marks
from xactor_jax.paths import same_file
from xactor_jax.sampling import provenance
from xactor_jax.sampling.cast import check_name, parse_faces
from xactor_jax.sampling.portrait import CROPS
from xactor_jax.targets import check_target

READ = ("image", "audio", "motion_latents", "driving")
"""Fields of requests that name files to read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """The common fields of requests: a portrait and the output files. Paths are local or gs://."""

    image: str
    out: str  # .mp4; a .json file of the same name is written beside it
    seed: int = 0
    crop: str = "auto"
    face_index: int | None = None
    detector: str = DETECTOR
    save_motion: str = ""  # .npz file for the motion latents; empty: not written
    mark: str = ""  # text that is drawn into the pictures
    c2pa: str = ""  # CERT.pem,KEY.pem: signs a C2PA manifest
    paste_back: bool = False  # put the face back into the picture; otherwise the video shows only its square

    @property
    def in_picture(self) -> bool:
        """Whether the video shows the whole picture."""
        return self.paste_back

    @property
    def sidecar(self) -> epath.Path:
        """The JSON file beside the video."""
        return epath.Path(self.out).with_suffix(".json")

    @property
    def marks(self) -> Marks:
        """Marks of the video. Raises `UserError` if `c2pa` does not name two files."""
        return parse_marks(self.mark, self.c2pa)._replace(composite=self.in_picture)

    @property
    def finished(self) -> bool:
        """Whether the video exists and is complete. Its JSON file shows this, because it is written last."""
        return provenance.is_ours(self.sidecar) and epath.Path(self.out).exists()

    @property
    def written(self) -> tuple[str, ...]:
        """Paths of all output files."""
        return tuple(filter(None, (self.out, str(self.sidecar), self.save_motion)))

    @property
    def read(self) -> tuple[str, ...]:
        """All input files except the checkpoints."""
        named = (getattr(self, field.name) for field in dataclasses.fields(self) if field.name in READ)
        return tuple(filter(None, named))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(Wanted):
    """Request for a portrait that speaks a recording, or for a picture in which several faces speak one each."""

    audio: str = ""
    emotion: str = ""  # a track as in `xactor_jax.emotion`; empty: unknown
    faces: str = ""  # names of faces with their recordings, instead of `audio`; see `xactor_jax.sampling.cast`

    @property
    def voices(self) -> dict[str, str]:
        """Name of a face → its recording; empty without `faces`. Raises `UserError` if these cannot be read."""
        return parse_faces(self.faces) if self.faces else {}

    @property
    def in_picture(self) -> bool:
        """Whether the video shows the whole picture."""
        return self.paste_back or bool(self.faces)

    @property
    def read(self) -> tuple[str, ...]:
        """All input files except the checkpoints."""
        return (*super().read, *self.voices.values())

    @property
    def emotion_track(self) -> EmotionTrack:
        """The parsed `emotion`. Raises `UserError` if it is not a track."""
        return parse_emotion(self.emotion)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenderRequest(Wanted):
    """Request for a portrait that moves with saved motion or with that of a person in a video; exactly one of the two."""

    motion_latents: str = ""  # .npz, as `save_motion` writes it
    driving: str = ""  # a video of one person
    driving_crop: str = ""  # of its pictures; empty: as `crop`
    relative: bool = False  # begin at the portrait's own motion and take only the changes
    audio: str = ""  # the sound; empty: that of the driving video, if any


def check_paths(request: Wanted) -> None:
    """Raises `UserError` if a path of the request cannot be the path of a file."""
    needed = ("image", "out", *(("audio",) if isinstance(request, Request) and not request.faces else ()))
    for name in (*needed, "save_motion", "audio", "driving", "motion_latents"):
        if (path := getattr(request, name, "")) or name in needed:
            _check_path(path, name)
    for name, path in (request.voices if isinstance(request, Request) else {}).items():
        _check_path(path, f"recording of the face {name}")


def _check_path(path: str, what: str) -> None:
    scheme, remote, _ = path.partition("://")
    if remote and scheme != "gs":
        raise UserError(f"the {what} {path} is neither a local file nor in gs://: name one that is.")
    try:
        if b"\0" in os.fsencode(path) or not epath.Path(path).name:
            raise ValueError
    except ValueError:
        raise UserError(f"the {what} {path!r} is no path of a file: name one.") from None


def check_request(request: Request) -> None:
    """Raises `UserError` for an invalid request. It does not check the content of its image and audio."""
    parse_emotion(request.emotion)
    check_faces(request, request.voices)
    check_wanted(request)


def check_faces(request: Request, names: Collection[str]) -> None:
    """Raises `UserError` for names that no face can have, and for several faces together with what only one can have."""
    for name in names:
        check_name(name)
    for option in ("audio", "save_motion", "face_index") if names else ():
        if getattr(request, option) not in ("", None):
            raise UserError(f"--faces and --{option} exclude each other: leave out one of them.")
    if names and request.crop == "none":
        raise UserError("--faces needs to find the faces, and --crop none finds none: leave --crop out.")


def check_render_request(request: RenderRequest) -> None:
    """Raises `UserError` for whatever is wrong with a request apart from the files that it names."""
    if bool(request.motion_latents) == bool(request.driving):
        raise UserError("give either --motion_latents, saved motion, or --driving, a video that the portrait is to move like.")
    if request.motion_latents and request.driving_crop:
        raise UserError("--driving_crop means nothing to --motion_latents: leave it out.")
    check_wanted(request)
    if request.driving_crop:
        check_crop(request.driving_crop)


def check_wanted(request: Wanted) -> None:
    """Raises `UserError` for an impossible path, crop, detector, seed or mark, or an output file that cannot be written."""
    check_paths(request)
    check_values(request)
    check_outputs(request)


def check_values(request: Wanted) -> None:
    """Raises `UserError` for an impossible crop, detector, seed or mark."""
    check_crop(request.crop)
    make_detector(request.detector)
    if not 0 <= request.seed < 2**32:
        raise UserError(f"the seed {request.seed} is out of range: give a whole number from 0 to {2**32 - 1}.")
    check_marks(request.marks)


def check_outputs(request: Wanted) -> None:
    """Raises `UserError` for an output file that cannot be written, or that is an input file."""
    for name, suffix in (("out", ".mp4"), ("save_motion", ".npz")):
        if path := getattr(request, name):
            _check_path(path, name)
            check_target(path, suffix)
    check_distinct(request)
    if (there := request.sidecar).exists() and not provenance.is_ours(there):
        raise UserError(
            f"{there} exists and is not the JSON file of a generated video: choose another path than {request.out}."
        )


def check_distinct(request: Wanted) -> None:
    """Raises `UserError` if an output file is also an input file."""
    for written in request.written:
        if any(same_file(written, read) for read in request.read):
            raise UserError(f"{written} would be written over what is read from it: name another file to write.")


def check_crop(crop: str) -> None:
    """Raises `UserError` unless `crop` is one of `CROPS`."""
    if crop not in CROPS:
        raise UserError(f"there is no crop {crop!r}: choose one of {', '.join(CROPS)}.")
