"""Split a media file into pieces that have one clock each, so that a player's clock runs on over all of them."""

import math
from collections.abc import Iterator
from contextlib import suppress
from io import RawIOBase
from itertools import islice, pairwise

from unmask.errors import UnmaskError
from unmask.video.container import boxes, keep_only, open_container, open_video, video_stream
from unmask.video.partial_file import FilePart
from unmask.video.sampling import Piece

CLOCK_STEP_SECONDS = (-1.0, 10.0)  # a larger one is no pause but another clock, as for FFmpeg and mpv
MAX_PIECES = 256  # of a file
TAIL_BYTES = 2**16  # after the last picture of a broadcast stream: it may be one more stream
PACKET_BYTES = (188, 192)  # of transport streams, as broadcast and on disks
TABLES = (b"\x47\x40\x00", b"\x47\x60\x00")  # a packet that begins a program association table
HEAD_BYTES = 2**17  # before a broadcast stream's picture: its tables lie there


def find_pieces(file: RawIOBase, whole: Piece) -> tuple[Piece, ...]:
    """Split a piece where its clock starts anew or jumps, or where another video was joined on.

    Broadcast streams may be joined at any byte and fragmented MP4s at any head, so all that is read is the packets'
    times, or the boxes' sizes. Other formats are one piece.
    """
    place = (file, whole.begin_byte, whole.end_byte)
    start = FilePart(*place).read(12)
    if start[4:8] == b"ftyp":
        found = list(islice(_joined_mp4(*place), MAX_PIECES))
    elif start.startswith((b"\x47", b"\0\0\1\xba")) or start[4:5] == b"\x47":
        found = list(islice(_clocks(*place), MAX_PIECES))
    else:
        found = []
    if len(found) < 2:
        return (whole,)
    pieces: list[Piece] = []
    clock = whole.start_seconds
    for (begin, seconds), (end, _) in pairwise([*found, (whole.end_byte, None)]):
        length = _length_seconds(FilePart(file, begin, end)) if seconds is None else seconds
        pieces.append(Piece(begin, end, clock, clock + length, None if pieces else whole.period))
        clock += length
    return tuple(pieces)


def _joined_mp4(file: RawIOBase, begin: int, end: int) -> Iterator[tuple[int, float | None]]:
    """Yield (first byte, None) of each head in MP4s that were joined."""
    return ((place, None) for place, kind in boxes(file, begin, end) if kind == b"ftyp")


def _length_seconds(part: FilePart) -> float:
    """Measure how long the pictures of a piece last; zero where it cannot be read."""
    try:
        with open_video(part, 0.0) as reader:
            return reader.end_seconds() or 0.0
    except UnmaskError:
        return 0.0


def _clocks(file: RawIOBase, begin: int, end: int) -> Iterator[tuple[int, float | None]]:
    """Yield (first byte, seconds) of each part of a broadcast stream [begin, end) that has one clock."""
    with open_container(FilePart(file, begin, end)) as container:
        stream = video_stream(container)
        keep_only(stream, container)
        tick_seconds = float(stream.time_base or 1)
        start, first, until, last, place = begin, math.inf, -math.inf, None, begin
        for packet in container.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            place = begin + (packet.pos or 0)
            if last is not None:
                low, high = CLOCK_STEP_SECONDS
                if not low <= (packet.dts - last) * tick_seconds <= high:
                    yield start, (until - first) * tick_seconds
                    start, first, until = _tables_before(file, begin, place), math.inf, -math.inf
            first, until, last = min(first, packet.pts), max(until, packet.pts + (packet.duration or 0)), packet.dts
    if last is not None:
        yield start, (until - first) * tick_seconds
        if end - place > TAIL_BYTES:  # a joined stream whose tables name other packets
            with suppress(UnmaskError):
                yield from _clocks(file, place + 1, end)


def _tables_before(file: RawIOBase, begin: int, place: int) -> int:
    """Find the last tables of a transport stream, or pack of a program stream, before a picture's packet."""
    lowest = max(begin, place - HEAD_BYTES)
    data = FilePart(file, lowest, place).read(HEAD_BYTES)
    pack = data.rfind(b"\0\0\1\xba")
    for size in PACKET_BYTES:
        heads = range(len(data) - size, -1, -size)
        table = next((at for at in heads if data[at + size - 188 : at + size - 185] in TABLES), None)
        if table is not None:
            return lowest + table
    return place if pack < 0 else lowest + pack
