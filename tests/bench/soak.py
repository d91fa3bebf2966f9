"""Let fifty clients at a Space, with good and bad requests, that change their minds and walk away.

python -m tests.bench.soak [SECONDS]    # prints a table of what they met with
"""

import argparse
import asyncio
import base64
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import psutil

from tests.media import glide, make
from tests.served import Served, served
from tests.servers import Site, broken, slow, split_hls, video_site

CLIENTS = 50
QUANTILES = (0.5, 0.9, 0.99, 1.0)
SETTINGS = {
    "UNMASK_QUEUE_SIZE": "12",
    "UNMASK_CLIENT_PLACES": "2",
    "UNMASK_CLIENT_PER_MINUTE": "40",
    "UNMASK_PROXIES": "1",  # so that every client can have an address of its own
    "UNMASK_MAX_BYTES": "3000000",
    "UNMASK_TIMEOUT_SECONDS": "30",
    "UNMASK_CACHE_SECONDS": "5",
}
# every code of the contract that such requests may be answered with
CODES = frozenset({
    "bad_url", "blocked_address", "unsupported_site", "login_required", "fetch_failed", "too_large",
    "too_long", "live_stream", "not_a_video", "no_frames", "timeout", "busy", "rate_limited",
    "bad_input", "cancelled",
})  # fmt: skip
PATIENCE_SECONDS = 300.0  # for one request, on a machine that does other things, too
PAUSE_SECONDS = 1.0  # of a client between two requests, on average


@dataclass
class Tally:
    """What the clients met with."""

    outcomes: Counter[str] = field(default_factory=Counter)  # "ok", a code, "left"
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds, by request
    wrong: list[str] = field(default_factory=list)  # what should never happen
    left_files: list[str] = field(default_factory=list)  # of jobs, when all was over
    left_children: int = 0


