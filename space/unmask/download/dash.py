"""Join the Periods of DASH manifests for yt-dlp, which joins only what is described alike, and read their fragments."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urljoin

from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import parse_duration

from unmask.download.segments import Segment

Info = dict[str, Any]

_parse_periods = InfoExtractor._parse_mpd_periods
_merge_periods = InfoExtractor._merge_mpd_periods


def install() -> None:
    """Let every extractor of this process join Periods here."""
    InfoExtractor._parse_mpd_periods = _with_lengths
    InfoExtractor._merge_mpd_periods = _joined


def _with_lengths(extractor: InfoExtractor, document: Any, *args: Any, **kwargs: Any) -> Iterator[Info]:
    """Yield what yt-dlp reads of each Period, and how long it lasts, where the manifest says so."""
    elements = document.findall("{*}Period")
    ends = [parse_duration(element.get("start")) for element in elements[1:]]
    ends.append(parse_duration(document.get("mediaPresentationDuration")))
    start = 0.0
    for period, element, end in zip(_parse_periods(extractor, document, *args, **kwargs), elements, ends, strict=True):
        start = parse_duration(element.get("start")) or start
        seconds = parse_duration(element.get("duration")) or (end - start if end else None)
        start += seconds or 0.0
        yield {**period, "seconds": seconds}


def _joined(extractor: InfoExtractor, periods: Any) -> tuple[list[Info], Any]:
    """Give each format of the first Period, continued by the most similar one of every later Period."""
    periods = [period for period in periods if period["formats"]]
    formats, subtitles = _merge_periods(extractor, periods[:1])
    for each in formats if len(periods) > 1 else ():
        others = (min(later["formats"], key=functools.partial(_distance, each)) for later in periods[1:])
        chosen = [each, *others]
        lengths = [period["seconds"] for period in periods]
        if all(other.get("fragments") or seconds for other, seconds in zip(chosen, lengths, strict=True)):
            each["protocol"] = "http_dash_segments"
            each["fragments"] = [
                fragment
                for number, (other, seconds) in enumerate(zip(chosen, lengths, strict=True))
                for fragment in _absolute(other, number, seconds)
            ]
    return formats, subtitles


def _distance(wanted: Info, other: Info) -> tuple[Any, ...]:
    """Order formats by how little they resemble the wanted one: kind, coding, size, rate."""
    kinds = [wanted.get(name) == other.get(name) for name in ("ext", "vcodec", "acodec")]
    none = [(wanted.get(name) == "none") != (other.get(name) == "none") for name in ("vcodec", "acodec")]
    sizes = [abs((wanted.get(name) or 0) - (other.get(name) or 0)) for name in ("height", "tbr")]
    return (sum(none), sizes[0], -sum(kinds), sizes[1])


def _absolute(each: Info, period: int, seconds: float | None) -> Iterator[Info]:
    """Yield the fragments of a Period with their own addresses."""
    base = each.get("fragment_base_url") or each["url"]
    for fragment in each.get("fragments") or [{"url": each["url"], "duration": seconds}]:
        url = fragment.get("url") or urljoin(base, fragment["path"])
        yield {"url": url, "duration": fragment.get("duration"), "period": period, "period_seconds": seconds}


def read_segments(fragments: Sequence[Info]) -> list[Segment]:
    """Read yt-dlp's fragments of a video; one without a duration is the head of those behind it."""
    segments: list[Segment] = []
    head: Info | None = None
    start, clock, period, seconds = 0.0, 0.0, 0, None
    for number, fragment in enumerate(fragments):
        if fragment.get("period", 0) != period:  # a Period begins where the manifest says, whatever its segments say
            start = clock = clock if seconds is None else start + seconds
            period, head = fragment["period"], None
        seconds = fragment.get("period_seconds")
        if fragment.get("duration"):
            begins, clock = clock, clock + fragment["duration"]
            segments.append(Segment(fragment, head, begins, clock, number, period))
        else:
            head = fragment
    return segments
