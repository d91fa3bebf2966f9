"""Find where media files were joined into one, by boxes, elements, tags and pages alone."""

import struct
from collections import deque
from collections.abc import Iterator, Mapping
from io import RawIOBase
from itertools import takewhile
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from unmask.video.byte_ranges import FilePart, Range, read_range
from unmask.video.file_format import boxes, contents
from unmask.video.sampling import CLOCK_STEP_SECONDS, PieceStart

MAX_BOX_BYTES = 2**20  # of a box of an MP4 that are looked through for its clocks
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # with which a Matroska file, and what is in it, begin
SCAN_BYTES = 2**20  # read at a time where a segment does not say how long it is
OGG, OGG_HEAD_BYTES, OGG_BEGINS = b"OggS", 27, 2  # a page, and the flag of the first of a stream
OGG_SCAN_BYTES = 2**17  # in which one begins
ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # with which the identity of the head of an ASF (WMV) begins
IVF, IVF_FRAME_HEAD_BYTES = b"DKIF", 12
FLV_HEAD_BYTES = 13
FLV_VIDEO = 9
MAX_DESCRIPTION_BYTES = 2**12
FLV_DESCRIPTION = (b"\x17\0", b"\x1c\0", b"\x90h", b"\x90a", b"\x90v")  # begins what a decoder must know


def find_mp4_starts(file: RawIOBase, begin: int, end: int, by_index: bool = False) -> Iterator[PieceStart]:
    """Yield each head in MP4s that were joined, and each fragment whose clock starts anew.

    Where it goes by the index, what a head lists is passed over: of a file on its server it need not be read.
    """
    tracks: dict[bytes, tuple[int, int]] = {}  # track -> ticks of a second, and of a sample that does not say it
    last: dict[bytes, tuple[int, int]] = {}  # track -> when its last fragment began and ended, in ticks
    init = movie = (begin, begin)
    until = begin
    while box := next(boxes(file, until, end), None):
        kind, place, content, until = box
        if kind == b"ftyp":
            last.clear()
            init = (place, place)
            yield PieceStart(place)
        elif kind == b"sidx" and by_index:
            until += _indexed_bytes(read_range(file, (content, until), MAX_BOX_BYTES))
        elif kind == b"moov":
            tracks, movie = {}, (place, until)
        elif kind == b"moof":
            init = init if init[1] > init[0] else (init[0], place)
            tracks = tracks or _tracks(FilePart(file, *movie).read(MAX_BOX_BYTES))
            track, ticks_now, until_ticks, movable = _fragment_times(file, (content, until), tracks)
            a_second = tracks.get(track, (1, 0))[0]
            began, ended = last.get(track, (ticks_now, ticks_now))
            low, high = CLOCK_STEP_SECONDS
            if movable and (ticks_now - began < low * a_second or ticks_now - ended > high * a_second):
                last.clear()
                yield PieceStart(place, init=init)
            last[track] = ticks_now, until_ticks


