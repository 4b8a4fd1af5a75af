from __future__ import annotations

import hashlib
import json

import jax
import pytest

from xactor_jax.errors import UserError
from xactor_jax.sampling import provenance


def test_hashes_are_of_the_files(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "x").write_bytes(data)
    path = str(tmp_path / "x")
    assert provenance.inputs(image=path) == {"image": {"path": path, "sha256": hashlib.sha256(data).hexdigest()}}


def test_versions_are_those_that_run():
    assert provenance.versions()["jax"] == jax.__version__


def test_json_is_written_whole(tmp_path):
    provenance.write_json(tmp_path / "v.json", {"a": [1, 2]})
    assert json.loads((tmp_path / "v.json").read_text()) == {"a": [1, 2]}
    with pytest.raises(UserError, match="cannot be written"):
        provenance.write_json(tmp_path / "nowhere" / "v.json", {})
