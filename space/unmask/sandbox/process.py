"""A worker process for one piece of untrusted input: it inherits no secret and is killed with all it started."""

import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

if sys.platform == "linux":
    import fcntl

import numpy as np

from unmask.errors import UnmaskError, from_code
from unmask.logs import summarise_traceback
from unmask.sandbox.protocol import (
    Failure,
    Message,
    ProtocolError,
    RangeData,
    ReadRange,
    read_header,
    read_payload,
    write_message,
)

PIPE_BYTES = 2**20  # the most that Linux grants
POLL_SECONDS = 0.25  # how late a timeout or a cancellation may be noticed
EXIT_GRACE_SECONDS = 2.0  # from the end of a worker's output to its exit
MAX_STDERR_CHARACTERS = 4000

# All that a worker gets of our environment: no tokens, no proxies.
INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT")
WORKER_VARIABLES = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "YTDLP_NO_PLUGINS": "1",
    # glibc keeps the memory of one picture for the next; else the system clears it anew for each
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}

logger = logging.getLogger(__name__)


def start_code(module: str) -> str:
    """Give the Python code of a worker that runs `main` of `module`, found where this process imports from."""
    return f"import sys; sys.path[:] = sys.argv[1:]; from {module} import main; main()"


class WorkerProcess:
    """A running worker; leaving the context kills it and everything that it started.

    Args:
        code: Run by a fresh interpreter, see `start_code`.
        answers: The dataclasses that it may send; a `Failure` it always may.
        crash_error: Name of the signal that ended the worker, or "" -> the error to raise.
        folder: Where it works, its home and place for temporary files; None: it has none.
        max_payload_bytes: Of one answer.
        pass_fds: File descriptors that it inherits.
        read_range: Answers its `ReadRange` requests, (begin, end) -> bytes. Called in another thread, also while
            no message is waited for; an UnmaskError of it is raised by the next `next_message`.
    """

    def __init__(
        self,
        code: str,
        answers: Sequence[type],
        crash_error: Callable[[str], UnmaskError],
        *,
        folder: Path | None = None,
        max_payload_bytes: int = 0,
        pass_fds: Sequence[int] = (),
        read_range: Callable[[int, int], Any] | None = None,
    ) -> None:
        self._answers = (*answers, Failure, ReadRange) if read_range else (*answers, Failure)
        self._crash_error = crash_error
        self._max_payload_bytes = max_payload_bytes
        self._read_range = read_range
        self._range_error: UnmaskError | None = None
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", code, *_import_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=folder or os.sep,
            env=_environment(folder),
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
        _widen(self._process.stdout)
        self._closing = False
        self._slots = threading.Semaphore(1)  # for messages that are read ahead, whole
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()  # None: there are no more
        self._listener = threading.Thread(target=self._listen, name="worker-messages", daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        _kill(self._process)
        self._closing = True
        self._slots.release()
        self._listener.join(timeout=1.0)
        with suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._stderr.close()

    def send(self, body: Any, payload: Any = b"") -> None:
        """Send a request; if the worker has ended, `next_message` tells."""
        with suppress(BrokenPipeError, ValueError):  # ValueError: closed
            write_message(self._process.stdin, body, payload)  # type: ignore[arg-type]

    def next_message(self) -> Message | None:
        """Wait for an answer for POLL_SECONDS; None if there is none yet.

        Raises:
            UnmaskError: The worker sent a `Failure`, or it ended or sent nonsense: then what `crash_error` gives,
                with a subprocess.CalledProcessError as cause. Or `read_range` raised it.
        """
        try:
            message = self._messages.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None
        if message is None:
            self._messages.put(None)  # for whoever asks again
            raise self._range_error or self._crash()
        self._slots.release()
        if isinstance(message.body, Failure):
            raise from_code(**vars(message.body))
        return message

    def _crash(self) -> UnmaskError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_GRACE_SECONDS)
        _kill(self._process)
        stderr = ""
        with suppress(ValueError):  # closed: another thread has left the context meanwhile
            self._stderr.seek(0)
            stderr = self._stderr.read()[-MAX_STDERR_CHARACTERS:]
        code = self._process.returncode
        name = signal.Signals(-code).name if code < 0 else ""
        logger.error("A worker process ended with %s: %s", name or code, summarise_traceback(stderr))
        error = self._crash_error(name)
        error.__cause__ = subprocess.CalledProcessError(code, "worker", stderr=stderr)
        return error

    def _listen(self) -> None:
        try:
            with self._process.stdout as pipe:  # type: ignore[union-attr]
                while message := self._read(pipe):
                    self._messages.put(message)
        except ProtocolError as error:
            logger.warning("A worker process sent nonsense: %s", error)
        except UnmaskError as error:
            self._range_error = error
        finally:
            self._messages.put(None)

    def _read(self, pipe: Any) -> Message | None:
        while header := read_header(pipe, self._answers):
            body, payload_bytes = header
            if isinstance(body, ReadRange):
                self.send(RangeData(), self._read_range(body.begin, body.end))  # type: ignore[misc]
                continue
            self._slots.acquire()
            if self._closing:
                return None
            return Message(body, read_payload(pipe, payload_bytes, self._max_payload_bytes, _empty))
        return None


def _empty(size_bytes: int) -> np.ndarray:
    return np.empty(size_bytes, np.uint8)  # a window is 50 MB, which need not be cleared first


def _import_path() -> list[str]:
    package_parent = str(Path(__file__).resolve().parents[2])
    return [package_parent, *(str(Path(entry).resolve()) for entry in sys.path if entry)]


def _environment(folder: Path | None) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    home = str(folder or os.devnull)
    return inherited | WORKER_VARIABLES | {"HOME": home, "TMPDIR": home}


def _widen(pipe: Any) -> None:
    """Enlarge the pipe: through the usual 64 KiB, both sides of a 50 MB window wait for each other."""
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
