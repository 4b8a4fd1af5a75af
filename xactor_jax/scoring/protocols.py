"""All protocols, and which of them can run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xactor_jax.checkpoints.exports import load_variables, variables_hash
from xactor_jax.errors import UserError
from xactor_jax.pretrained.importing import kind_of
from xactor_jax.scoring.protocol import Network, Protocol

PROTOCOLS: tuple[Protocol, ...] = ()
"""In the order of reports. Those without a kind of network run by default."""


def chosen(only: Iterable[str] = (), without: Iterable[str] = (), among: Sequence[Protocol] | None = None) -> list[Protocol]:
    """The protocols that are named in `only` (default: all), but for those in `without`.

    Raises:
        UserError: there is no such protocol, or none is left.
    """
    among, only, without = PROTOCOLS if among is None else among, set(only), set(without)
    if unknown := sorted((only | without) - {protocol.name for protocol in among}):
        raise UserError(f"there is no protocol {unknown[0]!r}: use {', '.join(protocol.name for protocol in among)}.")
    some = [p for p in among if (not only or p.name in only) and p.name not in without]
    if not some:
        raise UserError("no protocol is left: leave out --only or --without.")
    return some


def load_networks(paths: Mapping[str, str]) -> dict[str, Network]:
    """Networks by kind, from the folders that launch/import_weights.py wrote.

    Raises:
        UserError: no protocol uses such a kind, or the folder holds no checkpoint of it.
    """
    used = {protocol.kind for protocol in PROTOCOLS if protocol.kind}
    if unknown := sorted(set(paths) - used):
        raise UserError(f"no protocol uses weights of the kind {unknown[0]!r}: give {', '.join(sorted(used))}.")
    return {kind: _load(kind, path) for kind, path in paths.items()}


def _load(kind: str, path: str) -> Network:
    config, variables = load_variables(path, kind_of(kind).stage)
    return Network(config, variables.params, variables_hash(variables))


def runnable(protocols: Sequence[Protocol], networks: Mapping[str, Network]) -> tuple[list[Protocol], list[str]]:
    """The protocols whose weights are there, and a sentence on each of the others.

    Raises:
        UserError: none can run.
    """
    lacking = [protocol for protocol in protocols if protocol.kind and protocol.kind not in networks]
    how = "{}: not measured, because weights of the kind {} were not given (--weights {}=FOLDER)."
    sentences = [how.format(protocol.name, protocol.kind, protocol.kind) for protocol in lacking]
    if len(lacking) == len(protocols):
        raise UserError(f"no protocol can run: give --weights {lacking[0].kind}=FOLDER, see launch/import_weights.py.")
    return [protocol for protocol in protocols if protocol not in lacking], sentences


def listed(protocols: Sequence[Protocol]) -> list[list[str]]:
    """Rows of a table of protocols: name, numbers, weights, what it compares with."""
    return [
        [p.name, ", ".join(n.title for n in p.numbers), p.kind or "none", "the true video" if p.needs_truth else ""]
        for p in protocols
    ]
