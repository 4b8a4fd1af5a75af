"""Writes videos of the project's own systems on clips, as folders of mp4 files that every program can score.

For each clip, the portrait is its first frame. The folders:

    truth               the true frames
    reference_repeated  the portrait in every frame: what a system gains, it gains over this
    stage_1             the portrait, moved by stage 1's decoder with the clip's true motion
    renderer            the portrait, rendered with the clip's true motion (self-reenactment): the most that a generator of
                        motion can reach with this renderer
    audio_driven        the portrait, rendered with the motion that the actor generates from the clip's sound
    across_people       the portrait, rendered with the changes of another person's motion (equation 1 of
                        `xactor_jax/sampling/driving.py`), and with that person's sound. There is no truth

All of them, the true frames too, are written by the same encoder, because compression itself changes some numbers. A video does
not depend on which others are made with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from etils import epath
from jaxtyping import Float, UInt8

from xactor_jax.clips import TrueClip
from xactor_jax.evaluation.actor import other_speakers
from xactor_jax.evaluation.transfer import relative_to
from xactor_jax.media.video_io import VideoWriter
from xactor_jax.motion.pictures import fit_size
from xactor_jax.padding import filled
from xactor_jax.pictures import to_float
from xactor_jax.scoring.files import Pair
from xactor_jax.scoring.run import TRUTH
from xactor_jax.scoring.studio import ACROSS, AUDIO, RENDERER, REPEATED, STAGE_1, Studio
from xactor_jax.timing import SAMPLES_PER_FRAME

Frames = UInt8[np.ndarray, "t h w 3"]
Latents = Float[np.ndarray, "t d"]


class Source(NamedTuple):
    """A clip that is read when it is needed."""

    name: str
    """Of its video files."""
    person: str
    frames: int
    read: Callable[[], TrueClip]


class Cast(NamedTuple):
    """All clips, and for each the index of a clip of another person that drives it; None if there is only one person."""

    sources: Sequence[Source]
    drivers: Sequence[int | None]

    @classmethod
    def of(cls, sources: Sequence[Source]) -> Cast:
        people = [source.person for source in sources]
        return cls(sources, [j if people[i] != people[j] else None for i, j in enumerate(other_speakers(people))])


class Driver(NamedTuple):
    """Motion, and the sound that belongs to it."""

    latents: Latents
    waveform: Float[np.ndarray, "samples"]


class Shot(NamedTuple):
    """What the systems take from a clip, and the motion of another person."""

    name: str
    portrait: UInt8[np.ndarray, "s s 3"]  # at the size of stage 1
    true: Frames  # at the size of the videos
    own: Driver
    other: Driver | None


def write_systems(
    studio: Studio, cast: Cast, mine: Sequence[int], frames: int, folder: epath.Path, note: Callable[[str], None]
) -> None:
    """Writes FOLDER/SYSTEM/NAME.mp4 of the clips with indices `mine`, at most `frames` frames each. Skips what is there."""
    todo = [i for i in mine if not all(epath.Path(file).exists() for file in _files(studio, cast, i, folder).values())]
    for system in studio.systems:
        (folder / system).mkdir(parents=True, exist_ok=True)
    for batch in _batches(cast.sources, todo, frames, studio):
        note(f"rendering {', '.join(cast.sources[i].name for i in batch)}")
        shots = [_shot(studio, cast, i, frames) for i in batch]
        for system, name, video, sound in _videos(studio, shots):
            with VideoWriter(folder / system / f"{name}.mp4", studio.sides[1], sound=sound) as writer:
                writer.write(video)


def _files(studio: Studio, cast: Cast, index: int, folder: epath.Path) -> dict[str, str]:
    """System → file, for the systems that have a video of this clip."""
    systems = [s for s in studio.systems if s != ACROSS or cast.drivers[index] is not None]
    return {system: str(folder / system / f"{cast.sources[index].name}.mp4") for system in systems}


def pairs_of(studio: Studio, cast: Cast, folder: epath.Path) -> list[Pair]:
    """What is to be scored: all systems but the truth, which the others are compared with."""
    files = [_files(studio, cast, index, folder) for index in range(len(cast.sources))]
    truth = lambda system, of: "" if system == ACROSS else of[TRUTH]
    return [
        Pair(system, source.name, of[system], truth(system, of))
        for system in studio.systems[1:]
        for source, of in zip(cast.sources, files, strict=True)
        if system in of
    ]


def true_videos(cast: Cast, folder: epath.Path) -> dict[str, str]:
    """Name of a clip → the file of its true video, to pair other systems' videos with."""
    return {source.name: str(folder / TRUTH / f"{source.name}.mp4") for source in cast.sources}


