"""Find what a media file carries about its origin: tags, and where its store of Content Credentials lies."""

import os
import re
import struct
from collections.abc import Iterator, Mapping
from io import RawIOBase
from itertools import islice

from unmask.video.container import MAX_BOXES, boxes
from unmask.video.partial_file import FilePart

Range = tuple[int, int]  # first byte, and the byte after the last
Tags = tuple[tuple[str, str], ...]

STORE_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # of the box in ISO files, C2PA 2.2, A.5
STORE_PURPOSE = b"manifest\0"  # in that box; others hold hashes of fragments
MAX_STORE_BYTES = 2**24
GIF_BYTES = 2**16  # a GIF's store comes before its pictures

KEPT_TAGS = re.compile(r"make|model|manufacturer|software|encod|creation|aigc|prompt|workflow|comment|version")
MAX_TAGS, MAX_NAME, MAX_VALUE = 20, 40, 200  # characters: all together fit into one message
MAX_XMP_CHARACTERS = 2**20
XMP_TAGS = {  # name for us -> the value, as an attribute or an element
    "xmp:digitalsourcetype": re.compile(r"digitalsourcetype/(\w{1,60})"),
    "xmp:creatortool": re.compile(r"xmp:CreatorTool(?:=[\"']|>)([^\"'<]{1,200})"),
    "xmp:provenance": re.compile(r"dcterms:provenance(?:=[\"']|>)\s*(https?://[^\"'<\s]{1,300})"),
}


def find_store(file: RawIOBase) -> Range | None:
    """Find the store of Content Credentials by the sizes of boxes and chunks alone; in a GIF, only that there is one.

    In a fragmented MP4 it lies before the first fragment.
    """
    end = file.seek(0, os.SEEK_END)
    start = FilePart(file, 0, end).read(12)
    if start[4:8] == b"ftyp":
        return _store_box(file, end)
    if start[:4] == b"RIFF":
        return _chunk(file, b"C2PA", "<4sI", 12, end)
    if start[:4] == b"\x89PNG":
        return _chunk(file, b"caBX", ">I4s", 8, end)
    if start[:4] == b"GIF8" and b"C2PA_GIF" in FilePart(file, 0, end).read(GIF_BYTES):
        return 0, 0
    return None


def read_store(file: RawIOBase, place: Range) -> bytes:
    """Read a store; nothing of one that is too large."""
    begin, end = place
    if end - begin > MAX_STORE_BYTES:
        return b""
    part, blocks = FilePart(file, begin, end), []
    while block := part.read(MAX_STORE_BYTES):
        blocks.append(block)
    return b"".join(blocks)


def _store_box(file: RawIOBase, end: int) -> Range | None:
    for begin, kind in islice(boxes(file, 0, end), MAX_BOXES):
        if kind == b"moof":
            return None
        if kind == b"uuid":
            head = FilePart(file, begin, end).read(45)
            size, _, uuid, _, purpose = struct.unpack(">I4s16s4s9s", head[:37].ljust(37, b"\0"))
            if uuid == STORE_UUID and purpose == STORE_PURPOSE:
                return begin + 45, min(begin + size, end)  # after the place of the next box
    return None


def _chunk(file: RawIOBase, wanted: bytes, form: str, begin: int, end: int) -> Range | None:
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
    tags = {name: _on_one_line(value) for name, value in lower.items() if KEPT_TAGS.search(name)}
    xmp = metadata.get("xmp", "")[:MAX_XMP_CHARACTERS]
    found = {name: pattern.search(xmp) for name, pattern in XMP_TAGS.items()}
    tags |= {name: _on_one_line(match[1]) for name, match in found.items() if match}
    return tuple(sorted(tags.items(), key=lambda tag: not tag[0].startswith("xmp:")))[:MAX_TAGS]


def _on_one_line(text: str) -> str:
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:MAX_VALUE]
