"""Chromium with the real extension, driven as a person would drive it.

browser = Chromium(playwright, tmp_path / "profile", space.url)
page = browser.open(site.url("/plain"))
browser.press_toolbar(page).press("check")       # the real popup, opened by the toolbar button
Overlay(page).wait("badge", "Likely deepfake")
"""

import base64
import json
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, Playwright, Worker

from tests.browser.overlay import Overlay

EXTENSION = Path(__file__).resolve().parents[2] / "extension"
INSTALLED = Path("/usr/bin/chromium")
PATIENCE_SECONDS = 240.0  # everything ends early when it happens
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--enable-unsafe-extension-debugging",  # lets a test press the toolbar button
]

FORGET = """async () => {
    await chrome.storage.local.clear();
    await chrome.storage.session.clear();
    await chrome.scripting.unregisterContentScripts();
    if (await chrome.offscreen.hasDocument()) await chrome.offscreen.closeDocument();
    const { origins } = await chrome.permissions.getAll();
    const asked = origins.filter((one) => !chrome.runtime.getManifest().host_permissions?.includes(one));
    if (asked.length) await chrome.permissions.remove({ origins: asked });
}"""


class Chromium:
    """A browser with the extension, set to use a Space."""

    def __init__(
        self,
        playwright: Playwright,
        profile: Path,
        space_url: str | None = None,
        extension: Path = EXTENSION,
        arguments: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        loading = [f"--disable-extensions-except={extension}", f"--load-extension={extension}"]
        self.context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=str(INSTALLED) if INSTALLED.exists() else None,
            channel=None if INSTALLED.exists() else "chromium",
            args=[*ARGUMENTS, *loading, *arguments],
            **({"viewport": {"width": 1100, "height": 760}} | options),
        )
        self.context.set_default_timeout(PATIENCE_SECONDS * 1000)
        self.devtools = self.context.browser.new_browser_cdp_session()
        self.id = self.worker().url.split("/")[2]
        self.own = self.open_own("ui/history.html")  # a page of the extension: it may say what the popup says
        if space_url is not None:
            self.set(space=space_url)

    def worker(self) -> Worker:
        """Find the service worker that runs now."""
        workers = self.context.service_workers
        return workers[-1] if workers else self.context.wait_for_event("serviceworker")

    def open(self, url: str, is_ready: bool = True) -> Page:
        """Open a page, and wait until its videos can be played."""
        page = self.context.new_page()
        page.goto(url)
        for frame in page.frames if is_ready else ():
            frame.wait_for_function("[...document.querySelectorAll('video')].every((one) => one.readyState >= 2)")
        return page

    def open_own(self, name: str) -> Page:
        """Open a page of the extension."""
        page = self.context.new_page()
        page.goto(f"chrome-extension://{self.id}/{name}")
        return page

    def set(self, **settings: Any) -> None:
        """Change settings, as the options page does."""
        self.own.evaluate(
            """async (changed) => {
                const { settings } = await chrome.storage.local.get("settings");
                await chrome.storage.local.set({ settings: { ...settings, ...changed } });
            }""",
            settings,
        )

    def videos(self, page: Page) -> dict[str, Any]:
        """List what the popup would: {tabId, videos}."""
        page.bring_to_front()
        return self.own.evaluate(
            """async (url) => {
                const [tab] = await chrome.tabs.query({ url: url + "*", active: true });
                const videos = await chrome.runtime.sendMessage({ type: "videos", tabId: tab.id });
                return { tabId: tab.id, videos };
            }""",
            page.url.partition("#")[0],
        )

    def check(self, page: Page, place: int = 0) -> Overlay:
        """Send the message that a press in the popup sends; `press_toolbar` presses it."""
        found = self.videos(page)
        video = (found["videos"] or [{"frameId": 0}])[place]
        message = {"type": "start", "tabId": found["tabId"], "frameId": video["frameId"]}
        message |= {"id": video["id"]} if "id" in video else {}
        self.own.evaluate("message => chrome.runtime.sendMessage(message)", message)
        return Overlay(page, PATIENCE_SECONDS)

    def press_toolbar(self, page: Page) -> "Popup":
        """Press the extension's button while a page is in front: its window opens, `activeTab` is granted."""
        page.bring_to_front()
        tabs = self.devtools.send("Target.getTargets", {"filter": [{"type": "tab"}]})["targetInfos"]
        tab = next(one for one in tabs if one["url"] == page.url)
        self.devtools.send("Extensions.triggerAction", {"id": self.id, "targetId": tab["targetId"]})
        return Popup(self.devtools, page)

    def end_worker(self) -> None:
        """End the service worker, as the browser does when it has been idle for half a minute."""
        devtools = self.context.new_cdp_session(self.own)
        states: list[str] = []
        devtools.on("ServiceWorker.workerVersionUpdated", lambda event: states.extend(_running(event)))
        devtools.send("ServiceWorker.enable")
        devtools.send("ServiceWorker.stopAllWorkers")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "stopped" not in states:  # a page that waits for its answer wakes it again at once
            assert time.monotonic() < deadline, "the worker still runs"
            self.own.wait_for_timeout(20)
        devtools.detach()

    def begin_anew(self, space_url: str | None = None) -> None:
        """Reset the browser as if just installed: nothing open, known or allowed."""
        for page in self.context.pages:
            if page is not self.own:
                page.close()
        self.own.evaluate(FORGET)
        self.end_worker()
        self.context.clear_cookies()
        self.context.clear_permissions()
        self.own.reload()
        self.wake_worker()
        if space_url is not None:
            self.set(space=space_url)

    def wake_worker(self) -> None:
        """Send a request, and wait for its answer."""
        self.own.evaluate("chrome.runtime.sendMessage({ type: 'handshake' })")

    def close(self) -> None:
        self.context.close()


