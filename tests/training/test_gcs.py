"""A run whose folder is in an object store: saved, resumed, read and exported there."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
from etils import epath
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.gcs import gcs_bucket  # noqa: F401
from tests.training.toy import ToyTask, make_iterator_of, toy_config
from xactor_jax.training.checkpoints import checkpoint_hash, export, load_variables
from xactor_jax.training.loop import train
from xactor_jax.training.trees import FOLDER, saved_steps


def run(workdir: epath.Path, **overrides: Any) -> Any:
    config = toy_config(**overrides)
    return jax.device_get(train(config, ToyTask(), make_iterator_of(config), workdir))


def test_a_run_in_a_bucket(gcs_bucket: str, tmp_path: Any) -> None:  # noqa: F811
    folder = epath.Path(gcs_bucket) / "training" / "run"
    run(folder, steps=4)
    assert saved_steps(folder / FOLDER) == [4]
    resumed, whole = run(folder, steps=8, optimizer__schedule="constant"), run(epath.Path(tmp_path) / "whole", steps=4)
    del whole
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert sorted(path.name for path in (folder / "previews").iterdir()) == ["prediction_0000004.png", "prediction_0000008.png"]
    config, variables = load_variables(folder, "toy")
    jax.tree.map(np.testing.assert_array_equal, variables.params, resumed.ema)
    assert config.steps == 8
    export(folder, epath.Path(gcs_bucket) / "training" / "export", "float32")
    assert checkpoint_hash(epath.Path(gcs_bucket) / "training" / "export") == checkpoint_hash(folder)
    local = epath.Path(tmp_path) / "events"
    local.mkdir()
    for path in (folder / "tensorboard").iterdir():
        (local / path.name).write_bytes(path.read_bytes())
    events = EventAccumulator(str(local))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [2, 4, 6, 8]
