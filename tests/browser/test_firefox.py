"""The extension in a real Firefox: the core path, and the ways to start a check that only here can be pressed."""

import re

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from tests.browser.chromium import EXTENSION
from tests.browser.firefox import Firefox, is_installed
from tests.browser.overlay import LABELS, shoot
from tests.servers import html, redirect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not is_installed(), reason="Firefox is not installed"),
]


@pytest.fixture(scope="module")
def firefox(bundled_space):
    browser = Firefox(EXTENSION)
    browser.until(lambda: len(browser.driver.window_handles) == 2)
    browser.driver.switch_to.window(browser.driver.window_handles[1])
    browser.until(lambda: "Unmask is ready" in browser.text())  # shown once, after it was installed
    browser.close_other_tabs()
    browser.connect(bundled_space.url)
    yield browser
    browser.close()


def press_check(firefox):
    firefox.press_toolbar()
    firefox.type("Enter")


def test_a_press_on_the_toolbar_button_gives_badge_panel_and_a_timeline_that_seeks(firefox, foreign):
    firefox.open(foreign.url("/plain"))
    press_check(firefox)
    firefox.wait("badge", *LABELS)
    firefox.press("badge")
    for part in ("scale", "reasons", "card", "actions"):
        firefox.wait(part)
    firefox.wait("kicker", "A speech")
    shoot(firefox, "firefox-panel")
    for place in (-1, 0):
        moment = firefox.find("moment")[place]
        minutes, seconds = re.match(r"(\d+):(\d+)", moment.get_attribute("aria-label")).groups()
        wanted = 60 * int(minutes) + int(seconds)
        moment.click()
        firefox.until(lambda wanted=wanted: abs(time_of(firefox) - wanted) < 1.1)


def time_of(firefox):
    return firefox.driver.execute_script("return document.querySelector('video').currentTime")


def test_the_menu_of_a_right_click_on_a_video(firefox, foreign):
    firefox.open(foreign.url("/two"))
    firefox.choose_from_menu("video", "Check this video")
    firefox.wait("badge", "No face found")


def test_the_keys_of_the_shortcut(firefox, foreign):
    firefox.open(foreign.url("/plain"))
    firefox.type("Alt", "Shift", "U")
    firefox.wait("badge", *LABELS)


def test_a_video_that_the_page_may_not_read_is_captured_from_the_visible_tab(firefox, foreign):
    firefox.open(foreign.url("/tainted"))
    press_check(firefox)
    firefox.press("primary", "Take pictures")
    firefox.wait("badge", *LABELS)
    firefox.wait("card")


@pytest.mark.parametrize(("path", "allowed"), [("/moved", "<all_urls>"), ("/plain", "http://127.0.0.2/*")])
def test_a_player_in_a_frame_of_another_site_is_checked_once_that_is_allowed(
    path, allowed, firefox, foreign, another_site
):
    """All sites where its own is not known, for this check only."""
    foreign.routes["/moved"] = redirect(another_site.url("/plain"))
    src = path if path == "/moved" else another_site.url(path)
    foreign.routes["/embedding"] = html(f"<iframe src='{src}' width=720 height=560></iframe>")
    firefox.open(foreign.url("/embedding"))
    press_check(firefox)  # the button that allows the site has the focus
    firefox.until(lambda: allowed in firefox.permissions())
    press_check(firefox)
    firefox.driver.switch_to.frame(0)
    firefox.wait("badge", *LABELS)
    firefox.driver.switch_to.default_content()
    firefox.until(lambda: "<all_urls>" not in firefox.permissions())


def test_the_event_page_is_ended_midway_and_the_same_check_continues(firefox, foreign, release):
    firefox.open(foreign.url("/held"))
    press_check(firefox)
    firefox.press("badge")
    firefox.wait("detail", "Getting the video")
    firefox.end_background()
    release.set()
    firefox.wait("badge", *LABELS)


def test_the_hover_button_is_switched_on_with_a_permission_and_off_without(firefox, foreign):
    firefox.open_own("ui/options.html")
    hover = firefox.driver.find_element(By.ID, "hover")
    hover.click()
    firefox.until(lambda: "<all_urls>" in firefox.permissions())
    firefox.until(lambda: firefox.settings().get("hover"))
    firefox.open(foreign.url("/plain"))
    video = firefox.driver.find_element(By.TAG_NAME, "video")

    def offered():
        for step in range(4):
            ActionChains(firefox.driver).move_to_element_with_offset(video, 5 * step, 9 * step).pause(0.2).perform()
        return firefox.find("badge")

    firefox.until(offered)
    firefox.press("badge")
    firefox.wait("badge", *LABELS)
    firefox.open_own("ui/options.html")
    hover = firefox.driver.find_element(By.ID, "hover")
    firefox.until(hover.is_selected)  # the page shows what is kept
    hover.click()
    firefox.until(lambda: "<all_urls>" not in firefox.permissions())
