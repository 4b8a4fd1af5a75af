"""`--jobs`: everything a list of jobs asks for, a bad job never stopping the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import seconds_of
from xactor_jax.sampling import jobs as job_list
from xactor_jax.sampling import output, pipeline
from xactor_jax.sampling.batch import Conditions, Ready, Result, batches, conditions_of, long_ones, pmapped_generator, prepared
from xactor_jax.sampling.jobs import Failure, Job
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.output import Stopwatch
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.sampling.sharded import sharded_generator
from xactor_jax.timing import num_frames

Progress = Callable[[int, int], None]
"""Called with (jobs dealt with, jobs of this process)."""


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
    generator = (sharded_generator if sharded else pmapped_generator)(models, settings)
    whole = settings.render.offline  # then the common length of a batch would show in its frames
    together, single = ([], ready) if whole else (ready, long_ones(ready))
    for batch in [*batches(together, jax.local_device_count()), *([item] for item in single)]:
        failures += _sample_batch(models, settings, generator, batch)
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
    generator: Callable[[Conditions], Result],
    batch: Sequence[Ready],
) -> list[Failure]:
    if settings.render.offline or long_ones(batch):
        request = batch[0].job.request
        return _attempt(batch[0], lambda: pipeline.sample(models, request, settings, lambda *_: None, lambda _: None))
    clock = Stopwatch()
    waveforms, failures, kept = [], [], []
    for item in batch:
        failed = _attempt(item, lambda item=item: waveforms.append(pipeline.read_speech(item.job.request.audio)))
        failures += failed
        kept += [] if failed else [item]
    if not kept:
        return failures
    result = generator(conditions_of(kept, waveforms, models.actor.audio))
    clock.lap("batch")
    timings = {**clock.laps, "batch_size": len(kept)}
    for i, (item, waveform) in enumerate(zip(kept, waveforms, strict=True)):
        one = Result(*(x[i] for x in result))
        failures += _attempt(item, lambda one=one, w=waveform, item=item: _write(models, item, one, w, settings, timings))
    return failures


def _attempt(item: Ready, do: Callable[[], Any]) -> list[Failure]:
    """No failures, or one."""
    try:
        do()
    except UserError as error:
        return [Failure(item.job.name, str(error))]
    return []


def _write(
    models: Models, item: Ready, one: Result, waveform: np.ndarray, settings: Settings, timings: dict[str, float]
) -> None:
    """The files of one sample of a batch, cut to its own length."""
    request, frames = item.job.request, num_frames(len(waveform))
    with output.removed_on_error(request.out, request.save_motion):
        rendered = [one.frames[:frames]]
        output.write_video(
            request.out, rendered, frames, pipeline.sound_of(request), models.sides[1], lambda *_: None, Stopwatch()
        )
        if request.save_motion:
            output.write_motion(request.save_motion, one.motion[:frames], one.reference_motion, models.motion.latents)
        pipeline.write_sidecar(models, request, settings, len(waveform), timings)
