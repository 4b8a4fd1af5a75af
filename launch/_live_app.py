"""The live server as an ASGI application: the routes of docs/live.md around an engine."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import prometheus_client
from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from launch._live_guard import Guard
from launch._live_metrics import registry
from launch._live_page import page_router
from launch._live_stream import BROKEN_RULE, Conversation
from launch._live_uploads import TooLarge, TooSlow, read_body
from xactor_jax.emotion import EMOTIONS
from xactor_jax.errors import UserError
from xactor_jax.live.engine import Busy, Engine, Taken, Unknown
from xactor_jax.live.limits import Choices
from xactor_jax.live.pictures import CODECS
from xactor_jax.live.renders import Renders
from xactor_jax.live.seat import Seat
from xactor_jax.media.faces import FaceDetector
from xactor_jax.media.image_io import decoded_image
from xactor_jax.sampling.portrait import CROPS, cropped
from xactor_jax.sampling.request import check_crop
from xactor_jax.timing import FRAME_RATE, SAMPLE_RATE

PAGE = pathlib.Path(__file__).resolve().parents[1] / "xactor_jax" / "live" / "page"
"""The page for browsers."""

NAME = re.compile(r"[0-9a-f]{32}")
"""Names of sessions, which whoever asks must know."""

RETRY_SECONDS = 10
"""When a client that found no place may ask again."""


STATUS = {Busy: 503, Unknown: 404, Taken: 409, TooLarge: 413, TooSlow: 408}


def make_app(engine: Engine, detector: FaceDetector, token: str = "", renders: Renders | None = None) -> Guard:
    """The application. Its start and its end start and stop the engine. `renders`: it also makes files of whole recordings."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await run_in_threadpool(engine.stop)
        if renders:
            await run_in_threadpool(renders.stop)

    app = FastAPI(
        title="xactor_jax live", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    server = Server(engine, detector)
    app.add_exception_handler(UserError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, nothing_there)
    app.get("/healthz")(server.health)
    app.get("/info")(server.info)
    app.get("/metrics")(server.metrics)
    app.post("/sessions", status_code=201)(server.make)
    app.delete("/sessions/{name}", status_code=204)(server.end)
    app.get("/sessions/{name}/state")(server.state)
    app.put("/sessions/{name}/state", status_code=201)(server.take_up)
    app.websocket("/sessions/{name}/stream")(server.stream)
    if renders:
        app.include_router(page_router(renders))
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return Guard(app, token)


async def refused(_: Request, error: Exception) -> JSONResponse:
    """A sentence and its status."""
    status = STATUS.get(type(error), 400)
    return JSONResponse({"error": str(error)}, status, {"Retry-After": str(RETRY_SECONDS)} if status == 503 else None)


async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    """A parameter of a wrong type."""
    first = error.errors()[0]
    return JSONResponse({"error": f"{first['loc'][-1]} is not possible ({first['msg']}): give another value."}, 400)


async def nothing_there(request: Request, error: HTTPException) -> JSONResponse:
    """A path or a method that is none of the routes."""
    said = f"{request.method} {request.url.path[:80]} is no route of this server: docs/live.md lists them."
    return JSONResponse({"error": said}, error.status_code, error.headers)


class Server:
    """The routes."""

    def __init__(self, engine: Engine, detector: FaceDetector):
        self.engine, self.detector = engine, detector
        self.looking = threading.Lock()  # detectors are not made for several threads
        self.registry = registry(engine)
        self.uploads = asyncio.Semaphore(engine.places)

    async def health(self) -> dict[str, str]:
        """The port opens when everything is compiled."""
        return {"status": "ready"}

    async def info(self) -> dict[str, Any]:
        """What the server can do."""
        engine = self.engine
        known = EMOTIONS[: engine.programs.models.actor.model.network.emotions]
        limits = dataclasses.asdict(engine.limits)
        places = {"sessions": engine.places, "free": engine.free, "session_cost": round(engine.cost, 3)}
        del limits["sessions"]
        return {**self._facts(), **places, "codecs": list(CODECS), "emotions": known, "crops": CROPS, "limits": limits}

    async def metrics(self) -> PlainTextResponse:
        """The server's numbers in the text format of Prometheus."""
        text = prometheus_client.generate_latest(self.registry)
        return PlainTextResponse(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    async def make(
        self,
        request: Request,
        seed: int = 0,
        emotion: str = "",
        codec: str = "jpeg",
        quality: int = 85,
        crop: str = "auto",
        face_index: int | None = None,
        mark: str = "",
    ) -> dict[str, Any]:
        """A new session of the portrait in the body."""
        choices = Choices(seed=seed, emotion=emotion, codec=codec, quality=quality, mark=mark)
        check_crop(crop)

        def made(data: bytes) -> Seat:
            pixels, sides = decoded_image(data, "portrait"), self.engine.programs.models.sides
            with self.looking:
                portrait = cropped(pixels, "portrait", sides, crop, face_index, self.detector)
            return self.engine.open(choices, portrait)

        return self._described(await self._uploaded(request, made))

    async def take_up(self, request: Request, name: str) -> dict[str, Any]:
        """A session of the saved bytes in the body."""
        if not NAME.fullmatch(name):
            raise UserError("the name of a session has 32 hexadecimal digits: give one.")
        return self._described(await self._uploaded(request, lambda data: self.engine.take_up(name, data)))

    async def state(self, name: str) -> Response:
        """The whole session as bytes."""
        data = await run_in_threadpool(self.engine.state, name)
        return Response(data, media_type="application/octet-stream")

    async def end(self, name: str) -> None:
        """Ends a session."""
        self.engine.find(name)
        self.engine.remove(name)

    async def stream(self, socket: WebSocket, name: str) -> None:
        """Sound in, pictures out."""
        try:
            seat = self.engine.find(name)
        except Unknown as error:
            return await socket.close(BROKEN_RULE, str(error)[:100])
        if seat.attached:
            return await socket.close(BROKEN_RULE, "another client is connected to this session")
        seat.attached = True
        try:
            await socket.accept()
            await Conversation(socket, self.engine, seat, self._described(seat)).run()
        finally:
            seat.attached = False

    async def _uploaded(self, request: Request, use: Callable[[bytes], Seat]) -> Seat:
        """What `use` makes of the body. There are at most as many uploads at a time as sessions."""
        if not self.engine.free or self.uploads.locked():
            self.engine.measures.counts["refused"] += 1
            raise Busy(f"all {self.engine.places} places are taken: try again later.")
        async with self.uploads:
            return await run_in_threadpool(use, await read_body(request, self.engine.limits))

    def _facts(self) -> dict[str, Any]:
        programs = self.engine.programs
        rates = {"frame_rate": FRAME_RATE, "sample_rate": SAMPLE_RATE, "delay_seconds": programs.delay_seconds}
        return {"synthetic": True, "size": programs.models.sides[1], **rates}

    def _described(self, seat: Seat) -> dict[str, Any]:
        own = {"id": seat.name, "stream": f"/sessions/{seat.name}/stream", "codec": seat.session.choices.codec}
        return {**own, **self._facts(), "next_frame": seat.next_frame, "samples": seat.samples}
