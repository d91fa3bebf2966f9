"""What Gradio and yt-dlp were warned of in the past, each tried against the Space as it runs."""

import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest

from tests.media import fetched
from tests.reports import HOSTILE, example
from tests.served import SECRET, Served
from tests.servers import Site, content, html, media, redirect
from unmask.limits import Limits
from unmask.render import html as document
from unmask.video.sampling import Span

META = {"_type": "gradio.FileData"}
HOME = Limits(allow_private=True, timeout_seconds=60.0)

pytestmark = pytest.mark.timeout(400)  # starting the Space takes minutes where all cores are taken


@pytest.fixture(scope="module")
def canary():
    with Site({"/": content(SECRET.encode(), "text/html")}) as site:
        yield site


def get(space: Served, path: str) -> httpx.Response:
    return httpx.get(httpx.URL(space.url).copy_with(raw_path=path.encode()), timeout=30)


@pytest.mark.parametrize("path", ["/gradio_api/file={}", "/gradio_api/proxy={}", "/gradio_api/file=%20{}"])
def test_no_route_fetches_an_address(space, canary, path):
    answer = get(space, path.format(canary.url("/")))
    assert answer.status_code == 404
    assert SECRET not in answer.text
    assert canary.requests == []


@pytest.mark.parametrize("key", ["path", "url"])
def test_no_argument_is_fetched_by_gradio(space, canary, key):
    file = {"path": "x", key: canary.url("/"), "meta": META}
    for event, data in space.stream("check_file", {"video": file}):
        assert event == "error" or data[0].get("status") in (None, "failed")
    assert canary.requests == []


@pytest.fixture(scope="module")
def places(space):
    """Files that are there, and are private."""
    folder = space.temporary.parent
    (folder / "secret.txt").write_text(SECRET)
    return [
        str(folder / "secret.txt"),
        str(space.log),
        "/etc/passwd",
        "/proc/self/environ",
        str(Path(__file__).resolve()),
    ]


