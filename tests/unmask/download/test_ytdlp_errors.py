"""What yt-dlp raises, and the sentence that a person gets for it."""

import errno
import io
import socket

import pytest
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, IncompleteRead, RequestError, TransportError
from yt_dlp.utils import (
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
    YoutubeDLError,
)

from unmask import errors
from unmask.download.ytdlp_errors import to_unmask_error


def _status(code: int, loop: bool = False) -> HTTPError:
    return HTTPError(Response(io.BytesIO(), "http://example.com/", {}, code), redirect_loop=loop)


def _chained(outer: BaseException, inner: BaseException) -> BaseException:
    """As `raise outer from inner` leaves it."""
    outer.__cause__ = inner
    return outer


def _said(text: str) -> DownloadError:
    """An extractor's message as it leaves yt-dlp."""
    inner = ExtractorError(text, expected=True, video_id="login", ie="Generic")
    return DownloadError(f"ERROR: {inner}", (ExtractorError, inner, None))


CASES = [
    # what the site's extractor knows
    (UnsupportedError("http://example.com/login"), errors.UnsupportedSite, "No video was found"),
    (_said("Sign in to confirm you’re not a bot. Use --cookies"), errors.LoginRequired, "signed in"),
    (_said("This video is only available for registered users. Use --username"), errors.LoginRequired, ""),
    (_said("Private video. Sign in if you've been granted access to this video"), errors.LoginRequired, ""),
    (_said("Join this channel to get access to members-only content"), errors.LoginRequired, ""),
    (_said("This video is protected by a password, use --video-password"), errors.LoginRequired, ""),
    (_said("This video is DRM protected"), errors.UnsupportedSite, "DRM"),
    (_said("This live event will begin in 2 hours."), errors.LiveStream, ""),
    (_said("Premieres in 3 days"), errors.LiveStream, ""),
    (UserNotLive(video_id="someone"), errors.LiveStream, "recording"),
    (GeoRestrictedError("Not here", countries=["NO"]), errors.FetchFailed, "country"),
    (_said("Video unavailable. This video has been removed"), errors.FetchFailed, "has been removed”."),
    (_said("Unable to handle http://example.com/sign-in?x=log-in"), errors.FetchFailed, ""),  # only a link
    (ExtractorError("Unable to extract player config"), errors.UnsupportedSite, "could not be read"),
    (KeyError("formats"), errors.UnsupportedSite, "could not be read"),
    (_said("ffmpeg is not installed"), errors.UnsupportedSite, "form that cannot be fetched"),
    # what the server answered
    (_chained(ExtractorError("No webpage"), _status(404)), errors.FetchFailed, "404 (not found)"),
    (_status(403), errors.FetchFailed, "403 (forbidden)"),
    (_status(429), errors.FetchFailed, "429 (too many requests)"),
    (_status(410), errors.FetchFailed, "410 (gone)"),
    (_status(503), errors.FetchFailed, "503 (service unavailable)"),
    (_status(599), errors.FetchFailed, "599"),
    (_status(401), errors.LoginRequired, ""),
    (_status(302, loop=True), errors.FetchFailed, "circle"),
    # how far the connection came
    (TransportError(cause=TimeoutError("timed out")), errors.TimedOut, ""),
    (TransportError(cause=socket.gaierror(-2, "Name or service not known")), errors.FetchFailed, "no server"),
    (TransportError(cause=ConnectionRefusedError()), errors.FetchFailed, "could not be reached"),
    (TransportError(cause=ConnectionResetError()), errors.FetchFailed, "broke off"),
    (TransportError("something else"), errors.FetchFailed, "could not be reached"),
    (IncompleteRead(partial=10, expected=20), errors.FetchFailed, "broke off"),
    (DownloadError("ERROR: Got error: 10 bytes read, 20 more expected."), errors.FetchFailed, "broke off"),
    (CertificateVerifyError("self-signed"), errors.FetchFailed, "certificate"),
    (DownloadError("ERROR: Did not get any data blocks"), errors.NotAVideo, "empty"),
    (RecursionError(), errors.FetchFailed, "circle"),
    (RequestError("No connection adapters were found for 'file:///etc'"), errors.BlockedAddress, "outside"),
    (RequestError("Unsupported URL scheme."), errors.BlockedAddress, "outside"),
    # what this machine allows
    (_chained(DownloadError("unable to write"), OSError(errno.EFBIG, "File too large")), errors.TooLarge, ""),
    (_chained(DownloadError("unable to write"), OSError(errno.ENOSPC, "Full")), errors.InternalError, "disk"),
    (_chained(YoutubeDLError("no"), MemoryError()), errors.TooLarge, ""),
    # what this program has said already stays as it is
    (_chained(DownloadError("no"), errors.TooLong("Really too long.")), errors.TooLong, "Really too long."),
]  # fmt: skip


@pytest.mark.parametrize(("raised", "kind", "words"), CASES, ids=lambda case: str(case)[:60])
def test_a_failure_gets_its_code_and_a_sentence(raised, kind, words):
    problem = to_unmask_error(raised)
    assert type(problem) is kind
    assert words in problem.message
    assert problem.message.endswith(".")


def test_a_page_with_a_password_field_and_no_video_wants_a_sign_in_and_no_other_failure_does():
    unsupported = UnsupportedError("http://example.com/")
    assert isinstance(to_unmask_error(unsupported, asks_for_password=True), errors.LoginRequired)
    assert isinstance(to_unmask_error(_status(404), asks_for_password=True), errors.FetchFailed)


def test_a_quoted_sentence_is_short_and_in_one_line():
    message = to_unmask_error(_said("Sorry.\n" + "No. " * 500)).message
    assert "\n" not in message
    assert len(message) < 250


def test_a_cause_that_leads_back_to_itself_is_looked_at_once():
    first, second = DownloadError("one"), ExtractorError("two")
    _chained(first, second)
    _chained(second, first)
    assert isinstance(to_unmask_error(first), errors.UnsupportedSite)
