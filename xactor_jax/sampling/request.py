"""What one sample is made of, and the checks that need no computing."""

from __future__ import annotations

import dataclasses
import os

from etils import epath

from xactor_jax.emotion import EmotionTrack, parse_emotion
from xactor_jax.errors import UserError
from xactor_jax.paths import is_remote
from xactor_jax.sampling.portrait import CROPS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """One portrait that is to speak one recording. Paths are local or gs://."""

    image: str
    audio: str
    out: str  # .mp4; a .json of the same name is written beside it
    seed: int = 0
    emotion: str = ""  # a track as in `xactor_jax.emotion`; empty: unknown
    crop: str = "auto"
    face_index: int | None = None
    save_motion: str = ""  # .npz for the motion latents; empty: not written

    @property
    def sidecar(self) -> epath.Path:
        """The JSON file beside the video."""
        return epath.Path(self.out).with_suffix(".json")

    @property
    def emotion_track(self) -> EmotionTrack:
        """What `emotion` says; `UserError` where it is no track."""
        return parse_emotion(self.emotion)

    @property
    def finished(self) -> bool:
        """Whether the video is there and whole: its JSON is written last."""
        return self.sidecar.exists() and epath.Path(self.out).exists()


def check_request(request: Request) -> None:
    """Raises `UserError` for whatever is wrong with a request apart from its image and audio."""
    parse_emotion(request.emotion)
    if request.crop not in CROPS:
        raise UserError(f"there is no crop {request.crop!r}: choose one of {', '.join(CROPS)}.")
    if not 0 <= request.seed < 2**32:
        raise UserError(f"the seed {request.seed} is out of range: give a whole number from 0 to {2**32 - 1}.")
    for path, suffix in ((request.out, ".mp4"), (request.save_motion, ".npz")):
        if path:
            check_target(path, suffix)


def check_target(path: epath.PathLike, suffix: str) -> None:
    """Raises `UserError` unless a file of that suffix can be written at `path`, which is tried with an empty file."""
    target = epath.Path(path)
    remote = is_remote(path)
    if target.suffix != suffix:
        raise UserError(f"{path} does not end in {suffix}: give the file a name that does.")
    if not remote and not target.parent.is_dir():
        raise UserError(f"the folder {target.parent} does not exist: make it, or name another place for {target.name}.")
    if not remote and target.is_dir():
        raise UserError(f"{path} is a folder: name a file.")
    probe = target.with_name(f".{target.name}.{os.getpid()}.probe")
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except Exception as error:  # remote stores raise what they like
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{target.parent} cannot be written to ({reason}): name another folder.") from None
