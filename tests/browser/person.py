"""What a person does and sees in either browser with the extension."""

from typing import Any, Protocol

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import Chromium
from tests.browser.firefox import TAB_CHECKS, Firefox
from tests.browser.overlay import Overlay, shoot, text_of

FORGET = """async () => {
    const { settings } = await chrome.storage.local.get("settings");
    await chrome.storage.local.clear();
    await chrome.storage.local.set({ settings });
}"""
FAKE, REAL, NO_FACE = "Likely deepfake", "No sign of a deepfake", "No face found"
LABELS = (FAKE, REAL, "Not sure", NO_FACE)  # "Not sure" may say which way it leans


class Person(Protocol):
    """What a person does and sees, in either browser."""

    def open(self, url: str, is_ready: bool = True) -> None: ...
    def check(self, place: int = 0, within: tuple[str, ...] = ()) -> None: ...
    def run(self, script: str) -> Any: ...
    def badges(self) -> list[str]: ...
    def set(self, **settings: Any) -> None: ...
    def forget(self) -> None: ...
    def hint(self, text: str) -> bool: ...
    def find(self, css_class: str, *texts: str) -> list[Any]: ...
    def press(self, css_class: str, text: str = "") -> None: ...
    def key(self, name: str) -> None: ...
    def shortcut(self) -> None: ...
    def box(self, css_class: str) -> tuple[float, float, float, float]: ...
    def wait(self, happened: Any) -> None: ...
    def listed(self) -> list[tuple[str, str]]: ...
    def shoot(self, name: str) -> None: ...


def labels(checks: list[Any]) -> list[tuple[str, str]]:
    """Return title and label of each check of a tab that has ended, as the popup lists them."""
    reports = [(one["title"], one["snapshot"]["report"]) for one in checks]
    return [(title, report["verdict"]["label"]) for title, report in reports if report and report["status"] == "ok"]


class InChromium:
    def __init__(self, browser: Chromium) -> None:
        self.browser, self.set = browser, browser.set

    def forget(self) -> None:
        self.browser.own.evaluate(FORGET)

    def open(self, url: str, is_ready: bool = True) -> None:
        for page in self.browser.context.pages:
            if page is not self.browser.own:
                page.close()
        self.page = self.browser.open(url, is_ready)
        self.overlay = Overlay(self.page, 30)
        self.find, self.press = self.overlay.find, self.overlay.press

    def box(self, css_class: str) -> tuple[float, float, float, float]:
        return self.overlay.box(css_class)

    def key(self, name: str) -> None:
        self.page.keyboard.press(name)

    def shortcut(self) -> None:
        fire = "async (url) => chrome.commands.onCommand.dispatch('check', (await chrome.tabs.query({ url }))[0])"
        self.browser.worker().evaluate(fire, self.page.url)

    def check(self, place: int = 0, within: tuple[str, ...] = ()) -> None:
        self.browser.check(self.page, place)  # its driver sees into all shadow roots

    def run(self, script: str) -> Any:
        return self.page.evaluate(script.replace("VIDEO", "document.querySelector('video')"))

    def badges(self) -> list[str]:
        return [text_of(one).strip() for one in self.overlay.find("badge")]

    def hint(self, text: str) -> bool:
        self.overlay.press("badge")
        self.overlay.wait("actions")
        return bool(self.overlay.find("hint", text))

    def wait(self, happened: Any) -> None:
        for _ in range(300):
            if happened():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"it did not happen; shown: {self.badges()}")

    def listed(self) -> list[tuple[str, str]]:
        return labels(self.browser.own.evaluate(TAB_CHECKS.replace("browser.", "chrome."), self.page.url))

    def shoot(self, name: str) -> None:
        shoot(self.page, f"extension-{name}")


class InFirefox:
    def __init__(self, browser: Firefox) -> None:
        self.browser = browser
        self.find, self.press = browser.find, browser.press

    def box(self, css_class: str) -> tuple[float, float, float, float]:
        at = self.browser.find(css_class)[0].rect
        return at["x"], at["y"], at["x"] + at["width"], at["y"] + at["height"]

    def key(self, name: str) -> None:
        ActionChains(self.browser.driver).send_keys(getattr(Keys, name.upper())).perform()

    def shortcut(self) -> None:
        self.browser.type("Alt", "Shift", "U")

    def set(self, **settings: Any) -> None:
        self.browser.set(**settings)

    def forget(self) -> None:
        self.browser.in_own(FORGET)

    def open(self, url: str, is_ready: bool = True) -> None:
        self.browser.open(url, is_ready)

    def check(self, place: int = 0, within: tuple[str, ...] = ()) -> None:
        self.browser.within = within
        self.browser.check(place)

    def run(self, script: str) -> Any:
        found = script.replace("VIDEO", "document.querySelector('video')")
        return self.browser.driver.execute_async_script(f"Promise.resolve({found}).then(arguments[0])")

    def badges(self) -> list[str]:
        try:
            return [one.text.strip() for one in self.browser.find("badge")]
        except StaleElementReferenceException:  # drawn anew meanwhile; who waits asks again
            return []

    def hint(self, text: str) -> bool:
        self.browser.press("badge")
        self.browser.wait("actions")
        return bool(self.browser.find("hint", text))

    def wait(self, happened: Any) -> None:
        try:
            self.browser.until(happened)
        except AssertionError as error:
            raise AssertionError(f"{error}; shown: {self.badges()}") from None

    def listed(self) -> list[tuple[str, str]]:
        return labels(self.browser.in_own(TAB_CHECKS, self.browser.driver.current_url))

    def shoot(self, name: str) -> None:
        shoot(self.browser, f"firefox-{name}")


def open_panel_by_keyboard(person: InChromium | InFirefox, by_shortcut: bool = False) -> None:
    """Go to the badge with Tab, and press Enter or the keys of the shortcut."""
    for _ in range(20):
        person.key("Tab")
        if person.run("Boolean(document.querySelector('[popover]:focus-within'))"):
            break
    if by_shortcut:
        person.shortcut()
    else:
        person.key("Enter")
    person.wait(lambda: person.find("actions"))
