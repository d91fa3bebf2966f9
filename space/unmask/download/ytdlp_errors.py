"""Translate what yt-dlp raises to errors of the contract: by type where possible, else by text."""

import errno
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from socket import gaierror
from typing import Any

from yt_dlp.networking.exceptions import (
    CertificateVerifyError,
    HTTPError,
    IncompleteRead,
    RequestError,
    SSLError,
)
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
    YoutubeDLError,
    float_or_none,
)

from unmask.errors import (
    FetchFailed,
    InternalError,
    LiveStream,
    LoginRequired,
    NotAVideo,
    TimedOut,
    TooLarge,
    UnmaskError,
    UnsupportedSite,
    VideoChoice,
)
from unmask.sandbox.address_policy import blocked
from unmask.text import printable_line

Causes = tuple[BaseException, ...]  # an error and everything behind it
Test = Callable[[Causes], bool]

# What fetching may raise without being a defect of ours.
EXPECTED = (UnmaskError, YoutubeDLError, OSError, MemoryError, RecursionError)

UPLOAD = "Save the video in your browser and upload the file instead."
SIGN_IN = f"The site shows this video only to people who signed in. {UPLOAD}"
UNFETCHABLE = f"The site sends this video in a form that cannot be fetched. {UPLOAD}"
BROKEN_OFF = "The connection broke off before the whole video had arrived. Try again."
UNREACHABLE = "The server could not be reached. Check the link or try again later."
TOO_LARGE = "The video is larger than what is taken. Give a shorter or smaller one."

LOGIN = re.compile(
    r"\blog[- ]?in\b|\bsign[- ]?in\b|\bcookies\b|registered users|account credentials|private video"
    r"|video is private|members[- ]only|subscribers|requires (a )?(password|authentication|subscription)"
    r"|protected by a password|not a bot|confirm your age",
    re.IGNORECASE,
)
DRM = re.compile(r"\bDRM\b")
LIVE = re.compile(r"live event will begin|premieres in|not currently live|is offline", re.IGNORECASE)
OTHER_PROGRAM = re.compile(r"\bffmpeg\b|\brtmpdump\b|impersonat|JavaScript runtime|PhantomJS", re.IGNORECASE)
OTHER_SCHEME = re.compile(
    r"no connection adapters were found for|unsupported url scheme|unknown url type"
    r"|redirection to url '\w+://\S*' is not allowed",
    re.IGNORECASE,
)
SHORT = re.compile(r"downloaded \d+ bytes, expected|bytes read", re.IGNORECASE)
NOTHING = re.compile(r"did not get any data|file is empty", re.IGNORECASE)
MAX_QUOTE_CHARACTERS = 160
MAX_CHOICES = 12  # videos of a page that are listed
MAX_LINK = 500  # characters of the address of one of them,
MAX_TITLE = 120  # and of its title


def to_unmask_error(error: BaseException, asks_for_password: bool = False) -> UnmaskError:
    """Translate an error; `asks_for_password`: a page on the way had a password field."""
    causes = tuple(_causes(error))
    if translated := next((cause for cause in causes if isinstance(cause, UnmaskError)), None):
        return translated
    if OTHER_SCHEME.search(
        "\n".join(str(cause) for cause in causes if isinstance(cause, RequestError | DownloadError))
    ):
        return blocked()
    return (
        _first(BY_SITE, causes)
        or _by_status(causes)
        or _first(BY_CONNECTION, causes)
        or _by_page(causes, asks_for_password)
        or UnsupportedSite(f"This page could not be read. {UPLOAD}")
    )


def no_video() -> UnsupportedSite:
    """Make the error for a page without a video."""
    return UnsupportedSite(f"No video was found on this page. Give the link of the video itself. {UPLOAD}")


def several_videos(entries: Iterable[Mapping[str, Any]]) -> UnsupportedSite:
    """Make the error for a page with several videos or none; it lists them, so that one can be chosen."""
    choices = tuple(
        VideoChoice(link, printable_line(entry.get("title"), MAX_TITLE) or None, finite(entry.get("duration")))
        for entry in islice(entries, MAX_CHOICES)
        if (link := entry_link(entry)).isprintable() and len(link) <= MAX_LINK
    )
    if not choices:
        return UnsupportedSite("This link leads to several videos or none. Give the link of one video.")
    return UnsupportedSite("This link leads to several videos. Choose one of them, and check its link.", choices)


def entry_link(entry: Mapping[str, Any]) -> str:
    """Find the address of one of several videos; empty where it has none."""
    formats = entry.get("formats") or [{}]
    link = str(entry.get("url") or formats[-1].get("url") or entry.get("webpage_url") or "")
    return link.partition("#")[0] if link.startswith(("http://", "https://")) else ""


def finite(number: object) -> float | None:
    """Read a number of a site that may be anything."""
    found = float_or_none(number)
    return found if found is not None and math.isfinite(found) else None


def unfetchable() -> UnsupportedSite:
    """Make the error for a video that only another program could fetch."""
    return UnsupportedSite(UNFETCHABLE)


