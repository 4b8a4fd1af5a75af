"""The actor as others use it: lengths, streaming, guidance, compilation."""

from __future__ import annotations

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

from configs.actor import get_config
from tests.actor.toy import AUDIO, CHUNK, CONTEXT, DIM, toy_actor, toy_config
from xactor_jax.actor import stream as actor_stream
from xactor_jax.actor.model import ActorModel, make_guide
from xactor_jax.actor.network import Conditions, Keep
from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.actor.task import ActorTask
from xactor_jax.emotion import Emotion, EmotionTrack, Segment, frames_of
from xactor_jax.errors import UserError

BATCH = 2
SETTINGS = {
    "autoregressive": RolloutSettings(steps=3, audio_guidance=1.7),
    "pyramid": RolloutSettings(steps=4, schedule="pyramid", offset=2, eta=0.5),
    "full_sequence": RolloutSettings(steps=3, schedule="full_sequence", chunks=2),
}


@cache
def inputs(frames: int = 26):
    rng = np.random.default_rng(1)
    audio = rng.standard_normal((BATCH, frames, AUDIO)).astype(np.float32)
    return audio, rng.standard_normal((BATCH, DIM)).astype(np.float32), rng.integers(-1, 5, (BATCH, frames)).astype(np.int32)


def rollout(frames: int, name: str = "autoregressive", **changes) -> np.ndarray:
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    arguments = {"audio_features": audio[:, :frames], "reference_motion": reference, "emotion": emotion[:, :frames]}
    settings = changes.pop("settings", SETTINGS[name])
    return np.asarray(model.rollout(variables, jax.random.key(5), **{**arguments, **changes}, settings=settings))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_stream_is_the_rollout_bit_for_bit(name: str) -> None:
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    for pieces in ([1] * 26, [5, 0, 7, 14], [25, 1]):
        split = np.split(audio, np.cumsum(pieces)[:-1], axis=1)
        given = list(model.stream(variables, jax.random.key(5), iter(split), reference, emotion, SETTINGS[name]))
        np.testing.assert_array_equal(np.concatenate(given, axis=1), rollout(26, name))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_length_is_exact_and_compiled_once(name: str) -> None:
    lengths = (1, 5, 11, 26)
    whole = {frames: rollout(frames, name) for frames in lengths}
    before = actor_stream._advance._cache_size()
    for frames in lengths:
        assert whole[frames].shape == (BATCH, frames, DIM) and np.isfinite(whole[frames]).all()
        assert np.ptp(whole[frames]) > 0.5
    rollout(8, name)
    assert actor_stream._advance._cache_size() == before
    # Chunks that the end does not reach are the same, however long the recording is.
    window = toy_actor()[0].window(SETTINGS[name])
    settled = max(0, (11 - 2) // window.stride * window.stride)
    np.testing.assert_array_equal(whole[11][:, :settled], whole[26][:, :settled])


@pytest.mark.parametrize("name", SETTINGS)
def test_a_track_takes_effect_at_its_times_under_any_schedule(name: str) -> None:
    track = EmotionTrack((Segment(label=2, intensity=0.7, start=0.12, end=0.4),))  # frames 3 to 9
    labels, intensities = (np.broadcast_to(x, (BATCH, 26)) for x in track.frames(0, 26))
    np.testing.assert_array_equal(rollout(26, name, emotion=track), rollout(26, name, emotion=Emotion(labels, intensities)))
    assert (rollout(26, name, emotion=track) != rollout(26, name, emotion=None)).any()


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "pyramid" else pytest.mark.slow) for n in SETTINGS])
def test_inside_jit_it_is_the_same_function(name: str) -> None:
    model, variables = toy_actor()
    audio, reference, emotion = (x[:, :11] if x.ndim > 1 and x.shape[1] > DIM else x for x in inputs())
    scanned = jax.jit(lambda v, k, a, r, e: model.rollout(v, k, a, r, e, SETTINGS[name]))
    got = scanned(variables, jax.random.key(5), audio, reference, emotion)
    np.testing.assert_allclose(got, rollout(11, name), atol=1e-4)


