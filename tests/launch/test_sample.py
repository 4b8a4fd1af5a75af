"""launch/sample.py, as a program where the process matters, otherwise in this process."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re
import runpy
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.gcs import gcs_bucket  # noqa: F401
from tests.launch.programs import run_here
from tests.sampling.conftest import make_image, make_sound
from tests.tiny import tiny  # noqa: F401
from xactor_jax.media.image_io import write_image
from xactor_jax.media.video_io import read_frames
from xactor_jax.parallel.processes import on_loopback
from xactor_jax.sampling import pipeline


@pytest.fixture
def inputs(tmp_path) -> dict[str, str]:
    """A picture and half a second of sound in their own folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    return {"image": make_image(folder / "p.png"), "audio": make_sound(folder / "a.wav", 0.5)}


@pytest.fixture
def out(tmp_path) -> pathlib.Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def options(**values) -> list[str]:
    given = {name: value for name, value in values.items() if value is not None}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]


@pytest.fixture
def program(repository, tiny, monkeypatch, capfd):
    """Runs the program here with the tiny checkpoints; returns (exit status, stdout, stderr)."""

    def run(**arguments) -> tuple[int, str, str]:
        arguments = {**tiny, "crop": "none", **arguments}
        monkeypatch.setattr(sys, "argv", ["sample.py", *options(**arguments)])
        status = 0
        try:
            runpy.run_path(str(repository / "launch" / "sample.py"), run_name="__main__")
        except SystemExit as stop:
            status = stop.code
        return status, *capfd.readouterr()

    return run


def run_process(repository, arguments: list[str], **environment: str) -> subprocess.Popen:
    command = [sys.executable, "launch/sample.py", *arguments]
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen(command, cwd=repository, env={**os.environ, **environment}, **streams)


def test_a_portrait_speaks_and_says_the_same_again(repository, program, tiny, inputs, out):
    """In a process of its own, and here."""
    asked = dict(**inputs, seed=3, emotion="sad@0.6:0-0.2,happy:0.2-", save_motion=out / "m.npz")
    process = run_process(repository, options(**asked, **tiny, crop="none", out=out / "a.mp4"))
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output.strip() == str(out / "a.mp4")
    status, _, errors = program(**asked, out=out / "b.mp4")
    assert status == 0, errors
    assert (out / "a.mp4").read_bytes() == (out / "b.mp4").read_bytes()
    assert sum(1 for _ in read_frames(out / "a.mp4")) == 13
    assert sorted(p.name for p in out.iterdir()) == ["a.json", "a.mp4", "b.json", "b.mp4", "m.npz"]
    assert json.loads((out / "a.json").read_text())["arguments"]["seed"] == 3


def test_options_that_do_not_fit_each_other(program, inputs, out):
    status, _, errors = program(
        **inputs, out=out / "v.mp4", steps=1, guidance_scale=2.0, actor_steps=3, audio_guidance=1.0, schedule="pyramid", seed=9
    )
    assert status == 2 and "pyramid offset of 4 does not fit 3 steps" in errors


