"""Measures a live server: latency, late and dropped pictures, and memory, with several sessions that speak in real time.

    python launch/benchmark/live.py --image portrait.png --audio speech.wav --sessions 1,2,4 --minutes 5
    python launch/benchmark/live.py --image portrait.png --audio speech.wav --sessions 1 --minutes 60 --speed 10   # memory

Without --url it starts launch/serve.py itself. Each session sends 40 ms of sound every 40 ms; a recording is repeated. The
latency of a picture is the time from sending the last sound of its frame to its arrival. It is late if it comes more than
--buffer seconds after the delay that the server names, which is the least that its stages allow. With a --speed above 1, sound
is sent faster: an hour of a session in some minutes, as fast as the server takes it. Latencies then say nothing; "first MB" and
"MB" are the server's memory after the first minute of sound (of less than two minutes: half-way) and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root
from launch._numbers import check_numbers
from launch.benchmark import _table
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import real
from xactor_jax.timing import FRAME_RATE, SAMPLES_PER_FRAME

STARTING = 3600.0
"""Longest wait for a server that this program starts, in seconds: it compiles first."""

FIRST_MINUTE = 60 * FRAME_RATE
"""Frames after which the server's memory is read for the first time; of shorter measurements, after half of them."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--image", required=True, help="the portrait")
    add("--audio", required=True, help="the recording")
    add("--sessions", default="1,2,4", help="numbers of sessions at the same time, separated by commas")
    add("--minutes", type=float, default=5.0, help="length of each measurement")
    add("--speed", type=float, default=1.0, help="how much faster than real time sound is sent")
    add("--buffer", type=float, default=0.5, help="seconds that a player waits beyond the server's delay")
    add("--crop", default="auto", help="crop of the portrait")
    add("--url", default="", help="address of a running server, http://…; default: start one")
    add("--serve", default="", help="options of launch/serve.py, separated by spaces")
    add("--json", default="", metavar="FILE", help="also write the numbers to this file")
    return about


@dataclasses.dataclass
class Spoken:
    """One session: when its frames were spoken, and when their pictures came, in seconds of one clock."""

    sent: list[float] = dataclasses.field(default_factory=list)
    came: dict[int, float] = dataclasses.field(default_factory=dict)
    first_used: Used | None = None
    """What the server had used after the first minute of sound."""

    @property
    def latencies(self) -> list[float]:
        """Latency of every picture that came."""
        return [at - self.sent[number] for number, at in sorted(self.came.items())]

    @property
    def lost(self) -> int:
        """Pictures that did not come."""
        return len(self.sent) - len(self.came)


def row(spoken: list[Spoken], allowed: float, before: Used, after: Used) -> dict[str, Any]:
    """The numbers of one measurement. `allowed`: latency in seconds beyond which a picture is late.

    "CPU" is the server's processor time for a second of video; it depends little on what else the machine does.
    """
    import numpy as np

    latencies = np.concatenate([s.latencies or [np.nan] for s in spoken])
    spans = [max(s.came.values()) - min(s.came.values()) for s in spoken if s.came]
    quantiles = {f"{name} ms": round(float(np.quantile(latencies, q)) * 1000) for name, q in QUANTILES.items()}
    late = {"late": int((latencies > allowed).sum()), "lost": sum(s.lost for s in spoken)}
    rate = sum(len(s.came) for s in spoken) / max([1e-9, *spans]) / len(spoken)
    cpu = (after.seconds - before.seconds) * FRAME_RATE / sum(len(s.sent) for s in spoken)
    first = next((s.first_used.memory for s in spoken if s.first_used), float("nan"))
    grown = {"first MB": first, "MB": after.memory, "more MB": after.memory - before.memory}
    speed = {"fps each": float(rate), "CPU": cpu}
    return {"sessions": len(spoken), "pictures": len(latencies), **quantiles, **late, **speed, **grown}


QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}


def sound_of(path: str) -> bytes:
    """The recording as the server takes it, a whole number of frames long."""
    import numpy as np

    from xactor_jax.media.audio_io import read_audio

    waveform = read_audio(path)
    pcm = np.clip(np.rint(waveform * 32768), -32768, 32767).astype("<i2")
    if len(pcm) < SAMPLES_PER_FRAME:
        raise UserError(f"{path} is shorter than a frame: give a longer recording.")
    return pcm[: len(pcm) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].tobytes()


