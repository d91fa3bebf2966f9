"""Fixtures of the browser tests: a Space with the bundled model, a site with pages like the web's."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

from tests.browser.chromium import EXTENSION, Chromium
from tests.browser.firefox import Firefox, is_installed
from tests.browser.person import InChromium, InFirefox, Person
from tests.browser.players import player_routes
from tests.browser.sites import CLIP, brief, members, pages, player
from tests.browser.stub_space import StubSpace
from tests.served import Served, shared
from tests.servers import Site, html, media


@pytest.fixture(scope="session")
def bundled_space(of_all_workers: Path) -> Iterator[Served]:
    """Serve the real Space with its bundled model; tests hold back a video for as long as they need."""
    settings = {"UNMASK_MODEL": "default", "UNMASK_TIMEOUT_SECONDS": "900"}
    with shared(of_all_workers / "bundled-space", **settings) as running:
        yield running


@pytest.fixture(scope="session")
def other_origin() -> Iterator[Site]:
    """Serve a video on another origin, which no page may read and no server gets."""
    with Site({"/clip.mp4": members(media(brief()))}) as running:
        yield running


@pytest.fixture
def another_site() -> Iterator[Site]:
    """Serve a page with a player on a site that no permission of the extension covers."""
    routes = {"/clip.mp4": media(CLIP), "/plain": html(player("/clip.mp4"), "A speech")}
    with Site(routes, host="127.0.0.2") as running:
        yield running


@pytest.fixture
def release() -> threading.Event:
    """Hold back /held.mp4 from the Space, not from browsers, until it is set."""
    return threading.Event()


@pytest.fixture
def web(other_origin: Site, release: threading.Event) -> Iterator[Site]:
    with Site(pages(other_origin.url("/clip.mp4"), release)) as running:
        yield running


@pytest.fixture
def foreign(other_origin: Site, release: threading.Event) -> Iterator[Site]:
    """Serve the same pages on `localhost`, where the extension may do nothing without a press of its button."""
    with Site(pages(other_origin.url("/clip.mp4"), release), host="localhost") as running:
        yield running


@pytest.fixture(scope="session")
def allowed_extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the extension with access to all pages: no test can answer Chromium's own question."""
    copy = tmp_path_factory.mktemp("allowed") / "extension"
    shutil.copytree(EXTENSION, copy)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    manifest["host_permissions"] = ["<all_urls>"]
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def playwright_session() -> Iterator[Playwright]:
    """Run Playwright for one module: while it runs, no other test may start an event loop."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def running_chromium(playwright_session: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    browser = Chromium(playwright_session, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def chromium(running_chromium: Chromium, bundled_space: Served) -> Chromium:
    running_chromium.begin_anew(bundled_space.url)
    return running_chromium


@pytest.fixture(scope="module")
def players() -> Iterator[Site]:
    with Site(player_routes()) as running:
        yield running


@pytest.fixture(scope="module")
def running_space() -> Iterator[StubSpace]:
    with StubSpace() as running:
        yield running


@pytest.fixture
def space(running_space: StubSpace) -> StubSpace:
    running_space.asked.clear()
    running_space.choices.clear()
    running_space.asking = running_space.drops = 0
    running_space.of_address = "blended-face"
    running_space.is_free.set()
    return running_space


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def running(request, running_space) -> Iterator[Person]:
    if request.param == "firefox":
        if not is_installed():
            pytest.skip("Firefox is not installed")
        firefox = Firefox(EXTENSION)
        firefox.until(lambda: len(firefox.driver.window_handles) == 2)  # it welcomes a person
        firefox.close_other_tabs()
        firefox.connect(running_space.url)
        yield InFirefox(firefox)
        firefox.close()
    else:
        playwright = request.getfixturevalue("playwright_session")
        folder = request.getfixturevalue("tmp_path_factory").mktemp("profile")
        chromium = Chromium(playwright, folder, running_space.url)
        yield InChromium(chromium)
        chromium.close()


@pytest.fixture
def quick(running_chromium: Chromium, space: StubSpace) -> Chromium:
    """Chromium whose Space answers at once, for tests of what is shown and when."""
    running_chromium.begin_anew(space.url)
    return running_chromium


@pytest.fixture
def person(running: Person) -> Person:
    running.forget()
    running.set(consent="always", place="space", autoSites=[])
    return running
