"""The errors of a check, each with the stable code that reports, the API and the command line show.

"No face" is an answer, not an error. A message states what was wrong and what to do about it.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoChoice:
    """One of several videos behind a link."""

    url: str
    title: str | None = None
    duration_seconds: float | None = None


class UnmaskError(Exception):
    """Base of all errors that are shown to users; `code` is part of the contract."""

    code: ClassVar[str] = "internal"
    choices: tuple[VideoChoice, ...] = ()  # videos that may have been meant

    @property
    def message(self) -> str:
        """The sentence for a user."""
        return str(self)


class BadUrl(UnmaskError):
    """Raised when the text is not an absolute http(s) URL."""

    code = "bad_url"


class BlockedAddress(UnmaskError):
    """Raised when the URL, or a hop on its way, leads to an address that must not be reached."""

    code = "blocked_address"


class UnsupportedSite(UnmaskError):
    """Raised when the page holds no single video that can be fetched; also for playlists."""

    code = "unsupported_site"

    def __init__(self, message: str, choices: tuple[VideoChoice, ...] = ()) -> None:
        super().__init__(message)
        self.choices = choices


class LoginRequired(UnmaskError):
    """Raised when the site gives the video only to users who are signed in."""

    code = "login_required"


class FetchFailed(UnmaskError):
    """Raised when the server answered with an error, broke off, or could not be reached."""

    code = "fetch_failed"


class TooLarge(UnmaskError):
    """Raised when the video has more bytes, or larger pictures, than the limits allow."""

    code = "too_large"


class TooLong(UnmaskError):
    """Raised when the part of the video to check lasts longer than the limits allow."""

    code = "too_long"


class LiveStream(UnmaskError):
    """Raised when the video has not ended yet."""

    code = "live_stream"


class NotAVideo(UnmaskError):
    """Raised when the file is not a video that can be read."""

    code = "not_a_video"


class NoFrames(UnmaskError):
    """Raised when the file is a media file without a picture that can be decoded in the range to check."""

    code = "no_frames"


class TimedOut(UnmaskError):
    """Raised when a step took longer than the limits allow."""

    code = "timeout"


class Busy(UnmaskError):
    """Raised when the queue is full."""

    code = "busy"


class NoGpu(Busy):
    """Raised when a Space that borrows a GPU gets none: all are taken, or the visitor's time is used up."""


class RateLimited(UnmaskError):
    """Raised when one client sends too many requests."""

    code = "rate_limited"


class BadInput(UnmaskError):
    """Raised when an argument is missing, of the wrong type or out of range."""

    code = "bad_input"


class ModelUnavailable(UnmaskError):
    """Raised when the named model does not exist, does not load or does not fit its configuration."""

    code = "model_unavailable"


class Cancelled(UnmaskError):
    """Raised when the user, or a service that shuts down, ended the check."""

    code = "cancelled"


class InternalError(UnmaskError):
    """Raised when the cause is a defect of Unmask; it is in the log."""

    code = "internal"


def from_code(code: str, message: str, choices: tuple[VideoChoice, ...] = ()) -> UnmaskError:
    """Make the error that a worker process reported; an unknown code is a defect."""
    kinds = {kind.code: kind for kind in UnmaskError.__subclasses__()}
    error = kinds.get(code, InternalError)(message)
    error.choices = choices
    return error


def as_user_error(error: Exception) -> UnmaskError:
    """Return what users are shown of any exception: other than ours is a defect, which is logged."""
    if isinstance(error, UnmaskError):
        return error
    logger.error("A check failed unexpectedly", exc_info=error)
    return InternalError(
        f"Something went wrong on our side ({type(error).__name__}). It is logged; trying again may help."
    )
