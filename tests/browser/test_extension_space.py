"""The extension and its Space: a service worker that ends, a Space that is away, tokens, restarts."""

import ssl
import subprocess

import pytest

from tests.browser.chromium import Chromium
from tests.browser.gateway import Gateway
from tests.servers import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture
def gateway(bundled_space):
    with Gateway(bundled_space.url) as running:
        yield running


def begin_held(chromium, web):
    """Start a check that fetches the video until it is released."""
    page = chromium.open(web.url("/held"))
    overlay = chromium.check(page)
    overlay.press("badge")
    overlay.wait("detail", "Getting the video")
    return overlay


def test_the_service_worker_is_ended_midway_and_the_same_check_continues(chromium, web, release):
    overlay = begin_held(chromium, web)
    jobs = stored_jobs(chromium)
    chromium.worker().evaluate("self.firstLife = true")
    chromium.end_worker()
    chromium.wake_worker()
    chromium.end_worker()
    release.set()
    overlay.answer()
    chromium.wake_worker()
    assert chromium.worker().evaluate("self.firstLife === undefined"), "that was the worker from before"
    assert stored_jobs(chromium) == jobs and len(jobs) == 1
    assert web.hits("/held.mp4") > 0


def stored_jobs(chromium):
    """List the ids of the jobs that the extension knows."""
    return chromium.own.evaluate(
        "chrome.storage.session.get(null).then((all) => Object.values(all).map((one) => one.job))"
    )


def test_the_service_worker_is_ended_during_a_check_of_frames_which_are_sent_again(chromium, web):
    page = chromium.open(web.url("/stream"))
    overlay = chromium.check(page)
    overlay.press("primary", "Take pictures")
    overlay.wait("detail", "Sending the pictures", "Finding faces", "Looking for traces")
    chromium.end_worker()
    overlay.answer()
    overlay.wait("hint", "pictures were taken in this tab")


def test_a_check_is_cancelled_on_the_space_too(chromium, web, bundled_space):
    overlay = begin_held(chromium, web)
    (job,) = stored_jobs(chromium)
    overlay.press("plain", "Cancel")
    overlay.wait("badge", "Stopped")
    overlay.wait("detail", "You can start it again")
    for _ in range(100):
        if bundled_space.ask("job", {"id": job})["state"] == "cancelled":
            return
        chromium.own.wait_for_timeout(200)
    raise AssertionError("the Space goes on")


def test_two_tabs_share_a_job_and_closing_one_leaves_it_to_the_other(chromium, web, release):
    first = begin_held(chromium, web)
    second = begin_held(chromium, web)
    assert len(stored_jobs(chromium)) == 1
    first.press("close")
    second.wait("detail", "Getting the video")
    release.set()
    second.answer()


def test_the_connection_to_the_space_is_cut_midway_and_restored(chromium, web, release, gateway):
    chromium.set(space=gateway.url)
    overlay = begin_held(chromium, web)
    gateway.cut()
    chromium.own.wait_for_timeout(3000)
    assert overlay.find("detail", "Getting the video"), "it must not give up at once"
    release.set()
    gateway.mend()
    overlay.answer()


def test_a_space_that_was_restarted_gets_the_job_again(chromium, web, release, gateway, untrained_space):
    """Lead to another Space, which does not know the job either."""
    chromium.set(space=gateway.url)
    overlay = begin_held(chromium, web)
    (before,) = stored_jobs(chromium)
    gateway.cut()
    gateway.lead_to(untrained_space.url)
    gateway.mend()
    release.set()
    overlay.answer()
    (after,) = stored_jobs(chromium)
    assert after != before
    overlay.wait("hint", "untrained")


def test_a_space_that_is_not_there_is_a_failure_that_can_be_tried_again(chromium, web, gateway):
    chromium.set(space=gateway.url)
    gateway.cut()
    overlay = chromium.check(chromium.open(web.url("/plain")))
    overlay.wait("badge", "Could not check")
    overlay.press("badge")
    overlay.wait("detail", "The Space cannot be reached. Is it running?")
    gateway.mend()
    overlay.press("primary", "Try again")
    overlay.answer()


