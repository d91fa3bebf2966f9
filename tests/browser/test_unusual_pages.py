"""The extension on players and pages that a checker may stumble over, in Chromium and Firefox."""

from collections.abc import Iterator

import pytest

from tests.browser.person import FAKE, NO_FACE, InChromium, open_panel_by_keyboard
from tests.browser.unusual_pages import CASES, unusual_routes
from tests.media import EXAMPLES
from tests.servers import Site, html

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

LOADED = "[...document.querySelectorAll('video')].every((one) => one.src || one.srcObject || one.currentSrc)"


@pytest.fixture(scope="module")
def unusual() -> Iterator[Site]:
    with Site(unusual_routes()) as running:
        yield running


@pytest.mark.parametrize("name", CASES)
def test_the_video_that_is_meant_is_checked_and_its_badge_can_be_pressed(name, person, unusual, space):
    case = CASES[name]
    person.open(unusual.url(f"/case/{name}"), is_ready=False)
    if not person.run(f"Boolean({case.needs})"):
        pytest.skip("this browser has no such thing")
    person.wait(lambda: person.run(LOADED))
    person.check(within=case.shadows)
    if case.is_listed:
        person.wait(lambda: space.asked and "fake" in [label for _, label in person.listed()])
    else:
        person.wait(lambda: [one.partition(" (")[0] for one in person.badges()] == [case.badge])
        person.wait(lambda: person.run(case.after))
        person.press("badge")
        person.wait(lambda: person.find("detail", case.detail))
    refused = case.badge == "Could not check"
    assert space.asked == [] if refused else [unusual.url(case.asked) if case.asked else "frames"]
    if space.asked == ["frames"]:
        assert len(set(space.seconds)) > 0.8 * len(space.seconds)
        assert min(space.seconds) > case.first_seconds - 0.1


@pytest.mark.parametrize(("name", "selector"), [("media-chrome", "media-controller"), ("vidstack", "media-player")])
def test_in_fullscreen_of_an_element_with_a_shadow_root_the_badge_is_pressed(name, selector, person, unusual, space):
    person.open(unusual.url(f"/case/{name}"), is_ready=False)
    person.wait(lambda: person.run(LOADED))
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    person.run(f"document.querySelector('{selector}').requestFullscreen()")
    person.wait(lambda: person.run("Boolean(document.fullscreenElement?.querySelector('[popover]'))"))
    person.press("badge")
    person.wait(lambda: person.find("actions"))
    person.run("document.exitFullscreen()")


def test_where_a_page_stops_keys_and_prevents_clicks_the_panel_is_opened_by_keyboard(person, unusual, space):
    """With Enter; where that leaves no trace, with the keys of the shortcut, which press what has the focus."""
    if not person.run("'commandForElement' in HTMLButtonElement.prototype"):
        pytest.skip("this browser is too old")
    for name, by_shortcut in (("stopping", False), ("prevented", False), ("prevented-stopping", True)):
        person.open(unusual.url(f"/case/{name}"))
        person.check()
        person.wait(lambda: person.badges() == [FAKE])
        open_panel_by_keyboard(person, by_shortcut)


def test_of_several_videos_behind_a_page_one_is_chosen(person, unusual, space):
    addresses = [unusual.url(f"/{name}.mp4") for name in ("one", "other")]
    space.choices += ({"url": url, "title": url[-9:-4], "duration_seconds": 4.0} for url in addresses)
    person.open(unusual.url("/no-such-page"), is_ready=False)
    person.check()
    person.wait(lambda: person.badges() == ["Could not check"])
    person.press("badge")
    person.press("plain", "other · 0:04")
    person.wait(lambda: person.badges() == [FAKE])
    assert space.asked == [unusual.url("/no-such-page"), addresses[1]]


def test_a_video_in_picture_in_picture_is_checked_and_its_badge_lies_in_the_window(person, unusual, space):
    if not isinstance(person, InChromium):
        pytest.skip("pages cannot ask for it in this browser")
    person.open(unusual.url("/case/mirrored"))
    person.run("VIDEO.requestPictureInPicture().then(() => VIDEO.play())")
    person.run("(document.body.style.height = '4000px', scrollTo(0, 2000))")
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    assert space.asked == ["frames"] and person.run("Boolean(document.pictureInPictureElement)")
    left, top, right, bottom = person.box("corner")
    assert person.run(f"{left} > 0 && {top} > 0 && {right} < innerWidth && {bottom} < innerHeight")
    person.press("badge")
    person.wait(lambda: person.find("actions"))
    person.run("document.exitPictureInPicture()")
    person.wait(lambda: not person.run("Boolean(document.pictureInPictureElement)"))
    person.run("scrollTo(0, 0)")
    person.wait(lambda: person.box("corner")[2] < person.run("VIDEO.getBoundingClientRect().right"))


