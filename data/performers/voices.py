"""Kinds of voices: formant synthesis, or recorded sentences that are changed into the person's own voice."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from data.performers.emotion import Mood
from data.performers.mouth import Speech
from data.performers.speech import synthesise
from data.performers.voice import make_voice
from xactor_jax.errors import UserError

VoiceKind = Literal["formant", "recorded"]
VOICE_KINDS: tuple[str, ...] = get_args(VoiceKind)

Speaker = Callable[[Mood, np.random.Generator], Speech]
"""Makes speech in a mood, for as many frames as the mood has."""


def check_voice(kind: str) -> VoiceKind:
    """Returns a valid kind.

    Raises:
        UserError: there is no such kind.
    """
    if kind not in VOICE_KINDS:
        raise UserError(f"there is no voice {kind!r}: choose one of {', '.join(VOICE_KINDS)}.")
    return kind  # type: ignore[return-value]


def cast_voice(seed: int, person: int, kind: VoiceKind, split: str, man: bool | None = None) -> Speaker:
    """The speaker of a person, for clips of a split. A recorded voice fits the sex of the person's face, if it has any."""
    if kind == "formant":
        return functools.partial(synthesise, make_voice(seed, person))
    from data.performers.recordings import bases_of, make_recorded_voice, speak

    return functools.partial(speak, make_recorded_voice(seed, person, bases_of(split), man))
