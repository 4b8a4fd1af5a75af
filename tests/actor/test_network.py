"""What may influence what in the actor's network, found by changing inputs."""

from __future__ import annotations

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.actor.toy import AUDIO, CHUNK, CONTEXT, DIM, random_variables, toy_actor, toy_config
from xactor_jax.actor.blocks import AudioSummary
from xactor_jax.actor.network import Conditions, Keep
from xactor_jax.actor.objective import keep_all, surrounded_audio
from xactor_jax.actor.task import ActorTask
from xactor_jax.emotion import Emotion, frames_of

FRAMES = 12


@cache
def parts():
    model, variables = toy_actor(depth=2)
    rng = np.random.default_rng(1)
    normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    inputs = {
        "x": normal(1, FRAMES, DIM),
        "t": np.repeat(rng.random((1, FRAMES // CHUNK), np.float32), CHUNK, axis=1),
        "audio": normal(1, FRAMES + 4, AUDIO),
        "reference": normal(1, DIM),
        "emotion": np.ones((1, FRAMES), np.int32),
        "intensity": np.full((1, FRAMES), 0.5, np.float32),
        "valid": np.ones((1, FRAMES), bool),
    }
    program = jax.jit(lambda variables, i, keep: apply(model.network, variables, i, keep))
    return partial(program, variables), jax.device_put(inputs)


def apply(network, variables, i, keep):
    conditions = Conditions(i["audio"], i["reference"], Emotion(i["emotion"], i["intensity"]))
    return network.apply({"params": variables.params}, i["x"], i["t"], conditions, keep, i["valid"]).prediction


def changed_frames(name: str, where, value=None, keep: Keep | None = None, base: dict | None = None) -> list[int]:
    """Frames whose prediction is different after one input is changed at one place."""
    predict, inputs = parts()
    inputs, keep = {**inputs, **(base or {})}, keep or keep_all(1)
    new = np.array(inputs[name])
    new[where] = new[where] + 1 if value is None else value
    difference = np.asarray(predict(inputs, keep)) != np.asarray(predict({**inputs, name: new}, keep))
    return np.flatnonzero(np.asarray(difference).any(-1)[0]).tolist()


def test_a_later_chunk_never_changes_an_earlier_one() -> None:
    for chunk in range(4):
        place = (0, chunk * CHUNK + 1)
        for name in ("x", "t", "emotion", "intensity"):
            assert changed_frames(name, place) == list(range(chunk * CHUNK, FRAMES)), name


def test_one_layer_looks_back_its_context_and_no_further() -> None:
    model, variables = toy_actor()
    _, inputs = parts()
    predict = jax.jit(lambda x: apply(model.network, variables, {**inputs, "x": x}, keep_all(1)))
    moved = np.array(inputs["x"])
    moved[0, 1] += 1.0
    difference = np.asarray(predict(inputs["x"])) != np.asarray(predict(moved))
    assert np.flatnonzero(np.asarray(difference).any(-1)[0]).tolist() == list(range(9))


def test_audio_reaches_two_frames_to_either_side() -> None:
    """Feature n is of frame n - 2; from the chunks in its window it travels onward only with the tokens."""
    for n in range(FRAMES + 4):
        first, last = max(n - 4, 0) // CHUNK, min(n, FRAMES - 1) // CHUNK
        onward = min(last + 1 + CONTEXT // CHUNK, FRAMES // CHUNK)  # the second layer's self-attention
        assert changed_frames("audio", (0, n)) == list(range(first * CHUNK, onward * CHUNK)), n


def test_audio_memory_reaches_so_far_back_and_not_before_the_beginning() -> None:
    """A single chunk of one layer without past, going on at frame 9: what reaches it beyond its window is the summary."""
    config = toy_config()
    config.network.update(audio_memory=7, context=0)
    task = ActorTask.from_config(config)
    network, variables = task.model.network, random_variables(task)
    remembered = jax.jit(partial(network.apply, method="remembered"))
    memory = remembered({"params": variables.params}, jnp.zeros((1, DIM)), jnp.ones(1, bool))
    audio = np.random.default_rng(1).normal(size=(1, 7 + CHUNK + 2, AUDIO)).astype(np.float32)

    @jax.jit
    def said(audio, start):
        conditions = Conditions(audio, jnp.zeros((1, DIM)), frames_of(None, 1, 0, CHUNK))
        arguments = jnp.zeros((1, CHUNK, DIM)), jnp.full((1, CHUNK), 0.5), conditions, keep_all(1), start, memory
        return network.apply({"params": variables.params}, *arguments, method="continued")[0]

    def reaching(start: int) -> list[int]:
        """Frames of audio that reach the first frame, itself 0; the chunk's frames see each other, so all is changed by all."""
        one = np.eye(audio.shape[1], dtype=np.float32)[:, None, :, None]
        outputs = [np.asarray(said(audio + changed, start)) for changed in (0 * one[0], *one)]
        return [j - 7 for j in range(audio.shape[1]) if (outputs[0] != outputs[1 + j]).any()]

    assert reaching(9) == list(range(-7, CHUNK + 2))
    assert reaching(3) == list(range(-3, CHUNK + 2))
    assert reaching(0) == list(range(-2, CHUNK + 2))  # the two of the windowed attention


def test_summary_is_mean_and_standard_deviation_weighted_by_the_scores_of_what_counts() -> None:
    """(7) in float64; for the first token only the second frame counts, whose standard deviation is 0."""
    summary, rng = AudioSummary(emotions=3), np.random.default_rng(0)
    audio, counted = rng.standard_normal((2, 3, 4)), np.array([[0, 1, 0], [1, 1, 1]], bool)
    names = {"score": (4, 1), "inner": (8, 4), "outer": (4, 4), "emotion": (4, 3)}
    params = {n: {"kernel": rng.standard_normal(s), "bias": rng.standard_normal(s[1])} for n, s in names.items()}
    found = jax.jit(summary.apply)({"params": params}, jnp.asarray(audio, jnp.float32), jnp.asarray(counted))
    w = np.exp(audio @ params["score"]["kernel"])[:, None, :, 0] * counted
    w /= w.sum(-1, keepdims=True)
    mean = np.einsum("bqj,bjc->bqc", w, audio)
    variance = np.einsum("bqj,bqjc->bqc", w, (audio[:, None] - mean[:, :, None]) ** 2)
    m = np.concatenate([mean, np.sqrt(variance + 1e-6)], axis=-1)
    m = (m - m.mean(-1, keepdims=True)) / np.sqrt(m.var(-1, keepdims=True) + 1e-6)
    h = m @ params["inner"]["kernel"] + params["inner"]["bias"]
    h = h / (1 + np.exp(-h))
    for name, values in (("outer", found.embedding), ("emotion", found.logits)):
        np.testing.assert_allclose(values, h @ params[name]["kernel"] + params[name]["bias"], atol=1e-3)


def test_the_emotion_of_a_voice_replaces_an_unknown_one_and_is_hidden_with_it() -> None:
    """Only the guess of (8) is changed. A given label, and a hidden one, leave no room for a guess."""
    config = toy_config()
    config.network.audio_memory = 6
    task = ActorTask.from_config(config)
    params = random_variables(task).params
    guess = {**params["summary"]["emotion"], "bias": params["summary"]["emotion"]["bias"].at[2].add(3.0)}
    other = {**params, "summary": {**params["summary"], "emotion": guess}}
    _, i = parts()

    @jax.jit
    def said(params, label, keep):
        conditions = Conditions(i["audio"], i["reference"], Emotion(label, jnp.ones(label.shape)))
        return task.model.network.apply({"params": params}, i["x"], i["t"], conditions, keep, i["valid"]).prediction

    unknown, shown = jnp.full((1, FRAMES), -1), keep_all(1)
    hidden = shown._replace(emotion=jnp.zeros(1, bool))
    moved = lambda label, keep: bool((np.asarray(said(params, label, keep)) != said(other, label, keep)).any())
    assert moved(unknown, shown)
    assert not moved(unknown + 2, shown) and not moved(unknown, hidden) and not moved(unknown + 2, hidden)


def test_padding_has_no_influence_on_real_frames() -> None:
    short = {"valid": jnp.arange(FRAMES)[None] < 7}
    for name in ("x", "t", "emotion", "intensity"):
        assert set(changed_frames(name, (0, 8), base=short)) <= {7, 8, 9, 10, 11}
    assert set(range(6, FRAMES)) <= set(changed_frames("x", (0, 8)))


@pytest.mark.parametrize("name", ["audio", "reference", "emotion"])
def test_a_condition_that_is_dropped_has_no_influence(name: str) -> None:
    everything = list(range(FRAMES))
    dropped = keep_all(1)._replace(**{name: jnp.array([False])})
    assert changed_frames(name, ..., keep=dropped) == []
    assert changed_frames(name, ...) == everything
    predict, inputs = parts()
    assert (predict(inputs, dropped) != predict(inputs, keep_all(1))).any(-1).all()


def test_an_unknown_emotion_is_a_dropped_one() -> None:
    predict, inputs = parts()
    unknown = predict({**inputs, "emotion": jnp.full((1, FRAMES), -1)}, keep_all(1))
    assert changed_frames("intensity", ..., base={"emotion": jnp.full((1, FRAMES), -1)}) == []
    np.testing.assert_array_equal(unknown, predict(inputs, keep_all(1)._replace(emotion=jnp.array([False]))))


def test_a_fresh_network_predicts_nothing_yet_and_half_precision_is_close() -> None:
    model, variables = toy_actor(depth=2)
    _, inputs = parts()
    fresh = jax.tree.map(np.zeros_like, variables.params["prediction"])
    zero = variables._replace(params={**variables.params, "prediction": fresh})
    predict, _ = parts()
    assert not predict.func(zero, inputs, keep_all(1)).any()
    network = dataclasses.replace(model.network, dtype=jnp.bfloat16)
    half, full = jax.jit(lambda v: apply(network, v, inputs, keep_all(1)))(variables), predict(inputs, keep_all(1))
    assert half.dtype == jnp.float32
    assert 0 < np.abs(half - full).mean() < 0.05 * np.abs(full).mean()


def test_audio_is_continued_past_both_ends_of_real_frames() -> None:
    features = jnp.arange(1.0, 11.0).reshape(2, 5, 1)
    mask = jnp.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], jnp.float32)
    wide = surrounded_audio(features, mask, 2)[..., 0]
    np.testing.assert_array_equal(wide, [[1, 1, 1, 2, 3, 4, 5, 5, 5], [6, 6, 6, 7, 8, 8, 8, 8, 8]])
