"""The ways to start a check: toolbar button, right-click, shortcut, hover button, sites checked as they play.

The toolbar button and its window are the real ones, and so is the permission for the tab that a press gives:
these pages are on `localhost`, where the extension may do nothing without it. Menu and shortcut cannot be
pressed from outside of Chromium: their events are fired in the worker. test_firefox.py presses the real ones.
"""

import pytest

from tests.browser.chromium import Chromium
from tests.browser.overlay import Overlay, shoot
from tests.servers import html, redirect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_the_toolbar_button_opens_a_popup_whose_button_checks_the_video(quick, foreign):
    page = quick.open(foreign.url("/plain"))
    popup = quick.press_toolbar(page)
    popup.wait("#status", "A speech")
    shoot(popup, "extension-popup")
    popup.press("check", "Check this video")
    popup.wait_closed()
    Overlay(page).answer()


def test_the_popup_lists_the_other_videos_each_with_a_button(quick, foreign, space):
    page = quick.open(foreign.url("/two"))
    page.evaluate("Object.assign(document.querySelectorAll('video')[1], { loop: true }).play()")
    popup = quick.press_toolbar(page)
    popup.wait("h2", "Other videos on this page")
    shoot(popup, "extension-popup-two")
    popup.evaluate("document.querySelector('#videos button').id = 'other'")
    popup.press("other")
    popup.wait_closed()
    Overlay(page).answer()
    assert space.asked == [foreign.url("/no-face.mp4")]


def test_the_popup_tells_of_a_page_that_is_closed_to_extensions(quick):
    page = quick.context.new_page()
    page.goto("chrome://version/")
    popup = quick.press_toolbar(page)
    popup.wait("#status", "does not let extensions look at this page")


def test_a_page_without_a_video_is_offered_as_a_page(quick, foreign, space):
    page = quick.open(foreign.url("/nothing"))
    popup = quick.press_toolbar(page)
    popup.wait("#status", "No video was found")
    popup.press("check", "Check the video on this page")
    Overlay(page).answer()
    assert space.asked == [foreign.url("/nothing")]


