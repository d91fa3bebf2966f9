"""Find what a media file carries about its origin: tags, and where its store of Content Credentials lies."""

import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import RawIOBase
from itertools import islice

from unmask.text import printable_line
from unmask.video.file_format import IMAGE_BRANDS, MAX_BOXES, boxes
from unmask.video.partial_file import FilePart

Range = tuple[int, int]  # first byte, and the byte after the last
Tags = tuple[tuple[str, str], ...]

STORE_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # of the box in ISO files, C2PA 2.2, A.5
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # ISO 16684-1; libav reads those inside of `moov` alone
STORE_PURPOSE = b"manifest\0"  # in that box; others hold hashes of fragments
MAX_STORE_BYTES = 2**24
MARKS = {b"GIF8": b"C2PA_GIF", b"\xff\xd8\xff": b"jumdc2pa"}  # start of a picture -> what marks a store in its head
HEAD_BYTES = 2**18  # before its pictures

EDIT_LIST = "edit_list"  # name of a tag of ours: seconds of a track that the file holds and a player leaves out
MIN_HIDDEN_SECONDS = 1.0  # encoders leave out less, so that the first picture is at zero
MAX_EDITS_BYTES = 2**16
NO_DURATION = 2**32 - 1  # as a header says it, at least

MOTION_VIDEO = re.compile(rb"\0\0\0[\x10-\x40]ftyp(?:iso\w|mp4\w|qt  |avc1)")  # an MP4 behind a JPEG
MAX_PICTURE_BYTES = 2**26

KEPT_TAGS = re.compile(r"make|model|manufacturer|software|encod|creation|aigc|prompt|workflow|comment|version")
MAX_TAGS, MAX_NAME, MAX_VALUE = 20, 40, 200  # characters: all together fit into one message
MAX_XMP_BYTES = 2**20
XMP_TAGS = {  # name for us -> the value, as an attribute or an element
    "xmp:digitalsourcetype": re.compile(r"digitalsourcetype/(\w{1,60})"),
    "xmp:creatortool": re.compile(r"xmp:CreatorTool(?:=[\"']|>)([^\"'<]{1,200})"),
    "xmp:provenance": re.compile(r"dcterms:provenance(?:=[\"']|>)\s*(https?://[^\"'<\s]{1,300})"),
}


@dataclass(frozen=True)
class Embedded:
    """Where something lies in a file."""

    store: Range | None = None  # of Content Credentials; in a GIF or JPEG only that there is one
    xmp: Range | None = None
    tags: Tags = ()  # that follow from how the file is built


def find_embedded(file: RawIOBase) -> Embedded:
    """Look for a store of Content Credentials and an XMP packet, by the sizes of boxes and chunks alone.

    In a fragmented MP4 they lie before the first fragment.
    """
    end = file.seek(0, os.SEEK_END)
    start = FilePart(file, 0, end).read(12)
    if start[4:8] == b"ftyp":
        hidden_seconds = _find_hidden(file, end)
        tags = ((EDIT_LIST, f"{hidden_seconds:.1f}"),) if hidden_seconds >= MIN_HIDDEN_SECONDS else ()
        return replace(_find_boxes(file, end), tags=tags)
    if start[:4] == b"RIFF":
        return Embedded(_find_chunk(file, b"C2PA", "<4sI", 12, end))
    if start[:4] == b"\x89PNG":
        return Embedded(_find_chunk(file, b"caBX", ">I4s", 8, end))
    mark = next((mark for kind, mark in MARKS.items() if start.startswith(kind)), None)
    return Embedded((0, 0) if mark and mark in FilePart(file, 0, end).read(HEAD_BYTES) else None)


def find_motion_video(file: RawIOBase) -> Range | None:
    """Find the video in a motion photo: behind the picture, or in a box of it."""
    end = file.seek(0, os.SEEK_END)
    start = FilePart(file, 0, end).read(12)
    if start.startswith(b"\xff\xd8\xff"):
        found = MOTION_VIDEO.search(read_range(file, (0, end), MAX_PICTURE_BYTES))
        return (found.start(), end) if found else None
    if start[4:8] == b"ftyp" and start[8:12] in IMAGE_BRANDS:
        return next(_contents(file, (0, end), b"mpvd"), None)
    return None


