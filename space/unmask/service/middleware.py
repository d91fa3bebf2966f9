"""Checks around every HTTP request and response: the list of open routes, limits for clients, headers."""

import asyncio
import logging
import re
import traceback
from collections import Counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unmask.logs import summarise_traceback
from unmask.service.rate_limit import ClientLimits, RateLimiter, identify

UPLOAD = "/upload"  # the end of the paths to which files are uploaded
FILES = "/file="  # in the paths from which uploads can be read back
MAX_BODY_BYTES = 96 * 2**20  # of any other request: 64 MiB of pictures, in base64
FORM_BYTES = 2**20  # what a form adds to an uploaded file
MAX_PARTS = 10_000  # of a body: parsed, a million small ones would fill the memory
MAX_FILES = 4  # of one upload
# A part has one of these bytes; those of a kind are equally long.
JSON_MARKS, FILE_MARKS = (b"[", b"{", b","), (b"filename",)
POSTS_PER_CHECK = 20  # allowed POSTs for each allowed check: to ask for a state, to join a queue
UPLOADS_KEPT = 20  # uploads of the largest size that may lie here at once
BODIES_KEPT = 8  # other bodies of the largest size that may be on their way at once
SMALL_BYTES = 2**20  # smaller bodies are not counted
CLIENT_SHARE = 4  # one client gets this part of a budget

# What the page and the API need. All other routes of gradio (proxies of other sites, shared links that keep the
# state of a page on disk, development, monitoring, code editing) are closed.
PAGE_ROUTES = (
    "", "config", "theme\\.css", "favicon\\.ico", "robots\\.txt", "manifest\\.json", "pwa_icon.*",
    "assets/.*", "static/.*", "svelte/.*",
)  # fmt: skip
API_ROUTES = (
    "info", "openapi\\.json", "app_id", "user", "login_check", "token", "startup-events", "theme\\.css",
    "heartbeat/[^/]+", "queue/(join|data)", "cancel", "reset", "upload", "upload_progress", "mcp(/.*)?",
    "(call|run|api)/[^/]+", "call/v2/[^/]+", "call/[^/]+/[^/]+", "file=(?!\\s*https?:).*",
)  # fmt: skip
OPEN_ROUTES = re.compile(
    f"/(?:(?:{'|'.join(PAGE_ROUTES)})|gradio_api/(?:{'|'.join(API_ROUTES)}))/?", re.IGNORECASE | re.DOTALL
)

FORWARDED = "x-forwarded-for"
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    # the page is shown in a frame on the platform, and in no other
    "content-security-policy": "frame-ancestors 'self' https://huggingface.co https://*.hf.space; "
    "object-src 'none'; base-uri 'self'",
}
# an uploaded file runs nothing and loads nothing, whatever it is
FILE_HEADERS = {"content-security-policy": "default-src 'none'; media-src 'self'; img-src 'self'; sandbox"}

Refusal = tuple[int, str]  # HTTP status, code of the contract

logger = logging.getLogger(__name__)


class BodyTooLarge(Exception):
    """Raised when the body of a request is longer, or has more parts, than is allowed."""