def _running(event: dict[str, Any]) -> list[str]:
    return [version["runningStatus"] for version in event["versions"]]


class Popup:
    """The window below the toolbar button. Playwright does not know it; the DevTools protocol does."""

    def __init__(self, devtools: CDPSession, page: Page) -> None:
        self._devtools = devtools
        self._page = page
        self._answers: dict[int, Any] = {}
        self._last = 0
        devtools.on("Target.receivedMessageFromTarget", self._hear)
        target = self._until(self._target)
        attached = {"targetId": target["targetId"], "flatten": False}
        self._session = devtools.send("Target.attachToTarget", attached)["sessionId"]

    def wait(self, selector: str, text: str = "") -> None:
        """Wait until a visible element holds the text."""
        found = f"""[...document.querySelectorAll({json.dumps(selector)})]
            .some((one) => one.checkVisibility() && one.textContent.includes({json.dumps(text)}))"""
        self._until(lambda: self.evaluate(found))

    def press(self, element_id: str, text: str = "") -> None:
        """Click in the middle of an element, once the window has grown so far."""
        self.wait(f"#{element_id}", text)
        middle = f"""(() => {{
            const element = document.getElementById({json.dumps(element_id)});
            const box = element.getBoundingClientRect();
            const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
            return element.contains(document.elementFromPoint(x, y)) && [x, y];
        }})()"""
        x, y = self._until(lambda: self.evaluate(middle))
        for kind in ("mousePressed", "mouseReleased"):
            click = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self._ask("Input.dispatchMouseEvent", click)

    def evaluate(self, expression: str) -> Any:
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._ask("Runtime.evaluate", asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """Take a PNG."""
        return base64.b64decode(self._ask("Page.captureScreenshot", {})["data"])

    def wait_closed(self) -> None:
        self._until(lambda: self._target() is None)

    def _target(self) -> Any:
        targets = self._devtools.send("Target.getTargets")["targetInfos"]
        return next((one for one in targets if one["url"].endswith("/popup.html")), None)

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        self._last = mine = self._last + 1
        message = json.dumps({"id": mine, "method": method, "params": parameters})
        self._devtools.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": message})
        self._until(lambda: mine in self._answers)
        answer = self._answers.pop(mine)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _hear(self, event: dict[str, Any]) -> None:
        said = json.loads(event["message"])
        if event["sessionId"] == getattr(self, "_session", None) and "id" in said:
            self._answers[said["id"]] = said

    def _until(self, happened: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := happened()):
            assert time.monotonic() < deadline, "it did not happen in the popup"
            self._page.wait_for_timeout(50)
        return value