def _batches(sources: Sequence[Source], indices: Sequence[int], frames: int, studio: Studio) -> Iterator[list[int]]:
    """Clips of one padded length together, one for each device."""
    length = lambda i: studio.padded(min(frames, sources[i].frames))
    for _, alike in itertools.groupby(sorted(indices, key=length), key=length):
        while batch := list(itertools.islice(alike, jax.local_device_count())):
            yield batch


def _shot(studio: Studio, cast: Cast, index: int, frames: int) -> Shot:
    """Reads a clip, and the motion of its driver as changes that begin at the portrait's own motion."""
    source, driver = cast.sources[index], cast.drivers[index]
    clip = source.read().cut(frames, SAMPLES_PER_FRAME)
    own, other = Driver(studio.encode(clip.frames), clip.waveform), None
    if driver is not None and studio.render:
        moving = cast.sources[driver].read().cut(frames, SAMPLES_PER_FRAME)
        other = Driver(relative_to(studio.encode(moving.frames), own.latents[0]), moving.waveform)
    portrait, true = fit_size(clip.frames[:1], studio.sides[0])[0], fit_size(clip.frames, studio.sides[1])
    return Shot(source.name, portrait, true, own, other)


def _videos(studio: Studio, shots: Sequence[Shot]) -> Iterator[tuple[str, str, Frames, np.ndarray]]:
    """(system, name, frames, sound) of all videos of a batch."""
    for shot in shots:
        sound, repeated = shot.own.waveform, np.repeat(shot.true[:1], len(shot.true), axis=0)
        yield from ((system, shot.name, frames, sound) for system, frames in ((TRUTH, shot.true), (REPEATED, repeated)))
        if studio.decode:
            drawn = fit_size(studio.decode(shot.portrait, shot.own.latents), studio.sides[1])
            yield STAGE_1, shot.name, drawn, sound
    if studio.render:
        yield from _rendered(studio, RENDERER, shots, [shot.own for shot in shots])
        yield from _rendered(studio, AUDIO, shots, _acted(studio, shots)) if studio.act else ()
        driven = [shot for shot in shots if shot.other]
        yield from _rendered(studio, ACROSS, driven, [shot.other for shot in driven])


def _acted(studio: Studio, shots: Sequence[Shot]) -> list[Driver]:
    """Motion generated from the sound of every clip."""
    length, reference = studio.padded(max(len(shot.true) for shot in shots)), np.stack([s.own.latents[0] for s in shots])
    motions = studio.act([shot.own.waveform for shot in shots], reference, length)
    return [Driver(motion[: len(shot.true)], shot.own.waveform) for motion, shot in zip(motions, shots, strict=True)]


def _rendered(
    studio: Studio, system: str, shots: Sequence[Shot], drivers: Sequence[Driver]
) -> Iterator[tuple[str, str, Frames, np.ndarray]]:
    """Each portrait with its motion. Those of one padded length are rendered together."""
    length = lambda pair: studio.padded(len(pair[1].latents))
    for frames, alike in itertools.groupby(sorted(zip(shots, drivers, strict=True), key=length), key=length):
        group, moving = zip(*alike, strict=True)
        images = to_float(np.stack([shot.true[0] for shot in group]))
        reference = np.stack([shot.own.latents[0] for shot in group])
        drawn = studio.render(images, reference, np.stack([filled(driver.latents, frames) for driver in moving]))
        for shot, driver, video in zip(group, moving, drawn, strict=True):
            yield system, shot.name, video[: len(driver.latents)], driver.waveform
