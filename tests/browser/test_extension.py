"""The extension in a real Chromium, with the real Space behind it, on pages like those of the web.

Pictures of the states are left in the folder that `UNMASK_SCREENSHOTS` names, for eyes.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.overlay import Overlay, attributes
from tests.served import served
from tests.servers import Site, content, html, media

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).resolve().parents[2]
EXTENSION = REPOSITORY / "extension"
EXAMPLES = REPOSITORY / "space" / "examples"
CLIP = (EXAMPLES / "photograph.mp4").read_bytes()
NO_FACE = (EXAMPLES / "no-face.mp4").read_bytes()
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-extensions-except={EXTENSION}",
    f"--load-extension={EXTENSION}",
]

PLAYER = "<video controls muted style='width: 640px; display: block' src='{}'></video>"
STREAM = """
<video id=v controls muted style='width: 640px'></video>
<script>
fetch("/clip.mp4").then((answer) => answer.blob()).then((blob) => { v.src = URL.createObjectURL(blob); });
</script>
"""
IN_PLACE = (
    PLAYER.format("/clip.mp4") + '<button onclick=\'history.pushState({}, "", "/other")\'>Next</button>'
)


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A Space that finds every face fake."""
    with served(tmp_path_factory.mktemp("space"), {"real_below": 0.0, "fake_above": 0.0}) as running:
        yield running


@pytest.fixture(scope="module")
def site():
    strict = {"Content-Security-Policy": "default-src 'none'; media-src 'self'; script-src 'none'"}
    routes = {
        "/clip.mp4": media(CLIP),
        "/no-face.mp4": media(NO_FACE),
        "/plain": html(PLAYER.format("/clip.mp4"), "A speech"),
        "/stream": html(STREAM, "A stream"),
        "/two": html(PLAYER.format("/no-face.mp4") + PLAYER.format("/clip.mp4"), "Two videos"),
        "/in-place": html(IN_PLACE, "In place"),
        "/framed": html("<iframe src='/plain' width=700 height=560></iframe>", "A frame"),
        "/nothing": html("<p>Only words.</p>", "Words"),
        "/strict": lambda handler: handler.give(
            f"<!doctype html><title>Strict</title>{PLAYER.format('/clip.mp4')}".encode(),
            "text/html",
            200,
            strict,
        ),
        "/other": content(b"never asked for"),
    }
    with Site(routes) as running:
        yield running


@pytest.fixture
def chromium(tmp_path, space, site):
    with sync_playwright() as playwright:
        browser = Chromium(playwright, tmp_path / "profile", space.url, site)
        yield browser
        browser.close()


class Chromium:
    """A browser with the extension, set to use the local Space."""

    def __init__(self, playwright, profile, space_url, site):
        path = str(CHROMIUM) if CHROMIUM.exists() else None
        self.site = site
        self.context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=path,
            args=ARGUMENTS,
            viewport={"width": 1100, "height": 760},
            channel=None if path else "chromium",
        )
        self.context.set_default_timeout(60_000)
        self.worker = (
            self.context.service_workers[0]
            if self.context.service_workers
            else self.context.wait_for_event("serviceworker")
        )
        self.id = self.worker.url.split("/")[2]
        self.own = self.context.new_page()  # a page of the extension: it may say what the popup says
        self.own.goto(f"chrome-extension://{self.id}/history.html")
        self.own.evaluate("space => chrome.storage.local.set({settings: {space}})", space_url)

    def open(self, path):
        page = self.context.new_page()
        page.goto(self.site.url(path))
        if page.frames[-1].locator("video").count():
            page.frames[-1].wait_for_function(
                "[...document.querySelectorAll('video')].every((one) => one.readyState >= 2)"
            )
        return page

    def videos(self, page):
        """What the popup would list."""
        page.bring_to_front()
        return self.own.evaluate(
            """async (url) => {
                const [tab] = await chrome.tabs.query({ url: url + "*" });
                const videos = await chrome.runtime.sendMessage({ type: "videos", tabId: tab.id });
                return { tabId: tab.id, videos };
            }""",
            page.url.partition("#")[0],
        )

    def check(self, page, place=0):
        """What a press in the popup does."""
        found = self.videos(page)
        video = (found["videos"] or [{"frameId": 0}])[place]
        message = {"type": "start", "tabId": found["tabId"], "frameId": video["frameId"]}
        message |= {"id": video["id"]} if "id" in video else {}
        self.own.evaluate("message => chrome.runtime.sendMessage(message)", message)
        return Overlay(page)

    def close(self):
        self.context.close()


def shoot(page, name):
    if folder := os.environ.get("UNMASK_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/extension-{name}.png")


def seconds(page):
    return page.evaluate("document.querySelector('video').currentTime")


def test_one_press_gives_badge_panel_and_a_timeline_that_seeks(chromium):
    page = chromium.open("/plain")
    overlay = chromium.check(page)
    overlay.wait("badge", "Likely deepfake")
    shoot(page, "badge")
    overlay.press("badge")
    for part in ("gauge", "reasons", "card", "actions"):
        overlay.wait(part)
    overlay.wait("kicker", "A speech")
    shoot(page, "panel")
    moments = overlay.find("moment")
    assert len(moments) >= 2
    for moment in (moments[-1], moments[0]):
        label = attributes(moment)["aria-label"]
        minutes, rest = re.match(r"(\d+):(\d+)", label).groups()
        overlay._page.mouse.click(*centre(overlay, moment))
        page.wait_for_function(
            "wanted => Math.abs(document.querySelector('video').currentTime - wanted) < 1.1",
            arg=int(minutes) * 60 + int(rest),
        )


