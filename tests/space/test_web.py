"""What stands around every request, with a small application inside."""

import asyncio
from pathlib import Path

import httpx
import pytest

from unmask import web
from unmask.clients import Clients
from unmask.web import Doorkeeper


async def echo(scope, receive, send):
    """Answers with the length of the body."""
    size_bytes, more = 0, True
    while more:
        event = await receive()
        size_bytes += len(event.get("body", b""))
        more = event.get("more_body", False)
    headers = [(b"content-type", b"text/plain"), (b"X-Content-Type-Options", b"guess")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": str(size_bytes).encode()})


@pytest.fixture
def door(tmp_path, monkeypatch):
    monkeypatch.setattr(web, "MAX_BODY_BYTES", 1000)
    monkeypatch.setattr(web, "FORM_BYTES", 100)
    uploads = tmp_path / "uploads"
    uploads.mkdir()

    def make(**rules):
        return Doorkeeper(echo, clients=Clients(**rules), max_upload_bytes=5000, uploads=uploads)

    return make


def ask(door, method, path, times=1, client="203.0.113.7", **options):
    async def talk():
        transport = httpx.ASGITransport(door, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://space") as session:
            return [await session.request(method, path, **options) for _ in range(times)]

    return asyncio.run(talk())


async def chunks(count):
    """A body that does not say how long it is."""
    for _ in range(count):
        yield bytes(100)


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
def test_no_body_is_longer_than_it_may_be(door, path, size_bytes, status):
    (answer,) = ask(door(), "POST", path, content=bytes(size_bytes))
    assert answer.status_code == status
    if status == 413:
        assert answer.json() == {"error": {"code": "too_large"}}


def test_nor_is_one_that_hides_its_length(door):
    (answer,) = ask(door(), "POST", "/gradio_api/queue/join", content=chunks(10))
    assert answer.text == "1000"
    (answer,) = ask(door(), "POST", "/gradio_api/queue/join", content=chunks(11))
    assert answer.status_code == 413


def test_a_length_that_is_no_number_is_refused(door):
    (answer,) = ask(door(), "GET", "/", headers={"content-length": "-1"})
    assert answer.status_code == 400


def test_one_client_cannot_ask_for_ever_and_others_still_may(door):
    keeper = door(per_minute=2)
    answers = ask(keeper, "POST", "/gradio_api/queue/join", times=2 * web.POSTS_PER_CHECK + 1)
    assert [answer.status_code for answer in answers] == [200] * 2 * web.POSTS_PER_CHECK + [429]
    assert answers[-1].json() == {"error": {"code": "rate_limited"}}
    (answer,) = ask(keeper, "GET", "/")
    assert answer.status_code == 200
    (answer,) = ask(keeper, "POST", "/gradio_api/queue/join", client="203.0.113.8")
    assert answer.status_code == 200


def test_uploads_are_counted_like_checks(door):
    answers = ask(door(per_minute=2), "POST", "/gradio_api/upload", times=3)
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_uploads_cannot_fill_the_disk(door, tmp_path):
    keeper = door()
    (tmp_path / "uploads" / "earlier").write_bytes(bytes(20 * 5000 + 1))
    (answer,) = ask(keeper, "POST", "/gradio_api/upload", content=b"x")
    assert answer.status_code == 503
    assert answer.json() == {"error": {"code": "busy"}}
    (tmp_path / "uploads" / "earlier").unlink()
    (answer,) = ask(keeper, "POST", "/gradio_api/upload", content=b"x")
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/", "/gradio_api/info", "/gradio_api/file=/tmp/x.mp4"])
def test_every_answer_says_what_a_browser_may_do_with_it(door, path):
    (answer,) = ask(door(), "GET", path)
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert ("sandbox" in policy and "default-src 'none'" in policy) == ("file=" in path)
    assert "frame-ancestors" in policy or "sandbox" in policy


def test_a_refusal_says_it_too(door):
    (answer,) = ask(door(), "POST", "/gradio_api/upload", content=bytes(6000))
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_not_http_passes(door):
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    keeper = Doorkeeper(inner, clients=Clients(), max_upload_bytes=1, uploads=Path())
    asyncio.run(keeper({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    ("path", "open_"),
    [
        ("/", True),
        ("/?um=https://x.example", True),
        ("/config", True),
        ("/assets/index.js", True),
        ("/gradio_api/info", True),
        ("/gradio_api/info/", True),
        ("/gradio_api/call/v2/check_url", True),
        ("/gradio_api/call/check_url/12ab", True),
        ("/gradio_api/queue/data?session_hash=1", True),
        ("/gradio_api/heartbeat/abc", True),
        ("/gradio_api/mcp/", True),
        ("/gradio_api/file=/tmp/unmask-space-1/x.mp4", True),  # gradio itself looks whose it is
        ("/gradio_api/file=http://169.254.169.254/", False),
        ("/gradio_api/file=HTTPS://evil.example/", False),
        ("/gradio_api/file=%20http://evil.example/", False),
        ("/gradio_api/file=%68ttp://evil.example/", False),
        ("/gradio_api/proxy=https://evil.hf.space/", False),
        ("/gradio_api/deep_link?session_hash=1", False),
        ("/gradio_api/process_recording", False),
        ("/gradio_api/vibe-edit", False),
        ("/gradio_api/dev/reload", False),
        ("/gradio_api/custom_component/1/client/x/index.js", False),
        ("/gradio_api/stream/1/2/3/playlist.m3u8", False),
        ("/gradio_api/profiling/traces", False),
        ("/gradio_api/run-history/buckets", False),
        ("/monitoring", False),
        ("/login", False),
        ("/docs", False),
        ("/redoc", False),
        ("/.env", False),
        ("/gradio_api", False),
    ],
)
def test_only_what_the_page_and_the_api_need_is_open(door, path, open_):
    (answer,) = ask(door(), "GET", path)
    assert (answer.status_code == 200) == open_
    assert open_ or answer.status_code == 404
