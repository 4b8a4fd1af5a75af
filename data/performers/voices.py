"""Where the speech of a performer comes from: synthesised by formants, or recorded sentences in a voice of the person's own."""

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
"""Says something in a mood, for as many frames as the mood has."""


def check_voice(kind: str) -> VoiceKind:
    """The kind, if there is such a one.

    Raises:
        UserError: there is none.
    """
    if kind not in VOICE_KINDS:
        raise UserError(f"there is no voice {kind!r}: choose one of {', '.join(VOICE_KINDS)}.")
    return kind  # type: ignore[return-value]


def cast_voice(seed: int, person: int, kind: VoiceKind, split: str, man: bool | None = None) -> Speaker:
    """The voice of a person, for clips of a split. Recorded voices go with the sex of the person's face, if it has any."""
    if kind == "formant":
        return functools.partial(synthesise, make_voice(seed, person))
    from data.performers.recordings import bases_of, make_recorded_voice, speak

    return functools.partial(speak, make_recorded_voice(seed, person, bases_of(split), man))
