"""Frames captured in the tab, where the Space cannot have the video: from the element, or from the tab."""

import pytest

from tests.browser.overlay import LABELS, Overlay, attributes, shoot

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def state(page):
    return page.evaluate(
        """(() => {
            const video = document.querySelector("video");
            const { paused, muted, volume, playbackRate, currentTime } = video;
            return { paused, muted, volume, playbackRate, currentTime };
        })()"""
    )


def is_bare(overlay):
    """Tell whether badge and panel are hidden for a picture of the tab."""
    return "bare" in attributes(overlay.find("root")[0])["class"].split()


def take_pictures(overlay):
    overlay.wait("detail", "pictures are taken from the player and sent to 127.0.0.1")
    overlay.press("primary", "Take pictures")


def test_a_media_source_is_checked_by_frames_of_the_element_after_consent(chromium, web):
    page = chromium.open(web.url("/stream"))
    page.evaluate("Object.assign(document.querySelector('video'), { currentTime: 1.5, volume: 0.4 })")
    page.wait_for_function("!document.querySelector('video').seeking")
    before = state(page)
    overlay = chromium.check(page)
    overlay.wait("primary", "Take pictures")
    shoot(page, "extension-question")
    take_pictures(overlay)
    overlay.wait("badge", *LABELS)
    overlay.wait("hint", "pictures were taken in this tab")
    overlay.wait("card")
    shoot(page, "extension-pictures")
    assert state(page) == pytest.approx(before, abs=0.05)
    assert len(overlay.find("moment")) >= 2


def test_a_playing_stream_plays_on_afterwards(quick, web):
    page = quick.open(web.url("/stream"))
    page.evaluate("const video = document.querySelector('video'); video.loop = true; video.play()")
    overlay = quick.check(page)
    take_pictures(overlay)
    overlay.answer()
    assert not state(page)["paused"]


def test_a_stream_that_cannot_seek_is_captured_while_it_plays(chromium, web):
    page = chromium.open(web.url("/live"))
    overlay = chromium.check(page)
    take_pictures(overlay)
    overlay.answer()
    overlay.wait("card")
    assert not overlay.find("moment"), "there is nowhere to go to"
    shoot(page, "extension-live")


@pytest.mark.parametrize("path", ["/tainted", "/tainted-frame"])
def test_a_video_that_the_page_may_not_read_is_captured_from_the_visible_tab(path, chromium, foreign):
    page = chromium.open(foreign.url(path))
    chromium.press_toolbar(page).press("check", "Check this video")
    overlay = Overlay(page)
    take_pictures(overlay)
    for _ in range(3):
        overlay.until(lambda: is_bare(overlay), "no picture was taken without badge and ×")
        overlay.until(lambda: not is_bare(overlay), "the badge and its × are to be seen between two pictures")
    shoot(page, f"extension-{path[1:]}-taking")
    overlay.answer()
    overlay.wait("hint", "pictures were taken in this tab")
    overlay.wait("card")
    shoot(page, f"extension-{path[1:]}")


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/tainted", "Press the Unmask button in the toolbar"),  # which allows captures of the tab
        ("/black", "protected against copying"),
    ],
)
def test_where_no_picture_can_be_taken_the_failure_says_why_or_what_to_press(path, detail, chromium, web):
    page = chromium.open(web.url(path))
    overlay = chromium.check(page)
    take_pictures(overlay)
    overlay.wait("detail", detail)
    shoot(page, f"extension-{path[1:]}-failure")


def test_declining_the_capture_shows_the_failure_and_sends_nothing(chromium, web, bundled_space):
    page = chromium.open(web.url("/stream"))
    overlay = chromium.check(page)
    overlay.press("plain", "Not now")
    overlay.wait("badge", "Could not check")
    overlay.wait("detail", "cannot fetch a video from this page")


def test_the_consents_always_and_never_are_remembered(quick, web):
    quick.set(historySize=0)
    page = quick.open(web.url("/stream"))
    overlay = quick.check(page)
    overlay.press("plain", "Always")
    overlay.answer()
    page.reload()
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    page.evaluate("history.replaceState({}, '', '/stream?another')")
    Overlay(page)
    assert quick.check(page).answer()
    quick.set(consent="never")
    page.goto(web.url("/stream?third"))
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    overlay = quick.check(page)
    overlay.wait("badge", "Could not check")
    overlay.press("badge")
    assert not overlay.find("primary", "Take pictures here")


def test_a_capture_can_be_cancelled(chromium, web):
    page = chromium.open(web.url("/live"))
    overlay = chromium.check(page)
    take_pictures(overlay)
    overlay.press("plain", "Cancel")
    overlay.wait("detail", "Taking pictures was stopped", "The check was stopped")
