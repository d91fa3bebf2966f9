"""From the start of a Space to its first page and its first verdict, and of the command line to its help.

    python -m tests.bench.start [--rounds 5]

Each round starts a Space as `make run` does, asks for its page until it answers, then sends it an example and
waits for the report. Medians, with the least and the most.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.browser.sites import EXAMPLES
from tests.served import ASK_SECONDS, NO_CERTIFICATES, Served, served

EXAMPLE = EXAMPLES / "blended-face.mp4"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(argv).rounds
    pages, verdicts = zip(*(start() for _ in range(rounds)), strict=True)
    helps = [seconds_of_help() for _ in range(rounds)]
    for name, seconds in (("first page", pages), ("first verdict", verdicts), ("--help", helps)):
        print(f"{name:14}{statistics.median(seconds):6.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})")


def start() -> tuple[float, float]:
    """Seconds from the start of a process to its first page, and to the report on the example."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        served(Path(folder), until=answers_its_page, UNMASK_MODEL="default") as space,
    ):
        page = time.monotonic() - space.began
        (sent,) = space.upload(EXAMPLE).raise_for_status().json()
        video = {"path": sent, "meta": {"_type": "gradio.FileData"}}
        assert space.ask("check_file", {"video": video})["status"] == "ok"
        return page, time.monotonic() - space.began


def answers_its_page(space: Served) -> bool:
    try:
        return httpx.get(space.url, timeout=60, verify=NO_CERTIFICATES).is_success
    except httpx.TransportError:
        time.sleep(ASK_SECONDS)
        return False


def seconds_of_help() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "unmask", "--help"], check=True, capture_output=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