def ask(url: str, body: bytes | None = None) -> bytes:
    """The answer to a GET, or to a POST if there is a body. Raises `UserError` for a refusal."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise UserError(f"the server refused {url}: {error.read().decode(errors='replace')}") from None
    except OSError as error:
        raise UserError(f"{url} does not answer ({error}): start launch/serve.py there.") from None


class Used(NamedTuple):
    """What the server has used: resident memory in MB, and processor time in seconds."""

    memory: float
    seconds: float


def used_by(url: str) -> Used:
    """Read from its metrics; zeros on systems that do not report it."""
    lines = [line.split() for line in ask(f"{url}/metrics").decode().splitlines() if line.startswith("process_")]
    values = {name: float(value) for name, value in lines}
    return Used(values.get("process_resident_memory_bytes", 0.0) / 1e6, values.get("process_cpu_seconds_total", 0.0))


async def speak(url: str, session: dict[str, Any], pcm: bytes, frames: int, speed: float) -> Spoken:
    """Sends the recording `speed` times as fast as real time and notes when pictures come."""
    from websockets.asyncio.client import connect

    spoken, step = Spoken(), 2 * SAMPLES_PER_FRAME
    async with connect(f"ws{url.removeprefix('http')}{session['stream']}", max_size=None, ping_interval=None) as connection:

        async def send() -> None:
            start = time.monotonic()
            for frame in range(frames):
                await asyncio.sleep(start + frame / FRAME_RATE / speed - time.monotonic())
                if frame == min(FIRST_MINUTE, frames // 2):
                    spoken.first_used = await asyncio.to_thread(used_by, url)
                at = frame * step % len(pcm)
                await connection.send(pcm[at : at + step])
                spoken.sent.append(time.monotonic())
            await connection.send('{"type": "end"}')

        sending = asyncio.create_task(send())
        async for message in connection:
            if isinstance(message, bytes):
                spoken.came[int.from_bytes(message[8:12], "little")] = time.monotonic()
        await sending
    return spoken


def measure(url: str, count: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One number of sessions."""
    image, pcm = pathlib.Path(arguments.image).read_bytes(), sound_of(arguments.audio)
    make = lambda seed: json.loads(ask(f"{url}/sessions?crop={arguments.crop}&seed={seed}", image))
    sessions, before = [make(seed) for seed in range(count)], used_by(url)
    frames = max(1, round(arguments.minutes * 60 * FRAME_RATE))

    async def together() -> list[Spoken]:
        return await asyncio.gather(*(speak(url, session, pcm, frames, arguments.speed) for session in sessions))

    spoken = asyncio.run(together())
    return row(spoken, sessions[0]["delay_seconds"] + arguments.buffer, before, used_by(url))


@contextlib.contextmanager
def server(arguments: argparse.Namespace, most: int) -> Iterator[str]:
    """The address of a server: the given one, or one that is started here."""
    if arguments.url:
        yield arguments.url.rstrip("/")
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, str(_root.ROOT / "launch" / "serve.py"), f"--port={port}", f"--sessions={most}", "--load=0"]
    process = subprocess.Popen([*program, *arguments.serve.split()])
    try:
        wait_for(process, url := f"http://127.0.0.1:{port}")
        yield url
    finally:
        process.terminate()
        process.wait()


def wait_for(process: subprocess.Popen, url: str) -> None:
    """Waits until a server answers. Raises `UserError` if it ends before."""
    until = time.monotonic() + STARTING
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(UserError):
            ask(f"{url}/healthz")
            return
        time.sleep(0.5)
    raise UserError("launch/serve.py did not start: its message is above.")


def counts_of(text: str) -> list[int]:
    """Numbers of sessions. Raises `UserError` for a text that has none."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise UserError(f"--sessions={text} is not possible: give numbers from 1 on, as in 1,2,4.")
    return counts


def main() -> None:
    """Runs the measurements and prints a table."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_numbers(arguments, {"minutes": real(0.0, above=True), "speed": real(0.0, above=True), "buffer": real(0.0)})
        counts, rows = counts_of(arguments.sessions), []
        with server(arguments, max(counts)) as url:
            for count in counts:
                rows.append(measure(url, count, arguments))
                _table.show(rows[-1:])
        _table.show(rows)
        _table.write(arguments.json, rows)


if __name__ == "__main__":
    main()
