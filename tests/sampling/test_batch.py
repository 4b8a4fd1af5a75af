"""Samples mapped over eight devices equal those that are made one by one."""

from __future__ import annotations

import dataclasses
import json
import re

import jax
import numpy as np
import pytest

from tests.sampling.conftest import make_image, make_sound
from xactor_jax.audio.features import LogMelFeatures
from xactor_jax.audio.log_mel import LogMelSettings, log_mel_features
from xactor_jax.media.video_io import read_frames
from xactor_jax.sampling import batch, many, pipeline
from xactor_jax.sampling.inputs import read_speech
from xactor_jax.sampling.jobs import Job
from xactor_jax.sampling.load import load_models
from xactor_jax.sampling.request import Request
from xactor_jax.sampling.sharded import place_sharded

LENGTHS = (0.4, 1.0, 1.5)  # seconds
EMOTIONS = ("", "happy@0.5:0-0.4,sad:0.4-0.96", "angry:0-1.52,happy:1.52-")  # what follows 1.5 s is never seen


@pytest.fixture
def requests(tmp_path) -> list[Request]:
    """Three, of different pictures, sounds, lengths, seeds and emotions."""
    made = []
    for i, (seconds, emotion) in enumerate(zip(LENGTHS, EMOTIONS, strict=True)):
        image, sound = make_image(tmp_path / f"{i}.png", i), make_sound(tmp_path / f"{i}.wav", seconds, i)
        made.append(Request(image=image, audio=sound, out=str(tmp_path / f"{i}.mp4"), seed=i, emotion=emotion, crop="none"))
    return made


def test_a_sample_does_not_depend_on_its_batch(models, settings, requests):
    ready, failures = batch.prepared([Job(r.out, r) for r in requests], models, pytest.fail)
    assert not failures and [item.frames for item in ready] == [10, 25, 38]
    waveforms = [read_speech(r.audio) for r in requests]
    result = batch.generator(models, settings)(batch.conditions_of(ready, waveforms, models.actor.audio))
    assert len(result.frames) == 3 and result.frames.shape[1] == 50
    for i, (item, waveform) in enumerate(zip(ready, waveforms, strict=True)):
        request = item.job.request.__class__(**{**item.job.request.__dict__, "save_motion": "m.npz"})
        single = pipeline.perform(models, item.portrait, waveform, request, settings)
        frames = np.concatenate(list(single.frames))
        np.testing.assert_allclose(result.motion[i, : item.frames], np.concatenate(single.motion), atol=1e-4)
        assert np.abs(result.frames[i, : item.frames].astype(int) - frames).max() <= 1


def test_emotions_last_beyond_a_sample_s_own_end(models, requests):
    ready, _ = batch.prepared([Job(r.out, r) for r in requests], models, pytest.fail)
    made = batch.conditions_of(ready, [read_speech(r.audio) for r in requests], models.actor.audio)
    assert made.emotion.dtype == np.int32 and made.intensity.dtype == np.float32
    np.testing.assert_array_equal(made.emotion, [[-1] * 50, [1] * 10 + [2] * 14 + [-1] * 26, [3] * 50])
    np.testing.assert_array_equal(made.intensity, [[1] * 50, [0.5] * 10 + [1] * 40, [1] * 50])


def test_a_batch_gets_the_features_of_its_actor(models, requests):
    ready, _ = batch.prepared([Job(r.out, r) for r in requests[:1]], models, pytest.fail)
    waveform = read_speech(requests[0].audio)
    audio = batch.conditions_of(ready, [waveform], LogMelFeatures(LogMelSettings(offset=2.0))).audio
    expected = log_mel_features(waveform, LogMelSettings(offset=2.0))
    np.testing.assert_array_equal(audio[0, : ready[0].frames], expected)
    np.testing.assert_array_equal(audio[0, ready[0].frames :], np.broadcast_to(expected[-1], audio[0, ready[0].frames :].shape))


