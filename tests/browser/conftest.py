"""What the tests of the extension share: a Space with the bundled model, a site with pages like the web's."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

from tests.browser.chromium import Chromium
from tests.browser.sites import CLIP, pages
from tests.served import Served, served
from tests.servers import Site, media


@pytest.fixture(scope="session")
def bundled_space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The real Space with the model that comes with it."""
    with served(tmp_path_factory.mktemp("space"), UNMASK_MODEL="default") as running:
        yield running


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Site]:
    """A video on another origin, which no page may read."""
    with Site({"/clip.mp4": media(CLIP)}, host="localhost") as running:
        yield running


@pytest.fixture
def release() -> threading.Event:
    """Until it is set, the Space does not get /held.mp4; browsers do."""
    return threading.Event()


@pytest.fixture
def web(elsewhere: Site, release: threading.Event, tmp_path: Path) -> Iterator[Site]:
    with Site(pages(elsewhere.url("/clip.mp4"), release, tmp_path)) as running:
        yield running


@pytest.fixture(scope="session")
def playwright_session() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture
def chromium(
    playwright_session: Playwright, tmp_path_factory: pytest.TempPathFactory, bundled_space: Served
) -> Iterator[Chromium]:
    browser = Chromium(playwright_session, tmp_path_factory.mktemp("profile"), bundled_space.url)
    yield browser
    browser.close()
