"""The list of protocols, and which of them can run."""

from __future__ import annotations

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.scoring.fakes import DIFFERENCE, FAKES, FAR
from tests.tiny import write_checkpoint
from xactor_jax.checkpoints.exports import checkpoint_hash
from xactor_jax.errors import UserError
from xactor_jax.pretrained.importing import KINDS
from xactor_jax.scoring import protocols
from xactor_jax.scoring.protocol import Network
from xactor_jax.scoring.protocols import OPENED, PROTOCOLS, chosen, load_networks, runnable
from xactor_jax.variables import Variables


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    monkeypatch.setattr(protocols, "PROTOCOLS", FAKES)


def test_names_are_chosen_and_left_out():
    assert [p.name for p in chosen()] == ["bright", "aligned", "loud", "far"]
    assert [p.name for p in chosen(only=["far", "bright"], without=["far"])] == ["bright"]
    for wrong in (dict(only=["sharp"]), dict(without=["sharp"])):
        with pytest.raises(UserError, match=r"no protocol 'sharp': use bright, aligned, loud, far\."):
            chosen(**wrong)
    with pytest.raises(UserError, match="no protocol is left"):
        chosen(only=["far"], without=["far"])


def test_a_network_comes_with_the_hash_of_its_checkpoint(tmp_path):
    config = ConfigDict({"stage": KINDS["lpips"].stage, "size": 3})
    folder = write_checkpoint(tmp_path / "judge", config, Variables({"a": np.float32([1.5])}, {}))
    network = load_networks({"lpips": str(folder)})["lpips"]
    assert network.params["a"] == 1.5 and network.config.size == 3 and network.hash == checkpoint_hash(folder)
    with pytest.raises(UserError, match="no protocol uses weights of the kind 'clip': give lpips"):
        load_networks({"clip": str(folder)})


def test_what_cannot_run_is_a_sentence():
    network = Network(ConfigDict(), 1.0, "abc")
    some, notes = runnable(FAKES, {}, true=True)
    assert FAR not in some and len(some) == 3 and "--what lpips" in notes[0]
    some, notes = runnable(FAKES, {"lpips": network}, true=False)
    assert DIFFERENCE not in some and FAR in some and len(notes) == 1
    with pytest.raises(UserError, match="no protocol can run; aligned: not measured, because it compares with true videos"):
        runnable([DIFFERENCE], {}, true=False)


def test_every_protocol_says_what_it_is():
    """Names are unique, kinds can be imported, and every text is there."""
    numbers = [number.name for protocol in PROTOCOLS for number in protocol.numbers]
    assert len({p.name for p in PROTOCOLS}) == len(PROTOCOLS) and len(set(numbers)) == len(numbers)
    for protocol in PROTOCOLS:
        assert not protocol.kind or protocol.kind in (*KINDS, *OPENED)
        assert protocol.source and protocol.definition.endswith(".") and protocol.limits and protocol.numbers
