"""The page in a real browser, with the real Space behind it: every state, asserted by what a user reads.

Pictures of the states are left in the folder that `UNMASK_SCREENSHOTS` names, for a look.
"""

import json
import os
import re
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.browser.chromium import ARGUMENTS, INSTALLED
from tests.credentials import Signer
from tests.media import EXAMPLES
from tests.served import served
from tests.servers import Site, content, html, slow, status

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CLIP = (EXAMPLES / "photograph.mp4").read_bytes()
FRESH = CLIP + b"\0\0\0\x08free"  # the same video as another file, whose report is not remembered
PATIENCE_MS = 120_000  # of every expectation; on an idle machine a check takes 3 seconds


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A Space that is never sure: its abstain band holds every probability."""
    policy = {"real_below": 0.0, "fake_above": 1.0}
    with served(tmp_path_factory.mktemp("space"), policy, UNMASK_QUEUE_SIZE="5") as running:
        yield running


@pytest.fixture(scope="module")
def site():
    routes = {f"/{name}.mp4": slow(CLIP) for name in ("a", "b", "c", "d")}
    two = "".join(f'<video src="/{name}.mp4" controls></video>' for name in ("gone", "clip"))
    routes |= {"/clip.mp4": content(FRESH, "video/mp4"), "/gone.mp4": status(404), "/two": html(two)}
    with Site(routes) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        path = str(INSTALLED) if INSTALLED.exists() else None  # else the one that playwright installed
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        expect.set_options(timeout=PATIENCE_MS)
        yield chromium
        chromium.close()
        expect.set_options(timeout=5_000)


@pytest.fixture
def visit(browser, space, request):
    """Open the page; check at the end that it had no error and asked no other server."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []
    asked: set[str] = set()

    def open_page(query="", **options):
        context = browser.new_context(**({"viewport": {"width": 1180, "height": 900}} | options))
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda asking: asked.add(urlsplit(asking.url).netloc))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.goto(f"{space.url}/{query}")
        expect(page.get_by_role("heading", name="Unmask")).to_be_visible()
        return page

    yield open_page
    for index, page in enumerate(page for context in contexts for page in context.pages):
        shoot(page, f"{request.node.name}-{index}")
    for context in contexts:
        context.close()
    assert not problems
    assert {host for host in asked if host} <= {space.url.rpartition("/")[2]}, "the page asked another server"


def shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("UNMASK_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{re.sub(r'[^a-z0-9-]+', '-', name)}.png", full_page=True)


def check_link(page: Page, url: str) -> None:
    page.get_by_label("Link to a video").fill(url)
    page.get_by_role("button", name="Check").click()


def answer(page: Page):
    return page.get_by_role("region", name="Answer")


def finish(page: Page) -> None:
    """Wait until the video with the findings is there, which comes last."""
    expect(answer(page)).to_be_visible()
    expect(page.locator("#um-video video")).to_be_visible()
    expect(page.locator("#um-status")).to_be_hidden()


def test_before_a_check_the_page_says_what_it_does_and_what_it_cannot(visit):
    page = visit()
    expect(page).to_have_title("Unmask")
    for tab in ("Link", "File"):
        expect(page.get_by_role("tab", name=tab)).to_be_visible()
    expect(page.locator("#um-status")).to_contain_text("The answer appears here")
    expect(page.get_by_role("region", name="What this cannot tell you")).to_contain_text("not proof")
    expect(page.get_by_text("deleted after 30 minutes")).to_be_visible()
    expect(page.locator(".um-example")).to_have_count(3)
    for hidden in ("#um-result", "#um-cancel"):
        expect(page.locator(hidden)).to_be_hidden()
    page.get_by_role("button", name="Options").click()
    for option in ("Model", "Start", "End"):
        expect(page.get_by_label(option, exact=True)).to_be_visible()


def test_a_link_to_the_page_may_bring_an_address_which_is_not_fetched_before_the_button_is_pressed(visit, site):
    address = site.url("/gone.mp4?a=1&b=%20")
    page = visit(f"?{urlencode({'url': address})}")
    expect(page.get_by_label("Link to a video")).to_have_value(address)
    assert site.hits("/gone.mp4") == 0
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#um-status")).to_contain_text("could not be fetched")
    assert site.hits("/gone.mp4") > 0


def test_of_several_videos_behind_a_link_one_is_chosen(visit, site):
    page = visit()
    check_link(page, site.url("/two"))
    choices = page.get_by_role("alert").get_by_role("link")
    expect(choices).to_have_count(2)
    shoot(page, "several")
    choices.nth(1).click()
    expect(page.get_by_label("Link to a video")).to_have_value(site.url("/clip.mp4"))
    finish(page)
    expect(answer(page)).to_contain_text("Link: clip")


def test_an_example_is_checked_shown_and_saved(visit):
    page = visit()
    page.get_by_role("button", name="A photograph that moves").click()
    finish(page)
    expect(answer(page).get_by_role("heading", name="Not sure")).to_be_visible()
    expect(answer(page)).to_contain_text("photograph.mp4")
    expect(answer(page).get_by_text(re.compile(r"^\d+% probability of a deepfake$"))).to_be_visible()
    expect(answer(page).get_by_text(re.compile(r"^(Evidence:|The evidence speaks)"))).to_be_visible()
    faces = page.get_by_role("region", name="Faces").get_by_role("article")
    expect(faces).to_have_count(1)
    for picture in faces.get_by_role("img", name="Face 1").all():
        assert picture.evaluate("image => image.tagName != 'IMG' || image.naturalWidth > 50")
    expect(page.get_by_role("region", name="How it was done")).to_contain_text("480 × 360")
    moments = page.get_by_role("region", name="Timeline").locator("[data-seconds]")
    assert moments.count() >= 2
    for press in (lambda moment: moment.click(), lambda moment: moment.press("Enter")):
        for moment in (moments.last, moments.first):
            press(moment)
            seconds = float(moment.get_attribute("data-seconds") or "nan")
            page.wait_for_function(
                "wanted => Math.abs(document.querySelector('#um-video video').currentTime - wanted) < 0.1", arg=seconds
            )
    assert json.loads(save(page, "Save the data (JSON)", "unmask-report.json"))["verdict"]["label"] == "uncertain"
    html = save(page, "Save the report (HTML)", "unmask-report.html")
    assert "Not sure" in html
    assert "<script" not in html


