"""Read HLS media playlists, as text, and write those of some of their segments."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

from unmask.download.segments import Segment

SEGMENT_TAGS = ("#EXTINF", "#EXT-X-BYTERANGE")  # go away with their segment
OTHER_TAGS = ("#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY", "#EXT-X-GAP", "#EXT-X-KEY", "#EXT-X-MAP")  # read here
DEFINITION = re.compile(r"(?m)^#EXT-X-DEFINE:(.*)")
FIELD = re.compile(r'(NAME|VALUE|IMPORT|QUERYPARAM)="([^"]*)"')
REFERENCE = re.compile(r"\{\$([\w-]+)\}")
MAX_GROWTH = 2**22  # characters that all variables together add
ADVERTISEMENT_TAGS = ("#ANVATO-SEGMENT-INFO", "#UPLYNK-SEGMENT")  # segments that a downloader leaves out by itself


def substitute(text: str, url: str, variables: dict[str, str]) -> str:
    """Put the variables that a playlist defines in their places (RFC 8216bis, 4.3), each once; keep them.

    A text that would grow beyond MAX_GROWTH stays as it is.

    Args:
        text: A playlist.
        url: Where it lies; a variable may be a parameter of it.
        variables: Of playlists before it, from which it imports; what it defines is added.
    """
    query = dict(parse_qsl(urlsplit(url).query))
    here: dict[str, str] = {}
    for line in DEFINITION.findall(text):
        fields: dict[str, str] = dict(FIELD.findall(line))
        given = {fields.get("NAME", ""): fields.get("VALUE", "")}
        for kind, values in (("NAME", given), ("IMPORT", variables), ("QUERYPARAM", query)):
            if (name := fields.get(kind, "")) in values:
                here[name] = values[name]
    variables |= here
    growth = sum(len(here.get(str(name), "")) for name in REFERENCE.findall(text))
    return text if growth > MAX_GROWTH else REFERENCE.sub(lambda found: here.get(found[1], found[0]), text)


def is_master(text: str) -> bool:
    """Tell whether the playlist lists other playlists instead of segments."""
    return "#EXT-X-STREAM-INF" in text


def is_live(text: str) -> bool:
    """Tell whether segments may still be added."""
    return "#EXT-X-ENDLIST" not in text and "#EXT-X-PLAYLIST-TYPE:VOD" not in text


def must_stay_whole(text: str) -> bool:
    """Tell whether segments do not say where they lie, or a downloader leaves some out."""
    without_place = re.search(r"(?m)^#EXT-X-BYTERANGE:[^@\n]*$", text)
    return bool(without_place) or any(tag in text for tag in ADVERTISEMENT_TAGS)


def read_segments(text: str) -> list[Segment]:
    """Read the segments of a playlist; their content is a tuple of lines, the first names their key or is empty."""
    segments: list[Segment] = []
    lines: list[str] = []  # of the segment being read
    found = re.search(r"(?m)^#EXT-X-MEDIA-SEQUENCE:\s*(\d+)", text)
    number = int(found[1]) if found else 0  # where no IV is given, it is the IV of AES
    clock, period, missing, key, init = 0.0, 0, False, "", ""
    for line in filter(None, map(str.strip, text.splitlines())):
        match line.partition(":")[0]:
            case "#EXT-X-KEY":
                key = line
            case "#EXT-X-MAP":
                init = "\n".join(filter(None, (key, line)))
            case "#EXT-X-DISCONTINUITY":
                period += 1
            case "#EXT-X-GAP":
                missing = True
            case tag if tag in SEGMENT_TAGS or not line.startswith("#"):
                lines.append(line)
        if not line.startswith("#"):
            until = clock + sum(map(_seconds, lines))
            if not missing:
                segments.append(Segment((key, *lines), init, clock, until, number, period))
            lines, clock, number, missing = [], until, number + 1, False
    return segments


def write_playlist(text: str, run: Sequence[Segment]) -> str:
    """Write the playlist of some segments of `text` that follow each other."""
    before = re.split(r"(?m)^#EXTINF", text, maxsplit=1)[0].splitlines()
    lines = [line for line in before if line.startswith("#") and not line.startswith((*OTHER_TAGS, *SEGMENT_TAGS))]
    lines += [f"#EXT-X-MEDIA-SEQUENCE:{run[0].number}", run[0].init]
    key = run[0].init.rpartition("\n")[0]
    for segment in run:
        lines += segment.content if segment.content[0] != key else segment.content[1:]
        key = segment.content[0]
    return "\n".join([*filter(None, lines), "#EXT-X-ENDLIST", ""])


def _seconds(line: str) -> float:
    found = re.match(r"#EXTINF:\s*([0-9.]+)", line)
    return float(found[1]) if found else 0.0