SPELLINGS = [
    "/gradio_api/file={0}", "/gradio_api/file=/{0}", "/gradio_api/file=.{0}", "/gradio_api/file=file://{0}",
    "/gradio_api/file={1}/../../..{0}", "/gradio_api/file={1}/%2e%2e/%2e%2e/%2e%2e{0}",
    "/gradio_api/file={1}/..%2f..%2f..{0}", "/gradio_api/file={1}/..%252f..%252f..{0}",
    "/gradio_api/file={1}\\..\\..\\..{0}", "/gradio_api/file={0}%00.mp4", "/gradio_api/file/{0}",
    "/static/..{0}", "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{0}",
    "/assets/../../../../../../../../..{0}", "/assets/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f..{0}",
    "/svelte/..{0}",
    "/theme.css/..{0}", "/pwa_icon/..{0}", "/{0}", "/..{0}",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_route_leads_outside(space, places, spelling, tmp_path):
    upload = tmp_path / "mine.mp4"
    upload.write_bytes(b"mine")
    mine = space.upload(upload).json()[0]
    for place in places:
        answer = get(space, spelling.format(place, mine))
        assert SECRET not in answer.text
        assert "root:" not in answer.text
        assert "HF_TOKEN" not in answer.text
        assert "What Gradio and yt-dlp were" not in answer.text


def test_nor_does_the_progress_of_an_upload(space, places):
    answer = get(space, f"/gradio_api/upload_progress?upload_id=..{places[0]}")  # it looks for it for 3 s
    assert answer.status_code == 404
    assert SECRET not in answer.text


@pytest.mark.parametrize("name", ["../../escaped.mp4", "/tmp/escaped.mp4", "..\\escaped.mp4", "a/b/escaped.mp4", ".."])
def test_the_name_of_an_upload_places_it_nowhere_else(space, name):
    before = set(space.temporary.parent.rglob("*"))
    answer = httpx.post(f"{space.url}/gradio_api/upload", files={"files": (name, b"x")}, timeout=30)
    cache = str(next(space.temporary.glob("unmask-space-*")))
    new = set(space.temporary.parent.rglob("*")) - before
    assert all(str(path).startswith(cache) for path in new)
    if answer.is_success:
        assert str(Path(answer.json()[0]).resolve()).startswith(cache)


def test_uploads_cannot_be_listed_or_guessed(space, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"a video of mine")
    uploaded = Path(space.upload(path).json()[0])
    assert re.fullmatch(r"[0-9a-f]{64}", uploaded.parent.name)  # of a secret and the content
    assert uploaded.parent.name != hashlib.sha256(path.read_bytes()).hexdigest()
    for folder in (uploaded.parent, uploaded.parent.parent, uploaded.parent.parent.parent):
        answer = get(space, f"/gradio_api/file={folder}")
        assert answer.status_code in (403, 404)
        assert "clip.mp4" not in answer.text


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("page.html", b"<script>alert(1)</script>"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("page.mp4", b"<!doctype html><script>alert(1)</script>"),
        ("feed.xml", b"<?xml version='1.0'?><?xml-stylesheet href='javascript:alert(1)'?><a/>"),
        ("page.xhtml", b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>"),
    ],
)
def test_an_upload_never_comes_back_as_a_page(space, name, body):
    uploaded = httpx.post(f"{space.url}/gradio_api/upload", files={"files": (name, body)}, timeout=30).json()[0]
    answer = get(space, f"/gradio_api/file={uploaded}")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    attached = answer.headers.get("content-disposition", "").startswith("attachment")
    assert attached or answer.headers["content-type"].split(";")[0] in ("video/mp4",)


def test_the_pages_own_events_take_no_more_than_the_api(space, canary):
    config = httpx.get(f"{space.url}/config", timeout=30).json()
    secret_files = ["/etc/passwd", {"path": "/etc/passwd", "meta": META}, {"path": canary.url("/"), "meta": META}]
    for dependency in config["dependencies"]:
        for value in secret_files:
            data = [value] * len(dependency["inputs"])
            body = {"fn_index": dependency["id"], "data": data, "session_hash": "s", "event_data": {"example": "../x"}}
            answer = httpx.post(f"{space.url}/gradio_api/run/predict", json=body, timeout=60)
            assert "root:" not in answer.text
            assert SECRET not in answer.text
    assert canary.requests == []


def test_the_configuration_shows_no_secret(space):
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/startup-events"):
        answer = get(space, path)
        assert SECRET not in answer.text
        assert str(space.temporary) not in answer.text


ODD: list[object] = [
    None, 7, -1.5, True, [], {}, [[]], {"path": None}, "x" * 100_000, "\0", "\ud800", ["url"], 10**400,
]  # fmt: skip


@pytest.mark.parametrize("endpoint", ["check_url", "check_file", "check_frames", "submit", "job", "cancel"])
def test_an_argument_of_any_type_is_answered(space, endpoint):
    first = {"check_url": "url", "check_file": "video", "check_frames": "frames", "submit": "url"}.get(endpoint, "id")
    for value in ODD:
        try:
            body = json.dumps({first: value})
        except ValueError:
            continue
        answer = httpx.post(
            f"{space.url}/gradio_api/call/v2/{endpoint}",
            content=body,
            headers={"content-type": "application/json"},
            timeout=60,
        )
        assert answer.status_code in (200, 400, 422), (value, answer.text)
        assert "Traceback" not in answer.text
        if answer.status_code == 200:
            address = f"{space.url}/gradio_api/call/{endpoint}/{answer.json()['event_id']}"
            answered = httpx.get(address, timeout=90).text
            assert '"internal"' not in answered, (value, answered)
            assert "Traceback" not in answered


def test_no_other_site_may_read_an_answer(space):
    cross = httpx.get(f"{space.url}/config", headers={"Origin": "https://evil.example"}, timeout=30)
    assert cross.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")


def test_a_report_escapes_all_untrusted_text():
    page = document.to_html(example("hostile"))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "javascript:" not in re.sub(r">[^<]*<", "><", page)
    assert HOSTILE not in page


def test_a_title_runs_no_program_and_is_one_line_of_text(clip, tmp_path):
    title = "$(touch ran);`touch ran`|touch ran&amp;&amp;touch ran'\"; touch ran #\n\u202e&lt;script&gt;alert(1)"
    with Site({"/": html("<video src='/v.mp4'></video>", title), "/v.mp4": media(clip)}) as site:
        video = fetched(site.url("/"), tmp_path, HOME, Span())
    assert [path.name for path in tmp_path.rglob("*")] == ["video"]
    assert not Path("ran").exists()
    assert video.title and "alert" in video.title and not {"\n", "\u202e"} & set(video.title)


@pytest.mark.parametrize(
    "name", ["..%2f..%2fescaped.mp4", "v.mp4.exe", "v.desktop", "%00.mp4", "v.mp4%0a.sh", "-o.mp4", "con.mp4"]
)
def test_a_site_does_not_name_the_file(clip, tmp_path, name):
    headers = {"Content-Disposition": f'attachment; filename="../../{name}"'}
    path = httpx.URL(f"http://x/{name}").path
    into = tmp_path / "into"
    into.mkdir()
    answer = lambda handler: handler.give(clip, "video/mp4", headers=headers)
    with Site({"/start": redirect(f"/{name}"), path: answer, f"/{name}": answer}) as site:
        fetched(site.url("/start"), into, HOME, Span())
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["into", "into/video"]


def test_a_subtitle_is_not_even_fetched(clip, tmp_path):
    code = "<video src='/v.mp4'><track src='/captions.desktop' kind='captions' srclang='../../x'></video>"
    with Site({"/": html(code), "/v.mp4": media(clip)}) as site:
        fetched(site.url("/"), tmp_path, HOME, Span())
        assert site.hits("/captions.desktop") == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["video"]


@pytest.fixture
def heard():
    return []


@pytest.fixture
def listen(clip, heard):
    """Serve the clip, and note the headers of the requests in `heard`."""

    def answer(handler):
        heard.append(dict(handler.headers))
        media(clip)(handler)

    return answer


def test_no_password_is_read_from_the_owners_netrc(listen, heard, tmp_path, monkeypatch):
    """Nor is a configuration of yt-dlp."""
    home = tmp_path / "home"
    (home / "yt-dlp").mkdir(parents=True)
    (home / "yt-dlp" / "config").write_text(f"--exec 'touch {tmp_path}/ran'\n")
    (home / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    (home / ".netrc").chmod(0o600)
    for name, path in (("HOME", home), ("XDG_CONFIG_HOME", home), ("NETRC", home / ".netrc")):
        monkeypatch.setenv(name, str(path))
    with Site({"/v.mp4": listen}) as site:
        fetched(site.url("/v.mp4"), tmp_path, HOME, Span())
    assert heard
    assert all("Authorization" not in headers and SECRET not in str(headers) for headers in heard)
    assert not (tmp_path / "ran").exists()


def test_a_sites_cookies_go_to_no_other_host(listen, heard, tmp_path):
    with Site({"/v.mp4": listen}, host="127.0.0.2") as other:
        headers = {"Set-Cookie": f"key={SECRET}; Domain=127.0.0.2; Path=/", "Location": other.url("/v.mp4")}
        start = lambda handler: handler.give(b"", "text/html", 302, headers)
        with Site({"/": start}) as site:
            fetched(site.url("/"), tmp_path, HOME, Span())
    assert heard
    assert all("Cookie" not in headers for headers in heard)
