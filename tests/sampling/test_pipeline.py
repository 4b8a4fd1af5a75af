"""The streamed path, with the tiny stages."""

from __future__ import annotations

import json

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.media import builders
from tests.portraits import read_portrait
from tests.sampling.conftest import make_sound
from xactor_jax.audio.features import LogMelFeatures
from xactor_jax.audio.log_mel import LogMelSettings, log_mel_features
from xactor_jax.emotion import EmotionTrack
from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import read_audio
from xactor_jax.media.marks import SYNTHETIC
from xactor_jax.sampling import pipeline
from xactor_jax.sampling.request import Request
from xactor_jax.video.rendering import draw_batch


def request_for(tmp_path, image, sound, **changes) -> Request:
    return Request(**{"image": image, "audio": sound, "out": str(tmp_path / "v.mp4"), "crop": "none", **changes})


def run(models, settings, request, warn=pytest.fail) -> list[tuple[int, int]]:
    counts_seen = []
    pipeline.sample(models, request, settings, lambda *counts: counts_seen.append(counts), warn)
    return counts_seen


def test_an_emotion_that_the_actor_was_not_trained_on_is_refused(models, settings, tmp_path, image, sound):
    known = models.actor.model.network.emotions
    assert known == 5
    with pytest.raises(UserError, match="does not know the emotion disgusted: choose one of neutral, happy, sad"):
        run(models, settings, request_for(tmp_path, image, sound, emotion="happy:0-0.4,disgusted:0.4-"))
    assert not (tmp_path / "v.mp4").exists()


