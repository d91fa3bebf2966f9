"""Time the Space from its start to its first page, as medians of some starts.

    python -m tests.bench.start [--rounds 3] [--app space/app.py]

Processor seconds and memory are those of the Space alone; wall seconds mean something on an idle machine only.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from tests.served import APP, NO_CERTIFICATES, Served, served


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--app", type=Path, default=APP, help="of another checkout, to compare with")
    options = parser.parse_args()
    starts = [start(options.app) for _ in range(options.rounds)]
    print(f"{'wall s':>10}{'processor s':>13}{'MiB':>8}")
    print("{:>10.2f}{:>13.2f}{:>8.0f}".format(*map(statistics.median, zip(*starts, strict=True))))


def start(app: Path) -> tuple[float, float, float]:
    """Start a Space and stop it -> wall and processor seconds to its first page, and MiB in memory then."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), command=(str(app),), until=has_page, UNMASK_MODEL="default") as space,
    ):
        wall, process = time.monotonic() - space.began, psutil.Process(space.process.pid if space.process else 0)
        return wall, sum(process.cpu_times()[:2]), process.memory_info().rss / 2**20


def has_page(space: Served) -> bool:
    """Return whether the first page is given."""
    try:
        return httpx.get(space.url, timeout=60, verify=NO_CERTIFICATES).is_success
    except httpx.TransportError:
        time.sleep(0.02)
        return False


if __name__ == "__main__":
    main()
