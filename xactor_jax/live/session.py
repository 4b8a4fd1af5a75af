"""One session without clocks and queues: sound in, pictures out. The same sound gives the same pictures, however it is cut.

    push ─ audio features ─ next_stride … took_stride ─ motion ─ next_segment … took_segment ─ frames

The strides and segments of many sessions are computed together (slots.py). A session holds only what the next ones need, so its
size does not grow with time, and saved.py can write it.
"""

from __future__ import annotations

from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int16, UInt8

from xactor_jax.actor.model import make_guide
from xactor_jax.actor.rollout import RolloutState
from xactor_jax.actor.stream import Call, Stream
from xactor_jax.emotion import Emotion
from xactor_jax.live.limits import Choices
from xactor_jax.live.programs import Programs
from xactor_jax.live.slots import Segment, Stride
from xactor_jax.sampling.pipeline import check_emotion, sampling_keys
from xactor_jax.sampling.portrait import Portrait
from xactor_jax.video.pictures import Drawn, checked
from xactor_jax.video.windows import appended, first_segment

FULL_SCALE = 32_768
"""16-bit samples in [-1, 1): as files of sound are read."""


class Session:
    """One portrait that speaks one voice. Raises `UserError` for an emotion that the actor does not know."""

    def __init__(self, programs: Programs, choices: Choices, portrait: Portrait):
        check_emotion(programs.models, choices.track)
        self.programs, self.choices, self.portrait = programs, choices, portrait
        actor_key, video_key = sampling_keys(choices.seed)
        reference, self.prepared = programs.prepared(portrait)
        actor, video = programs.models.actor, programs.models.video.model
        guide = make_guide(actor.variables, actor_key, reference[None])
        self.stream = Stream(programs.window, guide, self._emotion_at, actor.model.audio_dim)
        self.video_keys = video_key[None]
        self.sound = programs.audio.begin()
        self.over = False
        """Whether no more sound will come."""
        self.motion = np.zeros((0, actor.model.motion_dim), np.float32)
        """Motion that is not rendered yet, and the known frames before it."""
        self.known = jnp.zeros((1, programs.plan.known, *video.latent_shape))
        self.segments, self.frames = 0, 0
        """Number of rendered segments, and of their pictures."""

    def push(self, samples: Int16[np.ndarray, "_"]) -> None:
        """Takes 16 kHz sound and computes its features."""
        self.sound, done = self.programs.audio.push(self.sound, samples.astype(np.float32) / FULL_SCALE)
        self._add(done)

    def end(self) -> None:
        """No more sound will come."""
        if not self.over and self.sound.samples:
            self._add(self.programs.audio.finish(self.sound))
        self.over = True

    @property
    def motion_ready(self) -> bool:
        """Whether motion can be computed: the features of a stride are there, or the rest after the end."""
        return self.stream.ready or (self.over and self.stream.unfinished)

    @property
    def segment_ready(self) -> bool:
        """Whether a segment can be rendered: its motion is there, or the rest after the end."""
        plan, count = self.programs.plan, len(self.motion)
        return count >= plan.length or (self.over and not self.motion_ready and count > plan.known)

    @property
    def done(self) -> bool:
        """Whether all pictures have been made."""
        return self.over and not self.motion_ready and not self.segment_ready

    def next_stride(self) -> tuple[Call, Stride]:
        """Inputs of the next call of the actor; call it when `motion_ready`."""
        call, guide = self.stream.next_call(), self.stream.guide
        return call, Stride(guide.keys, guide.reference, call.rollout, call.audio, call.emotion)

    def took_stride(self, call: Call, rollout: RolloutState, latents: Float[Array, "1 stride d"]) -> None:
        """Takes the result. Raises `UserError` for numbers that are not finite."""
        for motion in self.stream.took(call, rollout, latents):
            self.motion = appended(self.motion, np.asarray(motion[0]), self.programs.plan)

    def next_segment(self) -> Segment:
        """Inputs of the next segment of the renderer; call it when `segment_ready`."""
        motion, _ = first_segment(self.motion, self.programs.plan)
        return Segment(self.prepared, self.video_keys, np.int32(self.segments), motion[None], self.known)

    def took_segment(self, drawn: Drawn, known: Float[Array, "1 k h w c"]) -> UInt8[np.ndarray, "_ height width 3"]:
        """Takes the result and returns the new frames. Raises `UserError` for numbers that are not finite."""
        plan = self.programs.plan
        frames = checked(drawn, self.frames, first_segment(self.motion, plan)[1])
        self.motion, self.known, self.segments = self.motion[plan.new :], known, self.segments + 1
        self.frames += len(frames)
        return frames

    def _add(self, features: Iterable[Float[np.ndarray, "frames features"]]) -> None:
        for piece in features:
            self.stream.add(piece[None])

    def _emotion_at(self, start: int, count: int) -> Emotion:
        """Emotion of frames; after the end of the sound it is that of the last frame, as for a recording."""
        last = max(0, int(self.stream.state.buffer.arrived) - 1)
        first = min(start, last)
        of_frame = np.minimum(start + np.arange(count), last) - first
        return Emotion(*(values[of_frame][None] for values in self.choices.track.frames(first, count)))
