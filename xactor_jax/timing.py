"""The two clocks of the project: 25 video frames and 16,000 audio samples a second, everywhere inside."""

from __future__ import annotations

FRAME_RATE = 25
SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE


def num_frames(num_samples: int) -> int:
    """Video frames that `num_samples` of 16 kHz audio last: round(seconds × 25), half up, never below one."""
    return max(1, (2 * num_samples + SAMPLES_PER_FRAME) // (2 * SAMPLES_PER_FRAME))