@pytest.mark.parametrize("samples", [300, 640 * 5, 640 * 7 + 319, 640 * 7 + 320])
def test_there_are_as_many_frames_as_the_sound_lasts(models, settings, tmp_path, image, samples):
    sound = make_sound(tmp_path / "a.wav", samples / 16_000)
    counts_seen = run(models, settings, request_for(tmp_path, image, sound))
    frames = max(1, int(samples / 16_000 * 25 + 0.5))
    with av.open(str(tmp_path / "v.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == frames
        assert container.streams.video[0].average_rate == 25
        assert container.metadata["comment"] == SYNTHETIC
    assert counts_seen[-1] == (frames, frames)


def test_the_video_has_the_sound_of_the_recording(models, settings, tmp_path, image, sound):
    run(models, settings, request_for(tmp_path, image, sound))
    original, written = read_audio(sound), read_audio(tmp_path / "v.mp4")[:16_000]
    assert np.corrcoef(original, written)[0, 1] > 0.8  # noise loses its highest frequencies in AAC


def test_the_sound_keeps_its_form_and_begins_before_the_first_picture(models, settings, tmp_path, image):
    clicks = builders.click_track(1.0, 44100, [0.1, 0.9])
    frames, times = builders.numbered_frames(20), [0.4 + i / 25 for i in range(20)]
    video = builders.write_media(tmp_path / "s.mkv", frames, times=times, audio=clicks, audio_rate=44100, audio_codec="flac")
    counts_seen = run(models, settings, request_for(tmp_path, image, str(video)))
    assert counts_seen[-1][1] in (25, 26)
    with av.open(str(tmp_path / "v.mp4")) as container:
        assert container.streams.audio[0].rate == 44100 and container.streams.audio[0].layout.name == "stereo"
    assert builders.onset(read_audio(tmp_path / "v.mp4")) == pytest.approx(0.1, abs=0.003)


def test_the_json_says_what_the_video_was_made_from(models, settings, tmp_path, image, sound):
    run(models, settings, request_for(tmp_path, image, sound, seed=7, emotion="happy@0.5:0-0.4,sad:0.4-"))
    said = json.loads((tmp_path / "v.json").read_text())
    assert said["arguments"]["emotion"] == "happy@0.5:0-0.4,sad:0.4-"
    assert said["seed"] == 7 and said["frames"] == 25 and said["synthetic"]
    assert said["checkpoints"]["video"]["hash"] == models.video.hash
    assert said["inputs"]["audio"]["path"] == sound and len(said["inputs"]["image"]["sha256"]) == 64
    assert said["arguments"]["render"]["steps"] == settings.render.steps
    assert set(said["timings"]) == {"inputs", "first_frames", "other_frames"}


def test_the_seed_decides_the_bytes(models, settings, tmp_path, image, sound):
    def made(name: str, seed: int) -> bytes:
        run(models, settings, request_for(tmp_path, image, sound, out=str(tmp_path / name), seed=seed))
        return (tmp_path / name).read_bytes()

    assert made("a.mp4", 1) == made("b.mp4", 1) != made("c.mp4", 2)


@pytest.mark.slow  # quick: test_a_sample_does_not_depend_on_its_batch, whose batches are whole rollouts and renderings
def test_the_stream_is_the_rollout_and_the_rendering_of_the_whole(models, settings, tmp_path, image, sound):
    request = request_for(tmp_path, image, sound, emotion="happy:0-0.4,sad:0.4-0.8", save_motion=str(tmp_path / "m.npz"))
    portrait, waveform = read_portrait(image, models.sides, "none"), read_audio(sound)
    performance = pipeline.perform(models, portrait, waveform, request, settings)
    frames = np.concatenate(list(performance.frames))
    as_float = lambda pixels: jnp.asarray(pixels / 127.5 - 1, jnp.float32)[None]
    reference = jax.jit(models.motion.model.encode)(models.motion.variables, as_float(portrait.for_motion))
    keys = [jax.random.fold_in(jax.random.key(0), i) for i in (0, 1)]
    features, emotion = log_mel_features(waveform)[None], np.array([[1] * 10 + [2] * 10 + [-1] * 5], np.int32)
    motion = models.actor.model.rollout(models.actor.variables, keys[0], features, reference, emotion, settings.rollout)
    np.testing.assert_allclose(np.concatenate(performance.motion), motion[0], atol=1e-4)
    arguments = (keys[1][None], as_float(portrait.for_video), reference, motion)
    render = jax.jit(lambda *arrays: draw_batch(models.video.model, *arrays, settings.render).frames)
    expected = render(models.video.variables, *arguments)
    assert np.abs(frames.astype(int) - np.asarray(expected[0], int)).max() <= 1


def test_the_actor_gets_its_own_features(models, settings):
    waveform = 0.1 * np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    reference = np.zeros(models.actor.model.network.latent_dim, np.float32)

    def motion(features: LogMelFeatures) -> np.ndarray:
        changed = models._replace(actor=models.actor._replace(audio=features))
        stream = pipeline.generate_motion(changed, jax.random.key(0), waveform, reference, EmotionTrack(), settings.rollout)
        return np.concatenate(list(stream))

    assert np.abs(motion(LogMelFeatures()) - motion(LogMelFeatures(LogMelSettings(offset=2.0)))).max() > 1e-3


def test_frames_come_before_the_recording_has_been_read(models, settings, tmp_path, image, monkeypatch):
    taken = []

    def counted(waveform, size=1600):
        for start in range(0, len(waveform), size):
            taken.append(start)
            yield waveform[start : start + size]

    monkeypatch.setattr(pipeline, "pieces", counted)
    waveform = 0.1 * np.random.default_rng(0).normal(size=16_000 * 8).astype(np.float32)
    request, portrait = request_for(tmp_path, image, ""), read_portrait(image, models.sides, "none")
    performance = pipeline.perform(models, portrait, waveform, request, settings)
    assert not taken
    next(performance.frames)
    assert 0 < len(taken) < 20 and not performance.motion  # of 80, and nothing is kept that was not asked for


def test_motion_latents_are_saved_if_wanted(models, settings, tmp_path, image, sound):
    run(models, settings, request_for(tmp_path, image, sound, save_motion=str(tmp_path / "m.npz")))
    saved = np.load(tmp_path / "m.npz")
    assert saved["motion_latents"].shape == (25, 8) and saved["reference_motion"].shape == (8,)
    assert saved["frame_rate"] == 25


def test_silence_is_sampled_with_a_warning(models, settings, tmp_path, image):
    import soundfile

    soundfile.write(tmp_path / "silent.wav", np.zeros(8000, np.float32), 16_000)
    warnings = []
    run(models, settings, request_for(tmp_path, image, str(tmp_path / "silent.wav")), warnings.append)
    assert len(warnings) == 1 and "silent" in warnings[0] and (tmp_path / "v.mp4").exists()


@pytest.mark.parametrize("where", ["write_motion", "write_sidecar"])
def test_nothing_is_left_when_the_end_fails(models, settings, tmp_path, image, sound, monkeypatch, where):
    def fail(*arguments):
        raise UserError("the disk is full")

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(pipeline, where, fail)
    with pytest.raises(UserError, match="disk is full"):
        run(models, settings, request_for(tmp_path, image, sound, save_motion=str(tmp_path / "m.npz")))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("render", "said"),
    [
        ({"window_overlap": 4}, "render.window_overlap=4 is not possible: use a whole number from 0 to 3"),
        ({"spacing": "leading", "steps": 1000}, "1000 leading noise levels of 1000"),
    ],
)
def test_settings_that_the_renderer_cannot_have_are_refused_before_the_work(models, render, said):
    with pytest.raises(UserError, match=said):
        pipeline.make_settings(models, {}, render)


@pytest.mark.parametrize("stage", ["actor", "video"])
def test_a_damaged_stage_ends_in_a_sentence_and_not_in_black_frames(models, settings, tmp_path, image, sound, stage):
    damaged = getattr(models, stage)
    params = jax.tree.map(lambda x: np.full_like(x, np.nan), damaged.variables.params)
    models = models._replace(**{stage: damaged._replace(variables=damaged.variables._replace(params=params))})
    before = sorted(tmp_path.iterdir())
    what = {"actor": "motion", "video": "picture"}[stage]
    with pytest.raises(UserError, match=f"the {what} of frame 0 is not finite: lower the guidance, or use other checkpoints"):
        run(models, settings, request_for(tmp_path, image, sound))
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_left_when_the_rendering_fails(models, settings, tmp_path, image, sound, monkeypatch):
    def breaks(*arguments):
        yield np.zeros((5, models.sides[1], models.sides[1], 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "render", breaks)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        run(models, settings, request_for(tmp_path, image, sound))
    assert sorted(tmp_path.iterdir()) == before
