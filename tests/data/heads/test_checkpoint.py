"""The stage 1 of heads that comes with the project draws people whom it has never seen."""

from __future__ import annotations

import numpy as np

from data.embedded import embedded_checkpoint
from data.heads import body
from data.performers.bodies import perform
from xactor_jax.evaluation.clips import TrueClip
from xactor_jax.evaluation.decoder import decode_clips, decoder_scores, frame_decoder
from xactor_jax.sampling.load import load_stage
from xactor_jax.sampling.pictures import frame_encoder

SEED = 2_000


def clip(person: int, side: int) -> TrueClip:
    """Eight frames, a third of a second apart."""
    acting = perform(body, SEED, person, 0, 64, split="test").acting
    figure = body.make_figure(SEED, person, 0, acting)
    frames = np.concatenate([figure.render(acting[t : t + 1], side, t) for t in range(0, 64, 8)])
    return TrueClip(
        person=str(person), clip="0", frames=frames, waveform=np.zeros(0, np.float32), controls=acting.controls[::8]
    )


def test_the_embedded_decoder_beats_the_reference_repeated():
    stage = load_stage("motion", embedded_checkpoint("motion"))
    clips = [clip(person, stage.model.image_size) for person in range(4)]
    encode, decode = (make(stage.model, stage.variables, batch_size=8) for make in (frame_encoder, frame_decoder))
    scores = decoder_scores(decode_clips(decode, encode, clips))
    assert scores["gain_db"] > 2.0 and scores["better"] > 0.8, scores
    assert 0.8 < scores["true_motion"]["background"] < 1.3
