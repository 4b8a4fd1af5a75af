"""`--jobs`: samples all jobs of a list. A job that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from xactor_jax.finite import check_frames, finite_frames
from xactor_jax.media.audio_io import seconds_of
from xactor_jax.sampling import inputs, output, pipeline
from xactor_jax.sampling import jobs as job_list
from xactor_jax.sampling.batch import Conditions, Ready, Result, batches, conditions_of, generator, long_ones, prepared
from xactor_jax.sampling.jobs import Failure, Job, attempted
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.output import Stopwatch
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.timing import num_frames
from xactor_jax.unfinished import removed_on_error

Progress = Callable[[int, int], None]
"""Called with (finished or failed jobs, all jobs) of this process."""
Generate = Callable[[Conditions], Result]


def sample_many(
    models: Models,
    lines: Sequence[tuple[int, str]],
    defaults: dict[str, Any],
    settings: Settings,
    progress: Progress,
    warn: Callable[[str], None],
    sharded: bool = False,
) -> list[Failure]:
    """Samples this process's share of the unfinished jobs. Returns the failures.

    `sharded`: the variables of `models` were placed by `sharded.place_sharded`. Only the first process reports invalid lines.
    """
    jobs, unreadable = job_list.parse_jobs(lines, defaults)
    mine = share(jobs)
    todo, refused = job_list.checked(mine)
    ready, unprepared = prepared(todo, models, warn)
    failures = [*(unreadable if jax.process_index() == 0 else []), *refused, *unprepared]
    done = len(mine) - len(ready)
    progress(done, len(mine))
    generate = generator(models, settings, sharded)
    whole = settings.render.whole_clip  # then frames would depend on the common length of a batch
    together, single = ([], ready) if whole else (ready, long_ones(ready))
    for batch in [*batches(together, jax.local_device_count()), *([item] for item in single)]:
        failures += _sample_batch(models, settings, generate, batch)
        progress(done := done + len(batch), len(mine))
    return failures


def share(jobs: Sequence[Job]) -> list[Job]:
    """This process's part of the unfinished jobs. All processes get about the same amount of work.

    The first process splits the jobs and sends the result to the others, because each of them might find other jobs finished.
    """
    count = jax.process_count()
    if count == 1:
        return job_list.unfinished(jobs)
    shares = multihost_utils.broadcast_one_to_all(np.array(split(jobs, count), np.int32))
    return [job for job, process in zip(jobs, shares, strict=True) if process == jax.process_index()]


def split(jobs: Sequence[Job], count: int) -> list[int]:
    """The process of each job; -1 for finished jobs."""
    open_jobs = job_list.unfinished(jobs)
    processes = dict(
        zip(open_jobs, job_list.balanced([seconds_of(job.request.audio) for job in open_jobs], count), strict=True)
    )
    return [processes.get(job, -1) for job in jobs]


def _sample_batch(
    models: Models,
    settings: Settings,
    generate: Generate,
    batch: Sequence[Ready],
) -> list[Failure]:
    if settings.render.whole_clip or long_ones(batch):
        sample = lambda item: pipeline.sample(models, item.job.request, settings, lambda *_: None, lambda _: None)
        return attempted(batch, sample, _name)[1]
    read, failures = attempted(batch, lambda item: (item, inputs.read_speech(item.job.request.audio)), _name)
    return failures + _sample_read(models, settings, generate, read)


def _sample_read(
    models: Models, settings: Settings, generate: Generate, read: Sequence[tuple[Ready, np.ndarray]]
) -> list[Failure]:
    """Samples a batch. If that fails, samples each job by itself, so that one bad job does not stop the others."""
    if not read:
        return []
    clock = Stopwatch()
    items, waveforms = zip(*read, strict=True)
    try:
        result = generate(conditions_of(items, waveforms, models.actor.audio))
    except Exception as error:
        if len(read) == 1:
            return [Failure(_name(items[0]), job_list.reason(error))]
        return [failure for one in read for failure in _sample_read(models, settings, generate, [one])]
    clock.lap("batch")
    timings = {**clock.laps, "batch_size": len(read)}

    def write(index: int) -> None:
        one = Result(*(x[index] for x in result))
        _write(models, items[index], one, waveforms[index], settings, timings)

    return attempted(range(len(read)), write, lambda index: _name(items[index]))[1]


def _name(item: Ready) -> str:
    return item.job.name


def _write(
    models: Models, item: Ready, one: Result, waveform: np.ndarray, settings: Settings, timings: dict[str, float]
) -> None:
    """Writes the files of one sample of a batch, cut to its own length. Raises `UserError` for numbers that are not finite."""
    request, frames = item.job.request, num_frames(len(waveform))
    check_frames(finite_frames(one.motion[None, :frames]), 0, "motion")
    check_frames(one.finite[:frames], 0, "picture")
    with removed_on_error(request.out, request.save_motion):
        scene = inputs.view_of(request, models).scene if request.in_picture else None
        rendered = scene.frames([[one.frames[:frames]]]) if scene else [one.frames[:frames]]
        size, sound = scene.size if scene else models.sides[1], inputs.sound_of(request.audio)
        output.write_video(request, rendered, frames, sound, size, lambda *_: None, Stopwatch())
        if request.save_motion:
            output.write_motion(request.save_motion, one.motion[:frames], one.reference_motion, models.motion.latents)
        pipeline.write_sidecar(models, request, settings, inputs.sources_of(request), len(waveform), timings)
