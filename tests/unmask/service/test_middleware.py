"""The middleware around a small application."""

import asyncio
import json

import httpx
import pytest

from unmask.service import middleware
from unmask.service.middleware import RequestLimitMiddleware
from unmask.service.rate_limit import ClientLimits


async def echo(scope, receive, send):
    """Answers with the length of the body."""
    size_bytes, more = 0, True
    while more:
        event = await receive()
        size_bytes += len(event.get("body", b""))
        more = event.get("more_body", False)
    headers = [(b"content-type", b"text/plain"), (b"x-content-type-options", b"guess")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": str(size_bytes).encode()})


@pytest.fixture
def wrap(monkeypatch):
    monkeypatch.setattr(middleware, "MAX_BODY_BYTES", 1000)
    monkeypatch.setattr(middleware, "SMALL_BYTES", 100)
    monkeypatch.setattr(middleware, "FORM_BYTES", 100)

    def make(app=echo, kept_seconds=1000.0, **rules):
        return RequestLimitMiddleware(
            app, clients=ClientLimits(**rules), max_upload_bytes=5000, kept_seconds=kept_seconds
        )

    return make


async def slowly(scope, receive, send):
    await asyncio.sleep(0.1)
    await echo(scope, receive, send)


def session(wrap, client="203.0.113.7"):
    return httpx.AsyncClient(transport=httpx.ASGITransport(wrap, client=(client, 1)), base_url="http://space")


def ask(wrap, method, path, times=1, client="203.0.113.7", **options):
    async def talk():
        async with session(wrap, client) as asking:
            return [await asking.request(method, path, **options) for _ in range(times)]

    return asyncio.run(talk())


def ask_at_once(wrap, requests):
    async def talk():
        async with session(wrap) as asking:
            return await asyncio.gather(
                *(asking.request(method, path, content=content) for method, path, content in requests)
            )

    return asyncio.run(talk())


async def chunks(count):
    """A body that does not say how long it is."""
    for _ in range(count):
        yield bytes(100)


async def one_at_a_time(body):
    for byte in body:
        yield bytes([byte])


@pytest.mark.parametrize(
    ("path", "size_bytes", "status"),
    [
        ("/gradio_api/call/v2/check_frames", 1000, 200),
        ("/gradio_api/call/v2/check_frames", 1001, 413),
        ("/gradio_api/queue/join", 2000, 413),
        ("/gradio_api/upload", 5100, 200),
        ("/gradio_api/upload", 5101, 413),
        ("/gradio_api/mcp/", 2000, 413),
    ],
)
def test_no_body_is_longer_than_it_may_be(wrap, path, size_bytes, status):
    (answer,) = ask(wrap(), "POST", path, content=bytes(size_bytes))
    assert answer.status_code == status
    if status == 413:
        assert answer.json() == {"error": {"code": "too_large"}}
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_body_hides_its_length(wrap):
    (answer,) = ask(wrap(), "POST", "/gradio_api/queue/join", content=chunks(10))
    assert answer.text == "1000"
    (answer,) = ask(wrap(), "POST", "/gradio_api/queue/join", content=chunks(11))
    assert answer.status_code == 413


def test_a_body_that_is_too_large_is_refused_whatever_the_application_answers(wrap):
    async def deaf(scope, receive, send):
        try:
            await echo(scope, receive, send)
        except Exception:  # noqa: BLE001 - as what is inside does
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"There was an error"})

    (answer,) = ask(wrap(app=deaf), "POST", "/gradio_api/queue/join", content=chunks(11))
    assert (answer.status_code, answer.json()) == (413, {"error": {"code": "too_large"}})


def test_a_defect_is_logged_without_its_message(wrap, caplog):
    async def broken(scope, receive, send):
        raise KeyError("zebra")

    (answer,) = ask(wrap(app=broken), "GET", "/")
    assert (answer.status_code, answer.json()) == (500, {"error": {"code": "internal"}})
    assert "KeyError" in caplog.text
    assert "zebra" not in caplog.text.replace('raise KeyError("zebra")', "")


def test_a_length_that_is_no_number_is_refused(wrap):
    (answer,) = ask(wrap(), "GET", "/", headers={"content-length": "-1"})
    assert answer.status_code == 400


def test_one_client_cannot_send_without_end_and_others_still_may(wrap):
    limited = wrap(per_minute=2)
    answers = ask(limited, "POST", "/gradio_api/queue/join", times=2 * middleware.POSTS_PER_CHECK + 1)
    assert [answer.status_code for answer in answers] == [200] * 2 * middleware.POSTS_PER_CHECK + [429]
    assert answers[-1].json() == {"error": {"code": "rate_limited"}}
    (answer,) = ask(limited, "GET", "/")
    assert answer.status_code == 200
    (answer,) = ask(limited, "POST", "/gradio_api/queue/join", client="203.0.113.8")
    assert answer.status_code == 200
    uploads = ask(wrap(per_minute=2), "POST", "/gradio_api/upload", times=3)  # each counted like a check
    assert [answer.status_code for answer in uploads] == [200, 200, 429]


@pytest.mark.parametrize(("proxies", "forwarded"), [(0, "203.0.113.7"), (1, "198.51.100.1, 198.51.100.2")])
def test_no_client_chooses_the_address_of_a_call_that_the_space_sends_to_itself(wrap, proxies, forwarded):
    """As gradio does for MCP, with the headers of the first request."""
    heard: list[str] = []

    async def inner(scope, receive, send):
        heard.extend(value.decode() for name, value in scope["headers"] if name == b"x-forwarded-for")
        await echo(scope, receive, send)

    spoofed = {"X-Forwarded-For": "198.51.100.1, 198.51.100.2"}
    ask(wrap(app=inner, proxies=proxies), "POST", "/gradio_api/mcp/", headers=spoofed)
    assert heard == [forwarded]