class Customer:
    """One client with an address of its own."""

    def __init__(self, number: int, space: Served, site: Site, clips: list[bytes], tally: Tally) -> None:
        self._random = random.Random(number)
        self._number = number
        self._space = space
        self._site = site
        self._clips = clips
        self._tally = tally
        self._jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in glide(4)]

    async def live(self, until: float) -> None:
        headers = {"X-Forwarded-For": f"198.18.{self._number // 250}.{self._number % 250 + 1}"}
        # the server closes an idle connection after 5 s, perhaps while a request is on its way
        limits = httpx.Limits(max_keepalive_connections=2, keepalive_expiry=2.0)
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, headers=headers, limits=limits) as self._http:
            while time.monotonic() < until:
                await self._one_request()
                await asyncio.sleep(self._random.expovariate(1 / PAUSE_SECONDS))

    async def _one_request(self) -> None:
        kinds = {self._url: 5, self._file: 2, self._frames: 2, self._job: 4, self._leave: 2}
        (act,) = self._random.choices(list(kinds), list(kinds.values()))
        name, began = act.__name__.strip("_"), time.monotonic()
        try:
            outcome = await asyncio.wait_for(act(), PATIENCE_SECONDS)
        except (httpx.HTTPError, TimeoutError, AssertionError, KeyError, ValueError) as error:
            self._tally.wrong.append(f"{name}: {error!r}")
            return
        self._tally.outcomes[outcome] += 1
        self._tally.latencies[name].append(time.monotonic() - began)

    # What a client may do. Each returns how it ended.

    async def _url(self) -> str:
        url = self._some_url()
        report = await self._ask("check_url", {"url": url})
        return self._judge(report, "url", url)

    async def _file(self) -> str:
        name = f"client-{self._number}.mp4"
        files = {"files": (name, self._random.choice([*self._clips, b"no video"]))}
        answer = await self._http.post(f"{self._space.url}/gradio_api/upload", files=files)
        if answer.status_code in (429, 503):
            return str(answer.json()["error"]["code"])
        file = {"path": answer.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}
        return self._judge(await self._ask("check_file", {"video": file}), "file", name)

    async def _frames(self) -> str:
        page = f"https://pages.example/{self._number}/{self._random.random()}"
        frames = [{"seconds": 0.12 * i, "jpeg": base64.b64encode(jpeg).decode()} for i, jpeg in enumerate(self._jpegs)]
        report = await self._ask("check_frames", {"frames": frames, "page_url": page})
        return self._judge(report, "frames", page)

    async def _job(self) -> str:
        """Submit, ask for the state, perhaps cancel."""
        url = self._some_url()
        submitted = await self._ask("submit", {"url": url})
        if submitted.get("job") is None:
            return self._judge(submitted["report"], "url", url)
        patience = self._random.choice([0.0, 1.0, 1e9, 1e9])  # some cancel at once, some soon, most never
        began, state = time.monotonic(), None
        while state is None or state["report"] is None:
            if time.monotonic() - began > patience:
                await self._ask("cancel", {"id": submitted["job"]})
                patience = 1e9
            state = await self._ask("job", {"id": submitted["job"]})
            if "state" not in state:  # too many requests
                return self._judge(state, "url", "")
            assert (state["state"] in ("queued", "running")) == (state["report"] is None), state
            await asyncio.sleep(0.5)
        return self._judge(state["report"], "url", url)

    async def _leave(self) -> str:
        """Begin a stream and hang up in the midst of it."""
        after = self._random.randint(1, 4)
        async with aclosing(self._stream("check_url", {"url": self._some_url()})) as items:
            async for item in items:
                after -= 1
                if after == 0 or "status" in item:
                    break
        return "left"

    # How it is done.

    def _some_url(self) -> str:
        path = self._random.choices(
            ["/clip.mp4", f"/clip.mp4?of={self._number}", "/hls/index.m3u8", "/missing", "/half.mp4",
             "/text.mp4", "/to-metadata", "/plain", "/slow", "/endless.mp4", "/circle"],
            [6, 6, 2, 1, 1, 1, 1, 1, 1, 1, 1],
        )[0]  # fmt: skip
        return self._site.url(path)

    async def _ask(self, endpoint: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The last item of an endpoint's stream."""
        last: dict[str, Any] | None = None
        async with aclosing(self._stream(endpoint, arguments)) as items:
            async for item in items:
                last = item
        assert last is not None, f"{endpoint} ended without an answer"
        return last

    async def _stream(self, endpoint: str, arguments: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        api = f"{self._space.url}/gradio_api/call"
        begun = await self._http.post(f"{api}/v2/{endpoint}", json=arguments)
        if begun.status_code == 429:
            yield {"status": "failed", "error": {"code": "rate_limited"}, "source": None}
            return
        event_id, event = begun.raise_for_status().json()["event_id"], ""
        async with self._http.stream("GET", f"{api}/{endpoint}/{event_id}") as answer:
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                    assert event != "error", f"{endpoint}: an error event"
                elif name == "data" and event != "heartbeat":
                    yield json.loads(value)[0]

    def _judge(self, report: dict[str, Any], kind: str, name: str) -> str:
        """Whether the report is a whole one, and an answer to this request and to no other."""
        source = report.get("source")
        if source is not None and source["kind"] == kind:
            assert source["name"] == name or not name, f"asked for {name}, was given {source['name']}"
        if report["status"] == "ok":
            assert report["schema"] == "unmask.report/1"
            assert report["verdict"]["label"] in ("fake", "real", "uncertain", "no_face")
            assert source is not None
            return "ok"
        code = str(report["error"]["code"])
        assert code in CODES, report
        return code


def soak(seconds: float, folder: Path, clients: int = CLIENTS) -> Tally:
    """Start a Space and a site, and let the clients at it for so long."""
    tally = Tally()
    clip = make("short.mp4", folder).read_bytes()
    clips = [clip + size.to_bytes(4, "big") + b"free" + bytes(size - 8) for size in (8, 16, 24)]
    with video_site(clip, split_hls(make("h264.mp4", folder).read_bytes())) as site:
        site.routes |= {"/slow": slow(clip, bytes_a_second=4000), "/half.mp4": broken(clip)}
        with served(folder, **SETTINGS) as space:
            asyncio.run(_let_loose(seconds, clients, space, site, clips, tally))
            tally.left_files = [name for name in space.files() if not _is_upload(name)]
            tally.left_children = len(psutil.Process(space.process.pid).children())
            if space.process.poll() is not None:
                tally.wrong.append(f"the Space ended: {space.log.read_text()[-2000:]}")
    return tally


async def _let_loose(seconds: float, clients: int, space: Served, site: Site, clips: list[bytes], tally: Tally) -> None:
    crowd = [Customer(number, space, site, clips, tally) for number in range(clients)]
    began = time.monotonic()
    await asyncio.gather(*(customer.live(began + seconds) for customer in crowd))
    await _until_idle(space)


async def _until_idle(space: Served) -> None:
    """Abandoned work notices within seconds that nobody waits for it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        await asyncio.sleep(1.0)
        if not psutil.Process(space.process.pid).children() and all(map(_is_upload, space.files())):
            return


def _is_upload(name: str) -> bool:
    """unmask-space-…/page/<hash>/name: kept for half an hour."""
    return len(Path(name).parts) == 4 and len(Path(name).parts[2]) == 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        tally = soak(seconds, Path(folder))
    show(tally, seconds)
    sys.exit(bool(tally.wrong or tally.left_files or tally.left_children))


def show(tally: Tally, seconds: float) -> None:
    total = sum(tally.outcomes.values())
    print(f"{total:,} requests of {CLIENTS} clients in {seconds:.0f} s, {len(tally.wrong)} of them wrong\n")
    for outcome, times in tally.outcomes.most_common():
        print(f"  {outcome:<18}{times:>6,}")
    print(f"\n  {'seconds to the answer':<24}{'median':>8}{'90 %':>8}{'99 %':>8}{'longest':>9}{'asked':>8}")
    for name, latencies in sorted(tally.latencies.items()):
        quantiles = np.quantile(latencies, QUANTILES)
        row = "".join(f"{value:>8.1f}" for value in quantiles[:-1])
        print(f"  {name:<24}{row}{quantiles[-1]:>9.1f}{len(latencies):>8,}")
    print(f"\n  files of jobs left: {len(tally.left_files)}; processes left: {tally.left_children}")
    for line in tally.wrong[:20]:
        print(f"  WRONG {line}")


if __name__ == "__main__":
    main()
