"""What the extension costs a page on which nobody presses anything.

    python -m tests.bench.idle [--seconds 10] [--rounds 3]

The same page (5,000 elements, two videos, one of them playing; the pointer moves and the page scrolls all the
time) without the extension, with it as installed, and with the hover button switched on, which puts the
page's part on every page. Prints the median of the rounds; exits with 1 when a limit is passed: a task over
50 ms that is not there without the extension, 1 MB of memory, any request.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from tests.browser.chromium import ARGUMENTS, EXTENSION, INSTALLED, Chromium
from tests.browser.sites import CLIP
from tests.servers import Site, html, media

NOWHERE = "http://127.0.0.1:9"  # a Space that nobody may talk to; port 9 is not listened on
LONG_TASK_MS = 50
MOST_BYTES = 1_000_000
PAGE = """
<style>video { width: 480px } p { margin: 2px }</style>
<video src="/clip.mp4" muted loop autoplay></video><video src="/clip.mp4" muted></video>
<div id="many"></div>
<script>
new PerformanceObserver((list) => window.long.push(...list.getEntries().map((one) => one.duration)))
  .observe({ type: "longtask", buffered: true });
window.long = [];
const line = (_, i) => Object.assign(document.createElement("p"), { textContent: i });
many.append(...Array.from({ length: 5000 }, line));
</script>
"""


@dataclass(frozen=True)
class Cost:
    """Of one visit to the page."""

    long_tasks_ms: list[float]  # over 50 ms each
    script_ms: float  # all scripts together, those of the page too
    heap_bytes: float  # after collecting garbage
    requests: int  # the page, its videos, and whatever else


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one visit")
    parser.add_argument("--rounds", type=int, default=3, help="visits of each kind; the median counts")
    options = parser.parse_args()
    with (
        Site({"/": html(PAGE), "/clip.mp4": media(CLIP)}) as site,
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory() as name,
    ):
        kinds = measure(playwright, Path(name), site, options.seconds, options.rounds)
    sys.exit(tell(kinds))


def measure(
    playwright: Playwright, folder: Path, site: Site, seconds: float, rounds: int
) -> dict[str, list[Cost]]:
    """Every kind of browser -> the cost of each round."""
    kinds: dict[str, list[Cost]] = {}
    bare = playwright.chromium.launch_persistent_context(
        folder / "bare", executable_path=str(INSTALLED) if INSTALLED.exists() else None, args=ARGUMENTS
    )
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
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(site.url("/"))
    wander(page, seconds)
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable")
    devtools.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
    long_tasks = page.evaluate("window.long")
    page.close()
    web = [url for url in asked if url.startswith("http")]  # not the extension's own files
    return Cost(long_tasks, 1000 * metrics["ScriptDuration"], metrics["JSHeapUsedSize"], len(web))


def wander(page: Page, seconds: float) -> None:
    """Move the pointer over videos and text and scroll, for a while."""
    for step in range(int(seconds * 10)):
        page.mouse.move(40 + 17 * step % 900, 60 + 11 * step % 500)
        page.mouse.wheel(0, 40 if step % 20 < 10 else -40)
        page.wait_for_timeout(100)


def tell(kinds: dict[str, list[Cost]]) -> int:
    """Print a table -> how the process ends."""
    without = summed(kinds["without"])
    print(f"{'':17}{'tasks > 50 ms':>15}{'longest':>10}{'scripts':>10}{'memory':>11}{'requests':>10}")
    failed = 0
    for kind, costs in kinds.items():
        now = summed(costs)
        print(
            f"{kind:17}{now['long']:>15.0f}{now['longest']:>7.0f} ms{now['script']:>7.0f} ms"
            f"{now['heap'] / 1e6:>8.2f} MB{now['requests']:>10.0f}"
        )
        more_tasks = now["long"] > without["long"] and now["longest"] > without["longest"]
        too_much = now["heap"] - without["heap"] > MOST_BYTES
        failed += kind != "without" and (more_tasks or too_much or now["requests"] > without["requests"])
    for kind in list(kinds)[1:]:
        more = summed(kinds[kind])["heap"] - without["heap"]
        print(f"{kind}: {more / 1e6:+.2f} MB of memory in the page")
    return 1 if failed else 0


def summed(costs: list[Cost]) -> dict[str, float]:
    def middle(read: Any) -> float:
        return statistics.median(read(cost) for cost in costs)

    return {
        "long": middle(lambda cost: len(cost.long_tasks_ms)),
        "longest": middle(lambda cost: max(cost.long_tasks_ms, default=0.0)),
        "script": middle(lambda cost: cost.script_ms),
        "heap": middle(lambda cost: cost.heap_bytes),
        "requests": middle(lambda cost: cost.requests),
    }


if __name__ == "__main__":
    main()
