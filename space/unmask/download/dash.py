"""Join the Periods of DASH manifests for yt-dlp, which joins only what is described alike, and read their fragments."""

import functools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urljoin

from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import parse_duration

from unmask.download.segments import Segment

Info = dict[str, Any]

SEGMENT_KINDS = ("}SegmentTemplate", "}SegmentList", "}SegmentBase")
LINK = "{http://www.w3.org/1999/xlink}href"
XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*>")
MAX_SERVERS = 4  # that a manifest names for the same segments
MAX_REPEATS = 100_000
NOT_PLAYED = (  # marks of sets of pictures beside the video: for winding fast, and of sign language
    "{*}EssentialProperty[@schemeIdUri='http://dashif.org/guidelines/trickmode']",
    "{*}Role[@value='sign']",
)
MIN_GAP = 0.5  # of a segment

_parse_periods = InfoExtractor._parse_mpd_periods
_merge_periods = InfoExtractor._merge_mpd_periods


def install() -> None:
    """Let every extractor of this process join Periods here."""
    InfoExtractor._parse_mpd_periods = _with_lengths
    InfoExtractor._merge_mpd_periods = _joined


def _with_lengths(
    extractor: InfoExtractor,
    document: Any,
    mpd_id: str | None = None,
    mpd_base_url: str = "",
    mpd_url: str | None = None,
) -> Iterator[Info]:
    """Yield what yt-dlp reads of each Period, and what it does not: how long it lasts, and what its clock is."""
    _fetch_linked(extractor, document, mpd_url or mpd_base_url)
    elements = document.findall("{*}Period")
    ends = [parse_duration(element.get("start")) for element in elements[1:]]
    ends.append(parse_duration(document.get("mediaPresentationDuration")))
    start, lengths, clocks = 0.0, [], []
    for element, end in zip(elements, ends, strict=True):
        start = parse_duration(element.get("start")) or start
        seconds = parse_duration(element.get("duration")) or (end - start if end else None)
        start += seconds or 0.0
        lengths.append(seconds)
        clocks.append(dict(_clocks(element, seconds)))
    places = [bases for element in document.iter() if len(bases := element.findall("{*}BaseURL")) > 1]
    servers = []  # what yt-dlp reads, which is the first address of each place, for each address
    for server in range(min(max(map(len, places), default=1), MAX_SERVERS)):
        servers.append([*_parse_periods(extractor, document, mpd_id, mpd_base_url, mpd_url)])
        for each in (each for period in servers[-1] for each in period["formats"]):
            each |= {"server": server, "source_preference": -server}
        for bases in places:
            for base, text in zip(bases, [base.text for base in bases[1:] + bases[:1]], strict=True):
                base.text = text
    for period, others, seconds, known in zip(servers[0], zip(*servers, strict=True), lengths, clocks, strict=True):
        period["formats"] = [each for other in others for each in other["formats"]]
        for each in period["formats"]:
            clock = known.get(str(each.get("format_id")).removeprefix(f"{mpd_id}-"), {})
            each["fragments"] = [fragment | clock for fragment in each.get("fragments") or ()]
            each |= clock
            if not each["fragments"]:
                del each["fragments"]
            each["format_id"] = f"{each.get('format_id')}{'-' * each['server']}"
        yield {**period, "seconds": seconds}


def _fetch_linked(extractor: InfoExtractor, document: Any, base: str) -> None:
    """Put Periods that a manifest only links to in their place; one that cannot be had stays as it is."""
    namespace = document.tag.partition("}")[0].removeprefix("{")
    for period in document.findall(f"{{*}}Period[@{LINK}]"):
        link = urljoin(base, period.get(LINK))
        text = link.startswith("http") and extractor._download_webpage(link, None, fatal=False)
        inside = XML_DECLARATION.sub("", text or "")
        linked = extractor._parse_xml(f'<MPD xmlns="{namespace}">{inside}</MPD>', None, fatal=False)
        if linked is not None and len(linked):
            place = list(document).index(period)
            document[place : place + 1] = linked.findall("{*}Period")


