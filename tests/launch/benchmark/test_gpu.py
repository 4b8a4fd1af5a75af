"""The script for the first minutes on a GPU: its search, its limits of time, and what it keeps when something fails."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import tarfile
import time
from typing import Any

import pytest

from launch import train_all
from launch.benchmark import _gpu_sections, _programs, _search, actor, attention, gpu, networks, renderer
from launch.benchmark._gpu_sections import Setup
from launch.benchmark._programs import Ended, NotMeasuredError, OutOfMemoryError, OutOfTimeError, Programs
from tests.launch.programs import run_here
from xactor_jax.training.experiment import load_config
from xactor_jax.training.plan import Step, config_of, parse_setting


def tried(start: int, memory: int, largest: int = 1024) -> list[tuple[int, int | None]]:
    """The batches that are tried on a device that holds `memory` examples."""

    def attempt(batch: int) -> int:
        if batch > memory:
            raise OutOfMemoryError
        return 10 * batch

    return list(_search.doubling(start, attempt, largest))


def test_doubling_stops_at_the_batch_that_does_not_fit() -> None:
    assert tried(4, memory=20) == [(4, 40), (8, 80), (16, 160), (32, None)]
    assert tried(4, memory=1000, largest=16) == [(4, 40), (8, 80), (16, 160)]


def test_a_start_that_does_not_fit_is_halved() -> None:
    assert tried(16, memory=5) == [(16, None), (8, None), (4, 40)]
    assert tried(2, memory=0) == [(2, None), (1, None)]


def test_other_errors_end_the_search() -> None:
    def attempt(batch: int) -> None:
        raise OutOfTimeError("late")

    with pytest.raises(OutOfTimeError):
        next(_search.doubling(1, attempt))


def test_several_searches_take_turns() -> None:
    assert list(_search.in_turn([iter("abc"), iter("1"), iter("xy")])) == ["a", "1", "x", "b", "y", "c"]


@pytest.mark.parametrize(
    ("ended", "error"),
    [
        (Ended(None, "step 3"), OutOfTimeError),
        (
            Ended(1, "jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes."),
            OutOfMemoryError,
        ),
        (Ended(-9, ""), OutOfMemoryError),
        (Ended(2, "warning: x\nerror: there is no preset 'huge'.\n"), NotMeasuredError),
    ],
)
def test_how_a_program_ended(ended: Ended, error: type[Exception]) -> None:
    with pytest.raises(NotMeasuredError) as raised:
        ended.check()
    assert type(raised.value) is error
    if error is NotMeasuredError:
        assert str(raised.value) == "error: there is no preset 'huge'."


def test_a_program_that_succeeds_may_speak_of_memory() -> None:
    Ended(0, "RESOURCE_EXHAUSTED, then it fitted").check()


def test_a_program_is_ended_when_its_time_is_over(tmp_path: pathlib.Path) -> None:
    start = time.monotonic()
    script = "import time; print('begun', flush=True); time.sleep(600)"
    ended = _programs.run_until([sys.executable, "-S", "-c", script], 3.0, tmp_path / "log", {})
    assert ended.status is None and time.monotonic() - start < 60
    quick = _programs.run_until([sys.executable, "-S", "-c", "print(7); raise SystemExit(5)"], 60.0, tmp_path / "log", {})
    assert quick == Ended(5, "7\n")
    log = (tmp_path / "log").read_text()
    assert log.index("begun") < log.index("7\n") and log.count("\n$ ") == 2
    assert _programs.run_until(["/no/such/program"], 0.0, tmp_path / "log", {}) == Ended(None, "")


class FakePrograms(Programs):
    """Programs that are only noted down; `answer` says what they write."""

    def __init__(self, answer: Any = None, seconds: float = 600.0) -> None:
        super().__init__(pathlib.Path("log"), {}, until=seconds, now=lambda: 0.0)
        self.answer, self.calls = answer, []

    def run(self, program: str, *options: object, keep: float = 0.0) -> Ended:
        self.calls.append((program, [str(option) for option in options], keep))
        return Ended(0, "")

    def measured(self, program: str, *options: object) -> Any:
        self.run(program, *options)
        return self.answer(program, dict(str(o).lstrip("-").split("=", 1) for o in options))


def setup_of(folder: pathlib.Path, programs: FakePrograms, toy: bool = False, torch: bool = True) -> Setup:
    return Setup(programs, folder, folder / "work", toy, "", torch)


def step_numbers(batch: int, utilisation: float = 0.4) -> dict[str, Any]:
    speed = {"steps_per_second": 2.0, "examples_per_second": 2.0 * batch, "flops_per_second": 3.956e14}
    return {"synthetic": {**speed, "utilisation": utilisation, "memory_peak_gib": 70.0}, "compile_seconds": 50.0}


def test_steps_of_all_stages_are_measured_up_to_what_fits(tmp_path: pathlib.Path) -> None:
    def answer(program: str, options: dict[str, str]) -> dict[str, Any]:
        batch = int(options["config.batch_size"])
        if "autoencoder" in options["config"]:
            raise NotMeasuredError("error: something else")
        if batch > 200:
            raise OutOfMemoryError
        if "video" in options["config"] and batch > 1:
            raise OutOfTimeError("its time ran out")
        return step_numbers(batch)

    rows = list(_gpu_sections.steps(setup_of(tmp_path, FakePrograms(answer))))
    shown = [(row["step"], row.get("batch"), row.get("result", "measured")) for row in rows]
    assert shown == [
        ("motion:base", 64, "measured"),
        ("actor:base", 128, "measured"),
        ("autoencoder:base", None, "error: something else"),
        ("video:base", 1, "measured"),
        ("motion:base", 128, "measured"),
        ("actor:base", 256, "does not fit"),
        ("video:base", None, "its time ran out"),
        ("motion:base", 256, "does not fit"),
    ]
    assert rows[0]["% of peak"] == pytest.approx(40) and rows[0]["TFLOP/s"] == pytest.approx(395.6)
    assert rows[0]["examples/s"] == 128 and rows[0]["peak GiB"] == 70 and rows[0]["s to compile"] == 50


def parsed(program: str, options: list[str]) -> None:
    """Raises unless the program knows these options and settings."""
    if program == "benchmark/training.py":
        given = dict(option.removeprefix("--").split("=", 1) for option in options)
        stage, preset = pathlib.Path(given["config"].split(":")[0]).stem, given["config"].split(":")[1]
        step = Step(stage, stage, preset, 1.0)
        changes = [name.removeprefix("config.") + "=" + value for name, value in given.items() if name.startswith("config.")]
        config_of(step, [parse_setting(f"{stage}:{change}", [step]) for change in changes])
        return
    by_name = {"renderer": renderer, "networks": networks, "actor": actor, "attention": attention, "train_all": train_all}
    values = by_name[pathlib.Path(program).stem].parser().parse_args(options)
    if program == "train_all.py":
        steps = train_all.PLANS[values.preset]
        for step in steps:
            config_of(step, [parse_setting(text, steps) for text in values.set])
    if program.endswith("renderer.py"):
        step = Step("video", "video", values.preset, 1.0)
        config_of(step, [parse_setting(f"video:{text}", [step]) for text in values.set])
    if program.endswith("networks.py"):
        assert values.networks in (*networks.OURS, networks.TRUNK, networks.THEIRS)


@pytest.mark.parametrize("toy", [False, True])
def test_the_programs_know_the_options_that_they_are_given(tmp_path: pathlib.Path, toy: bool) -> None:
    def answer(program: str, options: dict[str, str]) -> Any:
        row = {"s": 0.5, "GFLOP/s": 1000.0}
        return {"training": step_numbers(4), "actor": {"rows": [row]}, "renderer": row}.get(pathlib.Path(program).stem, [row])

    programs = FakePrograms(answer)
    setup = setup_of(tmp_path, programs, toy)
    for section in gpu.SECTIONS.values():
        assert list(section.rows(setup))
    assert {program for program, *_ in programs.calls} >= {"benchmark/training.py", "benchmark/renderer.py", "train_all.py"}
    for program, options, _ in programs.calls:
        parsed(program, options)


def test_frames_per_second_of_a_network_are_those_of_a_call(tmp_path: pathlib.Path) -> None:
    programs = FakePrograms(lambda *_: [{"s": 0.5, "GFLOP/s": 2000.0}])
    rows = _gpu_sections._networks(setup_of(tmp_path, programs), ["--networks=trunk", "--frames=24"])
    assert rows == [{"frames": 24, "frames/s": 48.0, "TFLOP/s": 2.0}]


def test_without_torch_a_sentence_stands_in_its_place(tmp_path: pathlib.Path) -> None:
    row = {"s": 1.0, "GFLOP/s": 1.0}
    programs = FakePrograms(
        lambda program, _: {"rows": [row]} if "actor" in program else row if "renderer" in program else [row]
    )
    rows = [
        row for make in (_gpu_sections.sampler, _gpu_sections.actor) for row in make(setup_of(tmp_path, programs, torch=False))
    ]
    assert [row["what"] for row in rows if "result" in row] == ["one call: diffusers", "attention by torch"]
    assert not any("diffusers" in option or "torch" in option for _, options, _ in programs.calls for option in options)


def exporting(programs: FakePrograms, runs: pathlib.Path) -> Any:
    """`run`, which makes the folder that launch/export.py would make."""

    def run(program: str, *options: object, keep: float = 0.0) -> Ended:
        if program == "export.py":
            (runs / "export" / "video").mkdir()
        return FakePrograms.run(programs, program, *options, keep=keep)

    return run


def test_heads_are_trained_in_the_rest_of_the_time_and_their_exports_come_home(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = FakePrograms(seconds=645.0)
    setup = dataclasses.replace(setup_of(tmp_path, programs), data="clips")
    runs = tmp_path / "work" / "runs"
    for stage in ("motion", "actor"):
        (runs / "export" / stage).mkdir(parents=True)
        (runs / "export" / stage / "weights").write_bytes(b"w" * 10)
    (runs / "motion").mkdir()
    lines = [{"step": 10, "train/loss": 2.0}, {"step": 20, "train/loss": 1.0, "train/steps_per_second": 4.0}, {"step": 30}]
    (runs / "motion" / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 4')
    (runs / "video").mkdir()  # its training was cut off
    monkeypatch.setattr(programs, "run", exporting(programs, runs))
    rows = list(_gpu_sections.heads(setup))
    program, options, keep = programs.calls[0]
    assert program == "train_all.py" and "--budget_minutes=9.00" in options and "--data=clips" in options and keep == 45
    assert rows[0] == {"run": "motion", "steps": 30, "loss": 1.0, "steps/s": 4.0}
    assert [row["run"] for row in rows[1:]] == [f"export of {stage}" for stage in train_all.EXPORTED]
    assert [call[0] for call in programs.calls[1:]] == ["export.py"] and f"--from={runs / 'video'}" in programs.calls[1][1]
    with tarfile.open(tmp_path / "motion.tar") as archive:
        assert archive.extractfile("motion/weights").read() == b"w" * 10
    assert not (tmp_path / "autoencoder.tar").exists() and "no checkpoint" in rows[2]["result"]
    assert rows[5]["result"].endswith("cut off") and "cut off" not in rows[1]["result"] + rows[3]["result"]


def test_a_section_that_fails_loses_no_other_and_rows_are_kept_at_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    programs, clock, kept = FakePrograms(), [100.0], []
    programs.now = lambda: clock[0]

    def fails(setup: Setup):
        yield {"what": "first", "speed": 1.5}
        kept.append(json.loads((tmp_path / "gpu.json").read_text()))
        clock[0] += 10.0
        raise RuntimeError("the device is gone")

    def works(setup: Setup):
        kept.append(setup.programs.seconds())
        yield {"what": "a | b", "speed": 2.0}

    monkeypatch.setattr(gpu, "SECTIONS", {"a": gpu.Section("A", fails, 0.25), "b": gpu.Section("B", works, 0.75)})
    gpu.run_sections(["a", "b"], 100.0, setup_of(tmp_path, programs), gpu.Report(tmp_path, {"device": "X"}))
    assert kept[0]["sections"]["a"]["rows"] == [{"what": "first", "speed": 1.5}]
    assert kept[1] == 90.0  # what the first section left over
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["device"] == "X" and written["sections"]["a"]["seconds"] == 10.0
    assert "the device is gone" in written["sections"]["a"]["problem"] and written["sections"]["b"]["problem"] == ""
    assert written["sections"]["b"]["rows"] == [{"what": "a | b", "speed": 2.0}]
    page, out = (tmp_path / "gpu.md").read_text(), capsys.readouterr().out
    for text in (page, out):
        assert "| first | 1.50 |" in text and r"| a \| b | 2.00 |" in text and "## B" in text
    assert "device X" in page


def test_a_section_gets_its_share_of_the_time_that_is_left(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, given = FakePrograms(), []
    note = lambda setup: iter([given.append(setup.programs.seconds()) or {"x": 1}])
    monkeypatch.setattr(gpu, "SECTIONS", {name: gpu.Section(name, note, share) for name, share in (("a", 0.2), ("b", 0.6))})
    gpu.run_sections(["a", "b"], 80.0, setup_of(tmp_path, programs), gpu.Report(tmp_path, {}))
    assert given == pytest.approx([20.0, 80.0])


def test_one_device_and_most_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in gpu.MEMORY:
        monkeypatch.delenv(name, raising=False)
    assert gpu.environment()["XLA_CLIENT_MEM_FRACTION"] == "0.9" and gpu.environment()["CUDA_VISIBLE_DEVICES"]
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")  # JAX refuses both names together
    assert "XLA_CLIENT_MEM_FRACTION" not in gpu.environment()


def test_the_presets_of_the_sections_exist() -> None:
    for stage in _gpu_sections.STARTS:
        assert load_config(f"configs/{stage}.py:base").precision == "bfloat16"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sections=step,speed"], "no section 'speed'"),
        (["--minutes=0"], "--minutes=0"),
        (["--data=/nowhere"], "/nowhere"),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path: pathlib.Path, options: list[str], message: str) -> None:
    done = run_here("benchmark/gpu.py", f"--out={tmp_path}/out", *options)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow  # quick: the tests above, with programs that are only noted down
@pytest.mark.timeout(900)
def test_the_script_measures_a_toy(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    done = run_here("benchmark/gpu.py", f"--out={tmp_path}", "--toy", "--minutes=8", "--sections=step,actor")
    assert done.returncode == 0 and "finds no GPU" in done.stderr, done.stderr
    written = json.loads((tmp_path / "gpu.json").read_text())
    measured = {row["step"] for row in written["sections"]["step"]["rows"] if row.get("steps/s", 0) > 0}
    assert measured == {f"{stage}:puppets" for stage in _gpu_sections.STARTS}
    rows = written["sections"]["actor"]["rows"]
    assert any(row.get("frames/s", 0) > 0 for row in rows) and any(row.get("TFLOP/s", 0) > 0 for row in rows)
