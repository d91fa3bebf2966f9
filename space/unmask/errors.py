"""What can go wrong, each with the stable code that reports, the API and the command line show.

"No face" is an answer, not an error. A message says what was wrong and what to do about it.
"""

from typing import ClassVar


class UnmaskError(Exception):
    """Base of every failure that a user is told about; `code` is part of the contract."""

    code: ClassVar[str] = "internal"

    @property
    def message(self) -> str:
        return str(self)


class BadUrl(UnmaskError):
    """The text is not an absolute http(s) URL."""

    code = "bad_url"


class BlockedAddress(UnmaskError):
    """The URL, or a hop on its way, leads to an address that the Space must not reach."""

    code = "blocked_address"


class UnsupportedSite(UnmaskError):
    """The page holds no single video that can be fetched (includes playlists)."""

    code = "unsupported_site"


class LoginRequired(UnmaskError):
    """The site gives the video only to people who signed in."""

    code = "login_required"


class FetchFailed(UnmaskError):
    """The server answered with an error, broke off, or could not be reached."""

    code = "fetch_failed"


class TooLarge(UnmaskError):
    """More bytes, or larger pictures, than the limits allow."""

    code = "too_large"


class TooLong(UnmaskError):
    """The asked part of the video lasts longer than the limits allow."""

    code = "too_long"


class LiveStream(UnmaskError):
    """The video has not ended yet."""

    code = "live_stream"


class NotAVideo(UnmaskError):
    """The file is not a video that can be read."""

    code = "not_a_video"


class NoFrames(UnmaskError):
    """The file is a media file, but no picture can be decoded from it in the asked range."""

    code = "no_frames"


class TimedOut(UnmaskError):
    """A step took longer than the limits allow."""

    code = "timeout"


class Busy(UnmaskError):
    """The queue is full."""

    code = "busy"


class RateLimited(UnmaskError):
    """One client asks too often."""

    code = "rate_limited"


class BadInput(UnmaskError):
    """An argument is missing, of the wrong type or out of range."""

    code = "bad_input"


class ModelUnavailable(UnmaskError):
    """The named model does not exist, does not load or does not fit its configuration."""

    code = "model_unavailable"


class Cancelled(UnmaskError):
    """The person who asked, or the Space on its way down, ended the job."""

    code = "cancelled"


class InternalError(UnmaskError):
    """A defect of ours; the cause is in the log."""

    code = "internal"


def from_code(code: str, message: str) -> UnmaskError:
    """The error that a child process told of; an unknown code is a defect."""
    kinds = {kind.code: kind for kind in UnmaskError.__subclasses__()}
    return kinds.get(code, InternalError)(message)
