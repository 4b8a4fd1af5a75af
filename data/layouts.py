"""File layouts of published data sets: how a file's path gives the person and the emotion.

Only the end of a path is matched, so any folder inside a data set can be prepared. Files that do not match the layout (source
videos, other camera views, recordings without pictures) are skipped.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etils import epath

from data.naming import standard_name
from xactor_jax.errors import UserError

YOUTUBE = r"[\w-]{11}"


def _nothing(match: re.Match) -> str:
    return ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of one data set's paths."""

    clip: str
    """Regular expression for the end of a clip's path without the suffix; its group `person` is the person."""
    example: str
    label_of: Callable[[re.Match], str] = _nothing
    """Gives the emotion, as the text of a track, for a match of `clip`."""
    sound: tuple[str, str] = ("", "")
    """(pattern, replacement) that turns a clip's path into that of its recording, for data sets with separate sound files."""
    info: str = ""
    """Name of a JSON file with emotion labels, beside the clips or in a folder above: see `_celebv_hq`."""

    def match(self, path: str) -> re.Match | None:
        """Matches a path with `/` as separator."""
        return re.search(rf"(?:^|/){self.clip}\.[^./]+$", path)

    def person(self, path: str) -> str | None:
        """The person of a clip; None where the file is no clip of the data set."""
        match = self.match(path)
        return match and match["person"].replace("/", "_")

    def emotion(self, path: str, info: Mapping[str, Any]) -> str:
        """The emotion of a clip, as the text of a track; `info` is the content of the file `info`."""
        match = self.match(path)
        if match is None:
            return ""
        return _celebv_hq(match, info) if self.info else self.label_of(match)

    def sound_of(self, path: str) -> str:
        """Path, up to its suffix, of the recording of a clip; the clip's own path where there is no separate one."""
        old, new = self.sound
        return re.sub(old, new, path) if old else path


def _named(match: re.Match, intensities: Mapping[str, float]) -> str:
    """Text of an emotion with intensity, such as happy@0.67, from the groups `emotion` and `level`."""
    label = standard_name(match["emotion"])
    intensity = intensities.get(match["level"], 1.0)
    return label if label == "neutral" or intensity == 1.0 else f"{label}@{intensity:g}"


def _mead(match: re.Match) -> str:
    """MEAD has three levels: weak, medium and strong."""
    return _named(match, {"1": 0.33, "2": 0.67})


def _crema_d(match: re.Match) -> str:
    """CREMA-D has levels low, medium and high, and X where none was requested."""
    return _named(match, {"LO": 0.33, "MD": 0.67})


RAVDESS_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


def _ravdess(match: re.Match) -> str:
    """RAVDESS has two intensities: normal and strong."""
    label = standard_name(RAVDESS_EMOTIONS[int(match["emotion"]) - 1])
    return label if label == "neutral" or match["level"] == "2" else f"{label}@0.5"


def _celebv_hq(match: re.Match, info: Mapping[str, Any]) -> str:
    """CelebV-HQ has one emotion per clip, or several with seconds; where two overlap, the later starts at the earlier's end."""
    labels = info.get("clips", {}).get(match["clip"], {}).get("attributes", {}).get("emotion", {}).get("labels", "")
    if isinstance(labels, str):
        return standard_name(labels) or ""
    parts, last = [], 0.0
    for part in sorted(labels, key=lambda part: part["start_sec"]):
        start, end = max(last, float(part["start_sec"])), float(part["end_sec"])
        if end > start:
            parts.append(f"{standard_name(part['emotion'])}:{start:g}-{end:g}")
            last = end
    return ",".join(parts)


LAYOUTS = {
    "hdtf": Layout(
        clip=r"(?P<person>RD_Radio\d+|W[DR]A_[^\d/_]+)\d*_\d+", example="WDA_BarackObama_000.mp4, as its download.py names them"
    ),
    "mead": Layout(
        clip=r"(?P<person>[MW]\d{3})/video/front/(?P<emotion>[a-z]+)[/_]level_(?P<level>\d)/\d+",
        example="M003/video/front/angry/level_1/001.mp4",
        label_of=_mead,
        sound=(r"/video/front/", "/audio/"),
    ),
    "ravdess": Layout(
        clip=r"01-0[12]-0(?P<emotion>[1-8])-0(?P<level>[12])-0\d-0\d-(?P<person>\d\d)",
        example="Actor_01/01-01-03-01-01-01-01.mp4",
        label_of=_ravdess,
    ),
    "crema-d": Layout(
        clip=r"(?P<person>1\d{3})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX?)",
        example="VideoFlash/1001_DFA_ANG_XX.flv",
        label_of=_crema_d,
        sound=(r"(^|/)VideoFlash/", r"\1AudioWAV/"),
    ),
    "vfhq": Layout(
        clip=rf"Clip\+(?P<person>{YOUTUBE}\+P\d+)\+C\d+\+F\d+-\d+", example="Clip+G0DGRma_p48+P0+C0+F11208-11383.mp4"
    ),
    "celebv-hq": Layout(clip=rf"(?P<clip>(?P<person>{YOUTUBE})_\d+)", example="M2Ohb0FAaJU_1.mp4", info="celebvhq_info.json"),
    "voxceleb2": Layout(
        clip=rf"(?P<person>id\d{{5}})/{YOUTUBE}/\d{{5}}",
        example="mp4/id00012/21Uxsk56VDQ/00001.mp4",
        sound=(r"(^|/)mp4/(id\d{5}/)", r"\1aac/\2"),
    ),
    "talkinghead-1kh": Layout(
        clip=rf"(?P<person>{YOUTUBE})_\d+_S\d+_E\d+_L\d+_T\d+_R\d+_B\d+",
        example="cropped_clips/--Y9imYnfBw_0000_S0_E271_L504_T63_R792_B351.mp4",
    ),
    "hallo3": Layout(clip=r"(?P<person>(?:[^/]+/)?videos/[^/]+)", example="NAME/videos/0001.mp4"),
}
"""Name of a data set → its layout. Hallo3's paths do not identify persons, so every clip counts as a person of its own."""


def layout_of(name: str) -> Layout:
    """The layout of a data set. Raises `UserError` for an unknown name."""
    if name not in LAYOUTS:
        raise UserError(f"there is no layout {name!r}: choose one of {', '.join(LAYOUTS)}, or give --persons path:REGEX.")
    return LAYOUTS[name]


def read_info(layout: Layout, files: Sequence[str], roots: Sequence[str]) -> dict[str, Any]:
    """Content of the layout's file `info`, found among `files` or above the folders `roots`; empty where there is none.

    Raises:
        UserError: the file is no JSON object.
    """
    beside = [file for file in files if file.rpartition("/")[2] == layout.info]
    above = [parent / layout.info for root in roots for parent in (epath.Path(root), *epath.Path(root).parents[:2])]
    found = [*beside, *(file for file in above if file.exists())] if layout.info else []
    try:
        content = json.loads(epath.Path(found[0]).read_text()) if found else {}
    except ValueError as error:
        raise UserError(f"{found[0]} is no JSON ({error}): fetch it again.") from None
    if not isinstance(content, dict):
        raise UserError(f"{found[0]} is no JSON object: fetch it again.")
    return content
