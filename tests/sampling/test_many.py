"""A list of jobs: any error of one ends only that one."""

from __future__ import annotations

import json
import pathlib
import struct
import types
import zlib

import numpy as np
import pytest

from tests.sampling.conftest import make_image, make_sound
from xactor_jax.sampling import many
from xactor_jax.sampling.batch import Ready, Result, prepared
from xactor_jax.sampling.jobs import Job
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.sampling.request import Request

MOTION = types.SimpleNamespace(model=types.SimpleNamespace(image_size=32))
ACTOR = types.SimpleNamespace(model=types.SimpleNamespace(network=types.SimpleNamespace(emotions=5)), audio=None)
MODELS = Models(MOTION, ACTOR)


def huge_picture(path: pathlib.Path) -> str:
    """A PNG file whose header says 40,000 × 30,000."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", 40_000, 30_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b""))
    return str(path)


def job(folder: pathlib.Path, name: str, image: str, audio: str) -> Job:
    return Job(name, Request(image=image, audio=audio, out=str(folder / f"{name}.mp4"), crop="none"))


def test_a_picture_that_no_library_takes_is_one_job_less(tmp_path: pathlib.Path) -> None:
    audio, image = make_sound(tmp_path / "a.wav", 0.5), make_image(tmp_path / "p.png")
    jobs = [job(tmp_path, "huge", huge_picture(tmp_path / "h.png"), audio), job(tmp_path, "good", image, audio)]
    ready, failures = prepared(jobs, MODELS, print)
    assert [item.job.name for item in ready] == ["good"] and [failure.job for failure in failures] == ["huge"]
    assert "\n" not in failures[0].reason


@pytest.mark.parametrize("process", [0, 1])
def test_two_processes_share_what_is_not_finished(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, process: int
) -> None:
    """The longest sound to the first, the others to the second; only the first reports a line that says nothing."""
    image = make_image(tmp_path / "p.png")
    sounds = {name: make_sound(tmp_path / f"{name}.wav", seconds) for name, seconds in dict(a=0.4, b=1.2, c=0.6, d=0.5).items()}
    for end in ("mp4", "json"):
        (tmp_path / f"d.{end}").write_text('{"synthetic": true}')
    lines = [
        json.dumps({"image": image, "audio": sound, "out": str(tmp_path / f"{name}.mp4")}) for name, sound in sounds.items()
    ]
    made, counts = [], []
    monkeypatch.setattr(many.jax, "process_count", lambda: 2)
    monkeypatch.setattr(many.jax, "process_index", lambda: process)
    monkeypatch.setattr(many.multihost_utils, "broadcast_one_to_all", lambda shares: shares)
    monkeypatch.setattr(many, "generator", lambda *_: None)
    monkeypatch.setattr(many, "_sample_batch", lambda *rest: made.extend(item.job.request.out for item in rest[-1]) or [])
    settings = Settings(render=types.SimpleNamespace(whole_clip=False))
    count = lambda done, of: counts.append((done, of))
    failures = many.sample_many(MODELS, [*enumerate(lines, 1), (5, "nothing")], {"crop": "none"}, settings, count, print)
    assert made == [[str(tmp_path / "b.mp4")], [str(tmp_path / f"{name}.mp4") for name in "ac"]][process]
    assert counts[-1] == (len(made), len(made))
    assert [failure.job for failure in failures] == [["job in line 5"], []][process]


def test_what_fails_in_a_batch_does_not_take_the_others_with_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the networks nor while it is written."""
    audio, written = make_sound(tmp_path / "a.wav", 0.5), []
    batch = [Ready(job(tmp_path, name, "p.png", audio), None, 13) for name in ("fine", "broken", "full")]

    def generate(names: list[str]) -> Result:
        if "broken" in names:
            raise RuntimeError("out of memory")
        return Result(*(np.zeros((len(names), 1)) for _ in Result._fields))

    def write(models, item, *_) -> None:
        if item.job.name == "full":
            raise OSError(28, "No space left on device")
        written.append(item.job.name)

    monkeypatch.setattr(many, "conditions_of", lambda items, *_: [item.job.name for item in items])
    monkeypatch.setattr(many, "_write", write)
    settings = Settings(render=types.SimpleNamespace(whole_clip=False))
    failures = many._sample_batch(MODELS, settings, generate, batch)
    assert written == ["fine"]
    assert [str(failure) for failure in failures] == [
        "broken: RuntimeError: out of memory",
        "full: OSError: [Errno 28] No space left on device",
    ]
