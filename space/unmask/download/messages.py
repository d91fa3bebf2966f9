"""Messages between the download client and its worker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unmask.limits import Limits
from unmask.sandbox.protocol import RangeData
from unmask.video.sampling import Piece, Span, spread_windows, window_intervals


@dataclass(frozen=True)
class FetchRequest:
    """What to fetch, and where to."""

    url: str  # has passed `address_policy.check_url`
    file: str  # absolute path of the file to write, in a folder of its own
    limits: Limits
    span: Span
    windows: int = 0  # so many are looked at, and only what they need may be fetched; 0: all of it
    window_seconds: float = 0.0  # length of each

    def window_starts(self, ranges: Sequence[tuple[float, float]]) -> tuple[float, ...]:
        """Give the starts of the windows in a video of these (start, end) in seconds; none: all of it is needed."""
        return tuple(spread_windows(ranges, self.span, self.window_seconds, self.windows)) if self.windows else ()

    def needed_intervals(self, starts: Sequence[float]) -> list[tuple[float, float]]:
        """Give the parts of the video that are needed, each from a second to a second."""
        if starts:
            return window_intervals(starts, self.window_seconds)
        end = self.span.end_seconds
        return [(self.span.start_seconds, math.inf if end is None else end)]


@dataclass(frozen=True)
class Progress:
    """How far a download is."""

    fraction: float | None
    text: str


@dataclass(frozen=True)
class Found:
    """The video as its site describes it; it is fetched now, or can be read by `ReadRange`.

    The payload are Content Credentials that its server has beside it.
    """

    title: str | None
    extractor: str | None  # which of yt-dlp's sites
    duration_seconds: float | None  # of the whole video
    size_bytes: int | None  # of the file that stays on its server; None: it was fetched
    pieces: tuple[Piece, ...] = ()  # of the file, where it was put together from segments
    starts: tuple[float, ...] = ()  # of the windows for which these are enough; none: nothing in between is left out
    site: str | None = None  # that labels it
    label: str | None = None  # how
    sidecar_url: str | None = None  # where the server says that its Content Credentials lie


ANSWERS: tuple[type, ...] = (Progress, Found, RangeData)
