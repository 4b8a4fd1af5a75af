"""One of several processes: reads its part of a batch and checks that its devices hold what the whole batch has there."""

from __future__ import annotations

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np

from xactor_jax.parallel import mesh as m
from xactor_jax.parallel import processes
from xactor_jax.run_settings import MeshSettings

ENTRIES = ("framed",)


def main(sizes: dict[str, int]) -> None:
    """Prints the share."""
    processes.initialize()
    mesh = m.make_mesh(MeshSettings(**sizes))
    whole = {"framed": np.arange(8 * 4 * 3).reshape(8, 4, 3), "row": np.arange(8 * 2).reshape(8, 2)}
    index, count = m.process_share(mesh, 8, ENTRIES)
    part = {name: x.reshape(count, -1, *x.shape[1:])[index] for name, x in whole.items()}
    arrays = m.put_batch(part, mesh, ENTRIES)
    for name, array in arrays.items():
        assert array.shape == whole[name].shape, (name, array.shape)
        for shard in array.addressable_shards:
            np.testing.assert_array_equal(shard.data, whole[name][shard.index])
    print("share", index, count, sorted({shard.data.shape for shard in arrays["framed"].addressable_shards}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
