"""The extension's own pages and the looks of its panel: read, searched, switched, and checked with axe."""

import json
import re
import zipfile
from pathlib import Path

import pytest

from extension.pack import pack
from tests.browser.chromium import Chromium
from tests.browser.overlay import shoot

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

AXE = (Path(__file__).resolve().parents[1] / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """(async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    const said = ({ html, failureSummary }) => [html, failureSummary];
    return violations.map(({ id, nodes }) => [id, nodes.map(said)]);
})()"""


def assert_accessible(page):
    page.evaluate(AXE + "; 0")
    assert page.evaluate(RUN_AXE) == []


@pytest.fixture(scope="module")
def packed(playwright_session, tmp_path_factory):
    """Run a browser that has just been given the packed extension."""
    folder = tmp_path_factory.mktemp("packed")
    zipped = next(path for path in pack(folder / "dist") if "chromium" in path.name)
    zipfile.ZipFile(zipped).extractall(folder / "unpacked")
    browser = Chromium(playwright_session, folder / "profile", extension=folder / "unpacked")
    yield browser
    browser.close()


def test_the_welcome_page_opens_once_and_says_it_in_five_sentences(packed):
    while not (welcomes := [page for page in packed.context.pages if page.url.endswith("/welcome.html")]):
        packed.own.wait_for_timeout(100)
    (welcome,) = welcomes
    welcome.locator("#top img, #top svg").wait_for()  # it is filled in
    packed.own.wait_for_timeout(1000)
    assert sum(page.url.endswith("/welcome.html") for page in packed.context.pages) == 1
    sentences = welcome.locator("li")
    assert sentences.count() == 5
    assert all(text.count(".") == 1 and text.endswith(".") for text in sentences.all_inner_texts())
    assert_accessible(welcome)
    shoot(welcome, "extension-welcome")


def test_chromium_reports_no_problem_with_the_packed_extension(packed):
    page = packed.context.new_page()
    page.goto("chrome://extensions/")
    found = page.evaluate("chrome.developerPrivate.getExtensionsInfo()")
    (own,) = [one for one in found if one["id"] == packed.id]
    problems = ("manifestErrors", "installWarnings", "runtimeErrors")
    assert {name: own.get(name, []) for name in problems} == {name: [] for name in problems}


def test_settings_test_the_connection_before_they_save_it(chromium, bundled_space):
    page = chromium.open_own("ui/options.html")
    page.locator("#language option").first.wait_for(state="attached")  # it is filled in
    for address, answer in (
        ("not an address", "This is no web address"),
        ("http://127.0.0.1:9", "cannot be reached"),
        (bundled_space.url, "Connected. Models:"),
    ):
        page.get_by_label("Address of the Space").fill(address)
        page.get_by_role("button", name="Connect").click()
        page.get_by_text(answer).wait_for()
    assert page.get_by_label("Model").locator("option").count() >= 2
    assert_accessible(page)
    shoot(page, "extension-options")
    page.get_by_label("Language").select_option("ar")
    page.locator("html[dir=rtl]").wait_for(state="attached")  # its policy forbids evaluated conditions
    assert_accessible(page)
    shoot(page, "extension-options-arabic")


ORIGIN = (  # what a file says of itself, and its page of it
    "Content Credentials, signed by Example News (confirmed by nobody here): made with AI. The faces: ",
    "Made from “a clip”.",
    "127.0.0.1 labels it “made with AI”",
)


def test_the_history_is_searched_opened_exported_and_deleted(chromium, web):
    checked = chromium.check(chromium.open(web.url("/labelled")))
    label = checked.answer()
    checked.press("badge")
    for text in ORIGIN:
        checked.wait("origin", text)
    chromium.check(chromium.open(web.url("/two")), 0).wait("badge", "No face found")
    page = chromium.open_own("ui/history.html")
    page.get_by_text("Reports: 2").wait_for()
    search = page.get_by_role("searchbox", name="Search")
    search.fill("no face")
    page.get_by_text("Reports: 1").wait_for()
    search.fill("clip.mp4")
    page.get_by_text("Reports: 1").wait_for()
    page.get_by_role("button", name=re.compile("^Report: ")).click()
    page.get_by_role("img", name="Face 1", exact=True).wait_for()
    assert page.get_by_role("heading", name=label).is_visible()
    for text in ORIGIN:
        assert page.get_by_text(text).first.is_visible()
    assert_accessible(page)
    shoot(page, "extension-history")
    search.fill("")
    with page.expect_download() as exporting:
        page.get_by_role("button", name="Export").click()
    exported = json.loads(exporting.value.path().read_text(encoding="utf-8"))
    assert {one["report"]["status"] for one in exported} == {"ok"} and len(exported) == 2
    page.get_by_role("button", name=re.compile("^Remove: ")).first.click()
    page.get_by_text("Reports: 1").wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete these").click()
    page.get_by_text("Reports: 0").wait_for()
    kept = page.evaluate("chrome.storage.local.get(null).then(Object.keys)")
    assert not [key for key in kept if key.startswith("report:")]


def test_axe_finds_nothing_in_the_popup(quick, web):
    page = quick.open(web.url("/two"))
    popup = quick.press_toolbar(page)
    popup.wait("#auto-label", "Check videos on")
    popup.evaluate(AXE + "; 0")
    assert popup.evaluate(RUN_AXE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_badge_panel_and_timeline(scheme, quick, web):
    page = quick.open(web.url("/plain"))
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.documentElement.style.colorScheme = 'light dark'")
    overlay = quick.check(page)
    overlay.answer()
    overlay.press("badge")
    overlay.wait("actions")
    overlay.open_up()
    page.evaluate(AXE + "; 0")
    background = "getComputedStyle(document.querySelector('[popover] > div').shadowRoot.querySelector('.panel'))"
    wanted = {"light": "rgb(255, 255, 255)", "dark": "rgb(26, 33, 43)"}
    assert page.evaluate(f"{background}.backgroundColor") == wanted[scheme]
    found = page.evaluate(RUN_AXE)
    own = [(rule, nodes) for rule, nodes in found if any("popover" not in html for html, _ in nodes)]
    assert [one for one in own if one[0] not in PAGES_OWN] == []
    shoot(page, f"extension-panel-{scheme}")


PAGES_OWN = {  # rules that the test page itself breaks, having nothing but a player
    "html-has-lang",
    "landmark-one-main",
    "page-has-heading-one",
    "region",
}


LOOKS = {  # name -> (what a script does to the page, zoom, language)
    "theatre": ("document.querySelector('video').style.width = '100%'; document.body.style.margin = 0", 1, "en"),
    "zoom": ("", 2, "en"),
    "tiny": ("", 5, "en"),  # as in a small frame
    "arabic": ("document.dir = 'rtl'", 1, "ar"),
    "hindi": ("", 1, "hi"),
    "small": ("document.querySelector('video').style.width = '200px'", 1, "de"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_the_panel_stays_in_the_window_whatever_the_page_looks_like(name, quick, web):
    script, zoom, language = LOOKS[name]
    quick.set(language=language)
    page = quick.open(web.url("/plain"))
    page.evaluate(script)
    overlay = quick.check(page)
    tab = quick.videos(page)["tabId"]
    quick.own.evaluate("([tab, zoom]) => chrome.tabs.setZoom(tab, zoom)", [tab, zoom])
    overlay.wait("moment")
    overlay.press("badge")
    overlay.wait("scale")
    page.wait_for_timeout(300)
    left, top, right, bottom = overlay.box("panel")
    width, height = page.evaluate("[innerWidth, innerHeight]")
    assert left >= 0 and top >= 0 and right <= width + 1 and bottom <= height + 1, (left, top, right, bottom)
    corner = overlay.box("corner")
    beside = corner[2] <= left or right <= corner[0] or corner[3] <= top or bottom <= corner[1]
    assert beside, "the badge, and with it the way to close the panel, is covered"
    shoot(page, f"extension-panel-{name}")


def test_no_style_of_the_page_leaks_in_and_none_leaks_out(quick, web):
    page = quick.open(web.url("/plain"))
    measure = "getComputedStyle(document.body).cssText.length + document.styleSheets.length"
    before = page.evaluate(measure)
    page.add_style_tag(content="* { font-size: 40px !important; color: lime !important; display: block !important }")
    overlay = quick.check(page)
    overlay.answer()
    height = overlay.box("corner")
    assert height[3] - height[1] < 60
    overlay.press("close")
    overlay.wait_gone()
    page.evaluate("document.querySelectorAll('style')[1].remove()")
    assert page.evaluate(measure) == before