def test_every_device_is_used(models, settings, requests, monkeypatch):
    seen = []
    original = batch.mapped_over

    def spy(*key):
        return lambda *arguments: seen.append(original(*key)(*arguments)) or seen[-1]

    monkeypatch.setattr(batch, "mapped_over", spy)
    ready, _ = batch.prepared([Job(r.out, r) for r in requests[:1]], models, pytest.fail)
    waveform = read_speech(requests[0].audio)
    batch.generator(models, settings)(batch.conditions_of(ready, [waveform], models.actor.audio))
    assert len(seen[0].frames.sharding.device_set) == jax.local_device_count() == 8


def test_batches_are_neighbours_in_length_and_long_ones_are_single(models, requests):
    ready, _ = batch.prepared([Job(r.out, r) for r in reversed(requests)], models, pytest.fail)
    longest = ready[0]._replace(frames=batch.LONGEST + 1)
    groups = list(batch.batches([*ready, longest], 2))
    assert [[item.frames for item in group] for group in groups] == [[10, 25], [38]]
    assert batch.long_ones([*ready, longest]) == [longest]


def as_lines(requests, **changes) -> list[tuple[int, str]]:
    jobs = [{"image": r.image, "audio": r.audio, "out": r.out, "seed": r.seed, "crop": "none", **changes} for r in requests]
    return [(i + 1, json.dumps(job)) for i, job in enumerate(jobs)]


def counted(path) -> int:
    return sum(1 for _ in read_frames(path))


def test_a_bad_job_does_not_stop_the_others(models, settings, requests, tmp_path):
    lines = as_lines(requests)
    (tmp_path / "1.wav").write_bytes(b"no sound")
    counts_seen = []
    feeling = {**json.loads(lines[0][1]), "out": str(tmp_path / "4.mp4"), "emotion": "afraid"}
    lines += [(4, "{"), (6, json.dumps(feeling)), (5, json.dumps({**json.loads(lines[0][1]), "out": "nowhere/v.mp4"}))]
    failures = many.sample_many(models, lines, {}, settings, lambda *counts: counts_seen.append(counts), pytest.fail)
    assert [f.job.split(" (")[0] for f in failures] == ["job in line 4", "job in line 5", "job in line 2", "job in line 6"]
    assert (counted(requests[0].out), counted(requests[2].out)) == (10, 38)
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix in (".mp4", ".json")) == ["0.json", "0.mp4", "2.json", "2.mp4"]
    assert counts_seen[-1] == (5, 5)
    said = json.loads((tmp_path / "2.json").read_text())
    assert said["seed"] == 2 and said["timings"]["batch_size"] == 2


@pytest.mark.parametrize("broken", ["motion", "finite"])
def test_only_the_job_whose_numbers_are_not_finite_fails(models, settings, requests, tmp_path, monkeypatch, broken):
    def generator(*_):
        def run(conditions: batch.Conditions) -> batch.Result:
            count, frames = len(conditions.seed), conditions.audio.shape[1]
            motion, finite = np.zeros((count, frames, 8), np.float32), np.ones((count, frames), bool)
            pictures = np.zeros((count, frames, 32, 32, 3), np.uint8)
            bad = conditions.seed == 0
            motion[bad, 3:] = np.nan if broken == "motion" else 0.0
            finite[bad, 3:] = broken != "finite"
            return batch.Result(np.zeros((count, 8), np.float32), motion, pictures, finite)

        return run

    monkeypatch.setattr(many, "generator", generator)
    (failure,) = many.sample_many(models, as_lines(requests[:2]), {}, settings, lambda *_: None, pytest.fail)
    assert re.search(r"line 1 .*: the (motion|picture) of frame 3 is not finite", str(failure))
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix in (".mp4", ".json")) == ["1.json", "1.mp4"]


def test_finished_jobs_are_not_done_again(models, settings, requests, tmp_path, monkeypatch):
    for name in ("0.mp4", "0.json", "1.mp4", "1.json", "2.mp4"):
        (tmp_path / name).write_text('{"synthetic": true}')
    assert not many.sample_many(models, as_lines(requests), {}, settings, lambda *_: None, pytest.fail)
    assert (tmp_path / "0.mp4").read_text() == '{"synthetic": true}' and counted(tmp_path / "2.mp4") == 38


