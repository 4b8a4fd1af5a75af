"""The two rates that the whole project uses: 25 video frames and 16,000 audio samples a second."""

from __future__ import annotations

FRAME_RATE = 25
SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE


def num_frames(num_samples: int) -> int:
    """Number of video frames for `num_samples` of 16 kHz audio: round(seconds × 25), half up, at least one."""
    return max(1, (2 * num_samples + SAMPLES_PER_FRAME) // (2 * SAMPLES_PER_FRAME))
