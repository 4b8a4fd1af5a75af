"""Scores of stages whose quality is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.clips import ReadClip, TrueClip, read
from xactor_jax.evaluation import actor, motion, video
from xactor_jax.labels import CONTROLS

DIM = 20


def make_clip(rng, person: str, clip: str, mixing, identity=None, frames: int = 60) -> ReadClip:
    """Controls that wander, seen through a linear map, with something of the person on top."""
    steps = rng.normal(size=(frames, len(CONTROLS)))
    controls = np.apply_along_axis(lambda c: np.convolve(c, np.ones(5) / 5, "same"), 0, steps).astype(np.float32)
    latents = controls @ mixing + (0 if identity is None else identity)
    return ReadClip(person=person, clip=clip, latents=latents.astype(np.float32), controls=controls)


@pytest.fixture
def mixing(rng):
    return rng.normal(size=(len(CONTROLS), DIM))


def people(rng, mixing, names, clips=3, leak=0.0):
    for name in names:
        identity = leak * rng.normal(size=DIM)
        yield from (make_clip(rng, name, str(i), mixing, identity) for i in range(clips))


def test_controls_that_are_there_are_read_and_missing_ones_are_not(rng, mixing):
    mixing[CONTROLS.index("smile")] = 0
    train, held, test = (list(people(rng, mixing, names)) for names in ("abcd", "ef", "gh"))
    scores = motion.control_scores(motion.control_probe(train, held), test)
    assert scores["r2"]["jaw"] > 0.99 and scores["r2"]["smile"] < 0.1
    assert scores["r2_face"] == pytest.approx(np.mean([scores["r2"][name] for name in motion.FACE]))
    assert scores["r2_pose"] > 0.99 and scores["r2_shift"] > 0.99


def test_identity_that_leaks_is_found_and_none_is_chance(rng, mixing):
    leaking = motion.identity_scores(list(people(rng, mixing, "abcdef", leak=3.0)))
    assert leaking["frames"] > 0.9 and leaking["clips"] == 1.0 and leaking["chance"] == pytest.approx(1 / 6)
    clean = motion.identity_scores(list(people(rng, mixing, "abcdef")))
    assert clean["frames"] < 0.35


def test_identity_needs_two_people_with_two_clips(rng, mixing):
    scores = motion.identity_scores([make_clip(rng, "a", "0", mixing), make_clip(rng, "b", "0", mixing)])
    assert np.isnan(scores["frames"])


def test_other_speakers_are_other_people():
    people = ["a", "a", "a", "b", "b", "c", "c"]
    others = actor.other_speakers(people)
    assert sorted(others) == list(range(7))
    assert all(people[i] != people[j] for i, j in enumerate(others))


def delayed(x: np.ndarray, frames: int) -> np.ndarray:
    return np.concatenate([np.repeat(x[:1], frames, axis=0), x])[: len(x)]


@pytest.mark.parametrize("lag", [0, 3])
def test_an_actor_that_follows_the_speech_late_is_detected(rng, mixing, lag):
    clips = list(people(rng, mixing, "abcd", clips=2))
    audio = np.stack([clip.controls for clip in clips])  # an "audio" that determines the motion
    generate = lambda features, reference: np.stack([delayed(f @ mixing, lag) * 0.5 for f in features])
    motions = actor.generate_motions(generate, clips, audio)
    scores = actor.actor_scores(motion.control_probe(clips, clips), None, clips, motions, motions.own[None], chunk=10)
    assert scores["jaw_best_lag"] == lag
    assert (scores["jaw_correlation"] > 0.95) == (lag <= 1)
    assert abs(scores["jaw_correlation_shuffled"]) < 0.5
    assert scores["jaw_correlation_true_motion"] > 0.99
    assert scores["std_ratio"] == pytest.approx(0.5, abs=0.05)
    assert scores["velocity_ratio"] == pytest.approx(0.5, abs=0.05)
    assert scores["diversity"] == 0.0 and scores["seeds"] == 2  # the other seed moves as the first does
    assert scores["emotion"] is None


def motions_of(clips, own, other) -> actor.Motions:
    return actor.Motions(np.stack([clip.latents for clip in clips]), own, other)


def test_audio_gain_is_the_ratio_of_the_mouths_errors(rng, mixing):
    clips = list(people(rng, mixing, "abcd", clips=2))
    probe, controls = motion.control_probe(clips, clips), np.stack([clip.controls for clip in clips])

    # Errors of known size, a third of a standard deviation in one motion and two of them in the other, seen only in the mouth.
    def wrong(size: float) -> np.ndarray:
        noise = np.zeros_like(controls)
        mouth = [CONTROLS.index(name) for name in ("jaw", "lip_width", "lip_round")]
        noise[..., mouth] = size * controls[..., mouth].std((0, 1)) * rng.choice([-1, 1], (*controls.shape[:2], 3))
        return ((controls + noise) @ mixing).astype(np.float32)

    gain = actor.audio_gain(probe, clips, motions_of(clips, wrong(1 / 3), wrong(2.0)))
    assert gain["error"] == pytest.approx(1 / 9, rel=0.01) and gain["error_other"] == pytest.approx(4.0, rel=0.01)
    assert gain["gain"] == pytest.approx(36.0, rel=0.02)
    assert gain["true_motion"] > 1000  # the probe reads true motion without error here
    same = wrong(1.0)
    assert actor.audio_gain(probe, clips, motions_of(clips, same, same))["gain"] == 1.0


def test_the_distance_of_a_shift_is_its_square(rng):
    true = rng.normal(size=(40, 100, 4))
    true -= true.mean((0, 1))
    distances = actor.distances(true, true + 0.5)
    assert distances["paired"] == pytest.approx(4 * 0.25)
    assert distances["across"] == pytest.approx(4 * 0.25, abs=0.1)
    assert distances["true_motion"] < 0.05


def test_the_reference_motion_is_the_clips_own_first_latent(rng, mixing):
    clips = list(people(rng, mixing, "ab", clips=1))
    seen = []
    generate = lambda features, reference: seen.append(reference) or np.stack([clip.latents for clip in clips])
    actor.generate_motions(generate, clips, np.zeros((2, 60, 3), np.float32))
    np.testing.assert_array_equal(seen[0], np.stack([clip.latents[0] for clip in clips]))


def moving_clips(rng, count: int) -> list[TrueClip]:
    frames = rng.integers(0, 256, (count, 6, 24, 24, 3), dtype=np.uint8)
    zeros = np.zeros((6, len(CONTROLS)), np.float32)
    rest = dict(person="a", waveform=np.zeros(0, np.float32), controls=zeros)
    return [TrueClip(clip=str(i), frames=f, **rest) for i, f in enumerate(frames)]


def test_a_perfect_renderer_and_one_that_never_moves(rng):
    clips = moving_clips(rng, 2)
    latents = [read(lambda frames: np.arange(len(frames), dtype=np.float32)[:, None], clip) for clip in clips]
    frames = np.stack([clip.frames for clip in clips])
    perfect = lambda images, reference, motion: frames[np.arange(2)[:, None], motion[..., 0].astype(int)]
    rendered = video.render_clips(perfect, clips, latents, np.zeros((2, 6, 1), np.float32))
    np.testing.assert_array_equal(rendered.from_true, frames)
    np.testing.assert_array_equal(rendered.from_generated, rendered.repeated)
    still = video.video_scores(rendered._replace(from_true=rendered.repeated))
    assert still["gain_db"] == 0 and still["gain_ssim"] == 0
    noisy = np.clip(frames.astype(int) + 5, 0, 255).astype(np.uint8)
    scores = video.video_scores(rendered._replace(from_true=noisy))
    assert scores["gain_db"] > 10 and scores["true_motion"]["ssim"] > 0.95
    # The first frame is the reference, which costs nothing to repeat: it must not count.
    assert np.isfinite(scores["reference_repeated"]["psnr"])
