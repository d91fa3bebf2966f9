"""Around every HTTP request and answer of the Space: what is open, who may ask how much, and headers.

Plain ASGI: whatever serves the page is inside.
"""

import asyncio
import json
import logging
import re
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from unmask.logs import frames
from unmask.service.rate_limit import Clients, Rates, identify

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOAD = "/upload"  # how the addresses end to which files are uploaded
FILES = "/file="  # what the addresses hold under which uploads can be had back
MAX_BODY_BYTES = 96 * 2**20  # of any other request: 64 MiB of pictures, in base64
FORM_BYTES = 2**20  # what a form adds to an uploaded file
MAX_PARTS = 10_000  # of a body: a million small ones would fill the memory when they are read
MAX_FILES = 4  # of one upload
JSON_MARKS, FILE_MARKS = (b"[", b"{", b","), (b"filename",)  # a part has one; those of a kind are as long
POSTS_PER_CHECK = 20  # asking for a state, joining a queue
UPLOADS_KEPT = 20  # as many of the largest size may lie here at once
BODIES_KEPT = 8  # as many of the largest other ones may be under way at once
SMALL_BYTES = 2**20  # of a body that takes no room worth counting
SHARES = 4  # one client has this part of the room

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
OPEN = re.compile(f"/(?:(?:{'|'.join(ON_PAGE)})|gradio_api/(?:{'|'.join(IN_API)}))/?", re.IGNORECASE | re.DOTALL)

FORWARDED = b"x-forwarded-for"
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

logger = logging.getLogger(__name__)


class TooMuch(Exception):
    """A request's body is longer, or has more parts, than is taken."""


class Room:
    """So many bytes at a time, of which one client has a share."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._taken: Counter[str] = Counter()  # by client

    def take(self, client: str, size_bytes: int) -> tuple[int, str] | None:
        """Status and code, when there is no room."""
        if self._taken[client] + size_bytes > self._most_bytes // SHARES:
            return 429, "rate_limited"
        if self._taken.total() + size_bytes > self._most_bytes:
            return 503, "busy"
        self._taken[client] += size_bytes
        return None

    def give_back(self, client: str, size_bytes: int) -> None:
        self._taken[client] -= size_bytes
        if not self._taken[client]:
            del self._taken[client]


class Doorkeeper:
    """An ASGI application around another."""

    def __init__(self, app: App, *, clients: Clients, max_upload_bytes: int, kept_seconds: float) -> None:
        self._app = app
        self._clients = clients
        self._max_upload_bytes = max_upload_bytes
        self._kept_seconds = kept_seconds  # how long an upload lies here
        self._rates = Rates(clients.per_minute * POSTS_PER_CHECK)
        self._upload_rates = Rates(clients.per_minute)
        self._uploads = Room(UPLOADS_KEPT * max_upload_bytes)
        self._bodies = Room(BODIES_KEPT * MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(_with_headers(scope, send), *refusal)
            return
        body, started = Body(receive, scope, self._most_bytes(scope)), False

        async def answer(event: Event) -> None:
            nonlocal started
            if started or not body.too_much:  # what is inside calls it an error of another kind
                started = True
                await _with_headers(scope, send)(event)

        try:
            await self._app(self._told_apart(scope), body, answer)
        except TooMuch:
            pass
        except Exception:  # noqa: BLE001 - what it says may be in a stranger's words, and would be printed
            logger.error("A request failed: %s", frames(traceback.format_exc()))
        finally:
            self._let_go(scope)
        if not started:
            status, code = (413, "too_large") if body.too_much else (500, "internal")
            await _refuse(_with_headers(scope, send), status, code)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and code, when the request is refused before its body is read."""
        if not OPEN.fullmatch(scope["path"]):
            return 404, "bad_url"
        length = _headers(scope).get("content-length", "0")
        if not length.isdigit() or int(length) > self._most_bytes(scope):
            return (413, "too_large") if length.isdigit() else (400, "bad_input")
        if scope["method"] != "POST":
            return None
        client = self._client(scope)
        if not self._rates.take(client) or (_is_upload(scope) and not self._upload_rates.take(client)):
            return 429, "rate_limited"
        return self._room(scope).take(client, self._announced_bytes(scope))

    def _let_go(self, scope: Scope) -> None:
        """The room of a body, once it is answered; of an upload, once that is deleted."""
        if scope["method"] != "POST":
            return
        given = (self._client(scope), self._announced_bytes(scope))
        if _is_upload(scope):
            asyncio.get_running_loop().call_later(self._kept_seconds, self._uploads.give_back, *given)
        else:
            self._bodies.give_back(*given)

    def _client(self, scope: Scope) -> str:
        return identify((scope.get("client") or (None,))[0], _headers(scope), self._clients)

    def _told_apart(self, scope: Scope) -> Scope:
        """A call of an MCP tool is sent on to this server by itself, with the headers that it came with.

        Without proxies nobody else may say there for whom it asks.
        """
        if self._clients.proxies:
            return scope
        others = [(name, value) for name, value in scope["headers"] if name.lower() != FORWARDED]
        host = str((scope.get("client") or ("",))[0])
        return {**scope, "headers": [*others, (FORWARDED, host.encode())]}

    def _room(self, scope: Scope) -> Room:
        return self._uploads if _is_upload(scope) else self._bodies

    def _announced_bytes(self, scope: Scope) -> int:
        """What a body may take; nothing where that is not worth counting."""
        headers = _headers(scope)
        if "transfer-encoding" in headers:
            return self._most_bytes(scope)
        size_bytes = int(headers.get("content-length", "0"))
        return size_bytes if _is_upload(scope) or size_bytes > SMALL_BYTES else 0

    def _most_bytes(self, scope: Scope) -> int:
        return self._max_upload_bytes + FORM_BYTES if _is_upload(scope) else MAX_BODY_BYTES


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/").endswith(UPLOAD))


class Body:
    """Counts a body as it comes, also one that does not say how long it is; its parts without reading it."""

    def __init__(self, receive: Receive, scope: Scope, most_bytes: int) -> None:
        self._receive = receive
        self._marks = FILE_MARKS if _is_upload(scope) else JSON_MARKS
        self._left_parts = MAX_FILES if _is_upload(scope) else MAX_PARTS
        self._left_bytes = most_bytes
        self._tail = b""  # a mark may lie in two pieces

    @property
    def too_much(self) -> bool:
        return min(self._left_bytes, self._left_parts) < 0

    async def __call__(self) -> Event:
        event = await self._receive()
        piece = event.get("body", b"")
        text = self._tail + piece.lower()
        self._tail = text[max(0, len(text) - len(self._marks[0]) + 1) :]
        self._left_bytes -= len(piece)
        self._left_parts -= sum(map(text.count, self._marks))
        if self.too_much:
            raise TooMuch
        return event


def _with_headers(scope: Scope, send: Send) -> Send:
    async def answer(event: Event) -> None:
        if event["type"] == "http.response.start":
            _add_headers(event, HEADERS | (FILE_HEADERS if FILES in scope["path"] else {}))
        await send(event)

    return answer


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
