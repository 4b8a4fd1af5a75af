"""The emotion probe on motion whose emotion is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.clips import ReadClip
from xactor_jax.evaluation import emotion
from xactor_jax.labels import UNKNOWN_EMOTION

DIM, FRAMES = 6, 200


def felt(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Latents whose mean tells the first three emotions, and whose standard deviation distinguishes only the last two."""
    means = np.array([[0, 0], [2, 0], [0, 2], [2, 2], [2, 2]])[labels]
    std = np.array([1.0, 1.0, 1.0, 0.3, 2.0])[labels]
    noise = rng.normal(size=(len(labels), DIM)) * std[:, None]
    return (np.pad(means, ((0, 0), (0, DIM - 2))) + noise).astype(np.float32)


def clip_of(rng: np.random.Generator, labels: np.ndarray, shown: np.ndarray, step: int = 1) -> ReadClip:
    """Motion of some emotions, labelled with others."""
    controls = np.zeros((len(labels[::step]), 14), np.float32)
    return ReadClip(person="a", clip="0", latents=felt(rng, shown)[::step], controls=controls, emotion=labels[::step])


def labels_of(rng: np.random.Generator) -> np.ndarray:
    return np.repeat(rng.integers(0, 5, 2), FRAMES // 2).astype(np.int32)


@pytest.fixture
def unseen(rng):
    labels = np.stack([labels_of(rng) for _ in range(40)])
    return np.stack([felt(rng, one) for one in labels]), labels


@pytest.mark.parametrize("step", [1, 5])
def test_visible_emotions_are_recognised(rng, unseen, step):
    train = [clip_of(rng, labels, labels, step) for labels in (labels_of(rng) for _ in range(80))]
    probe = emotion.fit_emotion(train, step)
    latents, labels = unseen
    assert probe.accuracy(latents, labels) > 0.95
    scores = emotion.emotion_scores(probe, latents, latents, latents[::-1], labels)
    assert scores["true_motion"] == scores["accuracy"] > 0.95 and scores["other_speech"] < 0.5 and 0.2 <= scores["chance"] < 0.4
    # Every half has windows at 0, 1 and 2 s; the one at 3 s spans two halves and counts where both have one emotion.
    assert scores["windows"] == sum(7 if one[0] == one[-1] else 6 for one in labels)


def test_labels_that_are_shuffled_are_chance(rng, unseen):
    train = [clip_of(rng, labels_of(rng), labels_of(rng)) for _ in range(80)]
    assert emotion.fit_emotion(train, 1).accuracy(*unseen) < 0.4


def test_windows_across_a_change_and_unknown_ones_are_left_out(rng):
    labels = np.r_[np.full(60, 1), np.full(60, 2), np.full(60, UNKNOWN_EMOTION)]
    latents = rng.normal(size=(180, DIM))
    features, classes = emotion.windows(latents, labels, length=50, hop=10)
    assert list(classes) == [1, 1, 2, 2]
    np.testing.assert_allclose(features[1], np.r_[latents[10:60].mean(0), latents[10:60].std(0)])


def test_chance_is_the_share_of_the_most_frequent_emotion(rng):
    one = np.zeros(FRAMES, np.int32)
    probe = emotion.fit_emotion([clip_of(rng, e, e) for e in (one, one + 1)], 1)
    assert probe.chance(np.stack([one, one + 3, one + 3])) == pytest.approx(2 / 3)


def test_without_labels_there_is_no_probe_and_without_windows_no_score(rng, unseen):
    known, one = labels_of(rng), np.zeros(FRAMES, np.int32)
    clip = clip_of(rng, known, known)
    unlabelled = ReadClip(person="a", clip="1", latents=clip.latents, controls=clip.controls)
    assert emotion.fit_emotion([clip, unlabelled], 1) is None
    assert emotion.fit_emotion([clip_of(rng, one, one)] * 2, 1) is None
    probe = emotion.fit_emotion([clip_of(rng, e, e) for e in (one, one + 1)], 1)
    latents, labels = unseen
    unknown = np.full_like(labels, UNKNOWN_EMOTION)
    assert emotion.emotion_scores(probe, latents, latents, latents, unknown) is None and np.isnan(probe.chance(unknown))
    assert np.isnan(probe.accuracy(np.full_like(latents, np.nan), labels))
