"""A process for one piece of work on strangers' bytes: given nothing of ours, killed with all it started.

A child answers in lines of JSON on its stdout. A line with a field "bytes" is followed by so many raw bytes,
its payload. What it says is as little to be trusted as what it was given: callers check it.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

if sys.platform == "linux":
    import fcntl

import numpy as np
import numpy.typing as npt

from unmask.errors import UnmaskError

PIPE_BYTES = 2**20  # the most that Linux gives who asks
POLL_SECONDS = 0.25  # how late a timeout or a cancellation may be noticed
DYING_SECONDS = 2.0  # a child that has closed its pipe may take so long to say how it ended
MAX_LINE_CHARACTERS = 2**16
MAX_STDERR_CHARACTERS = 4000

# All that a child gets of our environment: no tokens, no proxies.
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT")
OWN_VARIABLES = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "YTDLP_NO_PLUGINS": "1",
    # glibc keeps the memory of one picture for the next; else the system clears it anew for each
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}


@dataclass(frozen=True)
class Message:
    """One answer of a child."""

    fields: dict[str, Any]
    payload: npt.NDArray[np.uint8] | None = None  # (bytes,)


class Child:
    """A running child; leaving the context kills it and everything that it started.

    `code` is run by a fresh interpreter whose arguments are `arguments` and then the folders to import from.
    It works in `folder`, or nowhere, and reads `stdin`, or what `tell` is given. It also has the file
    descriptors `pass_fds`. What it says with a field "want" is no message: `on_want` is called with that, in
    another thread, also while nobody waits for a message; an UnmaskError of it goes to who waits next.
    """

    def __init__(
        self,
        code: str,
        arguments: Sequence[str] = (),
        *,
        folder: Path | None = None,
        stdin: BinaryIO | None = None,
        max_payload_bytes: int = 0,
        pass_fds: Sequence[int] = (),
        on_want: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._on_want = on_want
        self._problem: UnmaskError | None = None  # what `on_want` raised
        self._max_payload_bytes = max_payload_bytes
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", code, *arguments, *_import_path()],
            stdin=subprocess.PIPE if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=folder or os.sep,
            env=_environment(folder),
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
        _widen(self._process.stdout)
        self._asked = False  # the listener has been told to read on, and has not answered yet
        self._left = False  # nobody wants to hear more
        self._wanted = threading.Semaphore(1)  # one permit a message: one is read ahead
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()  # None: it has ended
        self._listener = threading.Thread(target=self._listen, name="child", daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        _kill(self._process)
        self._left = True
        self._wanted.release()
        self._listener.join(timeout=1.0)
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._stderr.close()

    def tell(self, request: dict[str, Any]) -> None:
        """Write a line to its stdin."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # it has died or was ended: no answer will tell
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def next_message(self) -> Message | None:
        """What it says next; None if nothing for POLL_SECONDS.

        Raises subprocess.CalledProcessError, with the end of its stderr, when it has ended or talks nonsense,
        and UnmaskError where `on_want` did.
        """
        if not self._asked:
            self._asked = True
            self._wanted.release()
        try:
            message = self._messages.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None
        self._asked = False
        if message is None:
            raise self._problem or self._end()
        return message

    def _end(self) -> subprocess.CalledProcessError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING_SECONDS)
        _kill(self._process)
        words = ""
        with suppress(ValueError):  # it is closed: another thread has left the context meanwhile
            self._stderr.seek(0)
            words = self._stderr.read()[-MAX_STDERR_CHARACTERS:]
        return subprocess.CalledProcessError(self._process.returncode, "child", stderr=words)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            message: Message | None = Message({})
            while message is not None:
                message = self._read(pipe)
                self._messages.put(message)

    def _read(self, pipe: Any) -> Message | None:
        fields = _fields(pipe)
        while fields is not None and self._on_want is not None and "want" in fields:
            try:
                self._on_want(fields)
            except UnmaskError as problem:
                self._problem = problem
                fields = None
            else:
                fields = _fields(pipe)
        self._wanted.acquire()  # of the message after next no more than its line is read
        if fields is None or self._left:
            return None
        size_bytes = fields.get("bytes", 0)
        if not isinstance(size_bytes, int) or not 0 <= size_bytes <= self._max_payload_bytes:
            return None
        payload = np.empty(size_bytes, np.uint8)
        whole = pipe.readinto(payload) == size_bytes
        return Message(fields, payload) if whole else None


def _fields(pipe: Any) -> dict[str, Any] | None:
    """The next line; None if there is none, or nonsense."""
    line = pipe.readline(MAX_LINE_CHARACTERS)
    try:
        fields = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _import_path() -> list[str]:
    here = str(Path(__file__).resolve().parents[2])
    return [here, *(str(Path(entry).resolve()) for entry in sys.path if entry)]


def _environment(folder: Path | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    home = str(folder or os.devnull)
    return kept | OWN_VARIABLES | {"HOME": home, "TMPDIR": home}


def _widen(pipe: Any) -> None:
    """A window is 50 MB: through the usual 64 KiB, both sides wait for each other most of the time."""
    if sys.platform == "linux":
        with suppress(OSError):  # the user has too many such pipes already
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    else:
        process.kill()
    process.wait()
