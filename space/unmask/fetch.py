"""URL or path -> VideoFile.

A URL is fetched by `unmask.download` in a child process, which is killed with all that it started when it
takes too long, grows too large or is no longer wanted. What the child says is checked again here.
"""

import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from unmask.errors import BadInput, BadUrl, InternalError, NotAVideo, TimedOut, UnmaskError
from unmask.guard import Limits, check_bytes, check_seconds, check_url
from unmask.video import Span, probe

OnProgress = Callable[[str, float, str], None]  # stage, fraction 0..1, text; may raise Cancelled

LOOKING = "Looking for the video"
SMUGGLING = "__youtubedl_smuggle"  # behind a #, yt-dlp reads headers and more for its own use
POLL_SECONDS = 0.25  # how late a timeout or a cancellation may be noticed
MAX_LINE_CHARACTERS = 2**16  # of what the child says
MAX_STDERR_CHARACTERS = 4000

# The child gets its code from where this process has it, and nothing else from the environment.
START = "import sys; sys.path[:] = sys.argv[1:]; from unmask.download import main; main()"
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT")

CODES = {kind.code: kind for kind in UnmaskError.__subclasses__()}


@dataclass(frozen=True)
class VideoFile:
    """A video on disk, within the limits, and where it came from."""

    path: Path
    url: str | None
    title: str | None
    extractor: str | None  # which of yt-dlp's sites
    duration_seconds: float | None  # of the whole video, also when only a range was fetched
    width: int
    height: int
    size_bytes: int
    sha256: str
    offset_seconds: float = 0.0  # time in the whole video of the file's second 0


def fetch(url: str, into: Path, limits: Limits, span: Span, on_progress: OnProgress) -> VideoFile:
    """Fetch the one video behind `url` to a file in `into`; the asked range only, where the site allows it.

    Whatever happens, `into` holds nothing more afterwards than the result. Raises UnmaskError, or what
    `on_progress` raises, which is called at least every POLL_SECONDS.
    """
    url = check_url(url, limits)
    if SMUGGLING in url:
        raise BadUrl("This link holds instructions for the downloader. Copy the address of the page again.")
    into = into.resolve()
    on_progress("fetch", 0.0, LOOKING)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=into) as scratch:
        downloaded = Path(scratch) / "video"
        found = _run_child(url, downloaded, limits, span, on_progress)
        video = _describe(downloaded, limits, span, found["offset_seconds"])
        path = downloaded.replace(into / downloaded.name)
    return replace(
        video,
        path=path,
        url=url,
        title=found["title"],
        extractor=found["extractor"],
        duration_seconds=found["duration_seconds"] or video.duration_seconds,
    )


def from_path(path: Path, limits: Limits, span: Span) -> VideoFile:
    """A file that is already here. Raises BadInput, NotAVideo, NoFrames, TooLarge, TooLong."""
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    if not os.access(path, os.R_OK):
        raise BadInput(f"The file {path} may not be read.")
    return _describe(path, limits, span)


def _describe(path: Path, limits: Limits, span: Span, cut_seconds: float = 0.0) -> VideoFile:
    """Measure a file whose first picture is that at `cut_seconds` of the video, 0 if nothing was cut off."""
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise NotAVideo("The file is empty.")
    check_bytes(size_bytes, limits)
    stream = probe(path)
    # pieces of fragmented MP4 keep the clock of the whole video, pieces of MPEG-TS start anew
    offset_seconds = cut_seconds - stream.begin_seconds if cut_seconds else 0.0
    if stream.duration_seconds is not None:
        whole_seconds = offset_seconds + stream.duration_seconds
        check_seconds(whole_seconds, span.start_seconds, span.end_seconds, limits)
    return VideoFile(
        path=path,
        url=None,
        title=None,
        extractor=None,
        duration_seconds=stream.duration_seconds,
        width=stream.width,
        height=stream.height,
        size_bytes=size_bytes,
        sha256=_sha256(path),
        offset_seconds=offset_seconds,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run_child(url: str, file: Path, limits: Limits, span: Span, on_progress: OnProgress) -> dict[str, Any]:
    """What the child says about the video that it put into `file`."""
    deadline = time.monotonic() + limits.timeout_seconds
    fraction, text = 0.0, LOOKING
    with _Child(file.parent) as child:
        child.ask({"url": url, "file": str(file), "limits": asdict(limits), **asdict(span)})
        while True:
            message = child.next_message()
            if "result" in message:
                return dict(message["result"])
            if "error" in message:
                raise CODES.get(message["error"]["code"], InternalError)(message["error"]["message"])
            if time.monotonic() > deadline:
                raise TimedOut(f"The download took longer than {limits.timeout_seconds:.3g} seconds.")
            # a fragment lies on disk twice while it is put in its place
            check_bytes(_bytes_in(file.parent) / 2, limits)
            fraction, text = max(fraction, message.get("fraction") or 0.0), message.get("text") or text
            on_progress("fetch", min(fraction, 1.0), text)


class _Child:
    """A running `unmask.download`; leaving the context kills it and everything that it started."""

    def __init__(self, folder: Path) -> None:
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", START, *_import_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=folder,
            env=_environment(folder),
            encoding="utf-8",
            start_new_session=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()  # what it says, "" at the end
        self._listener = threading.Thread(target=self._listen, name="fetch", daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        _kill(self._process)
        self._listener.join(timeout=1.0)
        self._stderr.close()

    def ask(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # it died at once: no answer will tell
            json.dump(request, pipe)

    def next_message(self) -> dict[str, Any]:
        """What it says next; {} if nothing for POLL_SECONDS. Raises InternalError if it has ended."""
        try:
            line = self._lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return {}
        if line.endswith("\n"):
            return dict(json.loads(line))
        _kill(self._process)
        self._stderr.seek(0)
        words = self._stderr.read()[-MAX_STDERR_CHARACTERS:]
        crash = subprocess.CalledProcessError(self._process.returncode, "unmask.download", stderr=words)
        raise InternalError("The download ended in a way that it should not.") from crash

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while line := pipe.readline(MAX_LINE_CHARACTERS):
                self._lines.put(line)
        self._lines.put("")


def _import_path() -> list[str]:
    here = str(Path(__file__).resolve().parent.parent)
    return [here, *(str(Path(entry).resolve()) for entry in sys.path if entry)]


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return kept | {"HOME": str(folder), "TMPDIR": str(folder), "YTDLP_NO_PLUGINS": "1"}


def _kill(process: subprocess.Popen[str]) -> None:
    if process.returncode is not None:
        return
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    else:
        process.kill()
    process.wait()


def _bytes_in(folder: Path) -> int:
    size_bytes = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # fragments come and go
            size_bytes += path.stat().st_size
    return size_bytes
