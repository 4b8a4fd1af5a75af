"""Sound that arrives piece by piece: all that audio features need of the past, as a small state that can be saved."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Sound(NamedTuple):
    """The state between two pieces of a recording. Its size does not grow with the recording."""

    waiting: Float[np.ndarray, "n"]
    """Samples that later frames need, the oldest first."""
    samples: int = 0
    """Number of samples that have arrived."""
    frames: int = 0
    """Number of frames whose features have been computed."""

    def appended(self, piece: Float[np.ndarray, "_"]) -> Sound:
        """The sound with more samples at its end."""
        waiting = np.concatenate([self.waiting, piece.astype(np.float32)])
        return self._replace(waiting=waiting, samples=self.samples + len(piece))

    def passed(self, samples: int, frames: int) -> Sound:
        """The sound without its oldest samples, after the features of more frames were computed."""
        return self._replace(waiting=self.waiting[samples:], frames=self.frames + frames)


def silence(samples: int) -> Sound:
    """The state before a recording: silence, as long as features reach back before the first frame."""
    return Sound(np.zeros(samples, np.float32))
