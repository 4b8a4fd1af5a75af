"""What reads each kind of input, as the programs do, in a process of its own. Gives a few words on what was read.

A reader of what has a checksum gives a digest, which must be that of the undamaged original.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import pathlib
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEMORY, LIMIT = 2**30, 8 * 2**30
"""Bytes that one case may take, and that a process can have."""


class Case(NamedTuple):
    """One input: a path, or text where the kind is read from the command line."""

    kind: str
    given: str
    how: str
    digest: str = ""
    """Of the original, where the kind has checksums."""


class Verdict(NamedTuple):
    """What became of a case."""

    verdict: str
    message: str
    seconds: float = 0.0


class Garbage(Exception):
    """Something was read that nobody can have meant."""


def require_finite(x: np.ndarray) -> np.ndarray:
    """Raises `Garbage` unless every number is finite."""
    if not np.isfinite(x).all():
        raise Garbage("numbers that are not finite")
    return x


def digest_of(values: Any) -> str:
    """Of arrays, bytes and text, in their order."""
    sha = hashlib.sha256()
    for value in values:
        sha.update(value.encode() if isinstance(value, str) else np.ascontiguousarray(value).tobytes())
    return sha.hexdigest()[:16]


def read_picture(path: str) -> str:
    from tests.portraits import read_portrait

    portrait = read_portrait(path, (32, 32), "none")
    return f"{portrait.for_motion.shape}"


def read_sound(path: str) -> str:
    from xactor_jax.media.audio_io import read_audio, seconds_of

    waveform = require_finite(read_audio(path))
    return f"{len(waveform)} samples, {seconds_of(path):.1f} s"


def read_video(path: str) -> str:
    from xactor_jax.media.video_io import read_at_frame_rate, read_frames

    count = sum(1 for _ in itertools.islice(read_frames(path), 5000))
    return f"{count} pictures, {sum(1 for _ in read_at_frame_rate(path, 0.0, 50))} at 25 a second"


def read_weights(path: str) -> str:
    from xactor_jax.pretrained.files import open_weights

    with open_weights(path) as weights:
        return f"{sum(np.asarray(weights[name]).size for name in weights)} numbers"


def read_torch(path: str) -> str:
    from xactor_jax.pretrained.files import open_weights

    with open_weights(path) as weights:
        return digest_of(itertools.chain.from_iterable((name, weights[name]) for name in weights))


def read_motion(path: str) -> str:
    from xactor_jax.sampling import driving

    return digest_of([driving.read_motion(path, 8).latents])


def read_clips(path: str) -> str:
    from data.frames import decode_frames
    from data.records import open_clips

    return _records(open_clips, path, ("train", "test"), lambda record: [decode_frames(record["frames"])])


def read_encoded(path: str) -> str:
    from data.encoded import open_encoded

    return _records(open_encoded, path, ("train",), lambda record: [record["motion_latents"], record["audio_features"]])


def _records(open_split: Callable, path: str, splits: tuple[str, ...], of: Callable[[Any], list]) -> str:
    records = (record for split in splits for record in open_split(path, split))
    return digest_of(itertools.chain.from_iterable((record["person"], record["clip"], *of(record)) for record in records))


def read_export(path: str) -> str:
    from xactor_jax.sampling.load import load_stage

    return load_stage("motion", path).hash


def read_run(path: str) -> str:
    from xactor_jax.checkpoints.exports import load_variables, variables_hash

    return variables_hash(load_variables(path, "toy")[1])


def read_jobs(path: str) -> str:
    from xactor_jax.media.audio_io import seconds_of
    from xactor_jax.sampling import jobs

    parsed, unreadable = jobs.parse_jobs(jobs.read_lines(path), {})
    todo = jobs.unfinished(parsed)
    jobs.balanced([seconds_of(job.request.audio) for job in todo], 2)
    good, refused = jobs.checked(todo)
    if any("\n" in str(failure) for failure in (*unreadable, *refused)):
        raise Garbage("a failure of several lines")
    return f"{len(good)} jobs, {len(unreadable) + len(refused)} failures"


def read_emotion(text: str) -> str:
    from xactor_jax.emotion import parse_emotion

    track = parse_emotion(text)
    if parse_emotion(str(track)) != track:
        raise Garbage(f"{str(track)!r} is another track")
    track.frames(0, 100)
    return str(track)


def read_rollout(text: str) -> str:
    from xactor_jax.actor.settings import RolloutSettings, parse_changes

    return str(RolloutSettings(**parse_changes(filter(None, text.split(",")))))


def read_persons(path: str) -> str:
    from data.naming import person_namer

    named = person_namer(path)
    return str([named(file) for file in ("a.mp4", "d/b.mp4", "c.mp4")])


def read_felt(path: str) -> str:
    from data.naming import emotion_namer

    named = emotion_namer(path)
    return str([str(named(file)) for file in ("a.mp4", "d/b.mp4", "c.mp4")])


def read_boxes(path: str) -> str:
    from xactor_jax.media.faces import CsvDetector

    detector = CsvDetector(path)
    boxes = [box for i in range(20) for box in detector.boxes_at("a.mp4", i, i / 25)]
    require_finite(np.array([box[:4] for box in boxes]))
    return f"{len(boxes)} boxes"


def read_manifest(path: str) -> str:
    from data.prepare import read_manifest

    return f"{len(read_manifest(pathlib.Path(path).parent))} rows"


def read_metrics(path: str) -> str:
    from etils import epath

    from xactor_jax.training import metrics, throughput

    throughput.earlier_seconds(metrics.read_lines(epath.Path(path)), 20)
    metrics.JsonLines(epath.Path(path), 20)
    return ""


def read_flags(text: str) -> str:
    from absl import flags
    from ml_collections import config_flags

    from configs.stages import build
    from xactor_jax.training import experiment

    arguments = ["train.py", f"--config={ROOT}/configs/motion.py", f"--config.{text}"]
    values, kept = flags.FlagValues(), sys.argv
    try:
        sys.argv = arguments  # where ml_collections looks for settings that are given
        config_flags.DEFINE_config_file("config", lock_config=True, flag_values=values)
        experiment.parse_flags(values, arguments)
        build(values["config"].value)
    finally:
        sys.argv = kept
    return ""


READERS: dict[str, Callable[[str], str]] = {
    name.removeprefix("read_"): function for name, function in list(globals().items()) if name.startswith("read_")
}
CHECKED = ("torch", "motion", "clips", "encoded", "export", "run")
"""Kinds with checksums."""


def read_case(case: Case) -> Verdict:
    """What becomes of a case. The process is made quiet and is bounded first."""
    _bound()
    before, start = _peak(), time.monotonic()
    verdict, message = judged(case)
    if verdict in ("read", "refused") and (grown := _peak() - before) > MEMORY:
        verdict, message = "memory", f"{grown // 2**20} MiB: {message}"
    return Verdict(verdict, message, time.monotonic() - start)


def judged(case: Case) -> tuple[str, str]:
    """(verdict, a line on it)"""
    from xactor_jax.errors import UserError

    try:
        message = READERS[case.kind](case.given)
    except UserError as error:
        clear = "\n" not in str(error) and len(str(error)) < 700 + len(case.given)
        return "refused" if clear else "unclear", str(error)[:700]
    except Garbage as error:
        return "garbage", str(error)
    except BaseException as error:
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if str(ROOT / "xactor_jax") in frame.filename]
        own = own or [frame for frame in traceback.extract_tb(error.__traceback__) if str(ROOT / "data") in frame.filename]
        where = f"{pathlib.Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno}" if own else "?"
        return "traceback", f"{where}: {type(error).__name__}: {error}"[:300].replace("\n", " ")
    return ("garbage", "other numbers") if case.digest and message != case.digest else ("read", message)


def _bound() -> None:
    """Memory, and what libraries print."""
    if resource.getrlimit(resource.RLIMIT_DATA)[0] != LIMIT:
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, resource.getrlimit(resource.RLIMIT_DATA)[1]))
        logging.disable(logging.CRITICAL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.chdir(tempfile.gettempdir())  # where relative paths of jobs lead
        for kind in ("picture", "sound", "weights", "rollout"):  # what they import does not count as memory of a case
            judged(Case(kind, os.devnull, ""))
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # starts the count of the peak again


def _peak() -> int:
    """Most memory that this process has had, bytes."""
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
