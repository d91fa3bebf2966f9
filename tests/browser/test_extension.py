"""The extension in a real Chromium, on pages like the web's; the Space and its model are real where that matters.

Pictures of the states are left in the folder that `UNMASK_SCREENSHOTS` names, for eyes.
"""

import re

import pytest

from tests.browser.overlay import attributes, shoot, text_of
from unmask.verdict_text import percent

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

SHOWN = {"fake": "Likely deepfake", "real": "No sign of a deepfake", "uncertain": "Not sure"}


def test_one_press_gives_the_verdict_of_the_space_and_a_timeline_that_seeks(chromium, bundled_space, web):
    page = chromium.open(web.url("/plain"))
    overlay = chromium.check(page)
    label = overlay.answer()
    overlay.press("badge")
    for part in ("scale", "reasons", "card", "actions"):
        overlay.wait(part)
    overlay.wait("kicker", "A speech")
    shoot(page, "extension-panel")
    report = bundled_space.ask("check_url", {"url": web.url("/clip.mp4")})
    assert label == SHOWN[report["verdict"]["label"]]
    overlay.wait("card", percent(report["verdict"]["probability_fake"]))
    moments = overlay.find("moment")
    assert len(moments) == len(report["timeline"]) >= 2
    for moment in (moments[-1], moments[0]):
        page.mouse.click(*overlay.centre(moment))
        wait_for_time(page, moment)


def wait_for_time(page, moment):
    """Wait until the video shows the time of a moment's button."""
    minutes, seconds = re.match(r"(\d+):(\d+)", attributes(moment)["aria-label"]).groups()
    page.wait_for_function(
        "wanted => Math.abs(document.querySelector('video').currentTime - wanted) < 1.1",
        arg=int(minutes) * 60 + int(seconds),
    )


def test_by_keys_the_timeline_is_one_stop_and_escape_closes_the_panel_and_gives_the_focus_back(chromium, web):
    page = chromium.open(web.url("/plain"))
    overlay = chromium.check(page)
    overlay.answer()
    overlay.press("badge")  # the panel has the focus; the strip comes after its last button
    stops = len(overlay.find("plain")) + 2  # and what is said of the base rate, to be opened
    for _ in range(stops):
        page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    wait_for_time(page, overlay.find("moment")[-1])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    wait_for_time(page, overlay.find("moment")[-2])
    page.keyboard.press("Escape")
    overlay.wait("badge")
    assert not overlay.find("scale")
    page.keyboard.press("Enter")  # the badge has the focus
    overlay.wait("scale")


@pytest.mark.parametrize("path", ["/strict", "/shadow", "/frame", "/later"])
def test_a_video_is_found_and_checked_behind(path, quick, web, space):
    """A strict policy, a closed shadow root, a frame, or it comes after the page."""
    page = quick.open(web.url(path))
    page.wait_for_selector("video" if path == "/later" else "body")
    assert len(quick.videos(page)["videos"]) == 1
    overlay = quick.check(page)
    overlay.answer()
    overlay.press("badge")
    overlay.wait("card")
    assert space.asked == [web.url("/clip.mp4")]
    shoot(page, f"extension-{path[1:]}")


def test_a_page_that_navigates_in_place_loses_the_badge_unless_the_file_plays_on(quick, web):
    page = quick.open(web.url("/in-place"))
    overlay = quick.check(page)
    overlay.answer()
    page.get_by_role("button", name="Next").click()
    page.wait_for_timeout(800)
    assert overlay.find("badge")
    page.evaluate("document.querySelector('video').src = '/no-face.mp4'")
    overlay.wait_gone()
    assert page.locator("[popover]").count() == 0


def test_the_badge_follows_its_video_and_dismissing_leaves_no_trace(quick, web):
    page = quick.open(web.url("/plain"))
    before = page.content()
    overlay = quick.check(page)
    overlay.answer()
    overlay.press("close")
    overlay.wait_gone()
    assert page.content() == before
    overlay = quick.check(page)
    overlay.answer()
    for change in (
        "video.style.width = '900px'",
        "video.style.marginTop = '90px'",
        "document.body.style.minHeight = '3000px', scrollTo(0, 60)",
        "video.requestFullscreen()",
    ):
        page.evaluate(f"const video = document.querySelector('video'); {change}")
        wait_beside(page, overlay)
    shoot(page, "extension-fullscreen")


def wait_beside(page, overlay):
    """Wait until the badge is in the upper right corner of the video, and the timeline along its lower edge."""
    deadline = 100
    for _ in range(deadline):
        left, top, right, bottom = page.evaluate(
            """(() => {
                const box = document.querySelector("video").getBoundingClientRect();
                return [box.left, box.top, box.right, box.bottom];
            })()"""
        )
        corner, strip = overlay.box("corner"), overlay.box("strip")
        if (
            0 < right - corner[2] < 30
            and 0 < corner[1] - max(top, 0) < 30
            and abs(strip[3] - bottom) < 2
            and abs(strip[0] - left) < 2
        ):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"video {left, top, right, bottom}, badge {corner}, timeline {strip}")


def test_the_panel_copies_saves_checks_again_and_opens_the_space(chromium, bundled_space, web):
    page = chromium.open(web.url("/plain"))
    chromium.context.grant_permissions(["clipboard-read", "clipboard-write"])
    overlay = chromium.check(page)
    label = overlay.answer()
    overlay.press("badge")
    overlay.press("plain", "Copy summary")
    overlay.wait("live", "Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"Unmask: {label}") and web.url("/clip.mp4") in copied
    for button, suffix, start in (("Save report", "html", b"<!doctype html>"), ("Save data", "json", b"{")):
        with page.expect_download() as downloading:
            overlay.press("plain", button)
        assert downloading.value.suggested_filename == f"unmask-report.{suffix}"
        assert downloading.value.path().read_bytes().startswith(start)
    with chromium.context.expect_page() as opening:
        overlay.press("plain", "Open the Space")
    opened = opening.value
    box = opened.get_by_label("Link to a video")
    box.wait_for()
    opened.wait_for_function("document.querySelector('#um-url textarea, #um-url input').value !== ''")
    assert box.input_value() == web.url("/clip.mp4") and opened.url.startswith(bundled_space.url)
    opened.close()
    page.bring_to_front()
    overlay.press("plain", "Other models")
    overlay.press("plain", "mobilenet-gru")
    overlay.answer()
    overlay.press("plain", "Check again")
    overlay.answer()


def test_a_screen_reader_gets_the_stages_and_the_verdict(chromium, web, release):
    page = chromium.open(web.url("/held"))
    overlay = chromium.check(page)
    overlay.wait("live", "Getting the video")
    release.set()
    label = overlay.answer()
    overlay.wait("live", label)
    live = overlay.find("live")[0]
    assert attributes(live)["role"] == "status" and len(text_of(live)) > len(label)


def test_without_a_video_the_page_address_is_sent_and_the_failure_names_the_next_step(chromium, web):
    page = chromium.open(web.url("/nothing"))
    overlay = chromium.check(page)
    overlay.wait("badge", "Could not check")
    overlay.press("badge")
    overlay.wait("detail", "no player is on this page")
    shoot(page, "extension-failure")