def broken_off() -> FetchFailed:
    """Make the error for an incomplete download."""
    return FetchFailed(BROKEN_OFF)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and everything behind it, outermost first; yt-dlp keeps causes in five places."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        kept = (getattr(cause, "exc_info", None) or (None, None))[1]
        unexpected = getattr(cause, "unexpected_errors", ())
        behind = (kept, getattr(cause, "cause", None), *unexpected, cause.__cause__, cause.__context__)
        waiting += [each for each in behind if isinstance(each, BaseException)]


def _first(rules: Iterable[tuple[Test, type[UnmaskError], str]], causes: Causes) -> UnmaskError | None:
    return next((kind(message) for applies, kind, message in rules if applies(causes)), None)


def _by_status(causes: Causes) -> UnmaskError | None:
    found = next((cause for cause in causes if isinstance(cause, HTTPError)), None)
    if found is None:
        return None
    if found.redirect_loop:
        return FetchFailed("The server redirects in a circle. Check the link.")
    if found.status in (401, 407):
        return LoginRequired(SIGN_IN)
    known = found.status in set(HTTPStatus)
    answer = f"{found.status} ({HTTPStatus(found.status).phrase.lower() if known else 'an unknown status'})"
    if found.status in (403, 429, 451):
        return FetchFailed(f"The server refused the request: {answer}. Many sites block servers. {UPLOAD}")
    if found.status in (404, 410):
        return FetchFailed(f"There is nothing at this address: {answer}. Check the link.")
    return FetchFailed(f"The server answered {answer}. Try again later.")


def _by_page(causes: Causes, asks_for_password: bool) -> UnmaskError | None:
    """Quote the site, where its extractor knows its words."""
    if _raised(UnsupportedError)(causes):
        return LoginRequired(SIGN_IN) if asks_for_password else no_video()
    for cause in causes:
        if isinstance(cause, ExtractorError) and cause.expected:
            words = " ".join(str(cause.orig_msg).split())[:MAX_QUOTE_CHARACTERS].rstrip(".")
            return FetchFailed(f"The site does not give this video out: “{words}”.")
    return FetchFailed(UNREACHABLE) if _raised(RequestError)(causes) else None


def _messages(causes: Causes) -> str:
    """Join the messages of extractors, else of downloaders, without the links in them."""
    words = [cause.orig_msg for cause in causes if isinstance(cause, ExtractorError)]
    if not words:
        words = [str(cause) for cause in causes if isinstance(cause, YoutubeDLError)]
    return re.sub(r"\w+://\S+", "", "\n".join(words))


def _raised(*types: type[BaseException]) -> Test:
    return lambda causes: any(isinstance(cause, types) for cause in causes)


def _failed_with(*numbers: int) -> Test:
    return lambda causes: any(isinstance(cause, OSError) and cause.errno in numbers for cause in causes)


def _matches(pattern: re.Pattern[str]) -> Test:
    return lambda causes: bool(pattern.search(_messages(causes)))


def _timed_out(causes: Causes) -> bool:
    return any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in causes)


# What extractors raise, or say, in English only.
BY_SITE: tuple[tuple[Test, type[UnmaskError], str], ...] = (
    (_raised(UserNotLive), LiveStream, "This channel streams live and is off now. Give the link of a recording."),
    (
        _raised(GeoRestrictedError),
        FetchFailed,
        f"The site does not show this video in the country of this service. {UPLOAD}",
    ),
    (
        _matches(DRM),
        UnsupportedSite,
        "This video is protected against copying (DRM), so it cannot be fetched.",
    ),
    (_matches(LOGIN), LoginRequired, SIGN_IN),
    (_matches(LIVE), LiveStream, "This live stream has not begun or not ended. Try again once it is recorded."),
)
# Failures of the network, of this machine, and of yt-dlp's downloaders.
BY_CONNECTION: tuple[tuple[Test, type[UnmaskError], str], ...] = (
    (
        _raised(CertificateVerifyError),
        FetchFailed,
        "The server's certificate does not hold, so it may be another server. Check the link.",
    ),
    (_raised(SSLError), FetchFailed, "No secure connection to the server is possible. Check the link."),
    (_raised(gaierror), FetchFailed, "There is no server of this name. Check the link."),
    (_raised(IncompleteRead, ContentTooShortError), FetchFailed, BROKEN_OFF),
    (_timed_out, TimedOut, "The server did not answer in time. Try again later."),
    (_raised(ConnectionResetError, BrokenPipeError), FetchFailed, BROKEN_OFF),
    (_raised(ConnectionError), FetchFailed, UNREACHABLE),
    (_raised(RecursionError), FetchFailed, "The page leads in a circle. Check the link."),
    (_failed_with(errno.EFBIG), TooLarge, TOO_LARGE),
    (_raised(MemoryError), TooLarge, TOO_LARGE),
    (
        _failed_with(errno.ENOSPC, errno.EDQUOT),
        InternalError,
        "There is no room left on the disk of this service. Try again later.",
    ),
    (_matches(OTHER_PROGRAM), UnsupportedSite, UNFETCHABLE),
    (_matches(SHORT), FetchFailed, BROKEN_OFF),
    (_matches(NOTHING), NotAVideo, "The server sent an empty file."),
)
