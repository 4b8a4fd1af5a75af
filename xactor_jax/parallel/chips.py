"""Published peak performance of accelerators, per chip, by JAX's name of the device.

Sources: Google Cloud's system architecture pages of TPU v4, v5e, v5p and v6e (they give the link bandwidth of both directions
together, so it is halved here); NVIDIA's data sheets of A100 (80 GB, SXM), H100 (SXM) and H200, without sparsity.
"""

from __future__ import annotations

from typing import NamedTuple


class Chip(NamedTuple):
    """Peak performance of one chip."""

    name: str
    device_kind: str
    """Prefix of `jax.Device.device_kind`."""
    peak_flops: float
    """bfloat16 FLOPs per second; a multiplication with its addition counts as two."""
    memory: float
    """Bytes."""
    memory_bandwidth: float
    """Bytes per second."""
    link_bandwidth: float
    """Bytes per second that the chip can send, over all its links."""


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
    """The chip with the longest prefix of a device's kind; None for devices that are not listed, such as a CPU."""
    fitting = [chip for chip in CHIPS if device_kind.lower().startswith(chip.device_kind.lower())]
    return max(fitting, key=lambda chip: len(chip.device_kind), default=None)
