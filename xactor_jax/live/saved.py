"""A session as bytes, which another process with the same checkpoints and settings continues bit for bit.

The bytes hold what is not a function of the rest: the two crops of the portrait, the choices, the states of sound, motion and
pictures, sound that waits to be used, and pictures that wait to be sent. They may come from anyone, so every size and number is
checked against the others before any of it is used (`check_session`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import serialization
from jaxtyping import Int16

from xactor_jax.audio.sound import Sound
from xactor_jax.errors import UserError
from xactor_jax.live.limits import Choices
from xactor_jax.live.pictures import parsed
from xactor_jax.live.programs import Programs
from xactor_jax.live.session import Session
from xactor_jax.sampling.portrait import Portrait
from xactor_jax.sealing import opened, sealed
from xactor_jax.timing import SAMPLES_PER_FRAME, num_frames

MARK = b"xactor_jax session\n"


class Saved(NamedTuple):
    """A session, and what waits before and after it."""

    session: Session
    pending: Int16[np.ndarray, "_"]
    over: bool
    """Whether no more sound comes after `pending`."""
    unsent: list[bytes]


def to_bytes(saved: Saved) -> bytes:
    """The session as bytes. Their number does not grow with its length."""
    session = saved.session
    tree = {
        "made_with": _identity(session.programs),
        "choices": dataclasses.asdict(session.choices),
        "portrait": session.portrait._asdict(),
        "sound": session.sound._asdict(),
        "stream": session.stream.to_bytes(),
        "motion": session.motion,
        "known": np.asarray(jax.device_get(session.known)),
        "segments": session.segments,
        "sound_ended": session.over,
        "over": saved.over,
        "pending": saved.pending,
        "unsent": {str(i): message for i, message in enumerate(saved.unsent)},
    }
    return sealed(MARK, serialization.msgpack_serialize(tree))


def from_bytes(programs: Programs, data: bytes) -> Saved:
    """The session of `to_bytes`.

    Raises:
        UserError: it is damaged, impossible, or from a process with other checkpoints or settings.
    """
    try:
        tree = serialization.msgpack_restore(opened(MARK, data))
        made_with = tree["made_with"]
    except Exception:  # damaged bytes can cause any error in the deserialiser
        raise UserError("the state is not that of a session, or it is damaged: start a new session.") from None
    if made_with != _identity(programs):
        raise UserError("the state is from a server with other checkpoints or settings: use the same ones.")
    try:
        return _restored(programs, tree)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"the state of the session is damaged ({error}): start a new session.") from None


def _identity(programs: Programs) -> str:
    return json.dumps(programs.identity, sort_keys=True)


def _restored(programs: Programs, tree: Mapping[str, Any]) -> Saved:
    motion_side, video_side = programs.models.sides
    picture = lambda name, side: array(tree["portrait"], name, np.uint8, (side, side, 3))
    portrait = Portrait(picture("for_motion", motion_side), picture("for_video", video_side))
    session = Session(programs, Choices(**tree["choices"]), portrait)
    session.stream.restore(tree["stream"])
    # On the device, as what programs return: the same compiled programs take it.
    session.stream.state = session.stream.state._replace(rollout=jax.device_put(session.stream.state.rollout))
    sound = tree["sound"]
    waiting = array(sound, "waiting", np.float32, (None,))
    session.sound = Sound(waiting, number(sound, "samples"), number(sound, "frames"))
    session.motion = array(tree, "motion", np.float32, (None, session.motion.shape[1]))
    session.known = jax.device_put(array(tree, "known", np.float32, session.known.shape))
    session.segments, session.over = number(tree, "segments"), bool(tree["sound_ended"])
    session.frames = session.segments * programs.plan.new
    check_session(session)
    unsent = [message for _, message in sorted(tree["unsent"].items(), key=lambda item: int(item[0]))]
    for message in unsent:
        parsed(message)
    return Saved(session, array(tree, "pending", np.int16, (None,)), bool(tree["over"]), unsent)


def array(tree: Mapping[str, Any], name: str, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of a type, a shape (None: any size) and finite numbers. Raises ValueError if it is not."""
    x = tree[name]
    fits = isinstance(x, np.ndarray) and x.dtype == dtype and len(x.shape) == len(shape)
    if not (fits and all(want in (None, got) for want, got in zip(shape, x.shape, strict=True)) and np.isfinite(x).all()):
        raise ValueError(f"{name} has another form")
    return x


def number(tree: Mapping[str, Any], name: str) -> int:
    """A whole number that 32 bits hold. Raises ValueError if it is not."""
    if type(tree[name]) is not int or not 0 <= tree[name] < 2**31:
        raise ValueError(f"{name} is out of range")
    return tree[name]


def check_session(session: Session) -> None:
    """Raises ValueError unless sound, features, motion and pictures of a session account for one another."""
    programs, sound, (buffer, calls, _) = session.programs, session.sound, session.stream.state
    stride, radius, plan = programs.window.stride, programs.window.network.audio_radius, programs.plan
    complete = num_frames(sound.samples) if session.over and sound.samples else sound.frames
    width, taken = session.stream.audio_dim, int(calls) * stride + (radius if calls else 0)
    made = min(max(0, session.stream.given), complete)
    rendered = session.frames + max(0, len(session.motion) - plan.known)
    before = len(programs.audio.begin().waiting)
    facts = {
        "calls": calls >= 0 and taken <= complete + stride + radius + programs.window.delay,
        "arrived": int(buffer.arrived) == complete,
        "waiting features": buffer.waiting.shape == (1, max(0, complete - taken), width),
        "first and last": buffer.first.shape == buffer.last.shape == (1, width),
        "types": {x.dtype for x in (buffer.waiting, buffer.first, buffer.last)} == {np.dtype(np.float32)},
        "waiting sound": len(sound.waiting) == before + sound.samples - sound.frames * SAMPLES_PER_FRAME,
        "motion": rendered == made and (len(session.motion) >= plan.known or not made),
    }
    if wrong := [name for name, fits in facts.items() if not fits]:
        raise ValueError(f"{wrong[0]}: impossible")