def test_many_videos_that_are_watched_cost_no_request_and_little_time(person, unusual, space):
    if not isinstance(person, InChromium):
        pytest.skip("the time is measured by Chromium's protocol")
    person.set(autoSites=["http://127.0.0.1"])
    person.open(unusual.url("/many"), is_ready=False)
    person.run("new Promise((done) => setTimeout(done, 1500))")
    devtools = person.page.context.new_cdp_session(person.page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def script_seconds() -> float:
        found = devtools.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in found if one["name"] == "ScriptDuration")

    before, requests = script_seconds(), len(unusual.requests)
    person.run("new Promise((done) => setTimeout(done, 4000))")
    assert 0 < script_seconds() - before < 4 * 0.015  # 4 ms a second; a search of all elements takes 40
    assert space.asking == 0 and len(unusual.requests) == requests


CHANGES = [
    "VIDEO.src = '/no-face.mp4'",
    "VIDEO.replaceWith(Object.assign(document.createElement('video'), { src: '/no-face.mp4', controls: true }))",
    "(VIDEO.remove(), document.body.append(Object.assign(window.kept, { src: '/no-face.mp4' })), 0)",
]


def test_a_video_that_is_replaced_during_its_check_takes_the_answer_along(person, unusual, space):
    """Also where a list puts the same element back with the next clip."""
    space.of_address = "no-face"
    for change in CHANGES:
        space.is_free.clear()
        person.open(unusual.url("/case/mirrored"))
        person.run("(window.kept = VIDEO, 0)")
        person.check()
        person.wait(lambda: person.badges())
        person.run(f"({change}, 0)")
        person.wait(lambda: person.badges() == [])
        space.is_free.set()
        person.check()
        person.wait(lambda: person.badges() == [NO_FACE])


def test_the_next_clip_at_the_same_address_and_the_next_speaker_of_a_call_take_the_answer_along(person, unusual, space):
    clips = [unusual.routes[f"/{name}.mp4"] for name in ("short", "no-face")]
    for path, change in (("/again", "VIDEO.load()"), ("/speakers", "window.next()")):
        unusual.routes["/again.mp4"] = clips[0]
        person.open(unusual.url(path))
        person.check()
        person.wait(lambda: person.badges() == [FAKE])
        unusual.routes["/again.mp4"] = clips[1]
        person.run(f"({change}, 0)")
        person.wait(lambda: person.badges() == [])


OUT_OF_SIGHT = {  # and back
    "own.style.zIndex = -1": "own.style.zIndex = 1",
    "own.style.opacity = 0": "own.style.opacity = 1",
    "own.style.visibility = 'hidden'": "own.style.visibility = 'visible'",
    "around.style.opacity = 0": "around.style.opacity = 1",
    "track.style.translate = '-480px'": "track.style.translate = 'none'",
    "cover.hidden = false": "cover.hidden = true",
    "other.requestFullscreen()": "document.exitFullscreen()",
}


def test_a_badge_is_hidden_while_another_video_or_page_is_shown_in_the_place_of_its_own(person, unusual, space):
    """Where a <video> without a source lies over it, too, and where the pointer passes through the videos."""
    person.open(unusual.url("/swapped"), is_ready=False)
    person.wait(lambda: person.run("own.readyState >= 2"))
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    for passed in ("''", "'passed'"):
        person.run(f"(around.className = {passed}, 0)")
        for hide, show in OUT_OF_SIGHT.items():
            for change, wanted in ((hide, []), (show, [FAKE])):
                person.run(f"({change}, 0)")
                person.wait(lambda wanted=wanted: person.badges() == wanted)


NEXT_CLIPS = {  # in the same MediaSource: file, length, where it begins, whether the last one is removed first
    "removed": "'/fragmented-no-face.mp4', 4, 0, true",
    "overwritten": "'/fragmented-no-face.mp4', 4, 0",
    "longer": "'/fragmented-longer.mp4', 8, 0",
    "appended": "'/fragmented-no-face.mp4', 8, 4",
}


def test_the_next_clip_in_the_same_media_source_takes_the_answer_along(person, unusual, space):
    for clip in NEXT_CLIPS.values():
        person.open(unusual.url("/reused"))
        person.check()
        person.wait(lambda: person.badges() == [FAKE])
        person.run(f"next({clip})")
        person.wait(lambda: person.badges() == [])
    assert space.asked == ["frames"]  # it is remembered


def test_another_element_for_the_same_file_gets_the_answer(person, unusual, space):
    """As of a page that is drawn anew; nobody presses a second time."""
    space.is_free.clear()
    person.open(unusual.url("/case/stopping"))
    person.check()
    person.wait(lambda: person.badges())
    person.run("(VIDEO.replaceWith(VIDEO.cloneNode()), 0)")
    space.is_free.set()
    person.wait(lambda: person.badges() == [FAKE])
    person.run("(VIDEO.replaceWith(VIDEO.cloneNode()), new Promise((done) => setTimeout(done, 800)))")
    person.wait(lambda: person.badges() == [FAKE])
    assert set(space.asked) == {unusual.url("/short.mp4")}


