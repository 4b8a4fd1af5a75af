"""Variants as they are written, files as they grow, and what a rollout costs."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.evaluation import drift, drift_page
from xactor_jax.evaluation.motion_report import NAMES
from xactor_jax.evaluation.variants import parse_variant, parse_variants


def test_a_variant_is_a_checkpoint_and_settings_of_their_types():
    variant = parse_variant("a.b=runs/actor,steps=8,history_level=0,schedule=pyramid,eta=0.5")
    assert variant == ("a.b", "runs/actor", {"steps": 8, "history_level": 0.0, "schedule": "pyramid", "eta": 0.5})
    assert type(variant.changed["history_level"]) is float
    assert parse_variant("embedded=") == ("embedded", "", {})


@pytest.mark.parametrize(
    "text", ["runs/actor", "a b=x", "true=x", "=x", "a=x,steps=2.5", "a=x,steps", "a=x,eta=[]", "a=x,width=3"]
)
def test_what_is_not_a_variant(text):
    with pytest.raises(UserError):
        parse_variant(text)


def test_two_variants_of_one_name_are_refused():
    with pytest.raises(UserError, match="two actors are called a"):
        parse_variants(["a=x", "b=x", "a=y"])


def test_pieces_become_a_file_and_the_file_motion(tmp_path, rng):
    motion, lengths = rng.normal(size=(3, 20, 4)).astype(np.float32), []
    drift.append(tmp_path / "m.f32", (motion[:, s] for s in (slice(0, 7), slice(7, 20))), lengths.append)
    np.testing.assert_array_equal(drift.opened(tmp_path / "m.f32", 3, 4), motion)
    assert lengths == [7, 13] and [path.name for path in tmp_path.iterdir()] == ["m.f32"]


def test_a_rollout_that_stops_leaves_no_file_that_looks_whole(tmp_path):
    def broken():
        yield np.zeros((1, 5, 2), np.float32)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        drift.append(tmp_path / "m.f32", broken(), lambda frames: None)
    assert not (tmp_path / "m.f32").exists()


def test_cost_is_of_each_minute_and_compiling_is_left_out():
    times = iter([0.0, 9.0, *(9.0 + 0.5 * np.arange(1, 300)), *(158.5 + 1.0 * np.arange(1, 300))])
    memory = iter([*(100.0 + np.arange(299) % 7), *([200.0] * 299)])
    meter = drift.Meter(5, clock=lambda: next(times), memory=lambda: next(memory))
    for _ in range(300):
        meter.piece(5)  # the first minute of 1,500 frames, one chunk each
    for _ in range(150):
        meter.piece(10)  # the second, two chunks each
    cost = meter.cost()
    assert cost.first_seconds == 9.0
    assert cost.seconds_per_chunk == pytest.approx([0.5, 0.5])
    assert cost.rss_mb == [106.0, 200.0]


def test_records_count_as_finished_only_under_their_own_mark(tmp_path):
    path = tmp_path / "results" / "a.json"
    assert not drift.finished(path, {"seed": 1})
    drift.write_record(path, {"mark": {"seed": 1, "sizes": (1, 2)}, "value": float("nan")})
    assert drift.finished(path, {"seed": 1, "sizes": (1, 2)}) and not drift.finished(path, {"seed": 2, "sizes": (1, 2)})
    path.write_text("half a fi")
    assert not drift.finished(path, {"seed": 1, "sizes": (1, 2)})


def measured(fmd: list[float | None]) -> dict:
    """As `drift.Rulers` gives it and JSON keeps it, by the minute and in segments of 20 s."""
    curves = {name: fmd for name in NAMES}
    trends = {name: {"mean": 2.0, "slope": 0.5, "slope_error": 0.1, "last_over_first": 3.0} for name in NAMES}
    trends["fmd"] |= {"slope": None, "slope_error": None}
    rest = {"minutes": [0.5, 1.5, 2.5, 3.5], "emotion_chance": 0.25, "curves": curves, "trends": trends}
    part = lambda seconds: {"seconds": seconds, **rest}
    return {"minutes": part(60.0), "segments": part(20.0)}


def test_the_table_has_a_column_for_each_and_says_what_is_missing():
    cost = {"needed_seconds": 0.48, "first_seconds": 1.0, "seconds_per_chunk": [0.25, 0.5], "rss_mb": [900.0, 1234.0]}
    both = {"true": measured([1.0, 1.0, 1.0, 1.0]), "mine": {**measured([1.0, 3.0, None, 8.0]), "cost": cost}}
    head, lines = drift_page.rows(both)
    table = {line[0]: line[1:] for line in lines}
    assert head == ["", "true motion", "mine"]
    assert table["FMD, first 2 / last 2"] == ["1 / 1", "2 / –"]
    assert table["FMD, slope per minute"] == ["–", "–"]
    assert table["Std-R, slope per minute"] == ["+0.5 ± 0.1"] * 2
    assert table["speech needed before the first frame, seconds"] == ["–", "0.48"]
    assert table["seconds per chunk, first / last minute"] == ["–", "0.25 / 0.5"]
    assert table["memory of the process, MB, first / last minute"] == ["–", "900 / 1234"]
    assert drift_page.body(both).count("data:image/png") == 3
