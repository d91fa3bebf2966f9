"""The privacy table of `space/README.md` on a running Space.

Every link, title, file and address holds a mark, which is searched for in all temporary files, in the log, and in
what another client can get.
"""

import base64
import os
import socket
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.served import APP, served
from tests.servers import Site, html, media, slow

MARK = "zebra-4711"
ADDRESS = "198.51.100.77"  # of the client, as a proxy in front tells it
META = {"_type": "gradio.FileData"}

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]


@pytest.fixture(scope="module")
def site(clip):
    routes = {
        "/page": html("<video src='/clip.mp4'></video>", f"The title {MARK}"),
        "/clip.mp4": media(clip),
        "/text.mp4": lambda handler: handler.give(MARK.encode() * 100, "video/mp4"),
        "/slow.mp4": slow(clip, bytes_a_second=2000),
    }
    with Site(routes) as running:
        yield running


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    with served(tmp_path_factory.mktemp("space"), UNMASK_PROXIES="1") as running:
        yield running


def link(site: Site, path: str) -> str:
    return f"{site.url(path)}?secret={MARK}"


def names_under(folder: Path) -> list[str]:
    """Of files and folders; what goes while it is looked is no error."""
    return [name for _, folders, files in os.walk(folder) for name in folders + files]


def wait_for(condition, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def succeed(space, site):
    assert space.ask("check_url", {"url": link(site, "/page")})["status"] == "ok"


def fail(space, site):
    assert space.ask("check_url", {"url": link(site, "/text.mp4")})["error"]["code"] == "not_a_video"


def cancel(space, site):
    job = space.ask("submit", {"url": link(site, "/slow.mp4")})["job"]
    wait_for(lambda: space.files())  # something has arrived
    assert space.ask("cancel", {"id": job}) == {"cancelled": True}


def leave(space, site):
    stream = space.stream("check_url", {"url": link(site, "/slow.mp4") + "&leave"})
    next(stream)
    wait_for(lambda: space.files())
    stream.close()


def crash(space, site):
    """The child that fetches is killed by the kernel, as for want of memory."""
    job = space.ask("submit", {"url": link(site, "/slow.mp4") + "&crash"})["job"]
    wait_for(lambda: space.files())
    for child in psutil.Process(space.process.pid).children():
        child.kill()
    wait_for(lambda: space.ask("job", {"id": job})["report"])
    assert space.ask("job", {"id": job})["report"]["error"]["code"] == "internal"


@pytest.mark.parametrize("end", [succeed, fail, cancel, leave, crash])
def test_a_fetched_video_is_gone_however_its_check_ends(space, site, end):
    end(space, site)
    wait_for(lambda: space.files() == [])
    cache = next(space.temporary.glob("unmask-space-*"))
    wait_for(lambda: not any(name.startswith(("unmask-", "fetch-")) for name in names_under(cache)))


def test_a_file_that_an_mcp_client_sends_lies_there_too(space, clip):
    video = "data:video/mp4;base64," + base64.b64encode(clip).decode()
    call = {"name": "check_file", "arguments": {"video": video}}
    answer = httpx.post(
        f"{space.url}/gradio_api/mcp/",
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
        headers={"Accept": "application/json, text/event-stream"},
        timeout=300,
    )
    assert "verdict" in answer.text
    assert all(name.startswith("unmask-space-") for name in space.files())


def test_reports_are_not_on_the_disk(space, site):
    succeed(space, site)
    paths = list(space.temporary.rglob("*"))
    assert paths
    for path in paths:
        assert MARK not in path.name
        assert not path.is_file() or MARK.encode() not in path.read_bytes()


def test_the_log_names_no_client_and_no_video(space, site, tmp_path):
    upload = tmp_path / f"{MARK}.mp4"
    upload.write_bytes(b"no video")
    headers = {"X-Forwarded-For": ADDRESS, "User-Agent": MARK, "Referer": f"https://{MARK}.example/"}
    file = {"path": space.upload(upload).json()[0], "orig_name": upload.name, "meta": META}
    assert space.ask("check_file", {"video": file})["error"]["code"] == "not_a_video"
    Path(file["path"]).unlink()  # as after half an hour
    for endpoint in ("check_file", "check_upload"):
        body = {"data": [file, "", "", ""]}
        httpx.post(f"{space.url}/gradio_api/run/{endpoint}", json=body, headers=headers, timeout=30)
    for url in (f"file:///{MARK}", f"http://{MARK}.invalid/", f"http://127.0.0.1:9/{MARK}", link(site, "/page")):
        httpx.post(f"{space.url}/gradio_api/call/v2/check_url", json={"url": url}, headers=headers, timeout=30)
        space.ask("check_url", {"url": url})
    httpx.get(f"{space.url}/gradio_api/file=/etc/{MARK}?x={MARK}", headers=headers, timeout=30)
    httpx.post(f"{space.url}/gradio_api/call/v2/check_url", content=f'{{"url": "{MARK}', headers=headers, timeout=30)
    httpx.post(f"{space.url}/gradio_api/call/v2/{MARK}", json={}, headers=headers, timeout=30)
    wait_for(lambda: "A request failed: " in space.log.read_text())  # the last of them, which is no endpoint
    log = space.log.read_text()
    assert MARK not in log
    assert ADDRESS not in log
    assert "secret=" not in log


def test_no_other_client_gets_a_report_or_a_name(space, site):
    job = space.ask("submit", {"url": link(site, "/page") + "&mine"})["job"]
    wait_for(lambda: space.ask("job", {"id": job})["report"])
    for guess in (job[:-1], job[:-1] + "_", job.partition("-")[2], job.upper(), "", "*", f"{job} "):
        assert MARK not in str(space.ask("job", {"id": guess}))
    theirs = space.ask("check_url", {"url": site.url("/page") + f"?secret={MARK}&mine#other"})
    assert theirs["source"]["url"].endswith("#other")  # their own words, though the work was done once


SHORT_LIVED = f"""
import sys; sys.path.insert(0, {str(APP.parent)!r})
import app
assert app.MAX_FILE_AGE_SECONDS == 30 * 60
app.MAX_FILE_AGE_SECONDS = app.CLEANUP_SECONDS = 4
app.main()
"""


@pytest.fixture(scope="module")
def restarted(tmp_path_factory, site, clip):
    """A server that starts where one was killed at work, with what that one left; it keeps files for 4 s."""
    folder = tmp_path_factory.mktemp("restarted")
    with served(folder) as killed:
        (folder / f"{MARK}.mp4").write_bytes(clip)
        assert killed.upload(folder / f"{MARK}.mp4").is_success
        killed.ask("submit", {"url": link(site, "/slow.mp4") + "&killed"})
        wait_for(lambda: len(killed.files()) >= 2)
        orphans = psutil.Process(killed.process.pid).children()
        killed.process.kill()
        killed.process.wait()
    assert orphans
    wait_for(lambda: not any(orphan.is_running() for orphan in orphans))
    left = set(folder.glob("tmp/unmask-space-*"))
    assert [path for place in left for path in place.rglob("*") if path.is_file()]
    with served(folder, command=("-c", SHORT_LIVED), UNMASK_CACHE_SECONDS="0") as running:
        yield running, left
    assert running.process.returncode == 0  # nor does one that is stopped leave anything
    assert list(folder.glob("tmp/unmask*")) == []


def test_what_a_killed_server_left_is_deleted_at_the_next_start(restarted):
    space, left = restarted
    assert not left & set(space.temporary.glob("unmask-space-*"))
    assert space.files() == []


def test_an_upload_is_deleted_after_a_while(restarted, clip, tmp_path):
    space, _ = restarted
    (tmp_path / "clip.mp4").write_bytes(clip)
    assert space.upload(tmp_path / "clip.mp4").is_success
    assert space.files()
    (cache,) = space.temporary.glob("unmask-space-*/page")
    wait_for(lambda: list(cache.iterdir()) == [])  # with the folder that it lay in


def test_a_broken_off_upload_is_deleted(restarted):
    space, _ = restarted
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n' + bytes(2**20)
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: space\r\nContent-Length: 9000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    port = int(space.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head + part)
        wait_for(lambda: space.files())
    wait_for(lambda: space.files() == [])
