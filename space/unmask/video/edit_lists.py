"""Read the edit lists of MP4 files: what of a track players leave out."""

import os
import struct
from io import RawIOBase

from unmask.video.byte_ranges import Range, read_range
from unmask.video.file_format import contents

MAX_EDITS_BYTES = 2**16
NO_DURATION = 2**32 - 1  # as a header says it, at least


def hidden_seconds(file: RawIOBase, end: int) -> float:
    """Find how many seconds of a track its edit list (ISO 14496-12, 8.6.6) leaves out, at the most."""
    hidden = [0.0]
    for movie in contents(file, (0, end), b"moov"):
        ticks, _ = _times(file, movie, b"mvhd")
        for track in contents(file, movie, b"trak"):
            lists = (place for edits in contents(file, track, b"edts") for place in contents(file, edits, b"elst"))
            shown = sum(length for place in lists for length, start in _edits(file, place) if start >= 0)
            for media in contents(file, track, b"mdia"):
                media_ticks, duration = _times(file, media, b"mdhd")
                if ticks and media_ticks and shown and duration < NO_DURATION:
                    hidden.append(duration / media_ticks - shown / ticks)
    return max(hidden)


def lacks_lengths(file: RawIOBase) -> bool:
    """Tell whether no edit has a length, in an MP4 without fragments, where that means nothing: players show all."""
    lengths = []
    for movie in contents(file, (0, file.seek(0, os.SEEK_END)), b"moov"):
        if any(contents(file, movie, b"mvex")):
            return False
        for track in contents(file, movie, b"trak"):
            lists = (place for edits in contents(file, track, b"edts") for place in contents(file, edits, b"elst"))
            lengths += [length for place in lists for length, _ in _edits(file, place)]
    return bool(lengths) and not any(lengths)


def _times(file: RawIOBase, place: Range, kind: bytes) -> tuple[int, int]:
    """Read ticks a second and ticks in all of a header box."""
    for header in contents(file, place, kind):
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
