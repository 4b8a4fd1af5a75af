"""Finds the files of folders of videos at any depth, and the sound file of each video; names are paths inside the tree."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

from etils import epath

from data.layouts import layout_of
from xactor_jax.errors import UserError
from xactor_jax.media.containers import VIDEO_SUFFIXES
from xactor_jax.paths import absolute, is_remote, place_of, readable

SOUNDS = (
    *(".flac", ".wav", ".aiff", ".aif", ".aifc", ".caf", ".m4a", ".aac", ".mp3", ".ogg", ".oga", ".opus", ".wma", ".mka"),
    *(".ac3", ".amr"),
)
"""Suffixes of sound files, in small letters. Where a video has several, the first wins, so lossless formats come first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A file: its path, its path inside the tree, a stamp that changes with its content, and why it cannot be opened."""

    path: str
    relative: str
    stamp: str
    problem: str = ""

    @property
    def is_video(self) -> bool:
        return self.relative.lower().endswith(VIDEO_SUFFIXES)


def list_files(videos: Sequence[str], out: str) -> list[Source]:
    """All files below the folders `videos`, sorted. The output folder `out` and the hidden folders beside it are skipped.

    Raises:
        UserError: a folder is missing or named twice, or no folder has a video.
    """
    sources = []
    for root, prefix in roots_of(videos).items():
        for path, problem in _walk(epath.Path(root), absolute(out), ()):
            sources.append(_source(path, problem, root, prefix))
    if not any(source.is_video for source in sources):
        raise UserError(f"no videos in {', '.join(videos)}: name a folder with {' '.join(VIDEO_SUFFIXES[:7])} files.")
    return sorted(sources, key=lambda source: source.relative)


def roots_of(videos: Sequence[str]) -> dict[str, str]:
    """Folder → prefix of the paths inside: the folder's name, or as much of its path as makes it unique; empty for one folder.

    Raises:
        UserError: a folder is missing, or lies inside another one.
    """
    roots = [str(absolute(text)) for text in videos]
    for root in roots:
        if not epath.Path(root).is_dir():
            raise UserError(f"there is no folder {root}: --videos names a folder of videos.")
    places = [f"{place_of(root)}/" for root in roots]
    if inside := [root for i, root in enumerate(roots) if any(places[i].startswith(p) for j, p in enumerate(places) if j != i)]:
        raise UserError(f"--videos names {inside[0]} twice, for it is another one, too, or inside one: name it once.")
    parts = [pathlib.PurePosixPath(root).parts for root in roots]
    depth = next(d for d in range(1, 1 + max(map(len, parts))) if len({own[-d:] for own in parts}) == len(parts))
    return {root: "/".join(own[-depth:]) + "/" if len(roots) > 1 else "" for root, own in zip(roots, parts, strict=True)}


def _walk(folder: epath.Path, out: epath.Path, above: Sequence[str]) -> Iterator[tuple[epath.Path, str]]:
    """(path, why it cannot be opened) of every file below a local or remote folder; `above` are the folders that it lies in."""
    trail = (*above, place_of(folder))
    try:
        inside = list(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error}): check its permissions.") from error
    for path in inside:
        if not path.is_dir():
            yield path, ""
        elif place_of(path) in trail:
            yield path, "a link to a folder that it lies in"
        elif not _is_output(path, out):
            yield from _walk(path, out, trail)


def _is_output(path: epath.Path, out: epath.Path) -> bool:
    """Whether a folder is the output, or one of the hidden folders beside it that are used while it is made."""
    beside = place_of(path.parent) == place_of(out.parent) and path.name.startswith(f".{out.name}.")
    return beside or place_of(path) == place_of(out)


def _source(path: epath.Path, problem: str, root: str, prefix: str) -> Source:
    relative = readable(prefix + str(path)[len(root) :].lstrip("/"))
    try:
        stat = path.stat()
    except OSError as error:
        return Source(path=str(path), relative=relative, stamp="", problem=f"it cannot be opened ({error.strerror})")
    if not problem and not is_remote(path) and not os.path.isfile(path):
        problem = "it is no regular file"
    return Source(path=str(path), relative=relative, stamp=f"{stat.length} {stat.mtime}", problem=problem)


def find_sounds(sources: Sequence[Source], sidecars: bool, layout: str) -> dict[str, Source]:
    """Path of a video → its sound file: beside it (`sidecars`), or where the layout has it. Of several, `SOUNDS`' first."""
    there: dict[str, list[Source]] = {}
    for source in sources:
        if _suffix(source) in SOUNDS:
            there.setdefault(_stem(source.path), []).append(source)
    places = {source.path: _stem(source.path) for source in sources if source.is_video and sidecars}
    if layout:
        sound_of = layout_of(layout).sound_of
        elsewhere = {source.path: _stem(sound_of(source.path)) for source in sources if source.is_video}
        places = elsewhere | {path: stem for path, stem in places.items() if stem in there}
    order = lambda source: SOUNDS.index(_suffix(source))
    return {path: min(there[stem], key=order) for path, stem in places.items() if stem in there}


def _suffix(source: Source) -> str:
    return pathlib.PurePosixPath(source.path).suffix.lower()


def _stem(path: str) -> str:
    return str(pathlib.PurePosixPath(path).with_suffix(""))
