"""What a long video behind a link costs: what is needed against all of it, in turns, as a table.

    python -m tests.bench.reach [--rounds 3] [--mbit 100] [--delay-ms 40] [--minutes 1 10 120]

The videos are 720p H.264 of 1.5 Mbit a second, as a file with the index behind and as HLS in pieces of six
seconds, on a local server whose line is as slow and as far as the options say. Seconds are from the question
to the report; medians of the rounds, with the least and the most. The limits on bytes and length are raised,
as an owner may; of a file over the usual limit only the parts are fetched, and there is no HLS of it.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench.speed import gliding
from tests.media import repeat, write_video
from tests.servers import Answer, Handler, Site, media_playlist, split_hls
from unmask.compute import ComputeOptions
from unmask.limits import Limits
from unmask.pipeline import Checker, Options, UrlSource

TEN_SECONDS, RATE = 10, 25
BITS_A_SECOND = 1_500_000
AT_HOME = Limits(max_bytes=4 * 2**30, max_seconds=10 * 3600.0, timeout_seconds=1800.0, allow_private=True)
USUAL_BYTES = Limits().max_bytes
PIECE_SECONDS = 6.0
CHUNK_BYTES = 2**16
Case = tuple[int, str, bool]  # minutes; file or hls; fetched as a whole


@dataclass(frozen=True)
class Cost:
    """Of one check."""

    seconds: float
    sent_bytes: int
    requests: int


class Line:
    """A line of limited speed and some length, and how much went through it."""

    def __init__(self, bytes_a_second: float, delay_seconds: float) -> None:
        self._bytes_a_second = bytes_a_second
        self._delay_seconds = delay_seconds
        self.sent_bytes = 0

    def site(self, path: Path, kind: str) -> tuple[dict[str, Answer], str]:
        """Routes, and the address of the video in them."""
        if kind == "file":
            return {"/video.mp4": self.file(path)}, "/video.mp4"
        segments = split_hls(path.read_bytes(), PIECE_SECONDS)
        routes = {f"/{number}.ts": self.piece(segment.data) for number, segment in enumerate(segments)}
        playlist = media_playlist(segments).encode()
        return {**routes, "/index.m3u8": self.piece(playlist, "application/vnd.apple.mpegurl")}, "/index.m3u8"

    def piece(self, data: bytes, kind: str = "video/mp2t") -> Answer:
        def answer(handler: Handler) -> None:
            time.sleep(self._delay_seconds)
            handler.start(200, {"Content-Type": kind, "Content-Length": len(data)})
            if handler.command != "HEAD":
                self._send(handler, data)

        return answer

    def file(self, path: Path) -> Answer:
        size_bytes = path.stat().st_size

        def answer(handler: Handler) -> None:
            time.sleep(self._delay_seconds)
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
            first, last = 0, size_bytes - 1
            if asked:
                first, last = int(asked[1]), min(int(asked[2] or last), last)
            headers: dict[str, object] = {"Content-Type": "video/mp4", "Content-Length": last + 1 - first}
            if asked:
                headers["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
            handler.start(206 if asked else 200, headers)
            if handler.command == "HEAD":
                return
            with path.open("rb") as file:
                file.seek(first)
                self._send(handler, file.read(last + 1 - first))

        return answer

    def _send(self, handler: Handler, data: bytes) -> None:
        began = time.monotonic()
        for start in range(0, len(data), CHUNK_BYTES):
            handler.wfile.write(data[start : start + CHUNK_BYTES])
            self.sent_bytes += len(data[start : start + CHUNK_BYTES])
            ahead = min(start + CHUNK_BYTES, len(data)) / self._bytes_a_second - (time.monotonic() - began)
            time.sleep(max(0.0, ahead))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mbit", type=float, default=100.0, help="of the line, a second")
    parser.add_argument("--delay-ms", type=float, default=40.0, help="before each answer")
    parser.add_argument("--minutes", type=int, nargs="*", default=[1, 10, 120])
    options = parser.parse_args()
    checker = Checker(ComputeOptions(device="cpu"))
    costs: dict[Case, list[Cost]] = {}
    sizes: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for minutes, path in videos(Path(folder), options.minutes):
            sizes[minutes] = path.stat().st_size
        for _ in range(options.rounds + 1):  # the first warms up
            for minutes, size_bytes in sizes.items():
                for kind, whole in (("file", False), ("file", True), ("hls", False), ("hls", True)):
                    if size_bytes > USUAL_BYTES and (whole or kind == "hls"):
                        continue
                    line = Line(options.mbit * 1e6 / 8, options.delay_ms / 1000)
                    cost = check(checker, line, Path(folder, f"{minutes}.mp4"), kind, whole)
                    costs.setdefault((minutes, kind, whole), []).append(cost)
    show({key: some[1:] for key, some in costs.items()}, sizes)


def videos(folder: Path, minutes: list[int]) -> Iterator[tuple[int, Path]]:
    """Lengths and files."""
    first = folder / "first.mp4"
    coding = {"preset": "ultrafast", "b": str(BITS_A_SECOND), "maxrate": str(BITS_A_SECOND), "g": "50"}
    coding["bufsize"] = coding["b"]
    write_video(first, noisy(TEN_SECONDS * RATE), rate=RATE, options=coding)
    for length in minutes:
        path = folder / f"{length}.mp4"
        repeat(first, path, length * 60 // TEN_SECONDS)
        yield length, path


def noisy(count: int) -> Iterator[np.ndarray]:
    """A film's grain, without which the video would be smaller than any on the web."""
    random = np.random.default_rng(0)
    grain = random.integers(0, 12, (8, 720, 1280, 1), np.uint8)
    for number, picture in enumerate(gliding(count)):
        yield np.minimum(picture, 243) + grain[number % 8]


def check(checker: Checker, line: Line, path: Path, kind: str, whole: bool) -> Cost:
    routes, address = line.site(path, kind)
    with Site(routes) as site, tempfile.TemporaryDirectory() as kept:
        keep = Path(kept, "video") if whole else None
        began = time.monotonic()
        report = checker.check(UrlSource(site.url(address)), Options(limits=AT_HOME), keep=keep)
        seconds = time.monotonic() - began
        assert report["verdict"]["label"] != "no_face"
        return Cost(seconds, line.sent_bytes, len(site.requests))


def show(costs: dict[Case, list[Cost]], sizes: dict[int, int]) -> None:
    titles = ("minutes", "MiB", "as", "way", "fetched", "share", "requests", "seconds", "least", "most")
    print("".join(f"{title:>10}" for title in titles))
    for (minutes, kind, whole), some in sorted(costs.items()):
        fetched = statistics.median(cost.sent_bytes for cost in some)
        seconds = sorted(cost.seconds for cost in some)
        cells = (
            str(minutes),
            f"{sizes[minutes] / 2**20:.1f}",
            kind,
            "whole" if whole else "parts",
            f"{fetched / 2**20:.1f}",
            f"{fetched / sizes[minutes]:.1%}",
            f"{statistics.median(cost.requests for cost in some):.0f}",
            *(f"{value:.2f}" for value in (statistics.median(seconds), seconds[0], seconds[-1])),
        )
        print("".join(f"{cell:>10}" for cell in cells))


if __name__ == "__main__":
    main()
