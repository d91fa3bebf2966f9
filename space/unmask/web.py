"""Around every HTTP request and answer of the Space: what is open, who may ask how much, and headers.

Plain ASGI: whatever serves the page is inside.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from unmask.clients import Clients, Rates, identify

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOAD = "/upload"  # how the addresses end to which files are uploaded
FILES = "/file="  # what the addresses hold under which uploads can be had back
MAX_BODY_BYTES = 96 * 2**20  # of any other request: 64 MiB of pictures, in base64
FORM_BYTES = 2**20  # what a form adds to an uploaded file
POSTS_PER_CHECK = 20  # asking for a state, joining a queue
UPLOADS_KEPT = 20  # as many of the largest size may lie here at once

# What the page and the API need. All else that gradio serves (proxies of other sites, shared links that keep
# the state of a page on disk, development, monitoring, code editing) is closed.
ON_PAGE = (
    "", "config", "theme\\.css", "favicon\\.ico", "robots\\.txt", "manifest\\.json", "pwa_icon.*",
    "assets/.*", "static/.*", "svelte/.*",
)  # fmt: skip
IN_API = (
    "info", "openapi\\.json", "app_id", "user", "login_check", "token", "startup-events", "theme\\.css",
    "heartbeat/[^/]+", "queue/(join|data)", "cancel", "reset", "upload", "upload_progress", "mcp(/.*)?",
    "(call|run|api)/[^/]+", "call/v2/[^/]+", "call/[^/]+/[^/]+", "file=(?!\\s*https?:).*",
)  # fmt: skip
OPEN = re.compile(
    f"/(?:(?:{'|'.join(ON_PAGE)})|gradio_api/(?:{'|'.join(IN_API)}))/?", re.IGNORECASE | re.DOTALL
)

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    # the page is shown in a frame on the platform, and in none elsewhere
    "content-security-policy": "frame-ancestors 'self' https://huggingface.co https://*.hf.space; "
    "object-src 'none'; base-uri 'self'",
}
FILE_HEADERS = {
    # what was uploaded runs nothing and loads nothing, whatever it is
    "content-security-policy": "default-src 'none'; media-src 'self'; img-src 'self'; sandbox",
}


class TooMuch(Exception):
    """A request's body is longer than is taken."""


class Doorkeeper:
    """An ASGI application around another."""

    def __init__(self, app: App, *, clients: Clients, max_upload_bytes: int, uploads: Path) -> None:
        self._app = app
        self._clients = clients
        self._max_upload_bytes = max_upload_bytes
        self._uploads = uploads  # the folder that they come to lie in
        self._rates = Rates(clients.per_minute * POSTS_PER_CHECK)
        self._upload_rates = Rates(clients.per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def answer(event: Event) -> None:
            nonlocal started
            if event["type"] == "http.response.start":
                started = True
                _add_headers(event, HEADERS | (FILE_HEADERS if FILES in scope["path"] else {}))
            await send(event)

        refusal = await self._refusal(scope)
        if refusal is not None:
            await _refuse(answer, *refusal)
            return
        try:
            await self._app(scope, _counted(receive, self._most_bytes(scope)), answer)
        except TooMuch:
            if not started:
                await _refuse(answer, 413, "too_large")

    async def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and code, when the request is refused before its body is read."""
        if not OPEN.fullmatch(scope["path"]):
            return 404, "bad_url"
        headers = _headers(scope)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._most_bytes(scope):
            return (413, "too_large") if length.isdigit() else (400, "bad_input")
        if scope["method"] != "POST":
            return None
        client = identify((scope.get("client") or (None,))[0], headers, self._clients)
        if not self._rates.take(client):
            return 429, "rate_limited"
        if scope["path"].endswith(UPLOAD):
            if not self._upload_rates.take(client):
                return 429, "rate_limited"
            if await asyncio.to_thread(_bytes_in, self._uploads) > UPLOADS_KEPT * self._max_upload_bytes:
                return 503, "busy"
        return None

    def _most_bytes(self, scope: Scope) -> int:
        return self._max_upload_bytes + FORM_BYTES if scope["path"].endswith(UPLOAD) else MAX_BODY_BYTES


def _counted(receive: Receive, most_bytes: int) -> Receive:
    """Also a body that does not say how long it is."""
    size_bytes = 0

    async def counted() -> Event:
        nonlocal size_bytes
        event = await receive()
        size_bytes += len(event.get("body", b""))
        if size_bytes > most_bytes:
            raise TooMuch
        return event

    return counted


def _headers(scope: Scope) -> dict[str, str]:
    """Names in lower case; of a header that comes several times all values, as if it had come once."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _add_headers(event: Event, headers: dict[str, str]) -> None:
    ours = {name.encode() for name in headers}
    kept = [(name, value) for name, value in event.get("headers", ()) if name.lower() not in ours]
    event["headers"] = [*kept, *((name.encode(), value.encode()) for name, value in headers.items())]


async def _refuse(send: Send, status: int, code: str) -> None:
    body = json.dumps({"error": {"code": code}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _bytes_in(folder: Path) -> int:
    size_bytes = 0
    for path in folder.rglob("*"):
        try:
            size_bytes += path.stat().st_size
        except FileNotFoundError:  # it is deleted meanwhile
            continue
    return size_bytes