@pytest.mark.parametrize("made", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_options_reach_the_samplers(program, inputs, out, monkeypatch, made):
    """The settings of what is sampled, and where it is made the record beside it: other settings are other programs."""
    seen = []
    if not made:
        monkeypatch.setattr(pipeline, "sample", lambda models, request, settings, *_: seen.append(settings.to_dict()))
    guidance = dict(guidance_scale=2.0, audio_guidance=1.0, emotion_guidance=3.0)
    others = "history_guidance=1.5,offset=2,nested_guidance=true"
    status, *_ = program(**inputs, **guidance, out=out / "v.mp4", steps=1, actor_steps=4, schedule="pyramid", rollout=others)
    assert status == 0
    said = json.loads((out / "v.json").read_text())["arguments"] if made else seen[0]
    assert (said["render"]["steps"], said["render"]["guidance_scale"]) == (1, 2.0)
    assert (said["rollout"]["steps"], said["rollout"]["audio_guidance"], said["rollout"]["schedule"]) == (4, 1.0, "pyramid")
    assert said["rollout"]["emotion_guidance"] == 3.0
    assert [said["rollout"][name] for name in ("history_guidance", "offset", "nested_guidance")] == [1.5, 2, True]


def faces_picture(path: pathlib.Path, repository: pathlib.Path, count: int) -> str:
    """Puppets side by side."""
    from data.performers.clips import make_portrait
    from data.puppets import body

    portraits = (make_portrait(body, 0, person, 256) for person in range(count))
    row = [cv2.copyMakeBorder(portrait, 20, 20, 20, 20, cv2.BORDER_REPLICATE) for portrait in portraits]
    write_image(path, np.concatenate(row, axis=1))
    return str(path)


def written(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path


def bad_inputs(name: str, folder: pathlib.Path, tiny) -> dict:
    """Options that are wrong in one way."""
    cases = {
        "no face": lambda: {"crop": "auto", "detector": "opencv"},
        "no image": lambda: {"image": folder / "none.png"},
        "no picture": lambda: {"image": written(folder / "x.png", b"x")},
        "no audio": lambda: {"audio": folder / "none.wav"},
        "damaged audio": lambda: {"audio": written(folder / "x.wav", b"RIFF")},
        "empty audio": lambda: {"audio": make_sound(folder / "x.wav", 0.0)},
        "no checkpoint": lambda: {"actor": folder / "none"},
        "other stage": lambda: {"actor": tiny["video"]},
        "emotion": lambda: {"emotion": "bored"},
        "no folder": lambda: {"out": folder / "none" / "v.mp4"},
        "not writable": lambda: {"out": "/proc/v.mp4"},
        "source": lambda: {"audio": written(folder / "t.mp4", b"talk"), "out": folder / ".." / folder.name / "t.mp4"},
        "suffix": lambda: {"out": folder / "v.mov"},
        "schedule": lambda: {"schedule": "random"},
        "detector": lambda: {"detector": "haar"},
        "rollout": lambda: {"rollout": "mood=good"},
        "rollout steps": lambda: {"rollout": "steps=-1"},
        "rollout without end": lambda: {"rollout": "eta=0.5,steps=1000000000"},
        "rollout guidance": lambda: {"rollout": "history_guidance=nan"},
        "audio guidance": lambda: {"audio_guidance": "nan"},
        "guidance": lambda: {"guidance_scale": "1e30"},
        "steps": lambda: {"steps": -1},
        "missing option": lambda: {"audio": None},
        "both": lambda: {"jobs": folder / "jobs.jsonl"},
    }
    return cases[name]()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no face", "no face was found in .*--crop none"),
        ("no image", "none.png"),
        ("no picture", "x.png cannot be read"),
        ("no audio", "none.wav"),
        ("damaged audio", "x.wav"),
        ("empty audio", "x.wav holds no sound"),
        ("no checkpoint", "no checkpoint in .*none"),
        ("other stage", "stage video, not actor"),
        ("emotion", "no emotion 'bored'"),
        ("no folder", "none does not exist"),
        ("not writable", "/proc cannot be written to"),
        ("source", r"t\.mp4 would be written over what is read"),
        ("suffix", r"v.mov does not end in \.mp4"),
        ("schedule", "--schedule=random is not possible: use autoregressive, pyramid or full_sequence"),
        ("detector", "there is no face detector 'haar': use blazeface, opencv"),
        ("rollout", "no setting 'mood' of the rollout"),
        ("rollout steps", "steps=-1 is not possible: use a whole number from 1 to 10000"),
        ("rollout without end", "steps=1000000000 is not possible: use a whole number from 1 to 10000"),
        ("rollout guidance", "history_guidance=nan is not possible: use a number from -100.0 to 100.0"),
        ("audio guidance", "--audio_guidance=nan is not possible: use a number from -100.0 to 100.0"),
        ("guidance", r"--guidance_scale=1e\+30 is not possible: use a number from -100.0 to 100.0"),
        ("steps", "--steps=-1 is not possible: use a whole number from 0"),
        ("missing option", r"give --image, --audio \(or --faces\) and --out"),
        ("both", "--jobs takes no other input"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_leaves_nothing(program, inputs, out, tiny, tmp_path, name, message):
    folder = tmp_path / "bad"
    folder.mkdir()
    arguments = {**inputs, "out": out / "v.mp4", **bad_inputs(name, folder, tiny)}
    before = sorted(folder.rglob("*"))
    status, output, errors = program(**arguments)
    lines = errors.strip().splitlines()
    assert status == 2 and not output
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert re.search(message, lines[0])
    assert not list(out.iterdir()) and sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("several", [False, True])
def test_a_bad_emotion_track_ends_the_program_before_anything_is_read(out, several):
    inputs = {"jobs": "none.jsonl"} if several else {"image": "none.png", "audio": "none.wav", "out": out / "v.mp4"}
    done = run_here("sample.py", *options(**inputs, emotion="happy:0-20,sad:10-30"))
    assert done.returncode == 2 and not done.stdout and not list(out.iterdir())
    assert done.stderr.splitlines() == [
        "error: happy:0-20 and sad:10-30 overlap in the emotion track: "
        "give each its own time, as in happy:0-20,sad:20-40 (seconds)."
    ]


def test_the_help_says_how_a_track_is_written():
    output = run_here("sample.py", "--help").stdout
    assert "happy@0.5:0-20,sad:20-" in output and "surprised" in output and "--emotion_guidance" in output


@pytest.mark.parametrize("detector", ["csv", pytest.param("blazeface", marks=pytest.mark.slow)])
def test_one_of_several_faces_is_chosen_by_its_index(program, inputs, out, tmp_path, repository, detector):
    image = faces_picture(tmp_path / "faces.png", repository, 2)
    if detector == "csv":
        detector = f"csv:{tmp_path / 'boxes.csv'}"
        rows = [f"faces.png,0,{left},80,{left + 120},200" for left in (90, 386)]
        (tmp_path / "boxes.csv").write_text("\n".join(["file,frame,x0,y0,x1,y1", *rows]))
    arguments = dict(image=image, audio=inputs["audio"], out=out / "v.mp4", crop="auto", detector=detector)
    status, _, errors = program(**arguments)
    assert status == 2 and "2 faces were found" in errors and not list(out.iterdir())
    status, _, errors = program(**arguments, face_index=2)
    assert status == 2 and "out of range" in errors
    assert program(**arguments, face_index=1)[0] == 0


@pytest.mark.slow  # quick: the faces above, tests/faces/test_detector.py
def test_the_detector_is_chosen_for_one_sample_and_for_a_job(program, inputs, out, tmp_path):
    boxes = f"csv:{tmp_path / 'boxes.csv'}"
    (tmp_path / "boxes.csv").write_text("file,frame,x0,y0,x1,y1\np.png,0,4,4,30,30\nother.png,0,1,1,9,9\n")
    assert program(**inputs, out=out / "a.mp4", crop="auto", detector=boxes)[0] == 0
    jobs = [{**inputs, "out": str(out / f"{name}.mp4"), "detector": name} for name in ("opencv", "haar")]
    jobs.append({**inputs, "out": str(out / "b.mp4")})
    status, _, errors = program(jobs=write_jobs(tmp_path / "jobs.jsonl", jobs), crop="auto", detector=boxes)
    assert (
        status == 2 and "no face was found in" in errors and "there is no face detector 'haar': use blazeface, opencv" in errors
    )
    assert [json.loads((out / f"{name}.json").read_text())["arguments"]["detector"] for name in "ab"] == [boxes] * 2
    assert not (out / "opencv.mp4").exists()


def test_silence_is_warned_about(program, inputs, out, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "silent.wav", np.zeros(4000, np.float32), 16_000)
    status, _, errors = program(image=inputs["image"], audio=tmp_path / "silent.wav", out=out / "v.mp4")
    assert status == 0 and "warning: " in errors and "silent" in errors and (out / "v.mp4").exists()


def write_jobs(path: pathlib.Path, jobs: list[dict]) -> pathlib.Path:
    path.write_text("".join(json.dumps(job) + "\n" for job in jobs))
    return path


def test_jobs_end_with_status_two_if_one_is_bad(program, inputs, out, tmp_path):
    jobs = [{**inputs, "out": str(out / "0.mp4")}, {**inputs, "image": "none.png", "out": str(out / "1.mp4")}]
    status, _, errors = program(jobs=write_jobs(tmp_path / "jobs.jsonl", jobs), seed=5)
    assert status == 2
    errors = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "job in line 2" in errors[0] and "none.png" in errors[0]
    assert sorted(p.name for p in out.iterdir()) == ["0.json", "0.mp4"]
    assert json.loads((out / "0.json").read_text())["seed"] == 5


@pytest.mark.slow  # quick: tests/sampling/test_many.py
def test_two_processes_share_a_list_of_jobs(repository, tiny, inputs, out, tmp_path):
    jobs = [{**inputs, "out": str(out / f"{i}.mp4"), "seed": i} for i in range(5)]
    arguments = options(**tiny, crop="none", jobs=write_jobs(tmp_path / "jobs.jsonl", jobs))
    processes = [run_process(repository, arguments, **joined, JAX_NUM_CPU_DEVICES="2") for joined in on_loopback(2)]
    results = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert sorted(p.name for p in out.iterdir()) == sorted(f"{i}.{end}" for i in range(5) for end in ("mp4", "json"))
    batches = [json.loads((out / f"{i}.json").read_text())["timings"]["batch_size"] for i in range(5)]
    assert batches == [2, 2, 2, 2, 1] or sorted(batches) == [1, 2, 2, 2, 2]


@pytest.mark.slow  # quick: test_jobs_in_a_bucket_go_on_and_nothing_is_renamed_there
def test_everything_may_be_in_a_bucket(repository, gcs_bucket, tiny, inputs, out):
    from etils import epath

    remote = epath.Path(gcs_bucket) / "sample"
    for name, path in inputs.items():
        (remote / name).write_bytes(pathlib.Path(path).read_bytes())
    for file in tiny["actor"].rglob("*"):
        if file.is_file():
            (remote / "actor" / file.relative_to(tiny["actor"]).as_posix()).write_bytes(file.read_bytes())
    places = {**tiny, "actor": remote / "actor", "image": remote / "image", "audio": remote / "audio"}
    process = run_process(repository, options(**places, crop="none", out=remote / "v.mp4", save_motion=remote / "m.npz"))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    (out / "v.mp4").write_bytes((remote / "v.mp4").read_bytes())
    assert sum(1 for _ in read_frames(out / "v.mp4")) == 13
    assert json.loads((remote / "v.json").read_text())["arguments"]["out"] == f"{remote}/v.mp4"
    assert sorted(p.name for p in remote.iterdir()) == ["actor", "audio", "image", "m.npz", "v.json", "v.mp4"]
    missing = run_process(repository, options(**places, crop="none", out="gs://no-such-bucket/v.mp4"))
    assert missing.wait() == 2 and "gs://no-such-bucket cannot be written to" in missing.stderr.read()


@pytest.mark.slow  # quick: tests/sampling/test_batch.py
def test_networks_split_over_the_devices_give_the_same_video(program, inputs, out):
    for name, split in (("whole", None), ("split", True)):
        status, _, errors = program(**inputs, out=out / f"{name}.mp4", save_motion=out / f"{name}.npz", seed=2, shard=split)
        assert status == 0, errors
    whole, split = (np.load(out / f"{name}.npz")["motion_latents"] for name in ("whole", "split"))
    np.testing.assert_allclose(split, whole, atol=1e-4)
    pairs = zip(read_frames(out / "whole.mp4"), read_frames(out / "split.mp4"), strict=True)
    # Pictures of untrained networks are noise, in which the video's coder makes much of one level's difference.
    assert all(np.abs(a.astype(int) - b).mean() < 0.1 * a.std() for (_, a), (_, b) in pairs)


def test_jobs_in_a_bucket_go_on_and_nothing_is_renamed_there(program, gcs_bucket, inputs, out, tmp_path, monkeypatch):
    """One is complete, one lacks the JSON that says so, one is new."""
    import gcsfs
    from etils import epath

    remote = epath.Path(gcs_bucket) / "jobs"
    for name in ("0.mp4", "1.mp4"):
        (remote / name).write_text("old")
    (remote / "0.json").write_text('{"synthetic": true}')
    for name in ("mv", "_mv_file", "_cp_file", "copy"):
        monkeypatch.setattr(gcsfs.GCSFileSystem, name, lambda *_, **__: pytest.fail("renamed"), raising=False)
    jobs = [{**inputs, "out": f"{remote}/{i}.mp4"} for i in range(3)]
    status, _, errors = program(jobs=write_jobs(tmp_path / "jobs.jsonl", jobs))
    assert status == 0, errors
    assert sorted(p.name for p in remote.iterdir()) == [f"{i}.{end}" for i in range(3) for end in ("json", "mp4")]
    assert (remote / "0.mp4").read_text() == "old"
    for i in (1, 2):
        (out / "v.mp4").write_bytes((remote / f"{i}.mp4").read_bytes())
        assert sum(1 for _ in read_frames(out / "v.mp4")) == 13
