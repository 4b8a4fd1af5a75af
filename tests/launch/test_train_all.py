"""All stages in one go: what is run, and how many steps fit into a budget."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import pytest
from etils import epath

from configs import stages
from data.embedded import fill_in_motion
from data.performers.build import build
from tests.configs.test_configs import from_command_line
from xactor_jax.checkpoints.config_file import read_config
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.checkpoints.start import read_start
from xactor_jax.checkpoints.trees import shapes
from xactor_jax.errors import UserError
from xactor_jax.motion.model import motion_hash
from xactor_jax.training import plan
from xactor_jax.training.experiment import load_config

TINY = {
    "data.persons": 4,
    "data.clips_per_person": 1,
    "data.clip_seconds": 1.2,
    "data.image_size": 32,
    "data.examples_per_clip": 2,
    "data.window": 10,
    "batch_size": 4,
    "steps": 2,
    "log_every": 1,
    "eval_every": 0,
    "preview_every": 0,
    "network.image_size": 32,
    "network.latent_dim": 8,
    "network.motion_dim": 8,
    "network.motion_tokens": 2,
    "network.widths": (8,),
    "network.encoder_widths": (8,),
    "network.width": 16,
    "network.depth": 1,
    "network.heads": 2,
    "network.audio_memory": 10,
    "network.unet.channels": (8,),
    "network.unet.attention": (True,),
    "network.unet.heads": 2,
    "network.unet.groups": 4,
    "autoencoder.image_size": 32,
    "autoencoder.channels": (8,),
    "autoencoder:network.channels": (8,),
    "finish.widths": (8,),
}


@pytest.fixture(scope="module")
def train_all():
    """The program as a module."""
    return importlib.import_module("launch.train_all")


def run(repository: pathlib.Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/train_all.py", *options]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("preset", ["heads", "puppets"])
def test_every_step_is_trained_with_settings_that_it_has_and_exported(train_all, preset, tmp_path, monkeypatch):
    """The programs are given what they would take; what they then make of it is slow to see."""
    calls, out = [], tmp_path / "runs"
    monkeypatch.chdir(pathlib.Path(train_all.ROOT))
    monkeypatch.setattr(train_all, "call", lambda program, *options: calls.append((program, options)))
    monkeypatch.setattr(train_all, "make_data", lambda *_: None)
    settings = [f"--set={key}={value}" for key, value in TINY.items() if not key.startswith("finish.") or preset == "heads"]
    train_all.run(train_all.parser().parse_args([f"--preset={preset}", f"--out={out}", "--precision=bfloat16", *settings]))
    steps = train_all.PLANS[preset]
    exported = [name for name in train_all.EXPORTED if name != "actor_fast" or preset == "heads"]
    assert [program for program, _ in calls] == ["train"] * len(steps) + ["export"] * len(exported)
    for step, (_, options) in zip(steps, calls, strict=False):
        config = from_command_line(*(option for option in options if not option.startswith("--workdir=")))
        assert f"--workdir={out / step.name}" in options and config.stage == step.config
        assert (config.batch_size, config.precision, config.data.image_size) == (4, "bfloat16", 32)
        assert all(config.pretrained[stage] == str(out / stage) for stage in train_all.PRETRAINED.get(step.config, ()))
        assert config.init_from == ",".join(plan.started(text, out) for text in step.start)
        stages.make_task(config)
    for stage, (_, options) in zip(exported, calls[len(steps) :], strict=True):
        assert options == (f"--from={out / stage}", f"--to={out / 'export' / stage}", "--dtype=float16")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_stage_is_trained_and_exported(repository, tmp_path):
    settings = [f"--set={key}={value}" for key, value in {**TINY, "data.cache": tmp_path / "data"}.items()]
    done = run(repository, "--preset=heads", f"--out={tmp_path / 'runs'}", *settings)
    assert done.returncode == 0, done.stderr
    renderer, variables = load_variables(str(tmp_path / "runs/export/video"), "video")
    assert renderer.phase == "finish" and renderer.network.draft and "draft" in variables.buffers
    _, stage1 = load_variables(str(tmp_path / "runs/export/motion"), "motion")
    sharpened = read_config(epath.Path(tmp_path / "runs/motion"))
    assert sharpened.init_from == str(tmp_path / "runs/rebuilding") and not sharpened.train_encoder
    actor, _ = load_variables(str(tmp_path / "runs/export/actor"), "actor")
    fast, _ = load_variables(str(tmp_path / "runs/export/actor_fast"), "actor")
    assert fast.phase == "consistency" and fast.rollout.steps == 1
    assert actor.pretrained.motion_hash == renderer.pretrained.motion_hash == motion_hash(stage1)


@pytest.mark.parametrize("preset", ["heads", "puppets", "tune"])
def test_shares_are_of_the_whole_and_stages_start_from_earlier_ones(train_all, preset):
    steps = train_all.PLANS[preset]
    assert sum(step.share for step in steps) == pytest.approx(1.0)
    names = {step.name for step in steps}
    embedded = {"motion", "autoencoder"} - names
    assert set(train_all.EXPORTED) - names - embedded == ({"actor_fast"} if preset == "puppets" else set())
    for index, step in enumerate(steps):
        earlier = {other.name for other in steps[:index]}
        needed = {text.rpartition("=")[2] for text in step.start} | set(train_all.PRETRAINED.get(step.config, ()))
        assert needed - embedded <= earlier


def test_steps_fit_into_the_time_that_is_left(tmp_path, monkeypatch):
    """A stage that starts in 6 s and makes 2 steps a second, with a half of 100 s: 50 − (6 + 15) − 6 s are left for steps."""
    clock, calls = [0.0], []
    steps = (plan.Step("a", "motion", "heads", 0.25), plan.Step("b", "motion", "heads", 0.25))

    def call(*options):
        calls.append(options)
        clock[0] += 6.0 + plan.PROBE_STEPS / 2.0

    monkeypatch.setattr(plan.time, "monotonic", lambda: clock[0])
    (tmp_path / "metrics.jsonl").write_text('{"train/steps_per_second": 9}\n{"train/steps_per_second": 2}\n{"x": 1}\n')
    budget = plan.Budget(100 / 60, tmp_path, call)
    assert budget.choose(steps[0], steps, ["--config=c"], tmp_path) == plan.PROBE_STEPS + 46
    assert f"--config.steps={plan.PROBE_STEPS}" in calls[0] and calls[0][0] == "--config=c"
    assert plan.Budget(100 / 60, tmp_path, call).choose(steps[0], steps, [], tmp_path) == plan.PROBE_STEPS + 46
    assert len(calls) == 1 and json.loads((tmp_path / "plan.json").read_text()) == {"a": plan.PROBE_STEPS + 46}


def commands(train_all, monkeypatch, *options: str) -> list[tuple[str, ...]]:
    """What would be run, with nothing made."""
    calls = []
    monkeypatch.chdir(pathlib.Path(train_all.ROOT))
    monkeypatch.setattr(train_all, "call", lambda *command: calls.append(command))
    train_all.run(train_all.parser().parse_args([*options, "--precision=float32"]))
    return calls


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> pathlib.Path:
    """A folder of clips, as launch/prepare.py leaves one."""
    folder = tmp_path_factory.mktemp("data") / "clips"
    build(folder, persons=3, clips_per_person=1, seconds=0.2, size=16)
    return folder


@pytest.mark.parametrize("stage", ["motion", "actor", "video"])
def test_the_embedded_checkpoint_fits_the_preset_that_goes_on_from_it(repository, monkeypatch, stage):
    """Every parameter starts from there."""
    monkeypatch.chdir(repository)
    config = load_config(f"configs/{stage}.py:tune")
    config.pretrained.update(motion="data/assets/motion", autoencoder="data/assets/autoencoder")
    if stage == "video":
        fill_in_motion(config)
    task = stages.make_task(config)
    wanted = shapes(jax.eval_shape(task.init, jax.random.key(0)).params)
    assert read_start(config, task, wanted).params.keys() == wanted.keys()


def test_own_clips_tune_what_is_embedded(train_all, tmp_path, monkeypatch, clips):
    first, motion, actor, fast, video, *exports = commands(
        train_all, monkeypatch, "--preset=tune", f"--data={clips}", f"--out={tmp_path}"
    )
    assert f"--config.init_from={tmp_path / 'rebuilding'}" in motion and "--config=configs/motion.py:tune_sharpen" in motion
    for stage, command in (("motion", first), ("actor", actor), ("video", video)):
        assert f"--config=configs/{stage}.py:tune" in command and f"--config.data.path={clips}" in command
    assert f"--config.init_from={tmp_path / 'actor'}" in fast and f"--config.data.path={clips}" in fast
    assert all(f"--config.pretrained.motion={tmp_path / 'motion'}" in command for command in (actor, fast, video))
    assert not any("pretrained.autoencoder" in option for option in video)  # the embedded one stays
    assert [command[2] for command in exports] == [
        f"--to={tmp_path / 'export' / name}" for name in ("motion", "actor", "actor_fast", "video")
    ]


def test_tuning_needs_clips(train_all, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="--preset tune learns from your own clips: name them with --data"):
        commands(train_all, monkeypatch, "--preset=tune", f"--out={tmp_path / 'runs'}")
    with pytest.raises(UserError, match="holds no prepared data"):
        commands(train_all, monkeypatch, "--preset=tune", f"--data={tmp_path}", f"--out={tmp_path / 'runs'}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data.persons", "give KEY=VALUE"),
        ("nobody:steps=3", "with a step of encoder, rebuilding, motion"),
        ("video:network.nothing=3", "the config has no setting network.nothing"),
        ("actor:network.width=wide", "--set network.width=wide does not fit"),
    ],
)
def test_settings_are_checked_before_anything_is_made(train_all, tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(pathlib.Path(train_all.ROOT))
    arguments = train_all.parser().parse_args([f"--set={text}", f"--out={tmp_path / 'runs'}", "--precision=float32"])
    with pytest.raises(UserError, match=message):
        train_all.run(arguments)


SLOW = """
import signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: sys.exit(75))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_that_is_stopped_may_save(repository, tmp_path, number):
    """Ctrl-C reaches all programs of a terminal, SIGTERM only one: the stage gets it once, and is waited for."""
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "slow.py").write_text(SLOW)
    program = "import pathlib, sys; sys.path[:0] = ['launch', '.']; import train_all; "
    program += f"train_all.ROOT = pathlib.Path({str(tmp_path)!r}); train_all.call('slow')"
    command = [sys.executable, "-c", program]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen(command, cwd=repository, start_new_session=True, **pipes)
    assert process.stdout.readline().startswith("$") and process.stdout.readline() == "ready\n"
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75 and errors == "stopped and saved; the same command goes on from there\n"
