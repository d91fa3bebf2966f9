"""A media file of which only the parts that are looked at are fetched."""

from collections.abc import Callable
from dataclasses import dataclass
from io import RawIOBase
from typing import Any

BLOCK_BYTES = 2**18  # ranges begin at multiples of this
MAX_RANGE_BYTES = 2**22  # of one request
MAX_CACHE_BYTES = 2**28  # of blocks that are remembered: all of a file within the usual limits

ReadBytes = Callable[[int, int], Any]  # begin, end -> the bytes [begin, end), a buffer


@dataclass(frozen=True)
class ByteRanges:
    """A file elsewhere, of which ranges can be read."""

    size_bytes: int
    read: ReadBytes


class PartialFile(RawIOBase):
    """A read-only file over `ByteRanges`. Reads whole blocks, more of them ahead where it is read from front to end."""

    def __init__(self, ranges: ByteRanges) -> None:
        super().__init__()
        self._ranges = ranges
        self._position = 0
        self._blocks: dict[int, bytes] = {}
        self._next_block = 0  # after the last that was read
        self._count = 1  # blocks of the last request

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read at any place."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a place, counted from the start, from here or from the end, as files do."""
        position = (0, self._position, self._ranges.size_bytes)[whence] + offset
        if position < 0:
            raise OSError("A place before the start of the file.")
        self._position = position
        return position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer up to the end of the block at most; returns the number of bytes."""
        index, skip = divmod(self._position, BLOCK_BYTES)
        data = self._block(index)[skip : skip + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _block(self, index: int) -> bytes:
        begin = index * BLOCK_BYTES
        if begin >= self._ranges.size_bytes:
            return b""
        if index not in self._blocks:
            in_order = index == self._next_block > 0
            self._count = min(2 * self._count, MAX_RANGE_BYTES // BLOCK_BYTES) if in_order else 1
            self._next_block = index + self._count
            end = min(self._next_block * BLOCK_BYTES, self._ranges.size_bytes)
            data = self._ranges.read(begin, end)
            while len(self._blocks) >= MAX_CACHE_BYTES // BLOCK_BYTES:
                del self._blocks[next(iter(self._blocks))]
            for number, start in enumerate(range(0, len(data), BLOCK_BYTES), index):
                self._blocks[number] = bytes(data[start : start + BLOCK_BYTES])
        return self._blocks[index]
