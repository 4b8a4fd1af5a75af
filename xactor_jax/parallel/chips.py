"""Published peaks of accelerators, per chip, by the name that JAX gives a device.

Sources: Google Cloud's system architecture pages of TPU v4, v5e, v5p and v6e (which give links in both directions together,
halved here); NVIDIA's data sheets of A100 (80 GB, SXM), H100 (SXM) and H200, without sparsity.
"""

from __future__ import annotations

from typing import NamedTuple


class Chip(NamedTuple):
    """What one chip does at best."""

    name: str
    device_kind: str
    """Beginning of `jax.Device.device_kind`."""
    peak_flops: float
    """bfloat16 operations a second, two to a multiplication."""
    memory: float
    """Bytes."""
    memory_bandwidth: float
    """Bytes a second."""
    link_bandwidth: float
    """Bytes a second that leave the chip for its neighbours, all links together."""


CHIPS = (
    Chip("v4", "TPU v4", 275e12, 32e9, 1228e9, 300e9),
    Chip("v5e", "TPU v5 lite", 197e12, 16e9, 819e9, 200e9),
    Chip("v5p", "TPU v5", 459e12, 95e9, 2765e9, 600e9),
    Chip("v6e", "TPU v6 lite", 918e12, 32e9, 1638e9, 400e9),
    Chip("A100", "NVIDIA A100", 312e12, 80e9, 2039e9, 300e9),
    Chip("H100", "NVIDIA H100", 989e12, 80e9, 3350e9, 450e9),
    Chip("H200", "NVIDIA H200", 989e12, 141e9, 4800e9, 450e9),
)


def chip_of(device_kind: str) -> Chip | None:
    """The chip behind a device's kind, the longest name that fits; None where nothing is known of it, as of a CPU."""
    fitting = [chip for chip in CHIPS if device_kind.lower().startswith(chip.device_kind.lower())]
    return max(fitting, key=lambda chip: len(chip.device_kind), default=None)
