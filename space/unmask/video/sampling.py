"""Plan which frames of a video are looked at: a few windows, spread evenly over the asked part. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

from unmask.errors import BadInput

WINDOWS = 8  # of a video that are looked at
CLOSE_STRIDES = 0.75  # a frame closer to the one before, in strides of a clip, is left out
MAX_SIDE_PX = 1920  # larger pictures are scaled down
CLOCK_STEP_SECONDS = (-1.0, 10.0)  # a larger one is no pause but another clock, as for FFmpeg and mpv
MARGIN_SECONDS = 0.5  # playlists and the segments themselves differ a little in what time it is

Item = TypeVar("Item")
Timed = tuple[float, Item]  # seconds, and what is shown then


@dataclass(frozen=True)
class Span:
    """The part of a video that is asked for.

    Raises:
        BadInput: Unless 0 <= start < end.
    """

    start_seconds: float = 0.0
    end_seconds: float | None = None  # None: until the end

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_seconds) and self.start_seconds >= 0):
            raise BadInput("The start must be zero or more seconds.")
        if self.end_seconds is None:
            return
        if not (math.isfinite(self.end_seconds) and self.end_seconds > self.start_seconds):
            raise BadInput("The end must lie after the start, both in seconds.")


@dataclass(frozen=True)
class DecodePlan:
    """How much of a video is looked at.

    Raises:
        BadInput: The values make no sense.
    """

    windows: int = WINDOWS  # at most; a short video has fewer
    frames_per_window: int = 8
    frame_stride_seconds: float = 0.12  # 8 frames = 0.96 s
    start_seconds: float = 0.0
    end_seconds: float | None = None  # None, or beyond the end: until the end
    max_side_px: int = MAX_SIDE_PX  # larger frames are scaled down while decoding

    def __post_init__(self) -> None:
        Span(self.start_seconds, self.end_seconds)
        if min(self.windows, self.frames_per_window) < 1 or self.max_side_px < 16:
            raise BadInput("A plan needs at least one window, one frame and 16 pixels.")
        if not 0 < self.frame_stride_seconds < math.inf:
            raise BadInput("The time between frames must be more than zero seconds.")

    @property
    def window_seconds(self) -> float:
        """Duration of a window."""
        return self.frames_per_window * self.frame_stride_seconds

    @property
    def span(self) -> Span:
        """The asked part."""
        return Span(self.start_seconds, self.end_seconds)


class ClipTiming(Protocol):
    """The frames that a model wants of a face; `faces.clips.ClipSpec` is one."""

    @property
    def frames_per_clip(self) -> int:
        """Number of frames."""

    @property
    def frame_stride_seconds(self) -> float:
        """Time from one frame to the next."""


def plan_windows(clips: Sequence[ClipTiming], span: Span = Span()) -> DecodePlan:
    """Plan windows with the finest stride, and as long as the longest clip, that the models want."""
    stride = min(clip.frame_stride_seconds for clip in clips)
    length = max((clip.frames_per_clip - 1) * clip.frame_stride_seconds for clip in clips)
    return DecodePlan(
        windows=WINDOWS,
        frames_per_window=round(length / stride) + 1,
        frame_stride_seconds=stride,
        start_seconds=span.start_seconds,
        end_seconds=span.end_seconds,
    )


@dataclass(frozen=True)
class Window:
    """Where a window lies, and the key frame from which it is decoded."""

    start_seconds: float
    until_seconds: float  # the next window's start: what is shown from here on belongs to that one
    key_seconds: float | None  # None: no key frame was found


def window_starts(start_seconds: float, end_seconds: float, window_seconds: float, windows: int) -> list[float]:
    """Spread at most `windows` windows over the range, the first at its start, the last up to its end -> their starts.

    A range too short for all of them is covered without gaps by fewer; the last may then be cut short.
    """
    length = end_seconds - start_seconds
    if length < windows * window_seconds:
        count = max(1, round(length / window_seconds))
        return [start_seconds + i * window_seconds for i in range(count)]
    step = (length - window_seconds) / max(1, windows - 1)
    return [start_seconds + i * step for i in range(windows)]


def gap_seconds(starts: Sequence[float], window_seconds: float) -> float:
    """Compute the shortest time between two windows."""
    return max(0.0, min((b - a for a, b in pairwise(starts)), default=0.0) - window_seconds)


def snap_to_key_frames(
    starts: Sequence[float], keys: Sequence[float | None], gap: float, end_seconds: float, keep_first: bool = True
) -> list[Window]:
    """Move each start, but for the first of a video, to its key frame, if that is less than half the gap in seconds.

    `keys` holds the last key frame before each start (or the next after it). A window at a key frame costs
    nothing to reach; where key frames are further apart, a window stays where it is.
    """
    moved = [
        key if key is not None and abs(start - key) <= gap / 2 else start
        for start, key in zip(starts, keys, strict=True)
    ]
    if keep_first:
        moved[0] = starts[0]
    return [Window(*window) for window in zip(moved, [*moved[1:], end_seconds], keys, strict=True)]


def pick_nearest(timed: Iterable[Timed[Item]], targets: Iterable[float]) -> Iterator[Timed[Item]]:
    """Yield the item nearest to each target, in order, none twice; read no further than needed.

    Where items are further apart than targets, the next item serves: late rather than again. The last item
    serves a target behind it unless it is nearer to the target before.
    """
    wanted = iter(targets)
    last_target, target = -math.inf, next(wanted, None)
    before: Timed[Item] | None = None
    for now in timed:
        while target is not None and now[0] >= target:
            nearest = before if before and target - before[0] <= now[0] - target else now
            yield nearest
            last_target, target, before = target, next(wanted, None), None
            if nearest is now:
                break
        else:
            before = now
        if target is None:
            return
    if before and target is not None and target - before[0] < before[0] - last_target:
        yield before


@dataclass(frozen=True)
class Piece:
    """A range of a file's bytes that has one clock, and when a player shows its pictures."""

    begin_byte: int
    end_byte: int
    start_seconds: float = 0.0
    end_seconds: float | None = None  # as announced; None: where it ends
    period: int | None = None  # pieces of one period have the same clock
    init: tuple[int, int] = (0, 0)  # bytes of the file that are read before it, as its initialization segment
    lead_seconds: float = 0.0  # of its pictures before `start_seconds`, which are not shown
    ahead_seconds: float | None = None  # of the player's clock before the piece's, where a manifest says it


