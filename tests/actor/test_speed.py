"""What the benchmark counts and runs."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.actor.toy import CHUNK, CONTEXT, toy_actor
from xactor_jax.actor import speed
from xactor_jax.actor.settings import RolloutSettings, parse_changes
from xactor_jax.errors import UserError

SETTINGS = RolloutSettings(steps=3, history="none")


def test_a_call_with_a_cache_reads_a_chunk_once_and_without_it_the_context_at_every_step() -> None:
    model, variables = toy_actor()
    calls = speed.calls(model, variables, SETTINGS, 2)
    window = model.window(SETTINGS)
    guide = speed.make_guide(variables, jax.random.key(0), np.zeros((2, model.network.latent_dim), np.float32))
    count = lambda frames: speed.flops(window, guide, frames, model.audio_dim)
    assert calls["cache"].flops == count(CHUNK) + 3 * count(CHUNK) and calls["cache"].network_calls == 4
    assert calls["no_cache"].flops == 3 * count(CONTEXT + CHUNK) and calls["no_cache"].network_calls == 3
    assert count(2 * CHUNK) > 1.8 * count(CHUNK)
    for call in calls.values():
        assert call.frames == CHUNK and all(np.isfinite(x).all() for x in jax.tree.leaves(call.run()))


def test_settings_are_read_from_words() -> None:
    assert parse_changes(["steps=3", "nested_guidance=true", "history=none", "eta=0.5"]) == {
        "steps": 3,
        "nested_guidance": True,
        "history": "none",
        "eta": 0.5,
    }
    for wrong in ("pace=3", "steps=three", "nested_guidance=maybe", "steps"):
        with pytest.raises(UserError, match=wrong.split("=")[0]):
            parse_changes([wrong])