def read_range(file: RawIOBase, place: Range | None, max_bytes: int = MAX_STORE_BYTES) -> bytes:
    """Read what lies at a place; nothing of what is too large."""
    begin, end = place or (0, 0)
    if end - begin > max_bytes:
        return b""
    part, blocks = FilePart(file, begin, end), []
    while block := part.read(MAX_STORE_BYTES):
        blocks.append(block)
    return b"".join(blocks)


def _find_boxes(file: RawIOBase, end: int) -> Embedded:
    found = Embedded()
    for box in islice(boxes(file, 0, end), MAX_BOXES):
        if box.kind == b"moof":
            break
        if box.kind != b"uuid":
            continue
        uuid, _, purpose = struct.unpack(">16s4s9s", FilePart(file, box.content, end).read(29).ljust(29, b"\0"))
        if uuid == STORE_UUID and purpose == STORE_PURPOSE:
            found = replace(found, store=(box.content + 37, box.end))  # behind the place of the next box
        elif uuid == XMP_UUID:
            found = replace(found, xmp=(box.content + 16, box.end))
    return found


def _find_hidden(file: RawIOBase, end: int) -> float:
    """Find how many seconds of a track its edit list (ISO 14496-12, 8.6.6) leaves out, at the most."""
    hidden = [0.0]
    for movie in _contents(file, (0, end), b"moov"):
        ticks, _ = _times(file, movie, b"mvhd")
        for track in _contents(file, movie, b"trak"):
            lists = (place for edits in _contents(file, track, b"edts") for place in _contents(file, edits, b"elst"))
            shown = sum(length for place in lists for length, start in _edits(file, place) if start >= 0)
            for media in _contents(file, track, b"mdia"):
                media_ticks, duration = _times(file, media, b"mdhd")
                if ticks and media_ticks and shown and duration < NO_DURATION:
                    hidden.append(duration / media_ticks - shown / ticks)
    return max(hidden)


def _times(file: RawIOBase, place: Range, kind: bytes) -> tuple[int, int]:
    """Read ticks a second and ticks in all of a header box."""
    for header in _contents(file, place, kind):
        data = read_range(file, header, MAX_EDITS_BYTES).ljust(32, b"\0")
        ticks, duration = struct.unpack_from(">IQ", data, 20) if data[0] else struct.unpack_from(">II", data, 12)
        return ticks, duration
    return 0, 0


def _edits(file: RawIOBase, place: Range) -> list[tuple[int, int]]:
    """Read the length and start of each entry of an edit list."""
    data = read_range(file, place, MAX_EDITS_BYTES)
    entry = struct.Struct(">Qq4x" if data[:1] == b"\1" else ">Ii4x")
    entries = data[8 : 8 + (len(data) - 8) // entry.size * entry.size]
    return list(entry.iter_unpack(entries))


def _contents(file: RawIOBase, place: Range, wanted: bytes) -> Iterator[Range]:
    """Yield where the contents of the boxes of a kind lie."""
    for box in islice(boxes(file, *place), MAX_BOXES):
        if box.kind == wanted:
            yield box.content, box.end


def _find_chunk(file: RawIOBase, wanted: bytes, form: str, begin: int, end: int) -> Range | None:
    for place, kind, size in islice(_chunks(file, form, begin, end), MAX_BOXES):
        if kind == wanted:
            return place, min(place + size, end)
    return None


def _chunks(file: RawIOBase, form: str, begin: int, end: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield (first byte of the content, kind, size) of the chunks of a RIFF or PNG file."""
    while begin + 8 <= end:
        first, second = struct.unpack(form, FilePart(file, begin, end).read(8))
        kind, size = (first, second) if form[0] == "<" else (second, first)
        yield begin + 8, kind, size
        begin += 8 + (size + size % 2 if form[0] == "<" else size + 4)


def read_tags(metadata: Mapping[str, str]) -> Tags:
    """Clean and bound the tags that speak of the origin, of a container and its XMP packet."""
    lower = {name.lower()[:MAX_NAME]: value for name, value in metadata.items() if name != "xmp"}
    tags = [(name, printable_line(value, MAX_VALUE)) for name, value in lower.items() if KEPT_TAGS.search(name)]
    return (*read_xmp(metadata.get("xmp", "")), *tags)[:MAX_TAGS]


def read_xmp(packet: str) -> Tags:
    """Read what an XMP packet says of the origin."""
    found = ((name, pattern.search(packet, 0, MAX_XMP_BYTES)) for name, pattern in XMP_TAGS.items())
    return tuple((name, printable_line(match[1], MAX_VALUE)) for name, match in found if match)
