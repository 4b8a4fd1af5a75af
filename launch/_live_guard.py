"""Who may ask the live server: the token, and requests of pages from other sites."""

from __future__ import annotations

import hmac
import ipaddress
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable, Callable], Awaitable[None]]

CLOSED = ("sessions", "renders", "examples", "info", "metrics")
"""First parts of the paths that need the token. The page and /healthz tell nothing about sessions."""


def is_local(host: str) -> bool:
    """Whether an address or a name reaches only this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """An ASGI application around another, which answers only those who may ask.

    With a token: requests that bring it. Without: requests to a local name, so that a page elsewhere cannot lead a browser here
    by a name of its own. In both: no request from a page of another site, which browsers mark with Origin.
    """

    def __init__(self, app: App, token: str):
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        refusal = self.refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            await JSONResponse({"error": refusal[1]}, refusal[0])(scope, receive, send)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """(status, sentence) of a request that is not answered; None for one that is."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin and urllib.parse.urlsplit(origin).netloc != host:
            return 403, "requests from pages of other sites are not answered: open the page of this server."
        if not self.token:
            name = urllib.parse.urlsplit(f"//{host}").hostname or ""
            return None if is_local(name) else (403, "without a token, only requests to a local name are answered.")
        if scope["path"].split("/")[1] not in CLOSED or self._allowed(scope, headers):
            return None
        return 401, "the token is missing or wrong: give that of the server."

    def _allowed(self, scope: Scope, headers: Headers) -> bool:
        query = urllib.parse.parse_qs(scope["query_string"].decode("latin-1"))
        kind, _, given = headers.get("authorization", "").partition(" ")
        given = given if kind.lower() == "bearer" else query.get("token", [""])[0]
        return hmac.compare_digest(given.encode(), self.token.encode())
