"""The extension on the players that sites use, in Chromium and Firefox: no video gets the report of another one."""

import pytest

from tests.browser.chromium import Chromium
from tests.browser.overlay import shoot
from tests.browser.person import FAKE, LABELS, NO_FACE, REAL, InChromium, open_panel_by_keyboard
from tests.browser.players import PLAYERS
from tests.browser.stub_space import StubSpace

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", PLAYERS)
def test_no_video_gets_the_report_of_another_one(name, person, players, space):
    person.open(players.url(f"/player/{name}?clips=blended-face,photograph"))
    person.check(0)
    person.wait(lambda: person.badges() == [FAKE])
    person.check(1)  # of the same length and size, on the same page
    person.wait(lambda: sorted(person.badges()) == [FAKE, REAL])
    person.run("load(0, 'no-face')")
    person.wait(lambda: person.badges() == [REAL])
    person.run("new Promise((done) => setTimeout(done, 500))")
    person.check(0)  # the next clip at the same address
    person.wait(lambda: sorted(person.badges()) == [NO_FACE, REAL])
    assert space.asked == ["frames"] * 3
    person.open(players.url(f"/player/{name}?clips=photograph"))  # the same clip at another address
    person.check()
    person.wait(lambda: person.badges() == [REAL])
    assert person.hint("Remembered")
    assert space.asked == ["frames"] * 3


def test_an_address_is_not_that_of_the_next_clip(person, players, space):
    """Also of one that came before the extension did: the Space would get the first."""
    person.open(players.url("/player/hls.js?clips=blended-face"))
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    assert space.asked == [players.url("/player/hls.js?clips=blended-face")]
    assert person.hint("With “face” as a part. Its Content Credentials do not hold: the content was changed")
    person.open(players.url("/player/hls.js?clips=photograph"))
    person.run("load(0, 'no-face')")
    person.wait(lambda: person.run("VIDEO.readyState >= 2"))
    person.check()
    person.wait(lambda: person.badges() == [NO_FACE])
    assert space.asked[1:] == ["frames"]


def test_on_this_computer_each_clip_of_a_feed_that_recycles_its_player_has_its_own_answer(person, players):
    person.set(place="local", autoSites=["http://127.0.0.1"])
    person.open(players.url("/player/hls.js?clips=no-face,photograph"))
    person.check(0)
    person.wait(lambda: person.badges() == [NO_FACE])
    person.run("document.querySelectorAll('video')[1].play()")  # nobody presses
    person.wait(lambda: len(person.badges()) == 2 and all(badge.startswith(LABELS) for badge in person.badges()))
    assert person.badges().count(NO_FACE) == 1
    person.run("load(1, 'no-face').then(() => document.querySelectorAll('video')[1].play())")
    person.wait(lambda: person.badges() == [NO_FACE])  # the answer of the clip before is gone
    person.wait(lambda: person.badges() == [NO_FACE] * 2)


@pytest.mark.parametrize(("name", "selector"), [("plyr", ".plyr"), ("hls.js", "video"), ("video.js", ".video-js")])
def test_in_fullscreen_the_badge_is_pressed_and_reached_by_tab_and_the_video_plays_on(name, selector, person, players):
    """Also where the <video> itself is fullscreen, which can hold no other element."""
    person.open(players.url(f"/player/{name}?clips=blended-face"))
    person.run("Object.assign(VIDEO, { loop: true }).play()")
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    person.run(f"document.querySelector('{selector}').requestFullscreen()")
    person.run("new Promise((done) => setTimeout(done, 700))")
    person.run("(VIDEO.onpause = () => (window.isDisturbed = true), 0)")
    open_panel_by_keyboard(person)
    person.press("badge")
    person.wait(lambda: not person.find("actions"))
    person.press("badge")
    person.wait(lambda: person.find("actions"))
    assert person.run("Boolean(document.fullscreenElement) && !window.isDisturbed")
    person.shoot(f"fullscreen-{name}")
    person.run("document.exitFullscreen()")
    person.wait(lambda: person.badges() == [FAKE])


STATE = """(({ paused, muted, volume, playbackRate, currentTime, preload }) =>
    [paused, muted, volume, playbackRate, currentTime, preload])(VIDEO)"""
REASONS = {
    "no-source": "The player has no video yet",
    "missing": "could not load its video",
    "sound": "plays sound only",
    "canvas": "draws its picture itself",
    "foreign-file": "could not load its video",  # crossorigin, and no headers that allow it
}


@pytest.mark.parametrize("name", REASONS)
def test_where_there_is_nothing_to_see_the_true_reason_is_given_and_the_player_put_back(name, person, players):
    person.set(place="local")
    person.open(players.url(f"/{name}"), is_ready=False)
    before = person.run(STATE) if name != "canvas" else None
    person.check()
    person.wait(lambda: person.badges() == ["Could not check"])
    person.press("badge")
    person.wait(lambda: person.find("detail", REASONS[name]))
    assert before is None or person.run(STATE) == before


def test_an_unplayed_video_is_looked_at_over_its_whole_length_and_a_part_is_said_to_be_one(person, players):
    person.set(place="local")
    person.open(players.url("/unplayed"), is_ready=False)
    before = person.run(STATE)
    note = "({ target }) => sought.push(target.currentTime)"
    person.run(f"(window.sought = [], VIDEO.onseeked = {note}, 0)")
    person.check()
    person.wait(lambda: person.badges() and person.badges()[0].startswith(LABELS))
    first, last = person.run("[Math.min(...sought), Math.max(...sought)]")
    assert first < 1 and last > 58
    assert person.run(STATE) == before
    person.press("close")
    person.set(autoSites=["http://127.0.0.1"])  # watched as it plays
    person.run("Object.assign(VIDEO, { muted: true }).play()")
    person.wait(lambda: person.badges() and "(0:0" in person.badges()[0])
    person.press("badge")
    person.wait(lambda: person.find("detail", "of 1:00 was looked at"))


