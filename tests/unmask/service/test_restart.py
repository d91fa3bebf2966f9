"""The Space is killed in the midst of its work, and comes back by itself, clean."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.media import make
from tests.served import APP, Served, served
from tests.servers import Site, content, media, slow
from tests.soaking import children

BACK_SECONDS = 400.0  # importing torch and gradio takes minutes where all cores are taken

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make("h264.mp4", tmp_path_factory.mktemp("clip")).read_bytes()


@pytest.fixture(scope="module")
def site(clip):
    routes = {f"/{number}.mp4": media(clip + bytes(number)) for number in range(8)}
    with Site(routes | {"/slow.mp4": slow(clip, bytes_a_second=500), "/text.mp4": content(b"x")}) as running:
        yield running


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Under its keeper, as `make run` starts it."""
    folder = tmp_path_factory.mktemp("space")
    with served(folder, command=("-m", "unmask.service.supervisor", str(APP)), UNMASK_CACHE_SECONDS="0") as running:
        yield running


def kill(space: Served) -> list[str]:
    """Kill -9 the Space, not its keeper -> what it had started."""
    (pid,) = children(space.process.pid)
    started = children(int(pid))
    os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}/exe").exists())
    return started


def come_back(space: Served) -> None:
    wait_for(space.is_there)
    assert space.process.poll() is None


def wait_for(condition, seconds=BACK_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def in_stage(space: Served, job: str, stages: set[str]):
    return lambda: space.ask("job", {"id": job})["stage"] in stages


@pytest.mark.parametrize(
    ("path", "stages"),
    [("/slow.mp4", {"fetch"}), ("/0.mp4", {"decode", "faces", "model", "explain"})],
    ids=["while it fetches", "while it looks"],
)
def test_a_space_that_is_killed_comes_back_clean_and_says_what_was_lost(space, site, path, stages):
    job = space.ask("submit", {"url": site.url(path)})["job"]
    wait_for(in_stage(space, job, stages))
    before = set(space.temporary.glob("unmask-space-*"))
    orphans = kill(space)
    come_back(space)
    state = space.ask("job", {"id": job})
    assert (state["state"], state["report"]["error"]["code"]) == ("cancelled", "cancelled")
    assert space.ask("cancel", {"id": job}) == {"cancelled": False}
    after = set(space.temporary.glob("unmask-space-*"))
    assert len(after) == 1
    assert not before & after
    assert space.files() == []
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in orphans)
    assert space.ask("check_url", {"url": site.url("/1.mp4")})["status"] == "ok"


def test_a_space_that_is_killed_under_load_comes_back_too(space, site):
    paths = ["/slow.mp4", "/text.mp4", *(f"/{number}.mp4" for number in range(8))]
    urls = [site.url(path) for path in paths]
    jobs = [space.ask("submit", {"url": url})["job"] for url in urls]
    stream = space.stream("check_url", {"url": site.url("/slow.mp4")})
    next(stream)
    kill(space)
    with pytest.raises((httpx.TransportError, StopIteration)):  # cut off at once: nobody waits for ever
        exhaust(stream)
    come_back(space)
    for job in jobs:
        assert space.ask("job", {"id": job})["state"] == "cancelled"
    assert space.files() == []
    assert space.ask("check_url", {"url": site.url("/2.mp4")})["status"] == "ok"


def exhaust(stream):
    while True:
        next(stream)


@pytest.mark.parametrize(
    ("path", "number", "code"),
    [("/3.mp4", signal.SIGSEGV, "not_a_video"), ("/4.mp4", signal.SIGKILL, "internal")],
)
def test_a_decoder_that_is_killed_is_one_failed_report(space, site, path, number, code):
    (pid,) = children(space.process.pid)
    job = space.ask("submit", {"url": site.url(path)})["job"]

    def decoding() -> list[str]:
        return [child for child in children(int(pid)) if "unmask.video.decode_worker" in command(child)]

    wait_for(decoding)
    for child in decoding():
        os.kill(int(child), number)
    wait_for(lambda: space.ask("job", {"id": job})["report"])
    assert space.ask("job", {"id": job})["report"]["error"]["code"] == code
    assert children(space.process.pid) == [pid]  # the Space lives on
    assert space.ask("check_url", {"url": site.url("/5.mp4")})["status"] == "ok"


def command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_make_run_starts_the_keeper():
    makefile = (Path(__file__).parents[3] / "Makefile").read_text()
    assert "-m unmask.service.supervisor space/app.py" in makefile
