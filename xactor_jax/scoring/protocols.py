"""All protocols, and which of them can run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from xactor_jax.checkpoints.exports import load_variables, variables_hash
from xactor_jax.errors import UserError
from xactor_jax.pretrained.importing import kind_of
from xactor_jax.scoring import (
    beat_align,
    blendshapes,
    csim,
    detail,
    dynamics,
    dynamics_truth,
    efid,
    fid,
    fvd,
    identity,
    landmark_distance,
    lips,
    lips_truth,
    lpips,
    paired,
    sharpness,
    syncnet,
    theval,
)
from xactor_jax.scoring.protocol import Network, Protocol

PROTOCOLS: tuple[Protocol, ...] = (
    paired.PROTOCOL,
    detail.PROTOCOL,
    sharpness.PROTOCOL,
    landmark_distance.PROTOCOL,
    lips.PROTOCOL,
    lips_truth.PROTOCOL,
    theval.PROTOCOL,
    dynamics.PROTOCOL,
    dynamics_truth.PROTOCOL,
    beat_align.PROTOCOL,
    identity.PROTOCOL,
    blendshapes.PROTOCOL,
    lpips.VGG,
    lpips.ALEX,
    csim.PROTOCOL,
    syncnet.PROTOCOL,
    fid.PROTOCOL,
    fvd.PROTOCOL,
    efid.PROTOCOL,
)
"""In the order of reports. Those without a kind of network run by default."""


def chosen(only: Iterable[str] = (), without: Iterable[str] = ()) -> list[Protocol]:
    """The protocols that are named in `only` (default: all), but for those in `without`.

    Raises:
        UserError: there is no such protocol, or none is left.
    """
    only, without = set(only), set(without)
    if unknown := sorted((only | without) - {protocol.name for protocol in PROTOCOLS}):
        raise UserError(f"there is no protocol {unknown[0]!r}: use {', '.join(protocol.name for protocol in PROTOCOLS)}.")
    some = [p for p in PROTOCOLS if (not only or p.name in only) and p.name not in without]
    if not some:
        raise UserError("no protocol is left: leave out --only or --without.")
    return some


def load_networks(paths: Mapping[str, str]) -> dict[str, Network]:
    """Networks by kind, from the folders that launch/import_weights.py wrote, or from a published file (`OPENED`).

    Raises:
        UserError: no protocol uses such a kind, or the folder holds no checkpoint of it.
    """
    used = {protocol.kind for protocol in PROTOCOLS if protocol.kind}
    if unknown := sorted(set(paths) - used):
        raise UserError(f"no protocol uses weights of the kind {unknown[0]!r}: give {', '.join(sorted(used))}.")
    return {kind: _load(kind, path) for kind, path in paths.items()}


OPENED: Mapping[str, Callable[[str], Network]] = {blendshapes.PROTOCOL.kind: blendshapes.open_task}
"""Kinds of networks that are used as they are published: kind → function that opens the file."""


def _load(kind: str, path: str) -> Network:
    if kind in OPENED:
        return OPENED[kind](path)
    config, variables = load_variables(path, kind_of(kind).stage)
    return Network(config, variables.params, variables_hash(variables))


def runnable(protocols: Sequence[Protocol], networks: Mapping[str, Network], true: bool) -> tuple[list[Protocol], list[str]]:
    """The protocols that can run, and a sentence on each of the others. `true`: whether there are true videos.

    Raises:
        UserError: none can run.
    """
    reasons = {protocol.name: reason for protocol in protocols if (reason := _lacking(protocol, networks, true))}
    if len(reasons) == len(protocols):
        raise UserError(f"no protocol can run; {next(iter(reasons.values()))}")
    return [protocol for protocol in protocols if protocol.name not in reasons], list(reasons.values())


def _lacking(protocol: Protocol, networks: Mapping[str, Network], true: bool) -> str:
    """Why a protocol cannot run; "" if it can."""
    if protocol.needs_truth and not true:
        return f"{protocol.name}: not measured, because it compares with true videos (--truth FOLDER)."
    if protocol.kind and protocol.kind not in networks:
        imported = f"FOLDER, made by launch/import_weights.py --what {protocol.kind}"
        how = f"--weights {protocol.kind}={'FILE' if protocol.kind in OPENED else imported}"
        return f"{protocol.name}: not measured, because its weights were not given ({how})."
    return ""


HEAD = ("protocol", "numbers", "weights", "compares with true videos", "needs sound")


def listed(protocols: Sequence[Protocol]) -> list[list[str]]:
    """Rows of a table with columns `HEAD`."""
    yes = lambda value: "yes" if value else ""
    titles = lambda p: "; ".join(number.title for number in p.numbers)
    return [[p.name, titles(p), p.kind or "none", yes(p.needs_truth), yes(p.needs_sound)] for p in protocols]
