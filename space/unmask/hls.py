"""HLS media playlists, as text: how long, finished or live, and cut to what a time range needs."""

import re
from dataclasses import dataclass

OF_ONE_SEGMENT = ("#EXTINF", "#EXT-X-BYTERANGE")  # goes away with its segment; every other tag stays
ADVERTISING = ("#ANVATO-SEGMENT-INFO", "#UPLYNK-SEGMENT")  # segments that a downloader leaves out by itself


@dataclass(frozen=True)
class Cut:
    """A playlist that holds only the segments of a time range."""

    text: str
    offset_seconds: float  # where the first segment kept begins in the whole video


def is_master(text: str) -> bool:
    """Whether the playlist lists other playlists instead of segments."""
    return "#EXT-X-STREAM-INF" in text


def is_live(text: str) -> bool:
    """Whether segments may still be added."""
    return "#EXT-X-ENDLIST" not in text and "#EXT-X-PLAYLIST-TYPE:VOD" not in text


def duration_seconds(text: str) -> float:
    return sum(_seconds(line) for line in text.splitlines())


def cut(text: str, start_seconds: float, end_seconds: float) -> Cut:
    """Keep the segments that overlap the range; the whole playlist when its segments depend on each other."""
    if _hangs_together(text):
        return Cut(text, 0.0)
    kept: list[str] = []
    segment: list[str] = []  # the lines of the segment being read
    clock, dropped, offset_seconds = 0.0, 0, None
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#") and not line.startswith(OF_ONE_SEGMENT):
            kept.append(line)
            continue
        segment.append(line)
        if line.startswith("#"):
            continue
        begins, clock = clock, clock + sum(map(_seconds, segment))
        if begins < end_seconds and clock > start_seconds:
            offset_seconds = begins if offset_seconds is None else offset_seconds
            kept += segment
        elif offset_seconds is None:
            dropped += 1
        segment = []
    return Cut(_renumber("\n".join(kept) + "\n", dropped), offset_seconds or 0.0)


def _seconds(line: str) -> float:
    found = re.match(r"#EXTINF:\s*([0-9.]+)", line)
    return float(found[1]) if found else 0.0


def _hangs_together(text: str) -> bool:
    without_place = re.search(r"(?m)^#EXT-X-BYTERANGE:[^@\n]*$", text)
    return bool(without_place) or any(tag in text for tag in ADVERTISING)


def _renumber(text: str, dropped: int) -> str:
    """The first segment's number counts: where no IV is given, it is the IV of AES."""
    found = re.search(r"(?m)^#EXT-X-MEDIA-SEQUENCE:\s*(\d+)", text)
    number = (int(found[1]) if found else 0) + dropped
    rest = text.replace(found[0], "", 1) if found else text
    return rest.replace("#EXTM3U", f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{number}", 1)
