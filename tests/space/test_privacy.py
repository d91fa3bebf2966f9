"""What `space/README.md` says of privacy, statement by statement, on a Space as it runs.

Every link, title, file and address holds a mark. It is looked for in all temporary files, in the log, and in
what another visitor can get.
"""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.media import make
from tests.served import Served, served
from tests.servers import Site, html, media, slow
from tests.soaking import children

MARK = "zebra-4711"
README = " ".join((Path(__file__).parents[2] / "space" / "README.md").read_text(encoding="utf-8").split())
ADDRESS = "198.51.100.77"  # of the client, as a proxy in front tells it
META = {"_type": "gradio.FileData"}

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]


def states(sentence: str) -> None:
    """The test that calls this proves a sentence of the README."""
    assert sentence in README, f"the README no longer says: {sentence}"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make("h264.mp4", tmp_path_factory.mktemp("clip")).read_bytes()


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


def files_of_jobs(space: Served) -> list[str]:
    return space.files()


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
    for child in children(space.process.pid):
        os.kill(int(child), signal.SIGKILL)
    wait_for(lambda: space.ask("job", {"id": job})["report"])
    assert space.ask("job", {"id": job})["report"]["error"]["code"] == "internal"


@pytest.mark.parametrize("end", [succeed, fail, cancel, leave, crash])
def test_a_fetched_video_is_gone_however_its_check_ends(space, site, end):
    states("deleted with it as soon as it has been checked")
    states("That also holds when the check fails or is cancelled.")
    end(space, site)
    wait_for(lambda: files_of_jobs(space) == [])
    cache = next(space.temporary.glob("unmask-space-*"))
    wait_for(lambda: [path for path in cache.rglob("*") if path.name.startswith(("unmask-", "fetch-"))] == [])


def test_others_on_the_machine_cannot_read_the_folder(space):
    states("a folder that only the server's user can read")
    (cache,) = space.temporary.glob("unmask-space-*")
    assert cache.stat().st_mode & 0o077 == 0


def test_reports_are_not_on_the_disk(space, site):
    states("Nothing is written to disk or sent on.")
    succeed(space, site)
    for path in space.temporary.rglob("*"):
        assert MARK not in path.name
        assert not path.is_file() or MARK.encode() not in path.read_bytes()


def test_the_log_names_nobody_and_nothing(space, site, tmp_path):
    states("The log names no link, no title, no file and nobody's address.")
    upload = tmp_path / f"{MARK}.mp4"
    upload.write_bytes(b"no video")
    headers = {"X-Forwarded-For": ADDRESS, "User-Agent": MARK, "Referer": f"https://{MARK}.example/"}
    file = {"path": space.upload(upload).json()[0], "orig_name": upload.name, "meta": META}
    assert space.ask("check_file", {"video": file})["error"]["code"] == "not_a_video"
    for url in (
        f"file:///{MARK}",
        f"http://{MARK}.invalid/",
        f"http://127.0.0.1:9/{MARK}",
        link(site, "/page"),
    ):
        httpx.post(
            f"{space.url}/gradio_api/call/v2/check_url", json={"url": url}, headers=headers, timeout=30
        )
        space.ask("check_url", {"url": url})
    httpx.get(f"{space.url}/gradio_api/file=/etc/{MARK}?x={MARK}", headers=headers, timeout=30)
    httpx.post(
        f"{space.url}/gradio_api/call/v2/check_url", content=f'{{"url": "{MARK}', headers=headers, timeout=30
    )
    httpx.post(f"{space.url}/gradio_api/call/v2/{MARK}", json={}, headers=headers, timeout=30)
    log = space.log.read_text()
    assert MARK not in log
    assert ADDRESS not in log
    assert "secret=" not in log


def test_nobody_else_is_given_a_report_or_a_name(space, site):
    states("for 15 minutes for whoever asks for a submitted job")
    job = space.ask("submit", {"url": link(site, "/page") + "&mine"})["job"]
    wait_for(lambda: space.ask("job", {"id": job})["report"])
    for guess in (job[:-1], job[:-1] + "_", job.partition("-")[2], job.upper(), "", "*", f"{job} "):
        assert MARK not in str(space.ask("job", {"id": guess}))
    theirs = space.ask("check_url", {"url": site.url("/page") + f"?secret={MARK}&mine#other"})
    assert theirs["source"]["url"].endswith("#other")  # their own words, though the work was done once


def test_a_cache_that_is_switched_off_keeps_nothing(tmp_path, site, clip):
    states("`0` keeps none")
    with served(tmp_path, UNMASK_CACHE_SECONDS="0") as space:
        before = site.hits("/clip.mp4")
        for _ in range(2):
            succeed(space, site)
        assert site.hits("/clip.mp4") - before >= 2  # looked at anew


def test_what_a_killed_server_leaves_goes_with_the_next_start(tmp_path, site, clip):
    states("Whatever a server that is killed leaves behind is deleted when the next one starts.")
    with served(tmp_path) as space:
        upload = tmp_path / f"{MARK}.mp4"
        upload.write_bytes(clip)
        assert space.upload(upload).is_success
        space.ask("submit", {"url": link(site, "/slow.mp4") + "&killed"})
        wait_for(lambda: len(space.files()) >= 2)
        orphans = children(space.process.pid)
        assert orphans
        space.process.kill()
        space.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in orphans))
        assert len(space.files()) >= 1
    left = set(tmp_path.glob("tmp/unmask-space-*"))
    assert left
    with served(tmp_path) as space:
        assert not left & set(tmp_path.glob("tmp/unmask-space-*"))
        assert space.files() == []
    assert list((tmp_path / "tmp").glob("unmask*")) == []
