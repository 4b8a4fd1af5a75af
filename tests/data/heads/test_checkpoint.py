"""Stage 1 and renderer that come with the project draw people whom they have never seen."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.heads import body
from data.performers.bodies import perform
from xactor_jax.checkpoints.embedded import embedded_checkpoint
from xactor_jax.clips import TrueClip
from xactor_jax.evaluation.decoder import decode_clips, decoder_scores, frame_decoder
from xactor_jax.evaluation.video import Rendered, video_scores
from xactor_jax.motion.pictures import frame_encoder
from xactor_jax.pictures import to_float
from xactor_jax.sampling.load import Models, check_fit, load_stage
from xactor_jax.video.rendering import draw_batch

SEED = 2_000


def clip(person: int, side: int) -> TrueClip:
    """Eight frames, a third of a second apart."""
    acting = perform(body, SEED, person, 0, 64, split="test").acting
    figure = body.make_figure(SEED, person, 0, acting)
    frames = np.concatenate([figure.render(acting[t : t + 1], side, t) for t in range(0, 64, 8)])
    return TrueClip(
        person=str(person), clip="0", frames=frames, waveform=np.zeros(0, np.float32), controls=acting.controls[::8]
    )


@pytest.fixture(scope="module")
def stage():
    return load_stage("motion", embedded_checkpoint("motion"))


@pytest.fixture(scope="module")
def encode(stage):
    return frame_encoder(stage.model, stage.variables, batch_size=8)


@pytest.mark.parametrize("people", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_embedded_decoder_beats_the_reference_repeated(stage, encode, people):
    clips = [clip(person, stage.model.image_size) for person in range(people)]
    decode = frame_decoder(stage.model, stage.variables, batch_size=8)
    scores = decoder_scores(decode_clips(decode, encode, clips), clips)
    assert scores["gain_db"] > 2.0 and scores["better"] > 0.8, scores
    assert 0.8 < scores["true_motion"]["background"] < 2.5  # of so few clips, some of them dark and smooth; 1.5 of 40


@pytest.mark.slow  # quick: test_the_embedded_decoder_beats_the_reference_repeated
def test_the_embedded_renderer_beats_it_too(stage, encode):
    """By as much as its drafts, which it corrects."""
    clips = [clip(person, stage.model.image_size) for person in range(4)]
    video = load_stage("video", embedded_checkpoint("video"))
    check_fit(Models(stage, video=video))
    motion = np.stack([encode(one.frames) for one in clips])
    pictures = jnp.asarray(to_float(np.stack([one.frames[0] for one in clips])))
    render = jax.jit(lambda variables, *inputs: draw_batch(video.model, variables, *inputs).frames)
    frames = np.asarray(render(video.variables, jax.random.split(jax.random.key(0), 4), pictures, motion[:, 0], motion))
    true = np.stack([one.frames for one in clips])
    scores = video_scores(Rendered(true, frames, frames))
    assert scores["gain_db"] > 2.0, scores