def test_what_was_captured_is_sent_again_where_the_connection_was_lost(person, unusual, space):
    """As by a computer that slept."""
    space.drops = 1
    person.open(unusual.url("/case/mirrored"))
    person.check()
    person.wait(lambda: person.badges() == [FAKE])
    assert space.asking == 2


def press_toolbar(person):
    """Check the video that is meant, with the right to capture the tab."""
    if isinstance(person, InChromium):
        person.browser.press_toolbar(person.page).press("check")
    else:
        person.browser.press_toolbar()
        person.browser.type("Enter")


def test_the_check_of_a_file_of_this_computer_begins(person, space):
    """Its pictures come from the visible tab in Chromium, which takes a while."""
    person.open(f"file://{EXAMPLES / 'blended-face.mp4'}")
    press_toolbar(person)
    person.wait(lambda: person.find("badge", "Checking", FAKE))


@pytest.fixture
def tainted(unusual, space) -> str:
    """A video that the page may not read, at an address that is not that of one video."""
    space.choices.append({"url": "http://a.example/", "title": "Another", "duration_seconds": 4.0})
    return f"<video muted src=http://localhost:{unusual.port}/short.mp4 style='width: 480px; height: 360px'></video>"


def test_pictures_of_the_tab_show_no_advertisement_over_the_video(person, unusual, space, tainted):
    advertisement = (
        "<video src=/no-face.mp4 style='position: absolute; inset: 8px; width: 480px; height: 360px'></video>"
    )
    unusual.routes["/tainted"] = html(tainted + f"<template>{advertisement}</template>")
    person.open(unusual.url("/tainted"))
    press_toolbar(person)
    person.wait(lambda: person.find("badge", "Checking"))
    person.run("(document.body.append(document.importNode(document.querySelector('template').content, true)), 0)")
    person.wait(lambda: person.badges() == ["Could not check"])
    assert "frames" not in space.asked


BARS = {  # style -> left, top, width, height of the picture in the window
    "width: 800px": (168, 8, 480, 360),
    "width: 800px; object-position: 100% 0": (328, 8, 480, 360),
    "width: 800px; object-position: 30px 0": (38, 8, 480, 360),
    "width: 800px; object-position: right 30px top 0": (298, 8, 480, 360),
    "width: 800px; object-fit: fill": (8, 8, 800, 360),
    "width: 480px; height: 700px; object-fit: scale-down; object-position: 0 10%": (8, 42, 480, 360),
}


def test_a_video_is_cut_out_of_a_picture_of_the_tab_without_the_bars_beside_it(person, unusual):
    if not isinstance(person, InChromium):
        pytest.skip("the place is asked in Chromium")
    for style, wanted in BARS.items():
        unusual.routes["/bars"] = html(f"<video src=/short.mp4 style='height: 360px; {style}'></video>")
        person.open(unusual.url("/bars"))
        (video,) = person.browser.videos(person.page)["videos"]
        assert [video["box"][name] for name in ("left", "top", "width", "height")] == pytest.approx(wanted, abs=0.5)


def test_of_an_unreadable_video_in_picture_in_picture_it_is_said_that_it_must_come_back(
    person, unusual, space, tainted
):
    if not isinstance(person, InChromium):
        pytest.skip("without a screen Firefox floats a video only now and then, and may keep the keys in its window")
    unusual.routes["/tainted"] = html(tainted)
    person.open(unusual.url("/tainted"))
    person.run("Object.assign(VIDEO, { loop: true }).play()")
    person.run("VIDEO.requestPictureInPicture().then(() => true)")
    press_toolbar(person)
    person.wait(lambda: person.badges() == ["Could not check"])
    person.press("badge")
    person.wait(lambda: person.find("detail", "floats outside of its page"))
    assert "frames" not in space.asked


def test_in_a_page_that_is_pinched_larger_and_a_frame_that_is_scaled_the_place_of_a_video_is_known(person, unusual):
    """There it is cut out of a picture of the tab."""
    if not isinstance(person, InChromium):
        pytest.skip("a pinch comes by Chromium's protocol")
    unusual.routes["/plain"] = html("<video src=/short.mp4 style='width: 480px; height: 360px'></video>")
    style = "border: 8px solid; scale: 0.5; transform-origin: 0 0"
    unusual.routes["/scaled"] = html(f"<iframe src=/plain width=600 height=500 style='{style}'></iframe>")
    person.open(unusual.url("/scaled"))
    devtools = person.page.context.new_cdp_session(person.page)
    devtools.send("Emulation.setPageScaleFactor", {"pageScaleFactor": 1.6})
    (video,) = person.browser.videos(person.page)["videos"]
    x, y = person.run("[visualViewport.offsetLeft, visualViewport.offsetTop]")
    at = 8 + 0.5 * (8 + 8)  # margin, border, margin
    wanted = [1.6 * size for size in (at - x, at - y, 240, 180)]
    assert [video["box"][name] for name in ("left", "top", "width", "height")] == pytest.approx(wanted, abs=0.5)
