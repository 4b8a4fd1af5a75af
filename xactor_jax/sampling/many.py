"""`--jobs`: everything a list of jobs asks for, a bad job never stopping the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from xactor_jax.finite import check_frames, finite_frames
from xactor_jax.media.audio_io import seconds_of
from xactor_jax.sampling import jobs as job_list
from xactor_jax.sampling import output, pipeline
from xactor_jax.sampling.batch import Conditions, Ready, Result, batches, conditions_of, generator, long_ones, prepared
from xactor_jax.sampling.jobs import Failure, Job, attempted
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.output import Stopwatch
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.timing import num_frames
from xactor_jax.unfinished import removed_on_error

Progress = Callable[[int, int], None]
"""Called with (jobs dealt with, jobs of this process)."""
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
    """Does this process's share of the jobs that are not finished yet; returns those that could not be done.

    `sharded`: the variables of `models` were placed by `sharded.place_sharded`. Lines that make no sense are reported by the
    first process alone.
    """
    jobs, unreadable = job_list.parse_jobs(lines, defaults)
    mine = share(jobs)
    todo, refused = job_list.checked(mine)
    ready, unprepared = prepared(todo, models, warn)
    failures = [*(unreadable if jax.process_index() == 0 else []), *refused, *unprepared]
    done = len(mine) - len(ready)
    progress(done, len(mine))
    generate = generator(models, settings, sharded)
    whole = settings.render.offline  # then the common length of a batch would show in its frames
    together, single = ([], ready) if whole else (ready, long_ones(ready))
    for batch in [*batches(together, jax.local_device_count()), *([item] for item in single)]:
        failures += _sample_batch(models, settings, generate, batch)
        progress(done := done + len(batch), len(mine))
    return failures


def share(jobs: Sequence[Job]) -> list[Job]:
    """This process's part of the unfinished jobs, about as long as that of any other; the parts are disjoint and together all.

    The first process splits them and tells the others: each for itself might see others finished.
    """
    count = jax.process_count()
    if count == 1:
        return job_list.unfinished(jobs)
    shares = multihost_utils.broadcast_one_to_all(np.array(split(jobs, count), np.int32))
    return [job for job, process in zip(jobs, shares, strict=True) if process == jax.process_index()]


def split(jobs: Sequence[Job], count: int) -> list[int]:
    """The process of each job, -1 for one that is finished."""
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
    if settings.render.offline or long_ones(batch):
        sample = lambda item: pipeline.sample(models, item.job.request, settings, lambda *_: None, lambda _: None)
        return attempted(batch, sample, _name)[1]
    read, failures = attempted(batch, lambda item: (item, pipeline.read_speech(item.job.request.audio)), _name)
    return failures + _sample_read(models, settings, generate, read)


def _sample_read(
    models: Models, settings: Settings, generate: Generate, read: Sequence[tuple[Ready, np.ndarray]]
) -> list[Failure]:
    """Samples at once; should that fail, each by itself, so that one which cannot be done does not take the others with it."""
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
    """The files of one sample of a batch, cut to its own length. Raises `UserError` where its numbers are not finite."""
    request, frames = item.job.request, num_frames(len(waveform))
    check_frames(finite_frames(one.motion[None, :frames]), 0, "motion")
    check_frames(one.finite[:frames], 0, "picture")
    with removed_on_error(request.out, request.save_motion):
        rendered = [one.frames[:frames]]
        output.write_video(
            request.out, rendered, frames, pipeline.sound_of(request), models.sides[1], lambda *_: None, Stopwatch()
        )
        if request.save_motion:
            output.write_motion(request.save_motion, one.motion[:frames], one.reference_motion, models.motion.latents)
        pipeline.write_sidecar(models, request, settings, len(waveform), timings)