def test_what_a_person_does_during_the_capture_stands(person, players, space):
    person.open(players.url("/player/hls.js?clips=photograph,blended-face"))
    person.run("Object.assign(VIDEO, { loop: true, muted: false, volume: 0.8 }).play()")
    person.check()
    person.wait(lambda: person.run("VIDEO.playbackRate === 0"))
    person.run("(VIDEO.pause(), VIDEO.volume = 0.2)")
    person.wait(lambda: person.badges() == [REAL])
    paused, muted, volume, rate, *_ = person.run(STATE)
    assert (paused, muted, volume, rate) == (True, False, 0.2, 1)


def test_the_answer_to_a_clip_that_the_site_has_left_is_in_the_popup(person, players, space):
    person.open(players.url("/player/hls.js?clips=blended-face,no-face"))
    space.is_free.clear()
    person.check()
    person.wait(lambda: person.find("badge", "Checking") and space.asking)
    person.run("load(0, 'photograph')")
    person.wait(lambda: person.badges() == [])
    space.is_free.set()
    person.wait(lambda: ("hls.js", "fake") in person.listed())
    assert person.badges() == []


def test_the_answer_on_a_page_that_removes_it_is_in_the_popup(person, players, space):
    person.open(players.url("/removing"))
    person.check()
    person.wait(lambda: ("A page", "fake") in person.listed())
    person.check()  # a second press tries again
    person.run("new Promise((done) => setTimeout(done, 1500))")
    assert person.badges() == [] and person.run("document.querySelectorAll('[popover]').length") == 0
    if isinstance(person, InChromium):
        popup = person.browser.press_toolbar(person.page)
        popup.wait("#check-list", FAKE)
        mark = "document.querySelector('.evidence').shadowRoot.querySelector('.fake.strong.here + .mark')"
        person.wait(lambda: popup.evaluate(f"getComputedStyle({mark}).position") == "absolute")  # the panel's style
        shoot(popup, "extension-popup-answer")


def test_the_paused_player_of_an_article_is_meant_and_not_the_loop_behind_it(person, players, space):
    person.open(players.url("/background"))
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    assert space.asked == [players.url("/short.mp4")]
    if isinstance(person, InChromium):
        popup = person.browser.press_toolbar(person.page)
        popup.wait("#videos button", "A page")
        assert popup.evaluate("document.querySelectorAll('img').length") == 2  # told apart by picture


def test_the_badge_lies_on_the_video_also_on_a_page_that_is_zoomed_by_its_style_and_on_a_small_player(person, players):
    for path in ("/zoomed", "/small"):
        person.open(players.url(path))
        person.check()
        person.wait(lambda: person.find("moment"))
        left, top, right, bottom = person.box("corner")
        box = person.run(
            "(({ left, top, right, bottom }) => [left, top, right, bottom])(VIDEO.getBoundingClientRect())"
        )
        assert box[0] < left < right < box[2] and box[1] < top < bottom < box[3], (box, left, top, right, bottom)
        covered = (right - left) * (bottom - top) / ((box[2] - box[0]) * (box[3] - box[1]))
        assert covered < 0.08


def test_escape_closes_the_panel_and_leaves_the_dialog_of_the_page_open(person, players):
    person.open(players.url("/dialog"))
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    person.press("badge")
    person.wait(lambda: person.find("actions"))
    person.key("Escape")
    person.wait(lambda: not person.find("actions"))
    assert person.run("document.querySelector('dialog').open")


def test_a_check_without_a_press_ends_when_its_post_is_scrolled_past(person, players, space):
    person.set(autoSites=["http://127.0.0.1"])
    person.open(players.url("/scrolled"))
    space.is_free.clear()
    person.run("VIDEO.play()")
    person.wait(lambda: person.find("badge"))
    person.run("scrollTo(0, 2000)")
    person.wait(lambda: person.run("document.querySelectorAll('[popover]').length === 0"))
    space.is_free.set()


def test_an_advertisement_does_not_get_the_report_of_the_video_behind_it(person, players, space):
    person.open(players.url("/advertised"))
    person.check()
    person.wait(lambda: person.badges() == ["Could not check"])
    person.press("badge")
    person.wait(lambda: person.find("detail", "found another video than the one in this player"))
    assert space.asked == [players.url("/advertised")]


def test_the_other_side_of_a_call_is_checked_while_it_speaks(person, players, space):
    person.open(players.url("/call"))
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    assert space.asked == ["frames"] and not person.run("document.querySelectorAll('video')[1].paused")
    assert person.box("corner")[0] > person.run("VIDEO.getBoundingClientRect().right")  # not on one's own picture


def test_an_update_of_the_extension_in_mid_check_leaves_no_trace_and_no_error(playwright_session, tmp_path, players):
    with StubSpace() as space:
        browser = Chromium(playwright_session, tmp_path, space.url)
        page = browser.open(players.url("/zoomed"))
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        space.is_free.clear()
        overlay = browser.check(page)
        overlay.wait("badge", "Checking", "Waiting")
        browser.worker().evaluate("setTimeout(() => chrome.runtime.reload(), 100)")
        overlay.wait_gone()
        page.wait_for_timeout(1500)
        space.is_free.set()
        assert page.locator("[popover]").count() == 0 and errors == []
        browser.close()