def test_other_numbers_compile_nothing_again_and_are_used() -> None:
    """Guidance, levels of history and the share of fresh noise: each changes the motion, none the program."""
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    play = lambda settings: model.rollout(variables, jax.random.key(5), audio, reference, emotion, settings)
    base = RolloutSettings(steps=4, schedule="pyramid", offset=2, eta=0.5, emotion_guidance=2.0, history_guidance=1.5)
    first, programs = play(base), actor_stream._advance._cache_size()
    for changes in (
        {"audio_guidance": 2.5},
        {"emotion_guidance": 0.5},
        {"history_guidance": 1.1},
        {"history_level": 0.045, "history_decay": 0.48},  # as many ages are read again
        {"eta": 0.9},
        {"temperature": 0.9},
    ):
        assert np.abs(play(dataclasses.replace(base, **changes)) - first).max() > 1e-4, changes
    assert actor_stream._advance._cache_size() == programs


def test_many_devices_sample_at_once() -> None:
    model, variables = toy_actor()
    audio, reference, _ = inputs()
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(5), i))(jnp.arange(BATCH))
    run = lambda v, k, a, r: model.rollout(v, k[None], a[None], r[None], settings=SETTINGS["autoregressive"])[0]
    got = jax.pmap(run, in_axes=(None, 0, 0, 0))(variables, keys, audio[:, :5], reference)
    np.testing.assert_allclose(got, rollout(5, emotion=None), atol=1e-4)


