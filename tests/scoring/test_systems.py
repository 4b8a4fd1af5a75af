"""Videos of the tiny stages on clips, as files."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from etils import epath

from tests.sampling.conftest import models, settings, tiny  # noqa: F401
from xactor_jax.clips import TrueClip
from xactor_jax.media.audio_io import read_audio
from xactor_jax.media.video_io import VideoWriter, read_frames
from xactor_jax.motion.pictures import frame_encoder
from xactor_jax.pictures import to_float, to_uint8
from xactor_jax.sampling import pipeline
from xactor_jax.sampling.portrait import Portrait
from xactor_jax.scoring.studio import make_studio, on_rows
from xactor_jax.scoring.systems import Cast, Source, pairs_of, write_systems

FRAMES, SIDE = 6, 32


def clip(person: str, seed: int, frames: int) -> TrueClip:
    """Smooth moving pictures with noise for sound."""
    rng = np.random.default_rng(seed)
    y, x, t = np.mgrid[:SIDE, :SIDE, :frames].transpose(0, 3, 1, 2)
    shape = np.stack([128 + 60 * np.sin(x / 5 + t / 3 + phase) * np.cos(y / 6) for phase in rng.uniform(0, 6, 3)], -1)
    sound = (0.1 * rng.normal(size=640 * frames)).astype(np.float32)
    unknown = np.zeros((0, 3), np.float32)
    return TrueClip(person=person, clip="0", frames=shape.astype(np.uint8), waveform=sound, controls=unknown)


@pytest.fixture(scope="module")
def cast() -> Cast:
    clips = [clip("ann", 0, 7), clip("bob", 1, 9)]
    return Cast.of([Source(c.person, c.person, len(c.frames), lambda c=c: c) for c in clips])


def frames_of(path) -> np.ndarray:
    return np.stack([pixels for _, pixels in read_frames(path)]).astype(int)


@pytest.fixture(scope="module")
def written(models, settings, cast, tmp_path_factory):  # noqa: F811
    folder, notes = epath.Path(tmp_path_factory.mktemp("videos")), []
    studio = make_studio(models, settings, seed=3)._replace(bucket=FRAMES)
    write_systems(studio, cast, [0, 1], FRAMES, folder, notes.append)
    assert len(notes) == 1  # both in one batch
    return studio, folder


def test_every_system_is_a_folder_of_whole_videos_with_sound(written, cast):
    studio, folder = written
    systems = ["truth", "reference_repeated", "stage_1", "renderer", "audio_driven", "across_people"]
    assert studio.systems == systems == sorted((path.name for path in folder.iterdir()), key=systems.index)
    for system in systems:
        for k, name in enumerate(("ann", "bob")):
            assert frames_of(folder / system / f"{name}.mp4").shape == (FRAMES, SIDE, SIDE, 3)
            sound = read_audio(folder / system / f"{name}.mp4")[: 640 * FRAMES]
            speaker = cast.sources[1 - k if system == "across_people" else k].read().waveform[: len(sound)]
            assert np.corrcoef(sound, speaker)[0, 1] > 0.8, system


def test_what_the_systems_show(written, cast, models, settings, tmp_path):  # noqa: F811
    _, folder = written
    true = cast.sources[0].read().frames[:FRAMES].astype(int)

    def shows(system: str, frames: np.ndarray) -> bool:
        """Compares after the codec, which noise does not survive."""
        with VideoWriter(tmp_path / "expected.mp4", SIDE) as writer:
            writer.write(frames.astype(np.uint8))
        return np.abs(frames_of(folder / system / "ann.mp4") - frames_of(tmp_path / "expected.mp4")).mean() < 1

    assert shows("truth", true) and shows("reference_repeated", np.repeat(true[:1], FRAMES, 0))
    assert not shows("reference_repeated", true)
    encode = frame_encoder(models.motion.model, models.motion.variables)
    latents, portrait = encode(true.astype(np.uint8)), true[0].astype(np.uint8)

    def animated(motion: np.ndarray) -> np.ndarray:
        return np.concatenate(list(pipeline.animate(models, Portrait(portrait, portrait), latents[0], [motion], 3, settings)))

    assert shows("renderer", animated(latents))
    other = encode(cast.sources[1].read().frames[:FRAMES])
    assert shows("across_people", animated(other + latents[0] - other[0]))
    references = to_float(np.repeat(true[:1], FRAMES, axis=0).astype(np.uint8))
    drawn = jax.jit(models.motion.model.decode)(models.motion.variables, references, latents)
    assert shows("stage_1", np.asarray(to_uint8(drawn)))


def test_what_is_written_stays_and_what_is_scored_has_its_truth(written, cast, settings):  # noqa: F811
    studio, folder = written
    (folder / "renderer" / "bob.mp4").unlink()
    before, notes = (folder / "truth" / "ann.mp4").stat().mtime, []
    write_systems(studio, cast, [0], FRAMES, folder, notes.append)
    assert notes == [] and not (folder / "renderer" / "bob.mp4").exists()
    write_systems(studio, cast, [0, 1], FRAMES, folder, notes.append)
    assert notes == ["rendering bob"] and (folder / "truth" / "ann.mp4").stat().mtime == before
    pairs = pairs_of(studio, cast, folder)
    assert len(pairs) == 10 and {pair.system for pair in pairs if not pair.truth} == {"across_people"}
    assert all(pair.truth.endswith(f"truth/{pair.name}.mp4") for pair in pairs if pair.truth)


def test_single_is_not_driven_by_another(models, settings, cast):  # noqa: F811
    single = Cast.of([cast.sources[0], cast.sources[0]._replace(name="again")])
    studio = make_studio(models._replace(actor=None), settings, seed=0)
    assert single.drivers == [None, None]
    assert {pair.system for pair in pairs_of(studio, single, epath.Path("x"))} == {"reference_repeated", "stage_1", "renderer"}
    decoder = {"generator": {"encoder": models.motion.variables.params["generator"]["encoder"]}}
    motion = models.motion._replace(variables=models.motion.variables._replace(params=decoder))
    assert make_studio(models._replace(motion=motion, video=None), settings, 0).systems == ["truth", "reference_repeated"]


def test_rows_are_split_over_all_devices():
    run = on_rows(lambda scale, x, y: scale * x + y, np.float32(2.0))
    x = np.arange(11, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(run(x, x + 1), 3 * x + 1)
