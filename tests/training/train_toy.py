"""launch/train.py on the toy task: the same program with the stages and the data set replaced."""

from __future__ import annotations

import os
import pathlib
import runpy
import signal
import sys
import types
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "launch")]


def build(config: Any) -> Any:
    """What launch/stages.py does for the real stages."""
    import jax

    from tests.training import toy

    if config.terminated == jax.process_index():
        os.kill(os.getpid(), signal.SIGTERM)
    return toy.ToyTask(noise=config.noise, hidden=config.hidden), toy.make_iterator_of(config)


if __name__ == "__main__":
    sys.modules["launch.stages"] = types.SimpleNamespace(build=build)  # type: ignore[assignment]
    sys.modules["data.embedded"] = types.SimpleNamespace(ensure_data=lambda config: None)  # type: ignore[assignment]
    runpy.run_path(str(ROOT / "launch" / "train.py"), run_name="__main__")
