"""A video file of which only the parts that are looked at are here.

The file on disk has the size of the whole and holes where nothing was read yet. Who decodes it reads a
`PartialFile`, which asks for what is missing before it reads on; `Parts` gets that from the child of the
fetch and writes it into its place. A file that is read from front to end is fetched in growing steps.
"""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any

from unmask.errors import InternalError, TimedOut, from_code
from unmask.limits import Limits
from unmask.sandbox.process import Child

BLOCK_BYTES = 2**18  # parts begin and end at multiples of this
MOST_BYTES = 2**22  # of one request
ANNOUNCED = "<qq"  # how the reader is told from where to where bytes have come

Ask = Callable[[int, int], tuple[int, int]]  # bytes [begin, end) that are wanted -> bytes that are here


class Parts:
    """What is here of one file, and the way to the rest. Used by one thread at a time."""

    def __init__(self, child: Child, path: Path, size_bytes: int, limits: Limits) -> None:
        """Makes the file `path`. `child` answers {"begin", "end"} with these bytes."""
        self.size_bytes = size_bytes
        self.fetched_bytes = 0
        self._child = child
        self._left_seconds = limits.timeout_seconds
        self._here: set[int] = set()  # numbers of blocks
        self._read_to = 0  # where the last request ended
        self._step_bytes = BLOCK_BYTES  # of the last request
        self._held = ExitStack()
        self._file = self._held.enter_context(path.open("w+b", buffering=0))
        self._file.truncate(size_bytes)

    def hold(self, resources: ExitStack) -> None:
        """Close these as well when it is closed."""
        self._held.push(resources)

    def close(self) -> None:
        self._held.close()

    def provide(self, begin: int, end: int) -> tuple[int, int]:
        """Have the bytes [begin, end) here; returns the blocks around them.

        Raises TimedOut when all waiting together passes the limit, or what the child of the fetch tells of.
        """
        first, last = begin // BLOCK_BYTES, -(-end // BLOCK_BYTES)
        missing = [block for block in range(first, last) if block not in self._here]
        if missing:
            self._fetch(missing[0] * BLOCK_BYTES, (missing[-1] + 1) * BLOCK_BYTES)
        return first * BLOCK_BYTES, last * BLOCK_BYTES

    def _fetch(self, begin: int, end: int) -> None:
        """Blocks, and some ahead where it is read from front to end."""
        on = begin == self._read_to and begin > 0
        self._step_bytes = min(2 * self._step_bytes, MOST_BYTES) if on else BLOCK_BYTES
        end = max(end, begin + self._step_bytes)
        while begin < min(end, self.size_bytes):
            until = min(begin + MOST_BYTES, end, self.size_bytes)
            data = self._ask(begin, until)
            self._file.seek(begin)
            self._file.write(data)
            self._here.update(range(begin // BLOCK_BYTES, -(-until // BLOCK_BYTES)))
            self.fetched_bytes += len(data)
            begin = self._read_to = until

    def _ask(self, begin: int, end: int) -> bytes:
        asked_at = time.monotonic()
        self._child.tell({"begin": begin, "end": end})
        message = None
        while message is None:
            if time.monotonic() - asked_at > self._left_seconds:
                raise TimedOut("The site takes too long to send the video. Try again later.")
            try:
                message = self._child.next_message()
            except subprocess.CalledProcessError as crash:
                raise InternalError("The download ended in a way that it should not.") from crash
        self._left_seconds -= time.monotonic() - asked_at
        if "error" in message.fields:
            raise from_code(message.fields["error"]["code"], message.fields["error"]["message"])
        if message.payload is None or message.payload.size != end - begin:
            raise InternalError("The download ended in a way that it should not.")
        return message.payload.tobytes()


class PartialFile(FileIO):
    """An open file with holes, which asks for what is missing before it reads it."""

    def __init__(self, descriptor: int, ask: Ask) -> None:
        super().__init__(descriptor, "rb", closefd=False)
        self._size_bytes = os.fstat(descriptor).st_size
        self._ask = ask
        self._here: set[int] = set()

    def read(self, size: int | None = -1, /) -> Any:
        begin = self.tell()
        end = self._size_bytes if size is None or size < 0 else min(begin + size, self._size_bytes)
        blocks = range(begin // BLOCK_BYTES, -(-end // BLOCK_BYTES))
        if begin < end and not self._here.issuperset(blocks):
            first, last = self._ask(begin, end)
            self._here.update(range(first // BLOCK_BYTES, -(-last // BLOCK_BYTES)))
        return super().read(size)
