"""Find where the clock of a broadcast stream starts anew or jumps: MPEG transport and program streams."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import RawIOBase
from itertools import groupby, pairwise
from operator import attrgetter

from unmask.errors import UnmaskError
from unmask.video.byte_ranges import FilePart
from unmask.video.container import MEDIA_ERRORS, moving_streams, open_container, video_stream
from unmask.video.sampling import CLOCK_STEP_SECONDS, PieceStart

KEY_STEP_SECONDS = -0.1  # at a key frame a smaller step back is enough
MAX_RUNS = 4  # of packets of a stream; where there are more, streams run side by side
TAIL_BYTES = 2**16  # after the last picture of a broadcast stream: it may be one more stream
PACKET_BYTES = (188, 192)  # of transport streams, as broadcast and on disks
PACK, PACK_CLOCK = b"\0\0\1\xba", re.compile(rb"\x00\x00\x01\xba([\x20-\x2f\x40-\x7f].{4})", re.DOTALL)
TABLES = (b"\x47\x40\x00", b"\x47\x60\x00")  # a packet that begins a program association table
HEAD_BYTES = 2**17  # before a broadcast stream's picture: its tables lie there
CLOCK_SAMPLES = 16  # of the clock of a stream on its server
SAMPLE_BYTES = 2**17  # that are looked through for a clock; there is one every tenth of a second
WRAP_SECONDS = 2**33 / 90_000  # after which the clock of a broadcast stream begins anew


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


def find_broadcast_starts(file: RawIOBase, begin: int, end: int) -> Iterator[PieceStart]:
    """Yield each part of a broadcast stream [begin, end) that has one clock."""
    packets = _video_packets(file, begin, end)
    start, since = begin, 0
    for place, (before, now) in enumerate(pairwise(packets), 1):
        low, high = CLOCK_STEP_SECONDS
        step = now.decoded - before.decoded
        back = step < low or (step < KEY_STEP_SECONDS and now.is_key)
        if back or now.pause > high or now.stream != before.stream:
            yield PieceStart(start, _shown_seconds(packets[since:place]))
            start, since = _tables_before(file, begin, now.byte), place
    if packets:
        yield PieceStart(start, _shown_seconds(packets[since:]))
        if end - packets[-1].byte > TAIL_BYTES:  # a joined stream whose tables name other packets
            with suppress(UnmaskError):
                yield from find_broadcast_starts(file, packets[-1].byte + 1, end)


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
        places: dict[int, int] = {}  # of the last picture of each stream; of the next ones in its packet none is known
        for packet in container.demux():
            if packet.dts is None or packet.pts is None:
                continue
            tick = float(packet.time_base)
            decoded = _unwrapped(packet.dts * tick, since[-1] if since else None)
            since.append(decoded)
            if packet.stream_index in moving:
                seconds = _unwrapped(packet.pts * tick, decoded)
                until = seconds + (packet.duration or 0) * tick
                byte = places[packet.stream_index] = packet.pos or places.get(packet.stream_index, 0)
                pause = max((b - a for a, b in pairwise(sorted(since))), default=0.0) if decoded >= since[0] else 0.0
                packets.append(
                    _Packet(packet.stream_index, begin + byte, decoded, seconds, until, packet.is_keyframe, pause)
                )
                since = [decoded]
    packets.sort(key=attrgetter("byte"))  # the last of a stream comes late
    runs = sum(1 for _ in groupby(packets, attrgetter("stream")))
    if runs > MAX_RUNS * len(moving):
        return [packet for packet in packets if packet.stream == shown]
    return packets


def _unwrapped(seconds: float, near: float | None) -> float:
    """Lay a time where its 33 bits come nearest to another time."""
    return seconds if near is None else seconds + WRAP_SECONDS * round((near - seconds) / WRAP_SECONDS)


def _tables_before(file: RawIOBase, begin: int, place: int) -> int:
    """Find the last tables of a transport stream, or pack of a program stream, before a picture's packet."""
    lowest = max(begin, place - HEAD_BYTES)
    until = FilePart(file, lowest, place + len(PACK)).read(HEAD_BYTES + len(PACK))
    data, pack = until[: place - lowest], until.rfind(PACK)
    for size in PACKET_BYTES:
        heads = range(len(data) - size, -1, -size)
        table = next((at for at in heads if data[at + size - 188 : at + size - 185] in TABLES), None)
        if table is not None:
            return lowest + table
    return place if pack < 0 else lowest + pack


# A stream on its server: its clock is read at a few places only.


@dataclass(frozen=True)
class _Clock:
    """What the clock of a stream says at a byte."""

    byte: int
    seconds: float


def find_sampled_starts(file: RawIOBase, begin: int, end: int) -> list[PieceStart]:
    """List each part of a transport or program stream [begin, end) that has one clock, by a few ranges.

    A clock that starts anew and has run on to where it was before between two of these places is not noticed.
    """
    step = (end - begin) // CLOCK_SAMPLES
    places = range(begin, end - step // 2, max(step, SAMPLE_BYTES))
    times = [clock for place in places if (clock := _clock_after(file, place, end)) is not None]
    usual = sorted(b.seconds - a.seconds for a, b in pairwise(times))[len(times) // 2 - 1 :][:1]
    starts = [PieceStart(begin)]
    for before, after in pairwise(times):
        if not CLOCK_STEP_SECONDS[0] <= after.seconds - before.seconds <= CLOCK_STEP_SECONDS[1] + 4 * max(0.0, *usual):
            starts += map(PieceStart, _jumps(file, before, after))
    return starts


def _clock_after(file: RawIOBase, begin: int, end: int) -> _Clock | None:
    """Find the first clock from a place on."""
    return next(_clocks_in(FilePart(file, begin, min(end, begin + SAMPLE_BYTES)).read(SAMPLE_BYTES), begin), None)


def _clocks_in(data: bytes, begin: int) -> Iterator[_Clock]:
    """Yield the clocks in a part of a stream that lies at `begin`."""
    for size in PACKET_BYTES:
        first = next((at for at in range(size) if data[at::size][:5] == b"\x47" * 5), len(data))
        for at in range(first, len(data) - 12, size):
            if data[at] == 0x47 and data[at + 3] & 0x20 and data[at + 4] > 6 and data[at + 5] & 0x10:
                seconds = (int.from_bytes(data[at + 6 : at + 11]) >> 7) / 90_000
                yield _Clock(max(begin, begin + at + 188 - size), seconds)
        if first < len(data):
            return
    for pack in PACK_CLOCK.finditer(data):
        bits = int.from_bytes(pack[1]) >> (2 if pack[1] >= b"\x40" else 0)  # of MPEG-2, or MPEG-1
        ticks = (bits >> 33 & 7) << 30 | (bits >> 17 & 0x7FFF) << 15 | bits >> 1 & 0x7FFF
        yield _Clock(begin + pack.start(), ticks / 90_000)


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
