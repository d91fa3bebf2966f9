"""Segments of a video on the player's clock, and which of them are fetched. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from unmask.video.sampling import Span


@dataclass(frozen=True)
class Segment:
    """A segment of a playlist or manifest."""

    content: Any  # as the playlist or yt-dlp describes it
    init: Any  # the same for its initialization segment; equal for segments that can follow each other in one file
    start_seconds: float  # on the player's clock
    end_seconds: float
    number: int  # of neighbours, neighbouring ones
    period: int  # segments of one period have one clock
    lead_seconds: float = 0.0  # of its pictures before `start_seconds`, which are not shown
    ahead_seconds: float | None = None  # of the player's clock before the segment's, where it is said


def segment_ranges(segments: Sequence[Segment]) -> list[tuple[float, float]]:
    """Give (start, end) in seconds of each period, and of each part of one between gaps."""
    ranges: list[tuple[float, float]] = []
    last: Segment | None = None
    for each in segments:
        if last and last.period == each.period and last.end_seconds == each.start_seconds:
            ranges[-1] = (ranges[-1][0], each.end_seconds)
        else:
            ranges.append((each.start_seconds, each.end_seconds))
        last = each
    return ranges


def gaps_in(ranges: Sequence[tuple[float, float]], span: Span) -> list[tuple[float, float]]:
    """Give (start, end) in seconds of what is missing between ranges, in the asked part."""
    end = math.inf if span.end_seconds is None else span.end_seconds
    gaps = [(max(a[1], span.start_seconds), min(b[0], end)) for a, b in pairwise(ranges)]
    return [(start, until) for start, until in gaps if until > start]


def select_runs(segments: Sequence[Segment], intervals: Sequence[tuple[float, float]]) -> list[list[Segment]]:
    """Keep the segments that overlap one of the intervals (start, end) in seconds -> those that follow directly."""
    kept = [each for each in segments if any(each.start_seconds < b and each.end_seconds > a for a, b in intervals)]
    numbered = enumerate(kept)
    groups = groupby(numbered, lambda pair: (pair[1].number - pair[0], pair[1].period, pair[1].init))
    return [[segment for _, segment in group] for _, group in groups]