def _clocks(period: Any, seconds: float | None) -> Iterator[tuple[str, Info]]:
    """Yield (identity, clock) of each Representation; rewrite what yt-dlp does not read."""
    for group in period.findall("{*}AdaptationSet"):
        for each in group.findall("{*}Representation"):
            parts = [part for element in (each, group, period) for part in element if part.tag.endswith(SEGMENT_KINDS)]
            said: Info = {}
            for part in reversed(parts):
                said |= part.attrib
            ticks = float(said.get("timescale") or 1)
            zero = float(said.get("presentationTimeOffset") or 0)
            lines = next((line for part in parts if (line := part.find("{*}SegmentTimeline")) is not None), None)
            first = zero
            if lines is not None and len(lines):
                first = float(lines[0].get("t") or 0)
                _spell_out(lines, None if seconds is None else zero + seconds * ticks)
            elif "media" not in said:
                first = 0.0  # a file
            yield str(each.get("id")), {"zero_seconds": zero / ticks, "first_seconds": first / ticks}
        if any(group.find(property) is not None for property in NOT_PLAYED):
            period.remove(group)
        for element in (period, group, *group.findall("{*}Representation")):
            for ranges in element.findall("{*}SegmentList"):
                if any(part.get("mediaRange") and not part.get("media") for part in ranges):
                    element.remove(ranges)  # of one file, which is read as one


def _spell_out(lines: Any, end: float | None) -> None:
    """Count repetitions that are to go on, and lengthen what stays until a later segment, in ticks."""
    after = [line.get("t") for line in lines[1:]] + [end]
    clock = 0.0
    for line, until in zip(list(lines), after, strict=True):
        clock = float(line.get("t") or clock)
        length, repeats = float(line.get("d") or 0), int(line.get("r") or 0)
        if repeats < 0 < length:
            repeats = math.ceil(round((float(until or clock) - clock) / length, 3)) - 1
            line.set("r", str(min(max(repeats, 0), MAX_REPEATS)))
        clock += length * (repeats + 1)
        gap = float(until) - clock if until is not None and until is not end else 0.0
        if gap > length * MIN_GAP:
            longer = str(round(length + gap))
            if repeats:
                line.set("r", str(repeats - 1))
                lines.insert(list(lines).index(line) + 1, line.makeelement(line.tag, {"d": longer}))
            else:
                line.set("d", longer)


def _joined(extractor: InfoExtractor, periods: Any) -> tuple[list[Info], Any]:
    """Give each format of the first Period, continued by the most similar one of every later Period."""
    periods = [period for period in periods if period["formats"]]
    formats, subtitles = _merge_periods(extractor, periods[:1])
    for each in formats if len(periods) > 1 else ():
        others = (min(later["formats"], key=functools.partial(distance, each)) for later in periods[1:])
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


def distance(wanted: Info, other: Info) -> tuple[Any, ...]:
    """Order formats by how little they resemble the wanted one: kind, coding, server, size, rate."""
    kinds = [wanted.get(name) == other.get(name) for name in ("ext", "vcodec", "acodec", "server")]
    none = [(wanted.get(name) == "none") != (other.get(name) == "none") for name in ("vcodec", "acodec")]
    sizes = [abs((wanted.get(name) or 0) - (other.get(name) or 0)) for name in ("height", "tbr")]
    return (sum(none), sizes[0], -sum(kinds), sizes[1])


def _absolute(each: Info, period: int, seconds: float | None) -> Iterator[Info]:
    """Yield the fragments of a Period with their own addresses."""
    base = each.get("fragment_base_url") or each["url"]
    clock: Info = {name: each[name] for name in ("zero_seconds", "first_seconds") if name in each}
    whole: Info = {"url": each["url"], "duration": (seconds or 0.0) + clock.get("zero_seconds", 0.0), **clock}
    for fragment in each.get("fragments") or [whole]:
        url = fragment.get("url") or urljoin(base, fragment["path"])
        yield {**fragment, "url": url, "period": period, "period_seconds": seconds}


def read_segments(fragments: Sequence[Info]) -> list[Segment]:
    """Read yt-dlp's fragments of a video; one without a duration is the initialization segment of those behind it."""
    segments: list[Segment] = []
    init: Info | None = None
    start, clock, period, seconds = 0.0, None, 0, None
    for number, fragment in enumerate(fragments):
        if fragment.get("period", 0) != period:  # a Period begins where the manifest says, whatever its segments say
            start = (clock or 0.0) if seconds is None else start + seconds
            period, init, clock = fragment["period"], None, None
        seconds = fragment.get("period_seconds")
        if not fragment.get("duration"):
            init = fragment
            continue
        ahead = start - fragment["zero_seconds"] if "zero_seconds" in fragment else None
        if clock is None:
            clock = start if ahead is None else ahead + fragment["first_seconds"]
            clock = clock if clock - start < (seconds or math.inf) else start
        begins, clock = clock, clock + fragment["duration"]
        if clock > start:
            lead = max(0.0, start - begins)
            segments.append(Segment(fragment, init, begins + lead, clock, number, period, lead, ahead))
    return segments
