"""What the page of the live server needs beside sessions: files of whole recordings, and synthetic examples to try."""

from __future__ import annotations

import functools
import io
from typing import Any

import PIL.Image
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool

from launch._live_uploads import read_body
from xactor_jax.errors import UserError
from xactor_jax.live.engine import Unknown
from xactor_jax.live.renders import Renders

PERSONS = 4
"""Number of synthetic people."""

VOICE = "voice.wav"
VOICE_SECONDS = 6


def page_router(renders: Renders) -> APIRouter:
    """The routes of the page."""
    router, page = APIRouter(), Page(renders)
    router.post("/renders", status_code=202)(page.add)
    router.get("/renders/{name}")(page.look)
    router.delete("/renders/{name}", status_code=204)(page.remove)
    router.get("/renders/{name}/{part}")(page.download)
    router.get("/examples")(page.examples)
    router.get("/examples/{name}")(page.example)
    return router


@functools.cache
def make_examples() -> dict[str, bytes]:
    """Name → file: portraits of synthetic people, whom no stage has seen, and a voice."""
    from data.heads import body
    from data.performers.bodies import perform
    from data.performers.clips import make_portrait
    from launch.demo import CLIP, PERSON, PORTRAIT_SIDE, SEED
    from xactor_jax.media.sound_array import sound_array, wav_file
    from xactor_jax.timing import FRAME_RATE, SAMPLE_RATE

    def png(person: int) -> bytes:
        buffer = io.BytesIO()
        PIL.Image.fromarray(make_portrait(body, SEED, person, PORTRAIT_SIDE, CLIP)).save(buffer, "PNG")
        return buffer.getvalue()

    spoken = perform(body, SEED, PERSON, CLIP, VOICE_SECONDS * FRAME_RATE, split="test")
    voice = wav_file(sound_array(spoken.audio, SAMPLE_RATE))
    return {**{f"person-{person}.png": png(person) for person in range(PERSONS)}, VOICE: voice}


class Page:
    """The routes' functions."""

    def __init__(self, renders: Renders):
        self.renders = renders

    async def add(
        self,
        request: Request,
        portrait_bytes: int,
        seed: int = 0,
        emotion: str = "",
        crop: str = "auto",
        face_index: int | None = None,
        mark: str = "",
        steps: int | None = None,
        guidance_scale: float | None = None,
        actor_steps: int | None = None,
        audio_guidance: float | None = None,
        emotion_guidance: float | None = None,
    ) -> dict[str, Any]:
        """A new file of the portrait and the recording that follows it in the body."""
        choices = {"seed": seed, "emotion": emotion, "crop": crop, "face_index": face_index, "mark": mark}
        options = {"steps": steps, "guidance_scale": guidance_scale, "actor_steps": actor_steps}
        options |= {"audio_guidance": audio_guidance, "emotion_guidance": emotion_guidance}
        data = await read_body(request, self.renders.limits)
        if not 0 < portrait_bytes < len(data):
            raise UserError(f"portrait_bytes={portrait_bytes} does not divide the body: give the size of the portrait.")
        given = {name: value for name, value in options.items() if value is not None}
        inputs = data[:portrait_bytes], data[portrait_bytes:]
        return (await run_in_threadpool(self.renders.add, *inputs, choices, given)).described()

    async def look(self, name: str) -> dict[str, Any]:
        """How far a file is."""
        return self.renders.find(name).described()

    async def remove(self, name: str) -> None:
        """Stops and forgets a file."""
        self.renders.remove(name)

    async def download(self, name: str, part: str) -> FileResponse:
        """The video or its record."""
        return FileResponse(self.renders.file(name, part), filename=part)

    async def examples(self) -> dict[str, Any]:
        """The examples' addresses."""
        made = await run_in_threadpool(make_examples)
        portraits = [
            {"name": f"synthetic {name[:-4]}", "url": f"examples/{name}", "crop": "none"} for name in made if name != VOICE
        ]
        return {"portraits": portraits, "voice": f"examples/{VOICE}"}

    async def example(self, name: str) -> Response:
        """The file of an example."""
        made = await run_in_threadpool(make_examples)
        if name not in made:
            raise Unknown(f"there is no example {name[:40]}: GET /examples lists them.")
        return Response(made[name], media_type="audio/wav" if name == VOICE else "image/png")
