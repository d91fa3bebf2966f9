"""Several clients at once: checks a minute, how long each waits, and what the Space takes, as a table.

    python -m tests.bench.clients [--clients 1 2 4 8 16] [--checks 3] [--height 720]

Each client sends a file of ten seconds and, when it has the answer, the next; no two files are the same, so
that none is answered from memory. Times are from the request to the report, without sending the file. The
gain is against the first number of clients, in the same Space; it can be no more than all cores over those
that the first number kept busy. Cores and memory are those of the Space with its children.
"""

import argparse
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

from tests.bench.speed import Made
from tests.served import Served, served

LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Round:
    """What one number of clients met with."""

    clients: int
    checks_a_minute: float
    seconds: list[float]  # to each report, shortest first
    cores: float  # that the Space and its children kept busy
    most_bytes: int  # that they had in memory


class Watch(threading.Thread):
    """Looks how much memory the Space takes, until it is stopped."""

    def __init__(self, space: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._space, self._stopped = space, threading.Event()
        self.most_bytes = 0

    def run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            family = [self._space, *self._space.children(recursive=True)]
            with suppress(psutil.NoSuchProcess):  # one has just ended
                self.most_bytes = max(self.most_bytes, sum(one.memory_info().rss for one in family))

    def stop(self) -> int:
        self._stopped.set()
        self.join()
        return self.most_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--checks", type=int, default=3, help="of each client")
    parser.add_argument("--height", type=int, default=720, help="of the picture")
    options = parser.parse_args()
    usual = {"UNMASK_MODEL": "default", "UNMASK_CACHE_SECONDS": "0", "UNMASK_QUEUE_SIZE": "64"}
    with tempfile.TemporaryDirectory() as folder:
        video = Made(options.height, "libx264", ".mp4").write(Path(folder)).read_bytes()
        with served(Path(folder), **usual) as space:
            crowd = Crowd(space, video, Path(folder))
            crowd.ask()  # warms up
            rounds = [crowd.round(clients, options.checks) for clients in options.clients]
    show(rounds)


class Crowd:
    """Clients of one Space."""

    def __init__(self, space: Served, video: bytes, folder: Path) -> None:
        self._space, self._video, self._folder = space, video, folder
        self._numbers = count(8)

    def ask(self) -> float:
        """Send a file that nobody sent before -> seconds to its report."""
        padding = next(self._numbers)  # a box that readers pass over, of another length each time
        path = self._folder / f"{padding}.mp4"
        path.write_bytes(self._video + padding.to_bytes(4, "big") + b"free" + bytes(padding - 8))
        (sent,) = self._space.upload(path).raise_for_status().json()
        path.unlink()
        began = time.monotonic()
        report = self._space.ask("check_file", {"video": {"path": sent, "meta": {"_type": "gradio.FileData"}}})
        assert report["status"] == "ok", report
        return time.monotonic() - began

    def round(self, clients: int, checks: int) -> Round:
        process = psutil.Process(self._space.process.pid)
        watch = Watch(process)
        watch.start()
        began, used = time.monotonic(), sum(process.cpu_times()[:4])  # with those of children that have ended
        with ThreadPoolExecutor(clients) as pool:
            lives = [pool.submit(lambda: [self.ask() for _ in range(checks)]) for _ in range(clients)]
            seconds = sorted(one for life in lives for one in life.result())
        took = time.monotonic() - began
        cores = (sum(process.cpu_times()[:4]) - used) / took
        return Round(clients, 60 * len(seconds) / took, seconds, cores, watch.stop())


def show(rounds: list[Round]) -> None:
    titles = ("clients", "a minute", "gain", "median s", "longest s", "long/med", "cores", "MiB")
    print("".join(f"{title:>10}" for title in titles))
    for one in rounds:
        median, longest = statistics.median(one.seconds), one.seconds[-1]
        gain = one.checks_a_minute / rounds[0].checks_a_minute
        row = (one.checks_a_minute, gain, median, longest, longest / median, one.cores)
        cells = "".join(f"{value:>10.2f}" for value in row)
        print(f"{one.clients:>10}{cells}{one.most_bytes / 2**20:>10.0f}")


if __name__ == "__main__":
    main()