@dataclass(frozen=True)
class PieceStart:
    """Where a piece begins."""

    byte: int
    seconds: float | None = None  # that it lasts; None: it is measured
    init: tuple[int, int] = (0, 0)  # see `Piece`


def spread_windows(
    ranges: Sequence[tuple[float, float]], span: Span, window_seconds: float, windows: int
) -> list[float]:
    """Spread windows over the asked part of ranges that follow each other -> their starts.

    Every range is looked at where there are enough windows for that; the others go where they are furthest apart.
    """
    end = math.inf if span.end_seconds is None else span.end_seconds
    asked = [(max(span.start_seconds, a), min(end, b)) for a, b in ranges if a < end and b > span.start_seconds]
    asked = [each for each in asked if each[1] - each[0] >= window_seconds / 2] or asked
    if not asked:
        return []
    if len(asked) >= windows:
        return window_starts(asked[0][0], asked[-1][1], window_seconds, windows)
    counts = [1] * len(asked)
    for _ in range(windows - len(asked)):
        apart = [(b - a) / count for (a, b), count in zip(asked, counts, strict=True)]
        counts[apart.index(max(apart))] += 1
    return [
        start
        for (a, b), count in zip(asked, counts, strict=True)
        for start in window_starts(a, b, window_seconds, count)
    ]


def window_intervals(starts: Iterable[float], window_seconds: float) -> list[tuple[float, float]]:
    """Give (start, end) in seconds of each window, with a margin around it."""
    return [(start - MARGIN_SECONDS, start + window_seconds + MARGIN_SECONDS) for start in starts]
