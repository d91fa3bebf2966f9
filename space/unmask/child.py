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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

POLL_SECONDS = 0.25  # how late a timeout or a cancellation may be noticed
DYING_SECONDS = 2.0  # a child that has closed its pipe may take so long to say how it ended
MAX_LINE_CHARACTERS = 2**16
MAX_STDERR_CHARACTERS = 4000

# All that a child gets of our environment: no tokens, no proxies.
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT")
OWN_VARIABLES = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "YTDLP_NO_PLUGINS": "1"}


@dataclass(frozen=True)
class Message:
    """One answer of a child."""

    fields: dict[str, Any]
    payload: npt.NDArray[np.uint8] | None = None  # (bytes,)


class Child:
    """A running child; leaving the context kills it and everything that it started.

    `code` is run by a fresh interpreter whose arguments are `arguments` and then the folders to import from.
    It works in `folder`, or nowhere, and reads `stdin`, or what `tell` is given.
    """

    def __init__(
        self,
        code: str,
        arguments: Sequence[str] = (),
        *,
        folder: Path | None = None,
        stdin: BinaryIO | None = None,
        max_payload_bytes: int = 0,
    ) -> None:
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
        )
        self._asked = False  # the listener has been told to read on, and has not answered yet
        self._wanted = threading.Semaphore(0)  # one permit a message: nothing is read ahead
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()  # None: it has ended
        self._listener = threading.Thread(target=self._listen, name="child", daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        _kill(self._process)
        self._wanted.release()
        self._listener.join(timeout=1.0)
        self._stderr.close()

    def tell(self, request: dict[str, Any]) -> None:
        """Write to its stdin and close it."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # it died at once: no answer will tell
            pipe.write(json.dumps(request).encode())

    def next_message(self) -> Message | None:
        """What it says next; None if nothing for POLL_SECONDS.

        Raises subprocess.CalledProcessError, with the end of its stderr, when it has ended or talks nonsense.
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
            raise self._end()
        return message

    def _end(self) -> subprocess.CalledProcessError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING_SECONDS)
        _kill(self._process)
        self._stderr.seek(0)
        words = self._stderr.read()[-MAX_STDERR_CHARACTERS:]
        return subprocess.CalledProcessError(self._process.returncode, "child", stderr=words)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            message: Message | None = Message({})
            while message is not None:
                self._wanted.acquire()
                message = self._read(pipe)
                self._messages.put(message)

    def _read(self, pipe: Any) -> Message | None:
        line = pipe.readline(MAX_LINE_CHARACTERS)
        try:
            fields = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            return None
        if not isinstance(fields, dict):
            return None
        size_bytes = fields.get("bytes", 0)
        if not isinstance(size_bytes, int) or not 0 <= size_bytes <= self._max_payload_bytes:
            return None
        payload = np.empty(size_bytes, np.uint8)
        whole = pipe.readinto(payload) == size_bytes
        return Message(fields, payload) if whole else None


def _import_path() -> list[str]:
    here = str(Path(__file__).resolve().parent.parent)
    return [here, *(str(Path(entry).resolve()) for entry in sys.path if entry)]


def _environment(folder: Path | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    home = str(folder or os.devnull)
    return kept | OWN_VARIABLES | {"HOME": home, "TMPDIR": home}


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    else:
        process.kill()
    process.wait()