def save(page: Page, link: str, name: str) -> str:
    with page.expect_download() as saving:
        page.get_by_role("link", name=link).click()
    assert saving.value.suggested_filename == name
    return Path(saving.value.path()).read_text()


def test_an_uploaded_file_is_checked_and_what_it_says_of_itself_is_shown(visit, tmp_path):
    signer, path = Signer(), tmp_path / "blended-face.mp4"
    first = signer.sign((EXAMPLES / path.name).read_bytes(), "trainedAlgorithmicMedia")
    path.write_bytes(signer.sign(first, edits=first))
    page = visit()
    page.get_by_role("tab", name="File").click()
    with page.expect_file_chooser() as choosing:
        page.locator("#um-file button").first.click()
    choosing.value.set_files(path)
    expect(page.locator("#um-file")).to_contain_text("blended-face")
    page.locator("#um-check-file").click()
    finish(page)
    for text in (path.name, "signed by Example News", "say it was made with AI"):
        expect(answer(page)).to_contain_text(text)
    said = page.get_by_text("Chain: made from “a clip”, signed by Example News; written by Generator 1.0")
    expect(said).to_be_visible()


def test_a_part_of_a_link_is_checked_with_progress_in_words(visit, site):
    page = visit()
    page.get_by_role("button", name="Options").click()
    page.get_by_label("Start", exact=True).fill("0:01")
    page.get_by_label("End", exact=True).fill("3")
    page.evaluate(
        """() => {
          window.said = new Set();
          new MutationObserver(() => {
            const now = document.querySelector("#um-status .um-progress .now, #um-status .um-progress p");
            if (now) window.said.add(now.textContent);
          }).observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )
    check_link(page, site.url("/clip.mp4"))
    finish(page)
    expect(answer(page)).to_contain_text("Link: clip")
    details = page.get_by_role("region", name="How it was done")
    expect(details).to_contain_text(site.url("/clip.mp4"))
    expect(details).to_contain_text("0:01 to 0:03")
    said = set(page.evaluate("[...window.said]"))
    # a stage of a check as short as this may pass between two looks at it
    assert {"Getting the video", "Picking moments", "Looking at faces", "Judging"} & said, said


def test_a_video_without_a_face_is_no_failure(visit):
    page = visit()
    page.get_by_role("button", name="No face in sight").click()
    expect(answer(page).get_by_role("heading", name="No face found")).to_be_visible()
    expect(answer(page)).not_to_contain_text("%")
    expect(page.locator("#um-status")).to_be_hidden()
    expect(page.locator("#um-video")).to_be_hidden()


FAILURES = {  # what is asked for -> heading, code
    "": ("Something in the request is not right", "bad_input"),
    "not a link": ("That is not a web address", "bad_url"),
    "http://169.254.169.254/latest/meta-data/": ("This address is not allowed", "blocked_address"),
    "/gone.mp4": ("The video could not be fetched", "fetch_failed"),
}


def test_a_failure_says_what_went_wrong_and_the_next_check_works(visit, site):
    page = visit()
    for asked, (heading, code) in FAILURES.items():
        check_link(page, site.url(asked) if asked.startswith("/") else asked)
        alert = page.get_by_role("alert").filter(has=page.get_by_role("heading", name=heading))
        expect(alert).to_contain_text(code)
        expect(alert).to_contain_text("This says nothing about the video")
        expect(page.locator("#um-result")).to_be_hidden()
        shoot(page, f"failure-{code}")
    page.get_by_role("button", name="A photograph that moves").click()
    expect(answer(page)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_who_waits_is_told_so_and_can_cancel(visit, space, site):
    page = visit()
    streams = [space.stream("check_url", {"url": site.url(f"/{name}.mp4")}) for name in "abc"]
    try:
        for stream in streams:
            assert next(stream)[0] == "generating"
        ahead = space.ask("submit", {"url": site.url("/d.mp4")})["job"]
        check_link(page, site.url("/clip.mp4"))
        expect(page.locator("#um-status")).to_contain_text("one check is ahead of yours")
        shoot(page, "queued")
        space.ask("cancel", {"id": ahead})
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("The check was cancelled")
        expect(page.locator("#um-cancel")).to_be_hidden()
    finally:
        for stream in streams:
            stream.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone(visit, scheme):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.get_by_role("button", name="The same, with a blended face").click()
    finish(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390, "it can be scrolled sideways"
    for text in page.locator("main :is(h2, h3, p, li, dd, button)").all():
        if text.is_visible():
            assert contrast(text) >= 4.5, text.text_content()


CONTRAST = """(element) => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  let back = element;
  while (back && parse(getComputedStyle(back).backgroundColor)[3] === 0) back = back.parentElement;
  const over = light(back ? parse(getComputedStyle(back).backgroundColor) : [255, 255, 255]);
  const text = light(parse(getComputedStyle(element).color));
  return (Math.max(over, text) + 0.05) / (Math.min(over, text) + 0.05);
}"""


def contrast(element) -> float:
    """Of an element's text against what it stands on; WCAG asks for 4.5."""
    ratio: float = element.evaluate(CONTRAST)
    return ratio
