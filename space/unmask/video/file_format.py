"""Tell what an untrusted file is by its first bytes and boxes, before libav opens it."""

import os
import struct
from collections.abc import Iterator
from io import RawIOBase
from itertools import islice, takewhile
from typing import NamedTuple

from unmask.errors import NoFrames, NotAVideo
from unmask.video.byte_ranges import FilePart, Range, read_range

VIDEO_SUFFIXES = (".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".ivf", ".m2ts", ".m2v",
                  ".m4v", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogm", ".ogv",
                  ".qt", ".ts", ".vob", ".webm", ".wmv")  # fmt: skip
PICTURE_SUFFIXES = (".apng", ".avif", ".heic", ".jpeg", ".jpg", ".png", ".webp")  # which may move, or hold a video
BARE_SUFFIXES = (".264", ".265", ".avc", ".h264", ".h265", ".hevc", ".mjpeg", ".mjpg")  # of them it is said what to do
IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"II*\0", b"MM\0*", b"8BPS", b"<svg")
IMAGE_BRANDS = (b"heic", b"heix", b"heim", b"mif1", b"avif")  # of ISO files that hold a photograph
BARE_STREAMS = (  # a parameter set, a delimiter or a message of H.264 (1 byte) or H.265 (2) behind a start code
    *(
        code + kind
        for code in (b"\0\0\0\1", b"\0\0\1")
        for kind in (b"\x67", b"\x27", b"\x47", b"\x09", b"\x06", b"\x40\1", b"\x42\1", b"\x46\1")
    ),
    *(b"\0\0\1" + kind for kind in (b"\xb0", b"\xb3", b"\xb5", b"\0")),  # MPEG-4 and MPEG-2
    b"\x12\0\x0a",  # AV1
)
JPEGS, MIN_JPEGS, JPEGS_BYTES = b"\xff\xd9\xff\xd8\xff", 3, 2**23  # the end of one and the start of the next
JPEG_PART = b"content-type: image/jpeg\r\n"  # as cameras send them
MULTI_PICTURE = b"MPF\0"  # says that a JPEG holds several (CIPA DC-007)
PLAYLIST_SIGNATURES = (b"#extm3u", b"ffconcat", b"[playlist]", b"<smil", b"<mpd")
HTML_SIGNATURES = (b"<!doctype html", b"<html", b"<!--", b"<?xml", b"<error", b'{"')  # and errors of servers
ARCHIVES = (b"PK\3\4", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b")
STILL_IMAGE_MESSAGE = "That is a picture, not a video; a still picture is not enough for this check."
INCOMPLETE = (
    "The file is incomplete: it was broken off before its index was written, as when a download or a recording is "
    "stopped. Fetch or record it again."
)
HEADLESS = "That is a piece of a stream without the head that says how to decode it. Give the whole video, or its page."
SCRAMBLED_BYTES = 2**16  # at the start of a transport stream
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
START_BYTES = 512  # that tell most kinds
COVER_SIGNATURES, COVER_BYTES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", bytes(192)), 2**13
TS_PACKET_BYTES, DISK_PACKET_BYTES = 188, 192  # as disks hold it, each packet has its time before it
MAX_BOXES = 256  # looked through for the index of an MP4


def reject_other_files(file: RawIOBase) -> None:
    """Raise NotAVideo for common kinds of files that are no video, and say what they are."""
    start = FilePart(file, 0, START_BYTES).read(START_BYTES)
    if not start:
        raise NotAVideo("The file is empty.")
    if start.startswith(BARE_STREAMS) or JPEG_PART in start.lower() or _is_bare_jpegs(file, start):
        raise NotAVideo(
            "That is a bare stream of coded pictures: it does not say when they are shown. Give it as MP4 or MKV, "
            "as `ffmpeg -i FILE -c copy FILE.mp4` writes it."
        )
    picture = start.startswith(IMAGE_SIGNATURES) and not _is_animated_png(file)
    photograph = start[4:8] == b"ftyp" and start[8:12] in IMAGE_BRANDS
    if picture or photograph or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        raise NotAVideo(STILL_IMAGE_MESSAGE)
    if start.startswith(ARCHIVES):
        raise NotAVideo("That is an archive, not a video. Unpack it, and give the video that is in it.")
    if start == bytes(START_BYTES):
        raise NotAVideo(INCOMPLETE)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(PLAYLIST_SIGNATURES) or (text.startswith(b"<?xml") and b"<mpd" in text):
        raise NotAVideo("That is a list that points to videos (a playlist), not a video.")
    if text.startswith(HTML_SIGNATURES):
        raise NotAVideo("That is a web page, not a video.")


def _is_animated_png(file: RawIOBase) -> bool:
    end = file.seek(0, os.SEEK_END)
    if FilePart(file, 0, end).read(8) != PNG_SIGNATURE:
        return False
    kinds = (kind for _, kind, _ in islice(chunks(file, ">I4s", 8, end), MAX_BOXES))
    return b"acTL" in takewhile(lambda kind: kind != b"IDAT", kinds)


def reject_scrambled(file: RawIOBase) -> None:
    """Raise NoFrames where most packets of a transport stream are scrambled (ISO 13818-1, 2.4.3.3)."""
    start = FilePart(file, 0, SCRAMBLED_BYTES).read(SCRAMBLED_BYTES)
    packets = start[3::TS_PACKET_BYTES] if start[::TS_PACKET_BYTES].startswith(b"\x47" * 5) else b""
    if 2 * sum(flags >> 6 > 0 for flags in packets) > len(packets):
        raise NoFrames("This recording is encrypted, as pay television is, and cannot be decoded.")


def _is_bare_jpegs(file: RawIOBase, start: bytes) -> bool:
    """Tell whether JPEGs follow each other, more than phones put behind a photograph."""
    pictures = read_range(file, (0, JPEGS_BYTES), JPEGS_BYTES) if start.startswith(JPEGS[2:]) else b""
    return pictures.count(JPEGS) >= MIN_JPEGS and MULTI_PICTURE not in pictures


def transport_stream_offset(file: RawIOBase) -> int:
    """Find how many bytes lie before the first whole packet of a transport stream.

    Recordings begin at any byte, and some sites hide what their segments are behind a picture.
    """
    start, mark = FilePart(file, 0, COVER_BYTES).read(COVER_BYTES), b"\x47" * 5
    for at in range(COVER_BYTES if start.startswith(COVER_SIGNATURES) else DISK_PACKET_BYTES):
        if mark in (start[at::TS_PACKET_BYTES][:5], start[at + 4 :: DISK_PACKET_BYTES][:5]):
            return at
    return 0


def why_unreadable(file: RawIOBase) -> str:
    """Say why libav cannot open a file: of an MP4 that was broken off before its index, say so."""
    kinds = {box.kind for box in islice(boxes(file, 0, file.seek(0, os.SEEK_END)), MAX_BOXES)}
    lacks_index = b"ftyp" in kinds and not kinds & {b"moov", b"meta", b"moof"}
    if kinds & {b"moof", b"styp"} and b"moov" not in kinds:
        return HEADLESS
    return INCOMPLETE if lacks_index else "The file is not a video that can be read."


class Box(NamedTuple):
    """Where a box of an MP4 lies."""

    kind: bytes
    begin: int
    content: int  # behind its size and kind
    end: int


def boxes(file: RawIOBase, begin: int, end: int) -> Iterator[Box]:
    """Yield the boxes of an MP4."""
    while begin + 16 <= end:
        size, kind, long_size = struct.unpack(">I4sQ", FilePart(file, begin, end).read(16))
        content = begin + (16 if size == 1 else 8)
        size = long_size if size == 1 else size or end - begin  # 0: up to the end
        if size < content - begin:  # no box
            return
        yield Box(kind, begin, content, min(begin + size, end))
        begin += size


def contents(file: RawIOBase, place: Range, wanted: bytes) -> Iterator[Range]:
    """Yield where the contents of the boxes of a kind lie."""
    for box in islice(boxes(file, *place), MAX_BOXES):
        if box.kind == wanted:
            yield box.content, box.end


def chunks(file: RawIOBase, form: str, begin: int, end: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield (first byte of the content, kind, size) of the chunks of a RIFF or PNG file."""
    while begin + 8 <= end:
        first, second = struct.unpack(form, FilePart(file, begin, end).read(8))
        kind, size = (first, second) if form[0] == "<" else (second, first)
        yield begin + 8, kind, size
        begin += 8 + (size + size % 2 if form[0] == "<" else size + 4)
