"""Split a media file into pieces that have one clock each, so that a player's clock runs on over all of them."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import RawIOBase
from itertools import groupby, islice, pairwise
from operator import attrgetter

from unmask.errors import UnmaskError
from unmask.video.container import MEDIA_ERRORS, moving_streams, open_container, open_video, video_stream
from unmask.video.file_format import boxes
from unmask.video.partial_file import FilePart
from unmask.video.sampling import Piece

CLOCK_STEP_SECONDS = (-1.0, 10.0)  # a larger one is no pause but another clock, as for FFmpeg and mpv
KEY_STEP_SECONDS = -0.1  # at a key frame a smaller step back is enough
MAX_PIECES = 256  # of a file
MAX_RUNS = 4  # of packets of a stream; where there are more, streams run side by side
TAIL_BYTES = 2**16  # after the last picture of a broadcast stream: it may be one more stream
PACKET_BYTES = (188, 192)  # of transport streams, as broadcast and on disks
TABLES = (b"\x47\x40\x00", b"\x47\x60\x00")  # a packet that begins a program association table
HEAD_BYTES = 2**17  # before a broadcast stream's picture: its tables lie there
MAX_BOX_BYTES = 2**20  # of a box of an MP4 that are looked through for its clocks
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # with which a Matroska file, and what is in it, begin
SCAN_BYTES = 2**20  # read at a time where a segment does not say how long it is
CLOCK_SAMPLES = 16  # of the clock of a transport stream elsewhere
SAMPLE_BYTES = 2**17  # that are looked through for a clock; there is one every tenth of a second
WRAP_SECONDS = 2**33 / 90_000  # after which the clock of a broadcast stream begins anew
FLV_HEAD_BYTES = 13
FLV_VIDEO = 9
FLV_DESCRIPTION = (b"\x17\0", b"\x1c\0", b"\x90h", b"\x90a", b"\x90v")  # begins what a decoder must know


@dataclass(frozen=True)
class _Start:
    """Where a piece begins."""

    byte: int
    seconds: float | None = None  # that it lasts; None: it is measured
    head: tuple[int, int] = (0, 0)  # see `Piece`


def find_pieces(file: RawIOBase, whole: Piece) -> tuple[Piece, ...]:
    """Split a piece where its clock starts anew or jumps, or where another video was joined on.

    Broadcast streams may be joined at any byte, the others at any head, and fragments may come from several recordings:
    all that is read is the packets' times, or the boxes' sizes. Other formats are one piece.
    """
    place = (file, whole.begin_byte, whole.end_byte)
    start = FilePart(*place).read(12)
    starts: Iterator[_Start] = iter(())
    if start[4:8] == b"ftyp":
        starts = _joined_mp4(*place)
    elif start.startswith(EBML):
        starts = _joined_matroska(*place)
    elif start.startswith(b"FLV"):
        starts = _flv_clocks(*place)
    elif start.startswith((b"\x47", b"\0\0\1\xba")) or start[4:5] == b"\x47":
        starts = _clocks(*place)
    return _laid_out(file, whole, list(islice(starts, MAX_PIECES)))


def _laid_out(file: RawIOBase, whole: Piece, found: list[_Start]) -> tuple[Piece, ...]:
    """Put pieces on one clock, one behind the other."""
    if len(found) < 2:
        return (whole,)
    pieces: list[Piece] = []
    clock = whole.start_seconds
    for now, end in pairwise([*found, _Start(whole.end_byte)]):
        piece = Piece(now.byte, end.byte, clock, None, None if pieces else whole.period, now.head)
        clock += _length_seconds(file, piece) if now.seconds is None else now.seconds
        pieces.append(Piece(now.byte, end.byte, piece.start_seconds, clock, piece.period, now.head))
    return tuple(pieces)


def open_piece(file: RawIOBase, piece: Piece) -> FilePart:
    """Open a piece as a file of its own."""
    return FilePart(file, piece.begin_byte, piece.end_byte, FilePart(file, *piece.head).read(sum(piece.head)))


def _length_seconds(file: RawIOBase, piece: Piece) -> float:
    """Measure how long the pictures of a piece last; zero where it cannot be read."""
    try:
        with open_video(open_piece(file, piece), 0.0) as reader:
            return reader.end_seconds() or 0.0
    except UnmaskError:
        return 0.0


def _joined_mp4(file: RawIOBase, begin: int, end: int) -> Iterator[_Start]:
    """Yield each head in MP4s that were joined, and each fragment whose clock starts anew."""
    ticks: dict[bytes, int] = {}  # track -> a second
    last: dict[bytes, int] = {}  # track -> when its last fragment began
    head = (begin, begin)
    for place, kind in boxes(file, begin, end):
        if kind == b"ftyp":
            last.clear()
            head = (place, place)
            yield _Start(place)
        elif kind == b"moov":
            tracks = FilePart(file, place, end).read(MAX_BOX_BYTES).split(b"trak")[1:]
            ticks = dict(filter(None, map(_track_ticks, tracks)))
        elif kind == b"moof":
            head = head if head[1] > head[0] else (head[0], place)
            size_bytes = int.from_bytes(FilePart(file, place, end).read(4))
            data = FilePart(file, place, end).read(min(size_bytes, MAX_BOX_BYTES))
            track, ticks_now, movable = _fragment_start(data)
            back = (last.get(track, 0) - ticks_now) / ticks.get(track, 1)
            if back > -CLOCK_STEP_SECONDS[0] and movable:
                last.clear()
                yield _Start(place, head=head)
            last[track] = ticks_now


def _track_ticks(track: bytes) -> tuple[bytes, int] | None:
    """Read (identity, ticks a second) of a track of an MP4."""
    head, media = track.find(b"tkhd") + 4, track.find(b"mdhd") + 4
    if min(head, media) < 4 or len(track) < max(head, media) + 24:
        return None
    identity = track[head + (20 if track[head] else 12) :][:4]
    return identity, int.from_bytes(track[media + (20 if track[media] else 12) :][:4]) or 1


def _fragment_start(fragment: bytes) -> tuple[bytes, int, bool]:
    """Read (identity of its first track, its clock in ticks, may it stand elsewhere?) of a fragment of an MP4."""
    head, clock = fragment.find(b"tfhd") + 4, fragment.find(b"tfdt") + 4
    if min(head, clock) < 4:
        return b"", 0, False
    absolute = fragment[head + 3] & 1
    return (
        fragment[head + 4 : head + 8],
        int.from_bytes(fragment[clock + 4 :][: 8 if fragment[clock] else 4]),
        not absolute,
    )


def _joined_matroska(file: RawIOBase, begin: int, end: int) -> Iterator[_Start]:
    """Yield each head in Matroska or WebM files that were joined."""
    place = begin
    while place < end and FilePart(file, place, end).read(4) == EBML:
        yield _Start(place)
        place = _element_end(file, place, end)
        after = _element_end(file, place, end) if FilePart(file, place, end).read(4) == SEGMENT else end
        place = after if after > place else _find(file, EBML, place + 4, end)


def _element_end(file: RawIOBase, place: int, end: int) -> int:
    """Find where an element with an identity of four bytes ends; `place` where it does not say."""
    data = FilePart(file, place + 4, end).read(8)
    length = 9 - data[0].bit_length() if data and data[0] else 9
    if len(data) < length:
        return end
    value = int.from_bytes(data[:length]) & (1 << 7 * length) - 1
    return place if value == (1 << 7 * length) - 1 else place + 4 + length + value


def _find(file: RawIOBase, mark: bytes, begin: int, end: int) -> int:
    """Find a mark; the end where there is none."""
    part, before = FilePart(file, begin, end), b""
    while block := part.read(SCAN_BYTES):
        at = (before + block).find(mark)
        if at >= 0:
            return begin + at
        begin += len(before) + len(block) - len(mark) + 1
        before = (before + block)[1 - len(mark) :]
    return end


def _flv_clocks(file: RawIOBase, begin: int, end: int) -> Iterator[_Start]:
    """Yield each part of an FLV that has one clock: tags of several recordings may follow each other."""
    place, last, head, described = begin, None, (begin, begin), False
    while place + FLV_HEAD_BYTES <= end:
        kind, size, low, high, first = struct.unpack(">B3s3sB3x2s", FilePart(file, place, end).read(FLV_HEAD_BYTES))
        if kind == b"F"[0]:  # the head of another file
            yield _Start(place)
            head = (place, place + FLV_HEAD_BYTES)
            place, last, described = head[1], None, False
            continue
        seconds = int.from_bytes(bytes([high]) + low) / 1000
        if last is not None and not CLOCK_STEP_SECONDS[0] <= seconds - last <= CLOCK_STEP_SECONDS[1]:
            yield _Start(place, head=head)
        last = seconds
        place += 11 + int.from_bytes(size) + 4
        if kind == FLV_VIDEO and not described:
            head, described = (head[0], place if first in FLV_DESCRIPTION else head[1]), True


@dataclass(frozen=True)
class _Packet:
    """When a packet is decoded and shown, in seconds, and where it lies."""

    stream: int
    byte: int
    decoded: float
    shown: float
    until: float
    is_key: bool
    pause: float  # the longest time before it in which nothing is decoded, of any stream


def _clocks(file: RawIOBase, begin: int, end: int) -> Iterator[_Start]:
    """Yield each part of a broadcast stream [begin, end) that has one clock."""
    packets = _video_packets(file, begin, end)
    start, since = begin, 0
    for place, (before, now) in enumerate(pairwise(packets), 1):
        low, high = CLOCK_STEP_SECONDS
        step = now.decoded - before.decoded
        back = step < low or (step < KEY_STEP_SECONDS and now.is_key)
        if back or now.pause > high or now.stream != before.stream:
            yield _Start(start, _shown_seconds(packets[since:place]))
            start, since = _tables_before(file, begin, now.byte), place
    if packets:
        yield _Start(start, _shown_seconds(packets[since:]))
        if end - packets[-1].byte > TAIL_BYTES:  # a joined stream whose tables name other packets
            with suppress(UnmaskError):
                yield from _clocks(file, packets[-1].byte + 1, end)


def _shown_seconds(packets: list[_Packet]) -> float:
    return max(packet.until for packet in packets) - min(packet.shown for packet in packets)


def _video_packets(file: RawIOBase, begin: int, end: int) -> list[_Packet]:
    """List the packets of the pictures that a player shows: of one stream, or of several that follow each other."""
    packets: list[_Packet] = []
    with (
        open_container(FilePart(file, begin, end)) as container,
        suppress(*MEDIA_ERRORS),
    ):  # by a stream that comes late
        shown = video_stream(container).index
        moving = {stream.index for stream in moving_streams(container)}
        since: list[float] = []  # when packets were decoded, from the last picture on
        for packet in container.demux():
            if packet.dts is None or packet.pts is None:
                continue
            tick = float(packet.time_base)
            decoded, seconds = packet.dts * tick, packet.pts * tick
            since.append(decoded)
            if packet.stream_index in moving:
                until = seconds + (packet.duration or 0) * tick
                byte = begin + (packet.pos or 0)
                pause = max((b - a for a, b in pairwise(sorted(since))), default=0.0) if decoded >= since[0] else 0.0
                packets.append(_Packet(packet.stream_index, byte, decoded, seconds, until, packet.is_keyframe, pause))
                since = [decoded]
    packets.sort(key=attrgetter("byte"))  # the last of a stream comes late
    runs = sum(1 for _ in groupby(packets, attrgetter("stream")))
    if runs > MAX_RUNS * len(moving):
        return [packet for packet in packets if packet.stream == shown]
    return packets


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


# A transport stream elsewhere: its clock is read at a few places only.


def find_remote_pieces(file: RawIOBase, whole: Piece) -> tuple[Piece, ...]:
    """Split a transport stream where its clock starts anew or jumps, by a few ranges; other formats are left whole.

    A clock that starts anew and has run on to where it was before between two of these places is not noticed.
    """
    if FilePart(file, whole.begin_byte, whole.end_byte).read(1) != b"\x47":
        return (whole,)
    step = (whole.end_byte - whole.begin_byte) // CLOCK_SAMPLES
    places = range(whole.begin_byte, whole.end_byte - step // 2, max(step, SAMPLE_BYTES))
    times = [clock for place in places if (clock := _clock_after(file, place, whole.end_byte)) is not None]
    usual = sorted(b.seconds - a.seconds for a, b in pairwise(times))[len(times) // 2 - 1 :][:1]
    starts = [_Start(whole.begin_byte)]
    for before, after in pairwise(times):
        if not CLOCK_STEP_SECONDS[0] <= after.seconds - before.seconds <= CLOCK_STEP_SECONDS[1] + 4 * max(0.0, *usual):
            starts += map(_Start, _jumps(file, before, after))
    return _laid_out(file, whole, starts)


@dataclass(frozen=True)
class _Clock:
    """What the clock of a transport stream says at a byte."""

    byte: int
    seconds: float


def _clock_after(file: RawIOBase, begin: int, end: int) -> _Clock | None:
    """Find the first clock from a place on."""
    return next(_clocks_in(FilePart(file, begin, min(end, begin + SAMPLE_BYTES)).read(SAMPLE_BYTES), begin), None)


def _clocks_in(data: bytes, begin: int) -> Iterator[_Clock]:
    """Yield the programme clocks in a part of a transport stream that lies at `begin`."""
    first = next((at for at in range(PACKET_BYTES[0]) if data[at::188][:5] == b"\x47" * 5), len(data))
    for at in range(first, len(data) - 12, 188):
        if data[at] == 0x47 and data[at + 3] & 0x20 and data[at + 4] > 6 and data[at + 5] & 0x10:
            yield _Clock(begin + at, (int.from_bytes(data[at + 6 : at + 11]) >> 7) / 90_000)


def _jumps(file: RawIOBase, before: _Clock, after: _Clock) -> list[int]:
    """Bisect for the byte from which a clock has jumped; none where it only ran fast, or its 33 bits were over."""
    if before.seconds - after.seconds > WRAP_SECONDS / 2:
        return []
    while after.byte - before.byte > SAMPLE_BYTES:
        middle = _clock_after(file, (before.byte + after.byte) // 2, after.byte)
        if middle is None or middle.byte >= after.byte:
            break
        back = after.seconds < before.seconds
        first_half = middle.seconds - before.seconds, after.seconds - middle.seconds
        jumped_before = first_half[0] < first_half[1] if back else first_half[0] > first_half[1]
        before, after = (before, middle) if jumped_before else (middle, after)
    low, high = CLOCK_STEP_SECONDS
    inside = _clocks_in(FilePart(file, before.byte, after.byte + 188).read(2 * SAMPLE_BYTES), before.byte)
    return [
        _tables_before(file, before.byte, b.byte)
        for a, b in pairwise(inside)
        if not low <= b.seconds - a.seconds <= high
    ]