class ByteBudget:
    """A number of bytes that requests may occupy at a time; one client may occupy a share of it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used: Counter[str] = Counter()  # by client

    def acquire(self, client: str, size_bytes: int) -> Refusal | None:
        """Occupy bytes; return a refusal when there are not so many."""
        if self._used[client] + size_bytes > self._max_bytes // CLIENT_SHARE:
            return 429, "rate_limited"
        if self._used.total() + size_bytes > self._max_bytes:
            return 503, "busy"
        self._used[client] += size_bytes
        return None

    def release(self, client: str, size_bytes: int) -> None:
        """Give bytes back."""
        self._used[client] -= size_bytes
        if not self._used[client]:
            del self._used[client]


class RequestLimitMiddleware:
    """An ASGI application around another."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        clients: ClientLimits,
        max_upload_bytes: int,
        kept_seconds: float,  # how long an upload lies here
    ) -> None:
        self._app = app
        self._clients = clients
        self._max_upload_bytes = max_upload_bytes
        self._kept_seconds = kept_seconds
        self._posts = RateLimiter(clients.per_minute * POSTS_PER_CHECK)
        self._uploads = RateLimiter(clients.per_minute)
        self._upload_budget = ByteBudget(UPLOADS_KEPT * max_upload_bytes)
        self._body_budget = ByteBudget(BODIES_KEPT * MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever is not HTTP passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(scope, send)
        if (refusal := self._refusal(scope)) is not None:
            await _refuse(refusal, scope, receive, send)
            return
        body, started = CountedBody(receive, scope, self._max_bytes(scope)), False

        async def send_once(message: Message) -> None:
            nonlocal started
            if started or not body.too_large:  # the application calls that an error of another kind
                started = True
                await send(message)

        try:
            await self._app(self._with_forwarded(scope), body, send_once)
        except BodyTooLarge:
            pass
        except Exception:  # noqa: BLE001 - its message may hold what a user sent, and must not be logged
            logger.error("A request failed: %s", summarise_traceback(traceback.format_exc()))
        finally:
            self._release(scope)
        if not started:
            await _refuse((413, "too_large") if body.too_large else (500, "internal"), scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        """Decide before the body is read."""
        if not OPEN_ROUTES.fullmatch(scope["path"]):
            return 404, "bad_url"
        length = _headers(scope).get("content-length", "0")
        if not length.isdigit():
            return 400, "bad_input"
        if int(length) > self._max_bytes(scope):
            return 413, "too_large"
        if scope["method"] != "POST":
            return None
        client = self._client(scope)
        if not self._posts.allow(client) or (_is_upload(scope) and not self._uploads.allow(client)):
            return 429, "rate_limited"
        return self._budget(scope).acquire(client, self._announced_bytes(scope))

    def _release(self, scope: Scope) -> None:
        """Give back what a body occupied: once it is answered; of an upload, once that is deleted."""
        if scope["method"] != "POST":
            return
        client, size_bytes = self._client(scope), self._announced_bytes(scope)
        if _is_upload(scope):
            loop = asyncio.get_running_loop()
            loop.call_later(self._kept_seconds, self._upload_budget.release, client, size_bytes)
        else:
            self._body_budget.release(client, size_bytes)

    def _client(self, scope: Scope) -> str:
        return identify((scope.get("client") or (None,))[0], _headers(scope), self._clients)

    def _with_forwarded(self, scope: Scope) -> Scope:
        """Write who asks into the headers, which gradio repeats when it calls this server for an MCP client.

        With known proxies the header is theirs; without them a client may not set it.
        """
        if self._clients.proxies:
            return scope
        others = [(name, value) for name, value in scope["headers"] if name.lower() != FORWARDED.encode()]
        host = str((scope.get("client") or ("",))[0])
        return {**scope, "headers": [*others, (FORWARDED.encode(), host.encode())]}

    def _budget(self, scope: Scope) -> ByteBudget:
        return self._upload_budget if _is_upload(scope) else self._body_budget

    def _announced_bytes(self, scope: Scope) -> int:
        """Return what a body may occupy; 0 where that is too little to be counted."""
        headers = _headers(scope)
        if "transfer-encoding" in headers:
            return self._max_bytes(scope)
        size_bytes = int(headers.get("content-length", "0"))
        return size_bytes if _is_upload(scope) or size_bytes > SMALL_BYTES else 0

    def _max_bytes(self, scope: Scope) -> int:
        return self._max_upload_bytes + FORM_BYTES if _is_upload(scope) else MAX_BODY_BYTES


class CountedBody:
    """Counts the bytes of a body as it comes, also one without a length, and its parts, without parsing it."""

    def __init__(self, receive: Receive, scope: Scope, max_bytes: int) -> None:
        self._receive = receive
        self._marks = FILE_MARKS if _is_upload(scope) else JSON_MARKS
        self._left_parts = MAX_FILES if _is_upload(scope) else MAX_PARTS
        self._left_bytes = max_bytes
        self._tail = b""  # a mark may lie across two pieces

    @property
    def too_large(self) -> bool:
        """Whether more has come than is allowed."""
        return min(self._left_bytes, self._left_parts) < 0

    async def __call__(self) -> Message:
        """Receive a piece. Raises BodyTooLarge."""
        message = await self._receive()
        piece = message.get("body", b"")
        text = self._tail + piece.lower()
        self._tail = text[max(0, len(text) - len(self._marks[0]) + 1) :]
        self._left_bytes -= len(piece)
        self._left_parts -= sum(map(text.count, self._marks))
        if self.too_large:
            raise BodyTooLarge
        return message


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/").endswith(UPLOAD))


def _headers(scope: Scope) -> dict[str, str]:
    """Join the values of a header that comes several times."""
    headers = Headers(scope=scope)
    return {name: ", ".join(headers.getlist(name)) for name in headers}


def _with_headers(scope: Scope, send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(HEADERS | (FILE_HEADERS if FILES in scope["path"] else {}))
        await send(message)

    return send_with_headers


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    status, code = refusal
    response = JSONResponse({"error": {"code": code}}, status, {"connection": "close"})
    await response(scope, receive, send)