def test_long_jobs_are_streamed(models, settings, requests, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "LONGEST", 20)
    lines = as_lines(requests, save_motion=str(tmp_path / "m.npz"))[1:2]
    assert not many.sample_many(models, lines, {}, settings, lambda *_: None, pytest.fail)
    assert counted(tmp_path / "1.mp4") == 25 and np.load(tmp_path / "m.npz")["motion_latents"].shape == (25, 8)
    assert "first_frames" in json.loads((tmp_path / "1.json").read_text())["timings"]


@pytest.mark.slow  # quick: tests/video/test_model.py renders whole clips
def test_clips_that_are_rendered_as_wholes_are_not_batched(models, settings, requests, tmp_path):
    whole = settings._replace(render=dataclasses.replace(settings.render, offline=True))
    assert not many.sample_many(models, as_lines(requests)[:1], {}, whole, lambda *_: None, pytest.fail)
    assert counted(tmp_path / "0.mp4") == 10
    said = json.loads((tmp_path / "0.json").read_text())
    assert "first_frames" in said["timings"] and said["arguments"]["render"]["offline"]


def test_processes_split_what_is_unfinished_by_its_length(requests, tmp_path, monkeypatch):
    """The first process decides: of 0.4, 1.0, 1.5 and 0.6 seconds, 1.0 is done; 1.5 stands against 0.4 + 0.6."""
    sound = make_sound(tmp_path / "3.wav", 0.6)
    everything = [*requests, dataclasses.replace(requests[0], audio=sound, out=str(tmp_path / "3.mp4"))]
    for name in ("1.mp4", "1.json"):
        (tmp_path / name).write_text('{"synthetic": true}')
    assert many.split([Job(r.out, r) for r in everything], 2) == [1, -1, 0, 1]


def test_each_process_does_its_own_share(models, settings, requests, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(many.multihost_utils, "broadcast_one_to_all", lambda shares: shares)
    assert not many.sample_many(models, [*as_lines(requests), (9, "{")], {}, settings, lambda *_: None, pytest.fail)
    assert sorted(p.name for p in tmp_path.glob("*.mp4")) == ["0.mp4", "1.mp4"]


@pytest.fixture(scope="module")
def split(tiny):
    return load_models(tiny, place=place_sharded)


def test_large_networks_are_split_over_the_devices(models, split):
    """Each device holds an eighth of every large array, and a split network computes what a whole one does."""
    large = [
        x for stage in split for x in jax.tree.leaves(stage.variables) if x.size >= 4096 and any(n % 8 == 0 for n in x.shape)
    ]
    assert large and all(8 * x.addressable_shards[0].data.size == x.size for x in large)
    picture = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype(np.float32)
    encode = jax.jit(models.motion.model.encode)
    whole, parts = (encode(m.motion.variables, picture) for m in (models, split))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.slow  # quick: the one above
def test_samples_of_split_networks_are_those_of_whole_ones(models, split, settings, requests):
    ready, _ = batch.prepared([Job(r.out, r) for r in requests], models, pytest.fail)
    conditions = batch.conditions_of(ready, [read_speech(r.audio) for r in requests], models.actor.audio)
    whole, parts = (batch.generator(m, settings, m is split)(conditions) for m in (models, split))
    np.testing.assert_allclose(parts.motion, whole.motion, atol=1e-4)
    assert parts.frames.shape == whole.frames.shape and np.abs(parts.frames.astype(int) - whole.frames).max() <= 1


@pytest.mark.slow  # quick: test_large_networks_are_split_over_the_devices
def test_jobs_of_split_networks(split, settings, requests, tmp_path):
    assert not many.sample_many(split, as_lines(requests)[:2], {}, settings, lambda *_: None, pytest.fail, sharded=True)
    assert [counted(tmp_path / f"{i}.mp4") for i in (0, 1)] == [10, 25]
