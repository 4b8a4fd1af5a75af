"""launch/train.py on the toy task: the same program with the stages and the data set replaced."""

from __future__ import annotations

import itertools
import os
import pathlib
import runpy
import signal
import sys
import time
import types
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def build(config: Any) -> Any:
    """What configs/stages.py does for the real stages."""
    from tests.training import toy

    if config.terminated >= 0:
        terminate(config.terminated)
    held = itertools.count(1)
    on_batch = lambda: signal.pause() if next(held) == config.held else None
    return toy.ToyTask(noise=config.noise, hidden=config.hidden), toy.make_iterator_of(config, on_batch=on_batch)


def terminate(index: int) -> None:
    """Sends SIGTERM to one process and waits until every process has reported its step, which fixes the step they stop at.

    JAX looks for the signal once a second, in which a quick machine does many steps.
    """
    import jax
    from jax._src import distributed

    if index == jax.process_index():
        os.kill(os.getpid(), signal.SIGTERM)
    while len(distributed.global_state.client.key_value_dir_get("PREEMPTION_CURRENT_COUNTER/")) < jax.process_count():
        time.sleep(0.01)


def nothing(config: Any) -> None:
    """In place of what real stages need."""


if __name__ == "__main__":
    sys.modules["configs.stages"] = types.SimpleNamespace(build=build, describe=nothing, ensure_data=nothing)  # type: ignore[assignment]
    sys.modules["data.embedded"] = types.SimpleNamespace(fill_in_networks=nothing)  # type: ignore[assignment]
    runpy.run_path(str(ROOT / "launch" / "train.py"), run_name="__main__")
