from __future__ import annotations

import json
import pathlib

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from xactor_jax.training import metrics as m
from xactor_jax.training.throughput import earlier_seconds


def lines(folder: pathlib.Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_means() -> None:
    averages: m.Averages = {}
    for values in ({"a": 1.0}, {"a": 3.0, "b": 10.0}):
        averages = m.accumulate(averages, values)
    assert m.compute(averages, "train/") == {"train/a": 2.0, "train/b": 10.0}
    assert m.compute({}) == {}


def test_scalars_come_to_the_host() -> None:
    assert m.to_host({"a": jnp.float32(2.5)}) == {"a": 2.5}


def test_scalars_of_one_step_are_one_line(tmp_path: pathlib.Path) -> None:
    with m.opened_writers(epath.Path(tmp_path), 0, True) as writers:
        writers.write(1, {"a": 1.0})
        writers.write(1, {"b": 2.0})
        assert lines(tmp_path) == []
        writers.write(2, {"a": 3.0})
        assert lines(tmp_path) == [{"step": 1, "a": 1.0, "b": 2.0}]
        writers.flush()
        assert lines(tmp_path)[1:] == [{"step": 2, "a": 3.0}]


def test_a_resumed_run_has_each_step_once(tmp_path: pathlib.Path) -> None:
    for last, steps in ((0, (2, 4, 6)), (4, (6, 8))):
        with m.opened_writers(epath.Path(tmp_path), last, True) as writers:
            for step in steps:
                writers.write(step, {"loss": 10.0 * last + step})
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6, 8]
    assert lines(tmp_path)[2]["loss"] == 46.0
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(2, 2.0), (4, 4.0), (6, 46.0), (8, 48.0)]


def test_a_line_broken_off_is_dropped() -> None:
    text = '{"step": 1, "a": 2}\n[]\n{"step": 2, "a"'
    assert m.keep_lines(text.splitlines(), 10) == ['{"step": 1, "a": 2}']


def test_a_line_with_a_bad_byte_is_dropped_and_the_run_goes_on(tmp_path: pathlib.Path) -> None:
    good = b'{"step": 1, "loss": 2.0}\n'
    (tmp_path / m.FILE).write_bytes(good + b'{"step": 2, "l\xffss": 2.0}\n' + b"[" * 100_000 + b"\n")
    assert earlier_seconds(m.read_lines(epath.Path(tmp_path) / m.FILE), 3) == {}
    with m.opened_writers(epath.Path(tmp_path), 3, True) as writers:
        writers.write(4, {"loss": 1.0})
    assert lines(tmp_path) == [{"step": 1, "loss": 2.0}, {"step": 4, "loss": 1.0}]


def test_lines_are_json_even_when_a_number_is_none(tmp_path: pathlib.Path) -> None:
    with m.opened_writers(epath.Path(tmp_path), 0, True) as writers:
        writers.write(1, {"a": float("nan"), "b": float("inf")})
    assert lines(tmp_path) == [{"step": 1, "a": "nan", "b": "inf"}]


def test_pictures(tmp_path: pathlib.Path, rng: np.random.Generator) -> None:
    picture = rng.integers(0, 255, (6, 8, 3), np.uint8)
    with m.opened_writers(epath.Path(tmp_path), 0, True) as writers:
        writers.write_images(7, {"faces/first": picture})
    file = tmp_path / "previews" / "faces_first_0000007.png"
    np.testing.assert_array_equal(cv2.imread(str(file))[:, :, ::-1], picture)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (event,) = events.Images("faces/first")
    shown = cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(shown, picture)


def test_other_processes_write_nothing(tmp_path: pathlib.Path) -> None:
    with m.opened_writers(epath.Path(tmp_path), 0, False) as writers:
        writers.write(1, {"a": 1.0})
        writers.write_images(1, {"a": np.zeros((2, 2, 3), np.uint8)})
        writers.flush()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_before_an_error_is_kept(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError), m.opened_writers(epath.Path(tmp_path), 0, True) as writers:
        writers.write(1, {"a": 1.0})
        raise RuntimeError
    assert lines(tmp_path) == [{"step": 1, "a": 1.0}]
