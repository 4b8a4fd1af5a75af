"""Published values that a protocol must reproduce, on inputs that everybody has: the check that a number is the field's number.

A check needs the weights of its protocol, and some need a file. What cannot be checked on a machine is said, with the reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xactor_jax.sampling.jobs import reason
from xactor_jax.scoring import fvd, syncnet
from xactor_jax.scoring.files import open_video
from xactor_jax.scoring.protocol import Network, Protocol
from xactor_jax.scoring.video import Case, of_frames

EXAMPLE = "example_avi"
"""The file data/example.avi of github.com/joonson/syncnet_python."""

Find = Callable[[Protocol, Network | None, str], Mapping[str, float]]
"""(protocol, its network, path of the file or "") → name of a number → value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """Published values of a protocol's numbers, for one input."""

    protocol: str
    what: str
    """The input."""
    source: str
    expected: Mapping[str, float]
    """Name of a number → published value."""
    tolerance: float
    """Largest difference from a published value."""
    find: Find
    file: str = ""
    """Name of the file that it needs."""


class Outcome(NamedTuple):
    """What a check found; or why it could not be made."""

    check: Check
    found: Mapping[str, float]
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether all values are reproduced. Raises `KeyError` if a number was not found."""
        return all(abs(self.found[name] - value) <= self.check.tolerance for name, value in self.check.expected.items())

    def __str__(self) -> str:
        listed = lambda values: ", ".join(f"{name} {values[name]:.7g}" for name in self.check.expected)
        said = f"{self.check.protocol} of {self.check.what}: published {listed(self.check.expected)} ({self.check.source}); "
        if self.reason:
            return f"{said}not checked on this machine: {self.reason}."
        return f"{said}on this machine {listed(self.found)}{'' if self.passed else ', which is WRONG'}."

    def to_dict(self) -> dict[str, Any]:
        """The check for the JSON of a report."""
        passed, names = (None if self.reason else self.passed), self.check.expected
        found = {name: value for name, value in self.found.items() if name in names}
        return {"published": dict(names), "found": found, "passed": passed, "sentence": str(self)}


def black_and_white(protocol: Protocol, network: Network | None, file: str) -> Mapping[str, float]:
    """Values for a black video against a white one, of 2 frames of 64 × 64 pixels; more frames would be the same."""
    black, white = (of_frames(name, np.full((2, 64, 64, 3), level, np.uint8)) for name, level in (("black", 0), ("white", 255)))
    return protocol.measure(Case(black, white), network).values


def synchrony_of_example(protocol: Protocol, network: Network | None, file: str) -> Mapping[str, float]:
    """Synchrony of the published example, which is a crop of a face already."""
    return syncnet.make_protocol(cropped=True).measure(Case(open_video(EXAMPLE, file)), network).values


def fvd_of_black_and_white(protocol: Protocol, network: Network | None, file: str) -> Mapping[str, float]:
    """FVD of black clips against white ones."""
    return {"fvd": fvd.sanity(network)[1]}


CHECKS: tuple[Check, ...] = (
    Check(
        protocol="paired",
        what="a black video against a white one",
        source="common_metrics_on_video_quality",
        expected={"ssim": 9.999e-5},
        tolerance=1e-8,
        find=black_and_white,
    ),
    Check(
        protocol="lpips_alex",
        what="a black video against a white one",
        source="common_metrics_on_video_quality",
        expected={"lpips_alex": 0.81401},
        tolerance=1e-4,
        find=black_and_white,
    ),
    Check(
        protocol="syncnet",
        what="data/example.avi",
        source="README of joonson/syncnet_python; decoders of other versions of FFmpeg move it by .06",
        expected={"sync_offset": 3.0, "sync_d": 5.353, "sync_c": 10.021},
        tolerance=0.06,
        find=synchrony_of_example,
        file=EXAMPLE,
    ),
    Check(
        protocol="fvd",
        what="8 black clips of 30 frames of 64 × 64 pixels against 8 white ones",
        source="common_metrics_on_video_quality",
        expected={"fvd": fvd.SANITY},
        tolerance=fvd.SANITY_SPREAD,
        find=fvd_of_black_and_white,
    ),
)


def run_checks(
    checks: Sequence[Check], protocols: Sequence[Protocol], networks: Mapping[str, Network], files: Mapping[str, str]
) -> list[Outcome]:
    """The outcomes of those checks that are of these protocols. `files`: name of a file → its path."""
    named = {protocol.name: protocol for protocol in protocols}
    return [_run(check, named[check.protocol], networks, files) for check in checks if check.protocol in named]


def _run(check: Check, protocol: Protocol, networks: Mapping[str, Network], files: Mapping[str, str]) -> Outcome:
    if protocol.kind and protocol.kind not in networks:
        return Outcome(check, {}, f"weights of the kind {protocol.kind} were not given (--weights {protocol.kind}=FOLDER)")
    if check.file and not files.get(check.file):
        return Outcome(check, {}, f"its file was not given (--{check.file} FILE)")
    try:
        return Outcome(check, check.find(protocol, networks.get(protocol.kind), files.get(check.file, "")))
    except Exception as error:  # of weights or a file that are others than they should be
        return Outcome(check, {}, reason(error))
