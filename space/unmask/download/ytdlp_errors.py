"""Translate what yt-dlp raises to errors of the contract: by type where possible, else by text."""

import errno
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from socket import gaierror

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
)
from unmask.sandbox.network import blocked

Causes = tuple[BaseException, ...]  # an error and everything behind it

# What fetching may raise without being a defect of ours.
EXPECTED = (UnmaskError, YoutubeDLError, OSError, MemoryError, RecursionError)

UPLOAD = "Save the video in your browser and upload the file instead."
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


def to_unmask_error(error: BaseException, asks_for_password: bool = False) -> UnmaskError:
    """Translate an error; `asks_for_password`: a page on the way had a password field."""
    causes = tuple(_causes(error))
    for rule in RULES:
        if problem := rule(causes):
            return problem
    if _has(causes, UnsupportedError):
        return _login() if asks_for_password else no_video()
    return _by_quote(causes) or UnsupportedSite(f"This page could not be read. {UPLOAD}")


def no_video() -> UnsupportedSite:
    """Make the error for a page without a video."""
    return UnsupportedSite(f"No video was found on this page. Give the link of the video itself. {UPLOAD}")


def unfetchable() -> UnsupportedSite:
    """Make the error for a video that only another program could fetch."""
    return UnsupportedSite(f"The site sends this video in a form that cannot be fetched. {UPLOAD}")


def broken_off() -> FetchFailed:
    """Make the error for an incomplete download."""
    return FetchFailed("The connection broke off before the whole video had arrived. Try again.")


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


def _already_translated(causes: Causes) -> UnmaskError | None:
    return next((cause for cause in causes if isinstance(cause, UnmaskError)), None)


def _by_scheme(causes: Causes) -> UnmaskError | None:
    """Recognise a redirect or a playlist that leads to file:, ftp: and the like."""
    said = [str(cause) for cause in causes if isinstance(cause, RequestError | DownloadError)]
    return blocked() if OTHER_SCHEME.search("\n".join(said)) else None


def _by_site_type(causes: Causes) -> UnmaskError | None:
    for cause in causes:
        if isinstance(cause, UserNotLive):
            return LiveStream("This channel streams live and is off now. Give the link of a recording.")
        if isinstance(cause, GeoRestrictedError):
            return FetchFailed(f"The site does not show this video in the country of this service. {UPLOAD}")
    return None


def _by_site_words(causes: Causes) -> UnmaskError | None:
    """Recognise what extractors say in English only."""
    said = _said(causes)
    if DRM.search(said):
        return UnsupportedSite("This video is protected against copying (DRM), so it cannot be fetched.")
    if LOGIN.search(said):
        return _login()
    if LIVE.search(said):
        return LiveStream("This live stream has not begun or not ended. Try again once it is recorded.")
    return None


def _by_status(causes: Causes) -> UnmaskError | None:
    found = next((cause for cause in causes if isinstance(cause, HTTPError)), None)
    if found is None:
        return None
    if found.redirect_loop:
        return FetchFailed("The server redirects in a circle. Check the link.")
    if found.status in (401, 407):
        return _login()
    answer = f"{found.status} ({_phrase(found.status)})"
    if found.status in (403, 429, 451):
        return FetchFailed(f"The server refused the request: {answer}. Many sites block servers. {UPLOAD}")
    if found.status in (404, 410):
        return FetchFailed(f"There is nothing at this address: {answer}. Check the link.")
    return FetchFailed(f"The server answered {answer}. Try again later.")


def _by_connection(causes: Causes) -> UnmaskError | None:
    if _has(causes, CertificateVerifyError):
        return FetchFailed("The server's certificate does not hold, so it may be another server. Check the link.")
    if _has(causes, SSLError):
        return FetchFailed("No secure connection to the server is possible. Check the link.")
    if _has(causes, gaierror):
        return FetchFailed("There is no server of this name. Check the link.")
    if _has(causes, IncompleteRead, ContentTooShortError):
        return broken_off()
    if _has(causes, TimeoutError) or any("Timeout" in type(cause).__name__ for cause in causes):
        return TimedOut("The server did not answer in time. Try again later.")
    if _has(causes, ConnectionResetError, BrokenPipeError):
        return broken_off()
    if _has(causes, ConnectionError):
        return FetchFailed("The server could not be reached. Check the link or try again later.")
    if _has(causes, RecursionError):
        return FetchFailed("The page leads in a circle. Check the link.")
    return None


def _by_machine(causes: Causes) -> UnmaskError | None:
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if errno.EFBIG in numbers or _has(causes, MemoryError):
        return TooLarge("The video is larger than what is taken. Give a shorter or smaller one.")
    if numbers & {errno.ENOSPC, errno.EDQUOT}:
        return InternalError("There is no room left on the disk of this service. Try again later.")
    return None


def _by_download(causes: Causes) -> UnmaskError | None:
    if OTHER_PROGRAM.search(_said(causes)):
        return unfetchable()
    if SHORT.search(_said(causes)):
        return broken_off()
    if NOTHING.search(_said(causes)):
        return NotAVideo("The server sent an empty file.")
    return None


def _by_quote(causes: Causes) -> UnmaskError | None:
    """Quote the site, where its extractor knows its words; and a last resort for network failures."""
    for cause in causes:
        if isinstance(cause, ExtractorError) and cause.expected:
            words = " ".join(str(cause.orig_msg).split())[:MAX_QUOTE_CHARACTERS].rstrip(".")
            return FetchFailed(f"The site does not give this video out: “{words}”.")
    if _has(causes, RequestError):
        return FetchFailed("The server could not be reached. Check the link or try again later.")
    return None


def _said(causes: Causes) -> str:
    """Join the messages of extractors, else of downloaders, without the links in them."""
    words = [cause.orig_msg for cause in causes if isinstance(cause, ExtractorError)]
    if not words:
        words = [str(cause) for cause in causes if isinstance(cause, YoutubeDLError)]
    return re.sub(r"\w+://\S+", "", "\n".join(words))


def _login() -> LoginRequired:
    return LoginRequired(f"The site shows this video only to people who signed in. {UPLOAD}")


def _has(causes: Causes, *types: type[BaseException]) -> bool:
    return any(isinstance(cause, types) for cause in causes)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "an unknown status"


RULES: tuple[Callable[[Causes], UnmaskError | None], ...] = (
    _already_translated,
    _by_scheme,
    _by_site_type,
    _by_site_words,
    _by_status,
    _by_connection,
    _by_machine,
    _by_download,
)
