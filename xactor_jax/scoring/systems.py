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

All of them, the true frames too, are written by the same encoder, because compression alone changes some numbers. A video does
not depend on which others are made with it, and equals that of launch/sample.py or render.py with the same seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float, Shaped, UInt8

from xactor_jax.clips import Encoder, TrueClip
from xactor_jax.evaluation.actor import other_speakers
from xactor_jax.evaluation.decoder import Decode, frame_decoder
from xactor_jax.evaluation.transfer import relative_to
from xactor_jax.media.video_io import VideoWriter
from xactor_jax.motion.pictures import fit_size, frame_encoder
from xactor_jax.padding import filled
from xactor_jax.parallel.mesh import replicated
from xactor_jax.pictures import to_float
from xactor_jax.sampling.batch import BUCKET
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pipeline import Settings, sampling_keys
from xactor_jax.sampling.sharded import local_mesh
from xactor_jax.scoring.files import Pair
from xactor_jax.scoring.run import TRUTH
from xactor_jax.timing import SAMPLES_PER_FRAME
from xactor_jax.video.rendering import draw_batch

REPEATED, STAGE_1, RENDERER, AUDIO, ACROSS = "reference_repeated", "stage_1", "renderer", "audio_driven", "across_people"

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


class Studio(NamedTuple):
    """The systems of loaded models. `decode`, `render` and `act` are None where a stage has no such part."""

    sides: tuple[int, int]
    """Sizes of stage 1's pictures and of the videos."""
    encode: Encoder
    decode: Decode | None
    render: Callable[..., Any] | None
    act: Callable[..., Any] | None
    bucket: int
    """Lengths are rounded up to multiples of this."""

    @property
    def systems(self) -> list[str]:
        """Names of the folders that can be made, in the order of a report."""
        parts = {STAGE_1: self.decode, RENDERER: self.render, AUDIO: self.act, ACROSS: self.render}
        return [TRUTH, REPEATED, *(name for name, part in parts.items() if part)]

    def padded(self, length: int) -> int:
        """A length rounded up."""
        return -(-length // self.bucket) * self.bucket


def make_studio(models: Models, settings: Settings, seed: int) -> Studio:
    """The systems of models; an actor needs a renderer to be seen."""
    motion, offline = models.motion, bool(settings.render and settings.render.offline)
    has_decoder = "decoder" in motion.variables.params["generator"]
    return Studio(
        sides=models.sides,
        encode=frame_encoder(motion.model, motion.variables),
        decode=frame_decoder(motion.model, motion.variables) if has_decoder else None,
        render=_renderer(models, settings, seed) if models.video else None,
        act=_actor(models, settings, seed) if models.video and models.actor else None,
        bucket=1 if offline else BUCKET,  # offline, frames depend on the length
    )


def _renderer(models: Models, settings: Settings, seed: int) -> Callable[..., Any]:
    """(portraits, their motion, motion) → frames, each clip as `pipeline.animate` renders it."""
    stage, (_, key) = models.video, sampling_keys(seed)

    def render(variables: Any, images: jax.Array, reference: jax.Array, motion: jax.Array) -> jax.Array:
        keys = jnp.repeat(key[None], len(images))
        return draw_batch(stage.model, variables, keys, images, reference, motion, settings.render).frames

    return on_rows(render, stage.variables)


def _actor(models: Models, settings: Settings, seed: int) -> Callable[..., Any]:
    """(waveforms, reference motion, length) → motion, each clip as `pipeline.generate_motion` generates it."""
    stage, (key, _) = models.actor, sampling_keys(seed)

    def one(variables: Any, audio: jax.Array, reference: jax.Array) -> jax.Array:
        return stage.model.rollout(variables, key, audio[None], reference[None], None, settings.rollout)[0]

    rollout = on_rows(jax.vmap(one, (None, 0, 0)), stage.variables)

    def act(waveforms: Sequence[np.ndarray], reference: Float[np.ndarray, "b d"], length: int) -> Float[np.ndarray, "b t d"]:
        return rollout(np.stack([filled(stage.audio.whole(waveform), length) for waveform in waveforms]), reference)

    return act


def on_rows(function: Callable[..., jax.Array], variables: Any) -> Callable[..., np.ndarray]:
    """The compiled function of variables and arrays, whose rows (one for each clip) are split over the local devices."""
    mesh = local_mesh()
    rows, held = NamedSharding(mesh, PartitionSpec(mesh.axis_names)), jax.device_put(variables, replicated(mesh))
    compiled = jax.jit(function, out_shardings=rows)

    def run(*arrays: Shaped[np.ndarray, "b ..."]) -> np.ndarray:
        count = len(arrays[0])
        whole = [jax.device_put(filled(array, -(-count // mesh.size) * mesh.size), rows) for array in arrays]
        return np.asarray(compiled(held, *whole))[:count]

    return run


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