def test_frames_come_as_soon_as_their_audio_and_two_frames_more() -> None:
    model, variables = toy_actor()
    audio, reference, _ = inputs()
    taken = []

    def frame_by_frame():
        for i in range(26):
            taken.append(i + 1)
            yield audio[:, i : i + 1]

    arrivals = []
    for piece in model.stream(variables, jax.random.key(5), frame_by_frame(), reference, settings=SETTINGS["autoregressive"]):
        arrivals += [len(taken)] * piece.shape[1]
    want = [min(26, frame // CHUNK * CHUNK + CHUNK + 2) for frame in range(26)]
    assert arrivals == want


@pytest.mark.parametrize("name", SETTINGS)
def test_the_first_frame_comes_with_the_audio_that_is_needed(name: str) -> None:
    model, variables = toy_actor()
    audio, reference, _ = inputs()
    stream = model.open_stream(variables, jax.random.key(5), reference, settings=SETTINGS[name])
    needed = model.window(SETTINGS[name]).needed
    assert not list(stream.push(audio[:, : needed - 1]))
    assert list(stream.push(audio[:, needed - 1 : needed]))


def test_what_comes_later_does_not_change_what_was_given() -> None:
    audio = np.array(inputs()[0])
    audio[:, 11:] += 1.0
    np.testing.assert_array_equal(rollout(26)[:, :9], rollout(26, audio_features=audio)[:, :9])
    assert (rollout(26)[:, 9:12] != rollout(26, audio_features=audio)[:, 9:12]).any()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_state_of_a_stream_does_not_grow(name: str) -> None:
    model, variables = toy_actor()
    audio, reference, _ = inputs(200)
    stream, sizes = model.open_stream(variables, jax.random.key(5), reference, settings=SETTINGS[name]), []
    for i in range(0, 200, 10):
        list(stream.push(audio[:, i : i + 10]))
        sizes.append(len(stream.to_bytes()))
    assert max(sizes[1:]) - min(sizes[1:]) < 1000 and stream.state.rollout.memory.past.key.shape[-3] == CONTEXT


@pytest.mark.parametrize("name", SETTINGS)
def test_a_stream_stopped_anywhere_goes_on_bit_for_bit(name: str) -> None:
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    fresh = lambda: model.open_stream(variables, jax.random.key(5), reference, emotion, SETTINGS[name])
    for stop in (0, 1, 7, 13, 26):
        before, after = fresh(), fresh()
        given = list(before.push(audio[:, :stop]))
        after.restore(before.to_bytes())
        given += [*after.push(audio[:, stop:]), *after.finish()]
        np.testing.assert_array_equal(np.concatenate(given, axis=1), rollout(26, name))


def test_a_state_of_another_stream_is_refused() -> None:
    model, variables = toy_actor()
    reference = inputs()[1]
    streams = [
        model.open_stream(variables, jax.random.key(5), r, settings=s)
        for r, s in (
            (reference, SETTINGS["pyramid"]),
            (reference, SETTINGS["autoregressive"]),
            (reference[:1], SETTINGS["pyramid"]),
        )
    ]
    for other in streams[1:]:
        with pytest.raises(UserError, match="settings"):
            streams[0].restore(other.to_bytes())
    with pytest.raises(UserError, match="start a new stream"):
        streams[0].restore(b"something else")


def test_a_damaged_state_is_refused_and_one_of_an_older_version_is_not() -> None:
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    fresh = lambda: model.open_stream(variables, jax.random.key(5), reference, emotion, SETTINGS["autoregressive"])
    stream = fresh()
    list(stream.push(audio[:, :13]))
    state, rng = stream.to_bytes(), np.random.default_rng(0)
    for place in [3, *rng.integers(len(state), size=20)]:
        damaged = bytearray(state)
        damaged[place] ^= 64
        with pytest.raises(UserError, match="or it is damaged"):
            fresh().restore(bytes(damaged))
    old = serialization.to_bytes(jax.device_get(stream.state))
    fresh().restore(old)
    broken = jax.tree.map(np.array, stream.state)
    broken.rollout.frames.latents[0, 0, 0] = np.nan
    with pytest.raises(UserError, match="damaged, for it has numbers that are not finite"):
        fresh().restore(serialization.to_bytes(broken))


def test_a_stream_stops_at_the_first_latent_that_is_not_finite() -> None:
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    audio = np.array(audio)
    audio[1, 17] = np.nan
    stream = model.open_stream(variables, jax.random.key(5), reference, emotion, SETTINGS["autoregressive"])
    pieces = []
    with pytest.raises(UserError, match=r"the motion of frame 1\d is not finite: lower the guidance, or use other checkpoints"):
        for latents in stream.push(audio):
            pieces.append(latents)
    given = np.concatenate(pieces, axis=1)
    np.testing.assert_array_equal(given, rollout(26)[:, : given.shape[1]])


def test_seeds_emotions_references_and_audio_all_matter() -> None:
    base = rollout(6)
    assert np.abs(base[0] - base[1]).mean() > 0.1
    for changes in (
        {"emotion": np.array([1, 2], np.int32)},
        {"emotion": Emotion(inputs()[2][:, :6], np.full((BATCH, 6), 0.4, np.float32))},
        {"reference_motion": inputs()[1] + 1},
        {"audio_features": inputs()[0][:, :6] + 1},
        {"settings": RolloutSettings(steps=3, audio_guidance=1.0)},
    ):
        assert np.abs(rollout(6, **changes) - base).max() > 1e-3, changes
    np.testing.assert_array_equal(rollout(6, emotion=None), rollout(6, emotion=np.array([-1, -1], np.int32)))


GUIDANCE = {
    "none": ({"audio_guidance": 1.0}, {(1, 1, None): 1.0}),
    "separate": (
        {"audio_guidance": 1.8, "emotion_guidance": 0.5},
        {(1, 1, None): 1.3, (0, 1, None): -0.8, (1, 0, None): 0.5},
    ),
    "nested": (
        {"audio_guidance": 1.8, "emotion_guidance": 3.0, "nested_guidance": True},
        {(1, 1, None): 3.0, (1, 0, None): -1.2, (0, 0, None): -0.8},
    ),
    "history": ({"audio_guidance": 1.0, "history_guidance": 1.5}, {(1, 1, None): 1.5, (1, 1, 1.0): -0.5}),
    "fractional history": (
        {"audio_guidance": 1.0, "history_guidance": 1.5, "history_fraction": 0.4},
        {(1, 1, None): 1.0, (1, 1, 0.4): 0.5, (1, 1, 1.0): -0.5},
    ),
    "no reference": ({"audio_guidance": 1.8, "use_reference": False}, {(1, 1, None): 1.8, (0, 1, None): -0.8}),
}


@jax.jit
def third_chunk(finished, noise, keep, level):
    """Prediction of the training network, of a chunk of noise after two that are finished and shown at a level."""
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    wide = np.concatenate([audio[:, :1], audio[:, :1], audio], axis=1)[:, : 3 * CHUNK + 4]
    conditions = Conditions(jnp.asarray(wide), jnp.asarray(reference), frames_of(emotion, BATCH, 0, 3 * CHUNK))
    t = jnp.broadcast_to(jnp.where(jnp.arange(3 * CHUNK) < 2 * CHUNK, level, 1.0), (BATCH, 3 * CHUNK))
    x = model.process.add_noise(jnp.pad(finished, [(0, 0), (0, CHUNK), (0, 0)]), noise, t)
    flags, valid = (jnp.full((BATCH,), flag, bool) for flag in keep), jnp.ones(t.shape, bool)
    answer = model.network.apply({"params": variables.params}, x, t, conditions, Keep(*flags), valid)
    return answer.prediction[:, 2 * CHUNK :]


@pytest.mark.parametrize("name", GUIDANCE)
def test_guidance_is_its_formula_over_separate_readings(name: str) -> None:
    """The third call of a stream; each branch reads history and the chunk by the training network, by itself."""
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    changes, weights = GUIDANCE[name]
    settings = RolloutSettings(steps=1, history="constant", history_level=0.1, **changes)
    stream = model.open_stream(variables, jax.random.key(5), reference, emotion, settings)
    finished = np.concatenate(list(stream.push(audio[:, : 2 * CHUNK + 2])), axis=1)
    assert finished.shape[1] == 2 * CHUNK
    window, guide = stream.window, stream.guide
    got = np.concatenate(list(stream.push(audio[:, 2 * CHUNK + 2 : 3 * CHUNK + 2])), axis=1)

    noise = jnp.concatenate([window.noise(guide.keys, jnp.arange(2), 1), window.noise(guide.keys, jnp.array([2]), 0)], axis=1)
    read = lambda b: third_chunk(finished, noise, (b[0], settings.use_reference, b[1]), 0.1 if b[2] is None else b[2])
    predictions = {b: read(b) for b in weights}
    want = sum(weight * predictions[branch] for branch, weight in weights.items())
    np.testing.assert_allclose(got, want, atol=1e-4)  # the toy predicts x0, and its single step ends there
    assert len(weights) == 1 or np.abs(want - predictions[(1, 1, None)]).max() > 1e-3


def test_without_a_reference_none_makes_a_difference() -> None:
    model, variables = toy_actor()
    audio, reference, emotion = inputs()
    for shown in (True, False):
        settings = dataclasses.replace(SETTINGS["pyramid"], use_reference=shown)
        one, other = (model.rollout(variables, jax.random.key(5), audio, r, emotion, settings) for r in (reference, -reference))
        assert np.array_equal(one, other) != shown


def test_a_shorter_context_is_that_of_a_network_made_for_it() -> None:
    _, variables = toy_actor()
    audio, reference, emotion = inputs()
    config = toy_config()
    config.network.context = CHUNK
    short = ActorModel.from_config(config).rollout(variables, jax.random.key(5), audio, reference, emotion, SETTINGS["pyramid"])
    given = rollout(26, settings=dataclasses.replace(SETTINGS["pyramid"], context=CHUNK))
    np.testing.assert_array_equal(given, short)
    assert not np.allclose(given, rollout(26, "pyramid"))
    np.testing.assert_array_equal(
        rollout(26, settings=dataclasses.replace(SETTINGS["pyramid"], context=CONTEXT)), rollout(26, "pyramid")
    )


def test_misfits_are_refused() -> None:
    model, variables = toy_actor()
    audio, reference, _ = inputs()
    with pytest.raises(UserError, match="trained on 5"):
        model.rollout(variables, jax.random.key(0), audio[..., :3], reference)
    with pytest.raises(UserError, match="no audio"):
        model.rollout(variables, jax.random.key(0), audio[:, :0], reference)
    for context in (CONTEXT + CHUNK, CHUNK + 1, -CHUNK):
        with pytest.raises(UserError, match=r"multiple of 3 up to 6|rollout.context=-3 is not possible"):
            rollout(8, settings=RolloutSettings(context=context))
    for wrong in ({"context": 7}, {"width": 18}):
        config = toy_config()
        config.network.update(wrong)
        with pytest.raises(UserError):
            ActorModel.from_config(config)


def test_presets_have_their_sizes() -> None:
    sizes = {}
    for preset in ("puppets", "base"):
        task = ActorTask.from_config(get_config(preset))
        sizes[preset] = sum(x.size for x in jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0)).params))
    assert sizes["puppets"] <= 1.4e6 and 100e6 <= sizes["base"] <= 150e6
