"""Read HLS media playlists, as text, and reduce them to the segments that some intervals need."""

import re
from collections.abc import Sequence

from unmask.video.sampling import Selection

SEGMENT_TAGS = ("#EXTINF", "#EXT-X-BYTERANGE")  # goes away with its segment; every other tag stays
ADVERTISEMENT_TAGS = ("#ANVATO-SEGMENT-INFO", "#UPLYNK-SEGMENT")  # segments that a downloader leaves out by itself


def is_master(text: str) -> bool:
    """Tell whether the playlist lists other playlists instead of segments."""
    return "#EXT-X-STREAM-INF" in text


def is_live(text: str) -> bool:
    """Tell whether segments may still be added."""
    return "#EXT-X-ENDLIST" not in text and "#EXT-X-PLAYLIST-TYPE:VOD" not in text


def duration_seconds(text: str) -> float:
    """Add up the durations of the segments."""
    return sum(_seconds(line) for line in text.splitlines())


def select_segments(text: str, intervals: Sequence[tuple[float, float]]) -> tuple[str, Selection]:
    """Keep the segments that overlap one of the intervals, each from a second to a second.

    Where segments cannot be understood without those before them, all between the first interval and the last
    are kept; where they do not even say where they lie, the whole playlist.
    """
    if _must_stay_whole(text):
        return text, Selection()
    if _must_be_contiguous(text):
        intervals = [(min(start for start, _ in intervals), max(end for _, end in intervals))]
    kept: list[str] = []
    segment: list[str] = []  # the lines of the segment being read
    clock, dropped, offset_seconds = 0.0, 0, None  # dropped: before the first that is kept
    until, has_gaps = 0.0, False  # until: the end of the last one kept
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#") and not line.startswith(SEGMENT_TAGS):
            kept.append(line)
            continue
        segment.append(line)
        if line.startswith("#"):
            continue
        begins, clock = clock, clock + sum(map(_seconds, segment))
        if any(begins < end and clock > start for start, end in intervals):
            has_gaps |= offset_seconds is not None and begins > until
            offset_seconds, until = begins if offset_seconds is None else offset_seconds, clock
            kept += segment
        elif offset_seconds is None:
            dropped += 1
        segment = []
    return _renumber("\n".join(kept) + "\n", dropped), Selection(offset_seconds or 0.0, has_gaps)


def _seconds(line: str) -> float:
    found = re.match(r"#EXTINF:\s*([0-9.]+)", line)
    return float(found[1]) if found else 0.0


def _must_stay_whole(text: str) -> bool:
    without_place = re.search(r"(?m)^#EXT-X-BYTERANGE:[^@\n]*$", text)
    return bool(without_place) or any(tag in text for tag in ADVERTISEMENT_TAGS)


def _must_be_contiguous(text: str) -> bool:
    """Tell whether a segment's number is its key's IV, or the clock starts anew between segments."""
    keys = re.findall(r"(?m)^#EXT-X-KEY:(.*)$", text)
    return "#EXT-X-DISCONTINUITY" in text or any("METHOD=NONE" not in key and "IV=" not in key for key in keys)


def _renumber(text: str, dropped: int) -> str:
    """Adapt the first segment's number: where no IV is given, it is the IV of AES."""
    found = re.search(r"(?m)^#EXT-X-MEDIA-SEQUENCE:\s*(\d+)", text)
    number = (int(found[1]) if found else 0) + dropped
    rest = text.replace(found[0], "", 1) if found else text
    return rest.replace("#EXTM3U", f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{number}", 1)