def test_a_report_is_remembered_after_the_browser_was_restarted(playwright_session, tmp_path_factory, web, gateway):
    profile = tmp_path_factory.mktemp("profile")
    browser = Chromium(playwright_session, profile, gateway.url)
    try:
        label = browser.check(browser.open(web.url("/plain"))).answer()
    finally:
        browser.close()
    gateway.cut()  # it can only come from memory
    browser = Chromium(playwright_session, profile)
    try:
        overlay = browser.check(browser.open(web.url("/plain")))
        assert overlay.answer() == label
        overlay.press("badge")
        overlay.wait("hint", "Remembered from a check")
    finally:
        browser.close()


@pytest.fixture
def hosted(tmp_path):
    """Serve `/models` of a private Space, over https for any name -> (port, host and token of each request)."""
    subject = ["-subj", "/CN=hf.space", "-days", "2", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    brought: list[tuple[str, str | None]] = []

    def respond(handler):
        token = handler.headers.get("Authorization")
        brought.append((handler.headers.get("Host", ""), token))
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        models = b'event: complete\ndata: [[{"name": "hosted-model", "revision": "1"}]]\n\n'
        body = models if handler.command == "GET" else b'{"event_id": "1"}'
        handler.give(body, "text/plain", 200 if handler.command == "GET" or token == "Bearer hf_secret" else 401)

    with Site(otherwise=respond, tls=context) as running:
        yield running.port, brought


def test_a_token_is_sent_only_to_the_hosted_space_that_it_was_given_for(
    playwright_session, tmp_path_factory, allowed_extension, hosted, web, bundled_space
):
    port, brought = hosted
    arguments = (f"--host-resolver-rules=MAP *.hf.space 127.0.0.1:{port}", "--ignore-certificate-errors")
    profile = tmp_path_factory.mktemp("profile")
    browser = Chromium(playwright_session, profile, bundled_space.url, allowed_extension, arguments)
    try:
        page = browser.open_own("ui/options.html")
        page.locator("#language option").first.wait_for(state="attached")  # it is filled in
        connect(page, "Some-One/My_Space", "")
        page.get_by_text("The Space is private. Give a token").wait_for()
        connect(page, "Some-One/My_Space", "hf_secret")
        page.get_by_text("Connected. Models: hosted-model.").wait_for()
        assert {host for host, _ in brought} == {"some-one-my-space.hf.space"}
        assert {token for _, token in brought} == {None, "Bearer hf_secret"}
        brought.clear()

        page.get_by_label("Address of the Space").fill("other/space")
        page.get_by_label("Address of the Space").blur()
        assert page.get_by_label("Hugging Face token").input_value() == ""
        page.get_by_role("button", name="Connect").click()
        page.get_by_text("The Space is private").wait_for()
        assert brought == [("other-space.hf.space", None)]

        connect(page, "http://192.0.2.1:7860", "hf_secret")
        page.get_by_text("A token is only sent to an https address").wait_for()

        browser.set(space=bundled_space.url)  # as if the address were changed behind its back
        brought.clear()
        browser.check(browser.open(web.url("/plain"))).answer()
        assert brought == []
    finally:
        browser.close()


def connect(page, address, token):
    page.get_by_label("Address of the Space").fill(address)
    page.get_by_label("Address of the Space").blur()
    page.get_by_label("Hugging Face token").fill(token)
    page.get_by_role("button", name="Connect").click()


def test_nothing_is_sent_before_a_person_asks(chromium, web, gateway):
    """Opening pages, the popup and the history sends nothing to the Space."""
    chromium.set(space=gateway.url)
    gateway.cut()
    with Site(port=int(gateway.url.rpartition(":")[2])) as heard:
        page = chromium.open(web.url("/plain"))
        page.evaluate("document.querySelector('video').play()")
        chromium.press_toolbar(page).wait("#status", "A speech")
        page.wait_for_timeout(1500)
        assert heard.requests == []
