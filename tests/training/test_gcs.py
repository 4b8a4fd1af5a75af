"""A run whose folder is in an object store: saved, resumed, read and exported there."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import jax
import numpy as np
from etils import epath
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.gcs import gcs_bucket  # noqa: F401
from tests.training.toy import ToyTask, make_iterator_of, toy_config
from xactor_jax.checkpoints.exports import export, load_variables, variables_hash
from xactor_jax.checkpoints.trees import FOLDER, saved_steps
from xactor_jax.training.loop import train


def run(workdir: epath.Path, steps: int) -> Any:
    config = toy_config(steps=steps, checkpoint__every=100, eval_every=100, preview_every=100)
    return jax.device_get(train(config, ToyTask(), make_iterator_of(config), workdir))


def test_a_run_in_a_bucket(gcs_bucket: str, tmp_path: pathlib.Path) -> None:
    folder, exported = epath.Path(gcs_bucket) / "training" / "run", epath.Path(gcs_bucket) / "training" / "export"
    run(folder, 2)
    state = run(folder, 4)
    assert saved_steps(folder / FOLDER) == [4, 2]
    config, variables = load_variables(folder, "toy")
    jax.tree.map(np.testing.assert_array_equal, variables.params, state.ema)
    assert config.steps == 4
    export(folder, exported)
    assert variables_hash(load_variables(exported, "toy")[1]) == variables_hash(variables)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert sorted(path.name for path in (folder / "previews").iterdir()) == ["prediction_0000002.png", "prediction_0000004.png"]
    for path in (folder / "tensorboard").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [2, 4]
