"""Messages between the download client and its worker."""

import math
from dataclasses import dataclass

from unmask.limits import Limits
from unmask.sandbox.protocol import RangeData
from unmask.video.sampling import Span, window_intervals


@dataclass(frozen=True)
class FetchRequest:
    """What to fetch, and where to."""

    url: str  # has passed `address_policy.check_url`
    file: str  # absolute path of the file to write, in a folder of its own
    limits: Limits
    span: Span
    windows: int = 0  # so many are looked at, and only what they need may be fetched; 0: all of it
    window_seconds: float = 0.0  # length of each

    def needed_intervals(self, duration_seconds: float | None) -> list[tuple[float, float]]:
        """Give the parts of the video that are needed, each from a second to a second."""
        if self.windows == 0 or duration_seconds is None:
            end = self.span.end_seconds
            return [(self.span.start_seconds, math.inf if end is None else end)]
        return window_intervals(self.span, duration_seconds, self.window_seconds, self.windows)


@dataclass(frozen=True)
class Progress:
    """How far a download is."""

    fraction: float | None
    text: str


@dataclass(frozen=True)
class Found:
    """The video as its site describes it; it is fetched now, or can be read by `ReadRange`."""

    title: str | None
    extractor: str | None  # which of yt-dlp's sites
    duration_seconds: float | None  # of the whole video
    offset_seconds: float  # in the whole video, of the file's second 0
    size_bytes: int | None  # of the file that stays on its server; None: it was fetched
    has_gaps: bool  # segments in between were left out


ANSWERS: tuple[type, ...] = (Progress, Found, RangeData)