NAMED = ("in a frame of another site, 127.0.0.2", "Allow 127.0.0.2")
UNNAMED = ("which the browser does not name", "Allow all sites for one check")
FRAMES = {
    "frame": ("<iframe src=SITE width=720 height=560></iframe>", NAMED),
    "nested": (
        "<iframe srcdoc='<object data=SITE width=720 height=560></object>' width=800 height=600></iframe>",
        NAMED,
    ),
    "redirected": ("<iframe src=/moved width=720 height=560></iframe>", UNNAMED),
    "script": ("<iframe width=720 height=560></iframe><script>frames[0].location = 'SITE'</script>", UNNAMED),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_player_in_a_frame_of_another_site_is_said_to_be_there_and_can_be_allowed(kind, quick, foreign, another_site):
    """Chromium's question cannot be answered from outside; test_firefox.py goes on."""
    body, (text, offer) = FRAMES[kind]
    foreign.routes["/moved"] = redirect(another_site.url("/plain"))
    foreign.routes["/embedding"] = html(body.replace("SITE", another_site.url("/plain")))
    popup = quick.press_toolbar(quick.open(foreign.url("/embedding")))
    popup.wait("#foreign-text", text)
    popup.wait("#allow", offer)


def fire(quick, page, event, *before_tab):
    """Fire an event of the browser in the worker, with the page's tab as its last argument."""
    page.bring_to_front()
    return quick.worker().evaluate(
        """async ([event, before, url]) => {
            const [tab] = await chrome.tabs.query({ url });
            const [area, name] = event.split(".");
            chrome[area][name].dispatch(...before, tab);
        }""",
        [event, list(before_tab), page.url],
    )


def test_the_event_of_a_right_click_on_a_link_checks_what_is_behind_it(quick, web, space):
    page = quick.open(web.url("/nothing"))
    clicked = {"menuItemId": "video", "linkUrl": web.url("/no-face.mp4?utm_source=x"), "frameId": 0}
    fire(quick, page, "contextMenus.onClicked", clicked)
    Overlay(page).answer()
    assert space.asked == [web.url("/no-face.mp4")]


UPDATED_ONCE_THERE = """async (id) => {  // only what exists can be; it is written after the installation
    for (let left = 50; ; left--) {
        try { return await chrome.contextMenus.update(id, { enabled: true }); }
        catch (problem) { if (left === 0) throw problem; }
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}"""


def test_the_menu_and_the_shortcut_are_registered(quick):
    worker = quick.worker()
    keys = worker.evaluate("chrome.commands.getAll().then((all) => all.map(({ shortcut }) => shortcut))")
    assert "Alt+Shift+U" in keys
    for name in ("video", "page"):
        worker.evaluate(UPDATED_ONCE_THERE, name)


@pytest.fixture(scope="module")
def running_allowed(playwright_session, tmp_path_factory, allowed_extension):
    """Run a browser in which access to all pages was allowed."""
    browser = Chromium(playwright_session, tmp_path_factory.mktemp("profile"), extension=allowed_extension)
    yield browser
    browser.close()


@pytest.fixture
def allowed(running_allowed, space):
    running_allowed.begin_anew(space.url)
    return running_allowed


def test_the_hover_button_is_on_the_video_under_the_pointer_and_can_be_switched_off(allowed, foreign):
    allowed.set(hover=True)
    page = allowed.open(foreign.url("/shadow"))
    overlay = Overlay(page)
    rest(page, overlay, 300, 200)
    shoot(page, "extension-hover")
    page.mouse.move(1000, 700)
    overlay.wait_gone()
    rest(page, overlay, 300, 200)
    overlay.press("badge")
    overlay.answer()
    page.mouse.move(340, 240)
    page.wait_for_timeout(1000)
    assert len(overlay.find("badge")) == 1, "a second button lies over the answer"
    page = allowed.open(foreign.url("/plain"))
    before = page.content()
    overlay = Overlay(page)
    rest(page, overlay, 300, 200)
    allowed.set(hover=False)
    overlay.wait_gone()
    for one in (page, allowed.open(foreign.url("/plain"))):  # what was open, and what comes
        one.bring_to_front()
        for x in range(300, 400, 10):
            one.mouse.move(x, 200)
            one.wait_for_timeout(60)
        assert one.content() == before


def rest(page, overlay, x, y):
    """Move the pointer about a place until the button is there."""
    for step in range(200):
        page.mouse.move(x + step % 20, y)
        if overlay.find("badge"):
            return
        page.wait_for_timeout(100)
    raise AssertionError("no button under the pointer")


def test_a_site_is_switched_on_in_the_popup_and_then_checked_automatically(allowed, foreign, web):
    page = allowed.open(foreign.url("/plain"))
    popup = allowed.press_toolbar(page)
    popup.wait("#auto-label", "Check videos on localhost as they play")
    popup.press("auto")
    overlay = Overlay(page)
    page.wait_for_timeout(1500)
    assert not overlay.find("badge"), "a video that does not play is none to check"
    play(page)
    overlay.answer()
    again = allowed.open(foreign.url("/plain"))  # and so is every page to come
    play(again)
    assert Overlay(again).answer()
    other = allowed.open(web.url("/plain"))  # another site is not
    play(other)
    other.wait_for_timeout(4000)  # it would begin after three seconds
    assert not Overlay(other).find("badge")


def play(page):
    page.bring_to_front()
    page.evaluate("const video = document.querySelector('video'); video.loop = true; video.play()")


def test_an_automatic_check_of_a_stream_that_cannot_be_told_leaves_no_trace(allowed, foreign, space):
    allowed.set(autoSites=["http://localhost"])
    page = allowed.open(foreign.url("/stream"))
    play(page)
    before = page.content()
    page.wait_for_timeout(5000)
    assert not Overlay(page).find("badge") and page.content() == before and space.asked == []


def test_a_site_is_switched_off_on_the_settings_page(allowed, foreign):
    allowed.set(autoSites=["http://localhost"])
    page = allowed.open(foreign.url("/plain"))
    options = allowed.open_own("ui/options.html")
    options.get_by_role("button", name="Remove: http://localhost").click()
    options.get_by_text("None. A site is switched on").wait_for()
    for one in (page, allowed.open(foreign.url("/plain"))):  # what was open, and what comes
        play(one)
        one.wait_for_timeout(4000)  # it would begin after three seconds
        assert not Overlay(one).find("badge")


def test_a_feature_that_is_switched_on_starts_on_open_pages(allowed, foreign):
    page = allowed.open(foreign.url("/plain"))
    play(page)
    allowed.set(autoSites=["http://localhost"])
    assert Overlay(page).answer()
