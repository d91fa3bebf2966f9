"""Find what a media file carries about its origin: tags, and where its store of Content Credentials lies."""

import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import RawIOBase
from itertools import islice

from unmask.text import printable_line
from unmask.video.byte_ranges import FilePart, Range, read_range
from unmask.video.edit_lists import hidden_seconds
from unmask.video.file_format import IMAGE_BRANDS, MAX_BOXES, boxes, chunks, contents

Tags = tuple[tuple[str, str], ...]

STORE_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # of the box in ISO files, C2PA 2.2, A.5
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # ISO 16684-1; libav reads those inside of `moov` alone
STORE_PURPOSE = b"manifest\0"  # in that box; others hold hashes of fragments
MAX_STORE_BYTES = 2**24
MARKS = {b"GIF8": b"C2PA_GIF", b"\xff\xd8\xff": b"jumdc2pa"}  # start of a picture -> what marks a store in its head
HEAD_BYTES = 2**18  # before its pictures

EDIT_LIST = "edit_list"  # name of a tag of ours: seconds of a track that the file holds and a player leaves out
MIN_HIDDEN_SECONDS = 1.0  # encoders leave out less, so that the first picture is at zero

MOTION_VIDEO = re.compile(rb"\0\0\0[\x10-\x40]ftyp(?:iso\w|mp4\w|qt  |avc1)")  # an MP4 behind a JPEG
MAX_PICTURE_BYTES = 2**26

KEPT_TAGS = re.compile(
    "make|model|manufacturer|software|encod|creation|aigc|prompt|workflow|comment|version|lvmeta|handler"
)
SETTINGS = "settings"  # name of a tag of ours: whose settings lie somewhere in a long comment
SETTINGS_OF = re.compile(r'"type"\s{0,9}:\s{0,9}"(WanGP[^"]{0,90})')
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
        hidden = hidden_seconds(file, end)
        tags = ((EDIT_LIST, f"{hidden:.1f}"),) if hidden >= MIN_HIDDEN_SECONDS else ()
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
        return next(contents(file, (0, end), b"mpvd"), None)
    return None


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


def _find_chunk(file: RawIOBase, wanted: bytes, form: str, begin: int, end: int) -> Range | None:
    for place, kind, size in islice(chunks(file, form, begin, end), MAX_BOXES):
        if kind == wanted:
            return place, min(place + size, end)
    return None


def read_tags(metadata: Mapping[str, str]) -> Tags:
    """Clean and bound the tags that speak of the origin, of a container and its XMP packet."""
    lower = {name.lower()[:MAX_NAME]: value for name, value in metadata.items() if name != "xmp"}
    tags = [(name, printable_line(value, MAX_VALUE)) for name, value in lower.items() if KEPT_TAGS.search(name)]
    long = "\n".join(lower.get(name, "")[:MAX_XMP_BYTES] for name in ("comment", "description"))
    settings = [(SETTINGS, printable_line(found[1], MAX_VALUE))] if (found := SETTINGS_OF.search(long)) else []
    return (*read_xmp(metadata.get("xmp", "")), *settings, *tags)[:MAX_TAGS]


def read_xmp(packet: str) -> Tags:
    """Read what an XMP packet says of the origin."""
    found = ((name, pattern.search(packet, 0, MAX_XMP_BYTES)) for name, pattern in XMP_TAGS.items())
    return tuple((name, printable_line(match[1], MAX_VALUE)) for name, match in found if match)