UPLOADS = ("POST", "/gradio_api/upload")
CALLS = ("POST", "/gradio_api/queue/join")


def test_uploads_cannot_fill_the_disk(wrap):
    limited = wrap(per_minute=0)
    for number in range(4):  # of one client as many as make up its share
        answers = ask(limited, *UPLOADS, times=6, client=f"203.0.113.{number}", content=bytes(5000))
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[-1].json() == {"error": {"code": "rate_limited"}}
    (answer,) = ask(limited, *UPLOADS, client="203.0.113.9", content=b"x")  # of all together
    assert (answer.status_code, answer.json()) == (503, {"error": {"code": "busy"}})


def test_uploads_without_a_length_cannot_fill_the_disk(wrap):
    answers = ask_at_once(wrap(per_minute=0), [(*UPLOADS, chunks(1))] * 5)
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [429]


def test_the_bytes_of_an_upload_are_free_again_when_it_has_been_deleted(wrap):
    async def talk(limited):
        async with session(limited) as asking:
            first = [await asking.post(UPLOADS[1], content=bytes(5000)) for _ in range(6)]
            await asyncio.sleep(0.3)
            return [answer.status_code for answer in (*first, await asking.post(UPLOADS[1], content=b"x"))]

    assert asyncio.run(talk(wrap(kept_seconds=0.2, per_minute=0))) == [200] * 5 + [429, 200]


def test_bodies_under_way_cannot_fill_the_memory(wrap):
    """Large ones, that is, until they are answered."""
    answers = ask_at_once(wrap(app=slowly), [(*CALLS, bytes(900))] * 3 + [(*CALLS, bytes(90))] * 9)
    assert [answer.status_code for answer in answers] == [200, 200, 429] + [200] * 9
    limited = wrap(app=slowly)
    assert [answer.status_code for answer in ask(limited, *CALLS, times=9, content=bytes(900))] == [200] * 9


@pytest.mark.parametrize("body", [b"[],", b"{},", b"0,", b"[", b'{"', ",".encode("utf-16")])
def test_a_body_of_many_small_parts_is_refused_before_it_is_read(wrap, monkeypatch, body):
    """Read, each of its bytes would take hundreds, and minutes for all."""
    monkeypatch.setattr(middleware, "MAX_PARTS", 100)
    (answer,) = ask(wrap(), *CALLS, content=body * 101)
    assert answer.status_code == 413
    (answer,) = ask(wrap(), *CALLS, content=one_at_a_time(body * 101))
    assert answer.status_code == 413
    (answer,) = ask(wrap(), *CALLS, content=body * 30)
    assert answer.status_code == 200


def test_the_largest_capture_has_far_fewer_parts():
    frames = [{"seconds": 0.1, "jpeg": "data:image/jpeg;base64,AAAA"}] * 256
    body = json.dumps({"frames": frames, "page_url": "x", "title": "x", "model": ""}).encode()
    assert sum(map(body.count, middleware.JSON_MARKS)) < middleware.MAX_PARTS / 5


def test_an_upload_holds_a_few_files_at_most(wrap):
    part = b'--x\r\nContent-Disposition: form-data; name="files"; FileName="a.mp4"\r\n\r\nvideo\r\n'
    for content in (part * 5, one_at_a_time(part * 5)):
        (answer,) = ask(wrap(), *UPLOADS, content=content)
        assert answer.status_code == 413
    (answer,) = ask(wrap(), *UPLOADS, content=one_at_a_time(part * 4))
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/", "/gradio_api/info", "/gradio_api/file=/tmp/x.mp4"])
def test_every_response_has_the_security_headers(wrap, path):
    (answer,) = ask(wrap(), "GET", path)
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert ("sandbox" in policy and "default-src 'none'" in policy) == ("file=" in path)
    assert "frame-ancestors" in policy or "sandbox" in policy


OPEN = [
    "/", "/?um=https://x.example", "/config", "/assets/index.js", "/gradio_api/info", "/gradio_api/info/",
    "/gradio_api/call/v2/check_url", "/gradio_api/call/check_url/12ab", "/gradio_api/queue/data?session_hash=1",
    "/gradio_api/heartbeat/abc", "/gradio_api/mcp/", "/gradio_api/file=/tmp/unmask-space-1/x.mp4",
]  # fmt: skip
CLOSED = [
    "/gradio_api/file=http://169.254.169.254/", "/gradio_api/file=HTTPS://evil.example/",
    "/gradio_api/file=%20http://evil.example/", "/gradio_api/file=%68ttp://evil.example/",
    "/gradio_api/proxy=https://evil.hf.space/", "/gradio_api/deep_link?session_hash=1",
    "/gradio_api/process_recording", "/gradio_api/vibe-edit", "/gradio_api/dev/reload",
    "/gradio_api/custom_component/1/client/x/index.js", "/gradio_api/stream/1/2/3/playlist.m3u8",
    "/gradio_api/profiling/traces", "/gradio_api/run-history/buckets", "/monitoring", "/login", "/docs", "/redoc",
    "/.env", "/gradio_api",
]  # fmt: skip


@pytest.mark.parametrize(("path", "open_"), [(path, True) for path in OPEN] + [(path, False) for path in CLOSED])
def test_only_what_the_page_and_the_api_need_is_open(wrap, path, open_):
    (answer,) = ask(wrap(), "GET", path)
    assert (answer.status_code == 200) == open_
    assert open_ or answer.status_code == 404