def centre(overlay, node):
    box = overlay._box(node)
    return (box[0] + box[4]) / 2, (box[1] + box[5]) / 2


def test_a_page_with_a_strict_policy_is_checked_like_any_other(chromium):
    page = chromium.open("/strict")
    overlay = chromium.check(page)
    overlay.wait("badge", "Likely deepfake")
    overlay.press("badge")
    overlay.wait("card")
    shoot(page, "strict")


def test_a_stream_of_the_pages_own_making_is_checked_by_pictures_after_a_question(chromium):
    page = chromium.open("/stream")
    page.evaluate("document.querySelector('video').currentTime = 1.5")
    overlay = chromium.check(page)
    overlay.wait("primary", "Take pictures")
    shoot(page, "question")
    overlay.press("primary", "Take pictures")
    overlay.wait("badge", "Likely deepfake")
    overlay.wait("hint", "pictures were taken in this tab")
    shoot(page, "pictures")
    assert abs(seconds(page) - 1.5) < 0.1
    assert page.evaluate("document.querySelector('video').paused && document.querySelector('video').muted")


def test_of_two_videos_the_playing_one_is_meant_and_the_other_is_a_click_away(chromium):
    page = chromium.open("/two")
    page.evaluate("document.querySelectorAll('video')[1].play()")
    found = chromium.videos(page)["videos"]
    assert [video["playing"] for video in found] == [True, False]
    overlay = chromium.check(page, 1)
    overlay.wait("badge", "No face found")


def test_a_page_that_navigates_in_place_loses_the_badge(chromium):
    page = chromium.open("/in-place")
    overlay = chromium.check(page)
    overlay.wait("badge", "Likely deepfake")
    page.get_by_role("button", name="Next").click()
    overlay.wait_gone()
    assert page.locator("[popover]").count() == 0


def test_a_video_in_a_frame_is_found(chromium):
    page = chromium.open("/framed")
    assert len(chromium.videos(page)["videos"]) == 1
    chromium.check(page).wait("badge", "Likely deepfake")


def test_dismissing_leaves_no_trace(chromium):
    page = chromium.open("/plain")
    before = page.content()
    overlay = chromium.check(page)
    overlay.wait("badge", "Likely deepfake")
    overlay.press("close")
    overlay.wait_gone()
    assert page.content() == before


def test_the_worker_may_be_ended_midway(chromium):
    page = chromium.open("/plain")
    overlay = chromium.check(page)
    overlay.wait("badge")
    devtools = chromium.context.browser.new_browser_cdp_session() if chromium.context.browser else None
    end_worker(chromium, devtools)
    overlay.wait("badge", "Likely deepfake")


def end_worker(chromium, devtools):
    """As the browser does when it is idle."""
    page = chromium.context.new_page()
    page.goto("chrome://serviceworker-internals/")
    for button in page.locator("button.stop").all():
        if button.is_visible():
            button.click()
    page.close()


def test_an_answer_is_remembered_and_listed(chromium):
    page = chromium.open("/plain")
    chromium.check(page).wait("badge", "Likely deepfake")
    page.reload()
    overlay = chromium.check(page)
    overlay.wait("badge", "Likely deepfake")
    overlay.press("badge")
    overlay.wait("hint", "Remembered")
    chromium.own.reload()
    chromium.own.get_by_text("Likely deepfake").wait_for()
    shoot(chromium.own, "history")
    chromium.own.get_by_role("button", name=re.compile("^Remove:")).click()
    chromium.own.get_by_text("Reports: 0").wait_for()


def test_without_a_video_the_page_itself_is_sent_and_the_failure_says_what_to_do(chromium):
    page = chromium.open("/nothing")
    overlay = chromium.check(page)
    overlay.wait("badge", "Could not check")
    overlay.press("badge")
    overlay.wait("detail", "cannot fetch a video from this page")
    shoot(page, "failure")


def test_settings_test_the_connection_before_they_keep_it(chromium, space):
    page = chromium.context.new_page()
    page.goto(f"chrome-extension://{chromium.id}/options.html")
    page.get_by_label("Address of the Space").fill("not an address")
    page.get_by_role("button", name="Connect").click()
    page.get_by_text("This is no web address").wait_for()
    page.get_by_label("Address of the Space").fill("http://127.0.0.1:9")
    page.get_by_role("button", name="Connect").click()
    page.get_by_text("cannot be reached").wait_for()
    shoot(page, "options")
    page.get_by_label("Address of the Space").fill(space.url)
    page.get_by_role("button", name="Connect").click()
    page.get_by_text("Connected.").wait_for()
    page.get_by_label("Language").select_option("ar")
    page.locator("html[dir=rtl]").wait_for(state="attached")  # its policy forbids evaluated conditions
    shoot(page, "options-arabic")