def _indexed_bytes(index: bytes) -> int:
    """Read how many bytes behind a segment index (ISO 14496-12, 8.16.3) it lists; zero where it is of one fragment."""
    listed = index[32 if index[:1] > b"\0" else 24 :]
    sizes = np.frombuffer(listed, ">u4", len(listed) // 12 * 3)[::3]
    return int((sizes & 0x7FFFFFFF).sum(dtype=np.int64)) if len(sizes) > 1 else 0


def _tracks(movie: bytes) -> dict[bytes, tuple[int, int]]:
    """Read identity -> (ticks of a second, ticks of a sample in a fragment) of the tracks of an MP4."""
    lengths = {each[4:8]: int.from_bytes(each[12:16]) for each in movie.split(b"trex")[1:]}
    found = {}
    for track in movie.split(b"trak")[1:]:
        head, media = track.find(b"tkhd") + 4, track.find(b"mdhd") + 4
        if min(head, media) >= 4 and len(track) >= max(head, media) + 24:
            identity = track[head + (20 if track[head] else 12) :][:4]
            ticks = int.from_bytes(track[media + (20 if track[media] else 12) :][:4])
            found[identity] = ticks or 1, lengths.get(identity, 0)
    return found


def _fragment_times(
    file: RawIOBase, place: Range, tracks: Mapping[bytes, tuple[int, int]]
) -> tuple[bytes, int, int, bool]:
    """Read (identity of its first track, its begin and end in ticks, may it be moved?) of a fragment of an MP4."""
    track = next(contents(file, place, b"traf"), (0, 0))
    head, clock = (
        read_range(file, next(contents(file, track, kind), None), MAX_BOX_BYTES) for kind in (b"tfhd", b"tfdt")
    )
    if min(len(head), len(clock)) < 8:
        return b"", 0, 0, False
    begins = int.from_bytes(clock[4 : 12 if clock[0] else 8])
    flags, at = head[3], 8 + 8 * (head[3] & 1) + 2 * (head[3] & 2)
    usual = int.from_bytes(head[at : at + 4]) if flags & 8 else tracks.get(head[4:8], (1, 0))[1]
    length = 0
    for run in contents(file, track, b"trun"):
        data = read_range(file, run, MAX_BOX_BYTES).ljust(8, b"\0")
        samples, skipped = int.from_bytes(data[4:8]), 8 + 4 * (data[3] & 1) + (data[3] & 4)
        fields = (data[2] & 15).bit_count()
        if data[2] & 1:
            values = data[skipped:][: 4 * samples * fields]
            length += int(np.frombuffer(values, ">u4", len(values) // 4)[::fields].sum(dtype=np.int64))
        else:
            length += samples * usual
    return head[4:8], begins, begins + length, not flags & 1


def find_matroska_starts(file: RawIOBase, begin: int, end: int, scan_bytes: int = SCAN_BYTES) -> Iterator[PieceStart]:
    """Yield each head in Matroska or WebM files that were joined; one behind a segment of unknown size is looked for.

    Args:
        file: The file.
        begin: Where they begin in it.
        end: Where they end.
        scan_bytes: Read at a time to look for it; 0: it is not looked for.
    """
    place = begin
    while place < end and FilePart(file, place, end).read(4) == EBML:
        yield PieceStart(place)
        place = _element_end(file, place, end)
        after = _element_end(file, place, end) if FilePart(file, place, end).read(4) == SEGMENT else end
        place = after if after > place else _find(file, EBML, place + 4, end, scan_bytes)


def _element_end(file: RawIOBase, place: int, end: int) -> int:
    """Find where an element with an identity of four bytes ends; `place` where it does not say."""
    data = FilePart(file, place + 4, end).read(8)
    length = 9 - data[0].bit_length() if data and data[0] else 9
    if len(data) < length:
        return end
    value = int.from_bytes(data[:length]) & (1 << 7 * length) - 1
    return place if value == (1 << 7 * length) - 1 else place + 4 + length + value


def _find(file: RawIOBase, mark: bytes, begin: int, end: int, scan_bytes: int) -> int:
    """Find a mark; the end where there is none."""
    part, before = FilePart(file, begin, end), b""
    while block := part.read(scan_bytes):
        at = (before + block).find(mark)
        if at >= 0:
            return begin + at
        begin += len(before) + len(block) - len(mark) + 1
        before = (before + block)[1 - len(mark) :]
    return end


def find_flv_starts(file: RawIOBase, begin: int, end: int) -> Iterator[PieceStart]:
    """Yield each part of an FLV with one clock and one size: tags of several recordings may follow each other."""
    place, last, init, described = begin, None, (begin, begin), b""
    while place + FLV_HEAD_BYTES <= end:
        kind, size, low, high, first = struct.unpack(">B3s3sB3x2s", FilePart(file, place, end).read(FLV_HEAD_BYTES))
        if kind == b"F"[0]:  # the head of another file
            yield PieceStart(place)
            init = (place, place + FLV_HEAD_BYTES)
            place, last, described = init[1], None, b""
            continue
        seconds = int.from_bytes(bytes([high]) + low) / 1000
        if last is not None and not CLOCK_STEP_SECONDS[0] <= seconds - last <= CLOCK_STEP_SECONDS[1]:
            yield PieceStart(place, init=init)
        last = seconds
        tag, place = place, place + 11 + int.from_bytes(size) + 4
        if kind == FLV_VIDEO and (first in FLV_DESCRIPTION or not described):
            description = FilePart(file, tag + 11, place).read(MAX_DESCRIPTION_BYTES)
            if not described:
                init = (init[0], place if first in FLV_DESCRIPTION else init[1])
            elif description != described:  # a phone was turned
                yield PieceStart(tag, init=(init[0], init[0] + FLV_HEAD_BYTES))
            described = description


def find_ogg_starts(file: RawIOBase, begin: int, end: int) -> Iterator[PieceStart]:
    """Yield each link of a chain of Ogg files: the first pages of its streams come together."""
    before = False
    for page in _ogg_pages(file, begin, end):
        if page.begins and not before:
            yield PieceStart(page.place)
        before = page.begins


def find_ogg_starts_by_ranges(file: RawIOBase, begin: int, end: int) -> Iterator[PieceStart]:
    """Yield each link of a chain of Ogg files, by bisection: the streams of each have numbers of their own."""
    last = deque(_ogg_pages(file, max(begin, end - OGG_SCAN_BYTES), end), maxlen=1)
    while last and begin < end:
        yield PieceStart(begin)
        streams = {page.stream for page in takewhile(attrgetter("begins"), _ogg_pages(file, begin, end))}
        if last[0].stream in streams:
            return
        low, high = begin, end
        while high - low > OGG_SCAN_BYTES:
            middle = (low + high) // 2
            page = next(_ogg_pages(file, middle, high), None)
            low, high = (middle, high) if page and page.stream in streams else (low, middle)
        new = (page.place for page in _ogg_pages(file, low, end) if page.begins and page.stream not in streams)
        begin = next(new, end)


class _OggPage(NamedTuple):
    """Where a page lies, the number of its stream, and whether it is the first of it."""

    place: int
    stream: bytes
    begins: bool


def _ogg_pages(file: RawIOBase, begin: int, end: int) -> Iterator[_OggPage]:
    """Yield the pages from the first one on that begins at or soon after a place."""
    place = begin + max(0, FilePart(file, begin, end).read(OGG_SCAN_BYTES).find(OGG))
    while (head := FilePart(file, place, end).read(OGG_HEAD_BYTES + 255)).startswith(OGG):
        if len(head) <= OGG_HEAD_BYTES:
            return
        yield _OggPage(place, head[14:18], bool(head[5] & OGG_BEGINS))
        segments = head[26]
        place += OGG_HEAD_BYTES + segments + sum(head[OGG_HEAD_BYTES : OGG_HEAD_BYTES + segments])


def find_asf_starts(file: RawIOBase, begin: int, end: int) -> Iterator[PieceStart]:
    """Yield each head in ASF (WMV) files that were joined."""
    place = begin
    while len(head := FilePart(file, place, end).read(24)) == 24:
        if head.startswith(ASF):
            yield PieceStart(place)
        size_bytes = int.from_bytes(head[16:], "little")
        if size_bytes < 24:  # the end is not known
            return
        place += size_bytes


def find_ivf_starts(file: RawIOBase, begin: int, end: int) -> Iterator[PieceStart]:
    """Yield each head in IVF files that were joined."""
    place, size_bytes = begin, 1
    while size_bytes and len(head := FilePart(file, place, end).read(IVF_FRAME_HEAD_BYTES)) == IVF_FRAME_HEAD_BYTES:
        if head.startswith(IVF):
            yield PieceStart(place)
            size_bytes = int.from_bytes(head[6:8], "little")
        else:
            size_bytes = IVF_FRAME_HEAD_BYTES + int.from_bytes(head[:4], "little")
        place += size_bytes
