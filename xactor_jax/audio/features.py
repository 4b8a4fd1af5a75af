"""Interface of audio features for encoding and sampling: one row per video frame, for a whole recording or a stream.

`xactor_jax.pretrained.audio.load_audio_features` makes an instance from the settings in a config or a data set.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from xactor_jax.audio import log_mel
from xactor_jax.audio.log_mel import LogMelSettings, num_features
from xactor_jax.audio.sound import Sound
from xactor_jax.timing import SAMPLE_RATE

Waveform = Float[np.ndarray, "_"]
Features = Float[np.ndarray, "frames features"]
Settings = Mapping[str, Any] | ConfigDict


class AudioFeatures(abc.ABC):
    """A fixed map from 16 kHz sound in [-1, 1] to `num_features` numbers for each of `num_frames(samples)` video frames."""

    @property
    @abc.abstractmethod
    def num_features(self) -> int:
        """Number of features per frame."""

    @abc.abstractmethod
    def begin(self) -> Sound:
        """The state before a recording."""

    @abc.abstractmethod
    def push(self, sound: Sound, piece: Waveform) -> tuple[Sound, list[Features]]:
        """The state after a piece of any length, and the features of the frames that it completes."""

    @abc.abstractmethod
    def finish(self, sound: Sound) -> Iterator[Features]:
        """Features of the remaining frames, after the last piece."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain settings from which the same features can be made again, including `num_features`."""

    def stream(self, chunks: Iterable[Waveform]) -> Iterator[Features]:
        """Features of a recording that arrives in chunks of any length. Memory does not grow with the recording."""
        sound = self.begin()
        for chunk in chunks:
            sound, done = self.push(sound, chunk)
            yield from done
        yield from self.finish(sound)

    def whole(self, waveform: Waveform) -> Features:
        """Features of a recording; bit for bit equal to those of `stream`, for any chunks."""
        chunks = (waveform[start : start + SAMPLE_RATE] for start in range(0, len(waveform), SAMPLE_RATE))
        return np.concatenate(list(self.stream(chunks)))


@dataclasses.dataclass(frozen=True)
class LogMelFeatures(AudioFeatures):
    """Four log-mel columns per frame. There is nothing learned and nothing to load."""

    settings: LogMelSettings = dataclasses.field(default_factory=LogMelSettings)

    @classmethod
    def from_dict(cls, settings: Settings) -> LogMelFeatures:
        """Makes the features from the output of `to_dict`. Missing settings get the defaults of `LogMelSettings`."""
        return cls(LogMelSettings(**known_fields(LogMelSettings, settings)))

    @property
    def num_features(self) -> int:
        return num_features(self.settings)

    def begin(self) -> Sound:
        return log_mel.begin(self.settings)

    def push(self, sound: Sound, piece: Waveform) -> tuple[Sound, list[Features]]:
        return log_mel.push(sound, piece, self.settings)

    def finish(self, sound: Sound) -> Iterator[Features]:
        return log_mel.finish(sound, self.settings)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "log_mel", **dataclasses.asdict(self.settings), "num_features": self.num_features}


def known_fields(cls: type, settings: Settings) -> dict[str, Any]:
    """The settings that are fields of a dataclass."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in settings.items() if name in names}
