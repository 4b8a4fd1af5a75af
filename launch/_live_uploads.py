"""Bodies of requests to the live server, with bounds on their size and time."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from xactor_jax.errors import UserError
from xactor_jax.live.limits import Limits


class TooLarge(UserError):
    """An upload has more bytes than allowed."""


class TooSlow(UserError):
    """An upload took too long."""


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body. Raises `TooLarge`, `TooSlow`, or `UserError` where it breaks off."""
    data = bytearray()
    try:
        async with asyncio.timeout(limits.upload_seconds):
            async for piece in request.stream():
                data += piece
                if len(data) > limits.upload_bytes:
                    raise TooLarge(f"the upload has more than {limits.upload_bytes} bytes: send less.")
    except TimeoutError:
        raise TooSlow(f"the upload took more than {limits.upload_seconds:g} seconds: send it faster.") from None
    except ClientDisconnect:
        raise UserError("the upload broke off: send it again.") from None
    return bytes(data)
