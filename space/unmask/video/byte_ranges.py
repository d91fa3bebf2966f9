"""Read a file on its server by ranges of its bytes, or a range of a file as a file of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO, RawIOBase
from pathlib import Path
from typing import Any

from unmask.errors import BadInput

BLOCK_BYTES = 2**18  # ranges begin at multiples of this
MAX_RANGE_BYTES = 2**22  # of one request
MAX_CACHE_BYTES = 2**28  # of blocks that are kept: all of a file within the usual limits

Range = tuple[int, int]  # first byte, and the byte after the last
ReadBytes = Callable[[int, int], Any]  # begin, end -> the bytes [begin, end), a buffer


def open_file(path: Path) -> FileIO:
    """Open a file for reading. Raises BadInput if there is no such file."""
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise BadInput(f"{path.name} cannot be opened: {error.strerror}.") from error


@dataclass(frozen=True)
class ByteRanges:
    """A file on its server, of which ranges can be read."""

    size_bytes: int
    read: ReadBytes


class _RangeReader(RawIOBase):
    """The bytes [begin, end) of something, as a read-only file."""

    def __init__(self, begin: int, end: int) -> None:
        super().__init__()
        self._begin, self._end = begin, end
        self._position = begin

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read at any place."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a place, counted from the start, from here or from the end, as files do."""
        position = (self._begin, self._position, self._end)[whence] + offset
        if position < self._begin:
            raise OSError("A place before the start of the file.")
        self._position = position
        return position - self._begin


class RemoteFile(_RangeReader):
    """A read-only file over `ByteRanges`. Reads whole blocks, more of them ahead where it is read from front to end."""

    def __init__(self, ranges: ByteRanges) -> None:
        super().__init__(0, ranges.size_bytes)
        self._ranges = ranges
        self._blocks: dict[int, bytes] = {}
        self._next_block = 0  # after the last that was read
        self._count = 1  # blocks of the last request

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer, up to BLOCK_BYTES at once; returns the number of bytes."""
        end = min(self._position + min(len(buffer), BLOCK_BYTES), self._ranges.size_bytes)
        if self._position >= end:
            return 0
        first, last = self._position // BLOCK_BYTES, -(-end // BLOCK_BYTES)
        self._fetch(first, last)
        begin = first * BLOCK_BYTES
        data = b"".join(map(self._blocks.__getitem__, range(first, last)))[self._position - begin : end - begin]
        buffer[: len(data)] = data
        self._position = end
        return len(data)

    def _fetch(self, first: int, last: int) -> None:
        """Have the blocks [first, last) here."""
        if len(self._blocks) > MAX_CACHE_BYTES // BLOCK_BYTES:
            self._blocks.clear()
        missing = [index for index in range(first, last) if index not in self._blocks]
        if not missing:
            return
        in_order = missing[0] == self._next_block > 0
        self._count = min(2 * self._count, MAX_RANGE_BYTES // BLOCK_BYTES) if in_order else len(missing)
        self._next_block = missing[0] + self._count
        begin, end = missing[0] * BLOCK_BYTES, min(self._next_block * BLOCK_BYTES, self._ranges.size_bytes)
        data = self._ranges.read(begin, end)
        for index, start in enumerate(range(0, len(data), BLOCK_BYTES), missing[0]):
            self._blocks[index] = bytes(data[start : start + BLOCK_BYTES])


class FilePart(_RangeReader):
    """The bytes [begin, end) of an open file behind a `head`, as a read-only file; closing it leaves that one open."""

    def __init__(self, file: RawIOBase, begin: int, end: int, head: bytes = b"") -> None:
        super().__init__(begin - len(head), end)
        self._file, self._head = file, head

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as the part goes; returns the number of bytes."""
        head = self._head[self._position - self._begin :][: len(buffer)]
        buffer[: len(head)] = head
        self._position += len(head)
        self._file.seek(max(0, self._position))
        count = self._file.readinto(memoryview(buffer)[len(head) :][: max(0, self._end - self._position)]) or 0
        self._position += count
        return len(head) + count


def read_range(file: RawIOBase, place: Range | None, max_bytes: int) -> bytes:
    """Read what lies at a place; nothing of what is too large."""
    begin, end = place or (0, 0)
    if end - begin > max_bytes:
        return b""
    part, blocks = FilePart(file, begin, end), []
    while block := part.read(max_bytes):
        blocks.append(block)
    return b"".join(blocks)
