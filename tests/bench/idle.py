"""What the extension costs a page on which nobody presses anything.

    python -m tests.bench.idle [--seconds 10] [--rounds 3]

The same page (5,000 elements, two videos, one of them playing; the pointer moves and the page scrolls all the
time) without the extension, with it as installed, and with the hover button switched on, which puts the
page's part on every page. Prints the median of the rounds. Tasks are read from the browser's own trace: those
of the page in which code of the extension ran, in processor time, which other programs do not lengthen.
Exits with 1 when a limit is passed: a task over 50 ms, 1 MB of memory, any request.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from tests.browser.chromium import ARGUMENTS, EXTENSION, INSTALLED, Chromium
from tests.browser.sites import CLIP
from tests.servers import Site, html, media

NOWHERE = "http://127.0.0.1:9"  # a Space that nobody may talk to; port 9 is not listened on
LONG_TASK_MS = 50
TASK = "ThreadControllerImpl::RunTask"
SCRIPT = ("FunctionCall", "EvaluateScript", "v8.compile", "v8.compileModule")
MOST_BYTES = 1_000_000
PAGE = """
<style>video { width: 480px } p { margin: 2px }</style>
<video src="/clip.mp4" muted loop autoplay></video><video src="/clip.mp4" muted></video>
<div id="many"></div>
<script>
const line = (_, i) => Object.assign(document.createElement("p"), { textContent: i });
many.append(...Array.from({ length: 5000 }, line));
</script>
"""


@dataclass(frozen=True)
class Cost:
    """Of one visit to the page."""

    longest_task_ms: float  # of those in which code of the extension ran
    script_ms: float  # that code, all together
    heap_bytes: float  # of the page, after collecting garbage
    requests: int  # the page, its videos, and whatever else


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one visit")
    parser.add_argument("--rounds", type=int, default=3, help="visits of each kind; the median counts")
    options = parser.parse_args()
    with (
        Site({"/": html(PAGE), "/clip.mp4": media(CLIP)}) as site,
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
    ):
        kinds = measure(playwright, Path(name), site, options.seconds, options.rounds)
    sys.exit(tell(kinds))


def measure(playwright: Playwright, folder: Path, site: Site, seconds: float, rounds: int) -> dict[str, list[Cost]]:
    """Every kind of browser -> the cost of each round."""
    kinds: dict[str, list[Cost]] = {}
    bare = playwright.chromium.launch_persistent_context(
        folder / "bare", executable_path=str(INSTALLED) if INSTALLED.exists() else None, args=ARGUMENTS
    )
    bare.set_default_timeout(120_000)
    kinds["without"] = [visit(bare, site, seconds) for _ in range(rounds)]
    bare.close()
    for kind, extension, hover in (
        ("installed", EXTENSION, False),
        ("hover button on", allowed(folder / "allowed"), True),
    ):
        browser = Chromium(playwright, folder / kind.split()[0], NOWHERE, extension)
        browser.set(hover=hover)
        for page in browser.context.pages[:-1]:
            page.close()
        kinds[kind] = [visit(browser.context, site, seconds) for _ in range(rounds)]
        browser.close()
    return kinds


def allowed(copy: Path) -> Path:
    """The extension with the permission for all pages in its manifest: nobody is there to grant it."""
    shutil.copytree(EXTENSION, copy)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    manifest["host_permissions"] = ["<all_urls>"]
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def visit(context: BrowserContext, site: Site, seconds: float) -> Cost:
    asked: list[str] = []
    hear = lambda request: asked.append(request.url)
    context.on("request", hear)
    page = context.new_page()
    browser = context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline", "v8"])
    page.goto(site.url("/"))
    wander(page, seconds)
    longest, scripts = own_work(json.loads(browser.stop_tracing())["traceEvents"])
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable")
    devtools.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
    page.close()
    context.remove_listener("request", hear)
    web = [url for url in asked if url.startswith("http")]  # not the extension's own files
    return Cost(longest, scripts, metrics["JSHeapUsedSize"], len(web))


def own_work(events: list[dict[str, Any]]) -> tuple[float, float]:
    """Of the threads that ran the page's part: (longest task with its code in it, all of its code), ms."""
    timed = [event for event in events if event["ph"] == "X" and "tdur" in event]
    ours = [event for event in timed if "chrome-extension://" in json.dumps(event.get("args", {}))]
    threads = {place(event) for event in ours if "/content-script.js" in json.dumps(event["args"])}
    ours = [event for event in ours if place(event) in threads]
    tasks = [event for event in timed if event["name"] == TASK and place(event) in threads]
    around = [task for task in tasks if any(contains(task, event) for event in ours)]
    longest = max((task["tdur"] for task in around), default=0)
    return longest / 1000, sum(event["tdur"] for event in ours if event["name"] in SCRIPT) / 1000


def place(event: dict[str, Any]) -> tuple[int, int]:
    return event["pid"], event["tid"]


def contains(task: dict[str, Any], event: dict[str, Any]) -> bool:
    return place(task) == place(event) and task["ts"] <= event["ts"] < task["ts"] + task["dur"]


def wander(page: Page, seconds: float) -> None:
    """Move the pointer over videos and text and scroll, for a while."""
    for step in range(int(seconds * 10)):
        page.mouse.move(40 + 17 * step % 900, 60 + 11 * step % 500)
        page.mouse.wheel(0, 40 if step % 20 < 10 else -40)
        page.wait_for_timeout(100)


def tell(kinds: dict[str, list[Cost]]) -> int:
    """Print a table -> how the process ends."""
    without = middle(kinds["without"])
    print(f"{'':17}{'longest task':>15}{'its scripts':>14}{'page memory':>14}{'requests':>10}")
    for kind, costs in kinds.items():
        now = middle(costs)
        print(
            f"{kind:17}{now.longest_task_ms:>12.1f} ms{now.script_ms:>11.1f} ms"
            f"{now.heap_bytes / 1e6:>11.2f} MB{now.requests:>10}"
        )
    return max(int(is_too_much(middle(costs), without)) for costs in kinds.values())


def is_too_much(now: Cost, without: Cost) -> bool:
    more_bytes = now.heap_bytes - without.heap_bytes
    return now.longest_task_ms > LONG_TASK_MS or more_bytes > MOST_BYTES or now.requests > without.requests


def middle(costs: list[Cost]) -> Cost:
    """The median of each number."""
    values = [statistics.median_low(astuple(cost)[i] for cost in costs) for i in range(len(fields(Cost)))]
    return Cost(*values)


if __name__ == "__main__":
    main()
