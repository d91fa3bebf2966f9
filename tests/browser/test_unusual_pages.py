"""The extension on players and pages that a checker may stumble over, in Chromium and Firefox."""

from collections.abc import Iterator

import pytest

from tests.browser.unusual_pages import CASES, unusual_routes
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

LOADED = "[...document.querySelectorAll('video')].every((one) => one.currentSrc || one.srcObject)"


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
    if case.is_framed:
        person.wait(lambda: "fake" in [label for _, label in person.listed()])
    else:
        person.wait(lambda: person.badges() == [case.badge])
        person.wait(lambda: person.run(case.after))
        person.press("badge")
        person.wait(lambda: person.find("detail", case.detail) and person.find("actions"))
    refused = case.badge == "Could not check"
    assert space.asked == [] if refused else [unusual.url(case.asked) if case.asked else "frames"]
    assert not space.asked or case.asked or len(set(space.seconds)) == len(space.seconds)
