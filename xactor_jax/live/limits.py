"""Bounds of a live server, and what a client may choose."""

from __future__ import annotations

import dataclasses

from xactor_jax.emotion import EmotionTrack, parse_emotion
from xactor_jax.errors import UserError
from xactor_jax.live.pictures import CODECS
from xactor_jax.media.marks import Marks, check_marks
from xactor_jax.settings import SEED, Text, check_fields, choice, real, setting, whole
from xactor_jax.timing import SAMPLE_RATE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of every session and of their number. Raises `UserError` for values out of range."""

    sessions: int = setting(4, whole(1, 1_000), "number of sessions at the same time")
    load: float = setting(
        1.0,
        real(0.0),
        "seconds of computing that all sessions together may need in a second, measured at the start; "
        "sessions beyond that are refused; 0: no such bound",
    )
    seconds: float = setting(3600.0, real(0.0, 1e6, above=True), "length of a session, in seconds of sound")
    upload_bytes: int = setting(16 << 20, whole(1), "size of a portrait or a saved state, in bytes")
    upload_seconds: float = setting(30.0, real(0.0, above=True), "time for an upload, in seconds")
    message_bytes: int = setting(1 << 16, whole(2), "size of a message of sound, in bytes")
    messages_per_second: float = setting(200.0, real(0.0, above=True), "messages of a session per second, on average over 2 s")
    ahead_seconds: float = setting(4.0, real(0.0, above=True), "sound that may wait to be used, in seconds")
    queue_frames: int = setting(125, whole(1), "pictures that may wait to be sent; beyond, the oldest is dropped")
    idle_seconds: float = setting(30.0, real(0.0, above=True), "time without sound after which a session ends, in seconds")
    buffer_seconds: float = setting(
        0.5, real(0.0), "a picture counts as late if it comes this much after its delay, in seconds"
    )

    def __post_init__(self) -> None:
        check_fields(self, "live")

    @property
    def samples(self) -> int:
        """Longest session, in samples."""
        return int(self.seconds * SAMPLE_RATE)

    @property
    def ahead(self) -> int:
        """Sound that may wait, in samples."""
        return int(self.ahead_seconds * SAMPLE_RATE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """What a client chooses for a session. Raises `UserError` for values out of range."""

    seed: int = setting(0, whole(0, SEED), "seed of all random numbers")
    emotion: str = setting("", Text(), "emotion track, as in `xactor_jax.emotion`; empty: unknown")
    codec: str = setting("jpeg", choice(CODECS), "format of the pictures")
    quality: int = setting(85, whole(1, 100), "quality of JPEG and WebP")
    mark: str = setting("", Text(), 'text that is drawn into the pictures, such as "AI-generated"; empty: none')

    def __post_init__(self) -> None:
        check_fields(self, "session")
        check_marks(Marks(self.mark))
        if len(self.emotion) > LONGEST_TRACK:
            raise UserError(f"the emotion track has more than {LONGEST_TRACK} characters: make it shorter.")
        parse_emotion(self.emotion)

    @property
    def track(self) -> EmotionTrack:
        """The emotion as a track over time."""
        return parse_emotion(self.emotion)


LONGEST_TRACK = 10_000
"""In characters."""
