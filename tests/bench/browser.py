"""The extension's own detector beside Python, on the same files: label, probability and seconds, as a table.

    python -m tests.bench.browser [--firefox] [VIDEO …]

Without a VIDEO: the examples of the Space, and a minute of 720p. Each is played by a real Chromium, or
Firefox, with the extension, which checks it twice: the first check also loads the networks. Seconds are from
the press to the answer, `of them here` from its first pictures on; `longest task` is how long the page itself
could not move meanwhile, which Firefox does not tell. Needs what `make extension` adds.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.bench.speed import Made
from tests.browser.chromium import EXTENSION, Chromium
from tests.browser.firefox import Firefox
from tests.browser.overlay import LABELS
from tests.browser.sites import EXAMPLES, player
from tests.servers import Site, html, media
from unmask.download.sources import FileSource, Options
from unmask.pipeline import Checker
from unmask.report import Report

NEAR = 0.02  # of a threshold: there the label may differ
FORGET = "Promise.all([chrome.storage.local.clear(), chrome.storage.session.clear()])"
STORED = "chrome.storage.local.get(null)"
WATCH_TASKS = """(() => {
    window.longest = 0;
    const hear = ({ duration }) => { longest = Math.max(longest, duration); };
    const watch = (list) => list.getEntries().forEach(hear);
    new PerformanceObserver(watch).observe({ type: "longtask" });
})()"""


@dataclass(frozen=True)
class Seen:
    """What a browser made of one video."""

    report: Report
    first_seconds: float  # with the networks still to load
    again_seconds: float
    longest_task_ms: float | None  # 0: none above 50 ms; None: the browser does not tell


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*", metavar="VIDEO")
    parser.add_argument("--firefox", action="store_true")
    options = parser.parse_args(argv)
    look = in_firefox if options.firefox else in_chromium
    with tempfile.TemporaryDirectory() as folder:
        minute = Made(720, "libx264", ".mp4", 6)
        compare(options.videos or [*sorted(EXAMPLES.glob("*.mp4")), minute.write(Path(folder))], look)


def compare(videos: Sequence[Path], look: Callable[[Path], "Seen"]) -> None:
    checker = Checker()
    print(f"{'video':28}  {'Python':18}  {'browser':18}  {'':9}  {'first':>7}  {'again':>7}", end="  ")
    print("of them here  longest task")
    agreed = 0
    for video in videos:
        python = checker.check(FileSource(video, video.name), Options(models=("default",)))
        seen = look(video)
        verdicts = python["verdict"], seen.report["verdict"]
        fits = agree(*verdicts)
        agreed += fits
        said = (f"{one['label']:10} {_chance(one):>7}" for one in verdicts)
        times = f"{seen.first_seconds:5.1f} s  {seen.again_seconds:5.1f} s"
        here = f"{seen.report['total_seconds']:10.1f} s"
        columns = [video.name[-28:].ljust(28), *said, "agrees   " if fits else "DISAGREES", times, here]
        longest = "" if seen.longest_task_ms is None else f"{seen.longest_task_ms:.0f} ms"
        print(*columns, longest, sep="  ", flush=True)
    print(f"{agreed} of {len(videos)} agree")


def agree(python: dict[str, Any], browser: dict[str, Any]) -> bool:
    """Whether the labels are equal, or Python's number lies beside the edge between them."""
    chance = python["probability_fake"]
    near = chance is not None and min(abs(chance - edge) for edge in python["band"]) <= NEAR
    return python["label"] == browser["label"] or near


def site_with(video: Path) -> Site:
    return Site({"/video.mp4": media(video.read_bytes()), "/": html(player("/video.mp4"), video.name)})


def in_chromium(video: Path) -> Seen:
    with site_with(video) as site, sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        browser = Chromium(playwright, Path(profile) / "profile")
        try:
            page = browser.open(site.url("/"))
            page.evaluate(WATCH_TASKS)
            first_seconds, _ = _check(browser, page)
            page.reload()
            page.wait_for_function("document.querySelector('video').readyState >= 2")
            page.evaluate(WATCH_TASKS)
            again_seconds, report = _check(browser, page)
            return Seen(report, first_seconds, again_seconds, page.evaluate("longest"))
        finally:
            browser.close()


def _check(browser: Chromium, page: Any) -> tuple[float, Report]:
    started = time.perf_counter()
    browser.check(page).answer()
    seconds = time.perf_counter() - started
    reports = [value for key, value in browser.own.evaluate(STORED).items() if key.startswith("report:")]
    browser.own.evaluate(FORGET)
    return seconds, reports[0]


def in_firefox(video: Path) -> Seen:
    with site_with(video) as site:
        browser = Firefox(EXTENSION)
        try:
            browser.until(lambda: len(browser.driver.window_handles) == 2)  # it says that it is ready
            browser.close_other_tabs()
            (first_seconds, _), (again_seconds, report) = (_check_in_firefox(browser, site.url("/")) for _ in range(2))
            return Seen(report, first_seconds, again_seconds, None)
        finally:
            browser.close()


def _check_in_firefox(browser: Firefox, url: str) -> tuple[float, Report]:
    browser.open(url)
    started = time.perf_counter()
    browser.press_toolbar()
    browser.type("Enter")
    browser.wait("badge", *LABELS)
    seconds = time.perf_counter() - started
    browser.open_own("ui/history.html")
    stored = browser.driver.execute_async_script(f"{STORED}.then(arguments[0])")
    browser.driver.execute_async_script(f"{FORGET}.then(() => arguments[0](), arguments[0])")
    return seconds, next(value for key, value in stored.items() if key.startswith("report:"))


def _chance(verdict: dict[str, Any]) -> str:
    chance = verdict["probability_fake"]
    return "" if chance is None else f"{chance:.4f}"


if __name__ == "__main__":
    main()
