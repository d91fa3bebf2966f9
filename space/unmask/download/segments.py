"""Segments of a video on the player's clock, and which of them are fetched. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any


@dataclass(frozen=True)
class Segment:
    """A segment of a playlist or manifest."""

    content: Any  # as the playlist or yt-dlp describes it
    head: Any  # the same for what is read before it; equal for segments that can follow each other in one file
    start_seconds: float  # on the player's clock
    end_seconds: float
    number: int  # of neighbours, neighbouring ones
    period: int  # segments of one period have one clock


def period_ranges(segments: Sequence[Segment]) -> list[tuple[float, float]]:
    """Give (start, end) in seconds of each period."""
    periods = [list(group) for _, group in groupby(segments, lambda segment: segment.period)]
    return [(period[0].start_seconds, period[-1].end_seconds) for period in periods]


def select_runs(segments: Sequence[Segment], intervals: Sequence[tuple[float, float]]) -> list[list[Segment]]:
    """Keep the segments that overlap one of the intervals (start, end) in seconds -> those that follow directly."""
    kept = [each for each in segments if any(each.start_seconds < b and each.end_seconds > a for a, b in intervals)]
    numbered = enumerate(kept)
    groups = groupby(numbered, lambda pair: (pair[1].number - pair[0], pair[1].period, pair[1].head))
    return [[segment for _, segment in group] for _, group in groups]
