"""Fetch the video behind a URL, or open a local file: a `VideoFile` within the limits.

A URL is fetched by `unmask.download.worker` in a worker process, which is killed with all that it started when it
takes too long, grows too large or is no longer wanted. What the worker reports is checked again here.
"""

import functools
import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from unmask.download.messages import ANSWERS, FetchRequest, Found, Progress
from unmask.errors import BadInput, BadUrl, InternalError, NotAVideo, TimedOut
from unmask.limits import Limits, check_bytes, check_seconds, format_duration
from unmask.progress import OnProgress
from unmask.report import SiteReport
from unmask.sandbox.address_policy import check_url
from unmask.sandbox.process import WorkerProcess, start_code
from unmask.sandbox.protocol import Message, RangeData, ReadRange
from unmask.video.byte_ranges import MAX_RANGE_BYTES, ByteRanges
from unmask.video.decode_client import OnWait, OpenVideo, do_nothing
from unmask.video.sampling import DecodePlan, Piece

LOOKING = "Looking for the video"
SMUGGLED = "__youtubedl_smuggle"  # behind a #, yt-dlp reads headers and more for its own use
WORKER = start_code("unmask.download.worker")


class WorkerRangeReader:
    """A file that stays on its server, read in ranges through the worker that found it. For one thread at a time."""

    def __init__(self, worker: WorkerProcess, size_bytes: int, limits: Limits) -> None:
        self.ranges = ByteRanges(size_bytes, self._read)
        self._worker = worker
        self._left_seconds = limits.timeout_seconds  # of all waiting together
        self._resources = ExitStack()

    def add_resources(self, resources: ExitStack) -> None:
        """Close these as well when it is closed."""
        self._resources.push(resources)

    def close(self) -> None:
        """End the worker."""
        self._resources.close()

    def _read(self, begin: int, end: int) -> Any:
        """Read the bytes [begin, end).

        Raises:
            TimedOut: All waiting together has passed the limit.
            UnmaskError: The worker failed.
        """
        asked_at = time.monotonic()
        self._worker.send(ReadRange(begin, end))
        while (answer := self._worker.next_message()) is None:
            if time.monotonic() - asked_at > self._left_seconds:
                raise TimedOut("The site takes too long to send the video. Try again later.")
        self._left_seconds -= time.monotonic() - asked_at
        if not isinstance(answer.body, RangeData) or len(answer.payload) != end - begin:
            raise _failed()
        return answer.payload


@dataclass(frozen=True)
class VideoFile:
    """A video within the limits, and where it came from. The caller closes it."""

    path: Path | None  # None: it stays on its server
    url: str | None
    title: str | None
    extractor: str | None  # which of yt-dlp's sites
    duration_seconds: float | None  # of the whole video, also when only a range was fetched
    width: int
    height: int
    size_bytes: int
    sha256: str | None  # of what was fetched; None: not all of it is here, or it was here already
    opened: OpenVideo  # for the plan that it was asked for with
    offset_seconds: float = 0.0  # time in the whole video of the file's second 0
    remote: WorkerRangeReader | None = None
    in_part: bool = False  # it lies on its server, or was put together from segments
    site: SiteReport | None = None  # how the site labels it
    sidecar_url: str | None = None  # where the server says that its Content Credentials lie
    sidecar: bytes = b""  # what lies there, on the same server

    def close(self) -> None:
        """End the workers that have it open."""
        self.opened.close()
        if self.remote is not None:
            self.remote.close()


def fetch(
    url: str,
    into: Path,
    limits: Limits,
    plan: DecodePlan,
    on_progress: OnProgress,
    *,
    whole: bool = False,
) -> VideoFile:
    """Fetch the one video behind `url` to a file in `into` and open it; the asked span alone, where sites allow it.

    Unless the `whole` is wanted, only what is looked at may be fetched: a large file is read on its server, see
    `WorkerRangeReader`, and of a video in segments some are left out. Whatever happens, `into` holds nothing more
    afterwards than the result.

    Raises:
        UnmaskError: There is no such video within the limits.
        Exception: What `on_progress` raises, which is called several times a second.
    """
    url = check_url(url, limits)
    if SMUGGLED in url:
        raise BadUrl("This link holds instructions for the downloader. Copy the address of the page again.")
    into = into.resolve()
    on_progress("fetch", 0.0, LOOKING)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=into) as folder, ExitStack() as resources:
        path = Path(folder) / "video"
        worker = resources.enter_context(
            WorkerProcess(WORKER, ANSWERS, lambda _: _failed(), folder=path.parent, max_payload_bytes=MAX_RANGE_BYTES)
        )
        request = FetchRequest(url, str(path), limits, plan.span)
        if not whole:
            request = replace(request, windows=plan.windows, window_seconds=plan.window_seconds)
        found, sidecar = _request(worker, request, on_progress)
        remote = None if found.size_bytes is None else WorkerRangeReader(worker, found.size_bytes, limits)
        on_wait = functools.partial(on_progress, "fetch", 1.0, LOOKING)
        video = _open(remote or path, limits, plan, found.pieces, found.starts, on_wait)
        with ExitStack() as on_error:
            on_error.callback(video.close)
            if remote is None:
                kept = path.replace(into / path.name)
                video = replace(video, path=kept, sha256=None if _has_gaps(found.pieces) else sha256_of(kept))
            on_error.pop_all()
        if remote is not None:
            remote.add_resources(resources.pop_all())
    return replace(
        video,
        url=url,
        title=found.title,
        extractor=found.extractor,
        duration_seconds=found.duration_seconds or video.duration_seconds,
        site={"name": found.site, "label": found.label} if found.site and found.label else None,
        sidecar_url=found.sidecar_url,
        sidecar=sidecar,
    )


def from_path(path: Path, limits: Limits, plan: DecodePlan) -> VideoFile:
    """Open a local file. Raises BadInput, NotAVideo, NoFrames, TooLarge, TooLong."""
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    if not os.access(path, os.R_OK):
        raise BadInput(f"The file {path} may not be read.")
    return _open(path, limits, plan)


def sha256_of(path: Path) -> str:
    """Hash the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(
    media: Path | WorkerRangeReader,
    limits: Limits,
    plan: DecodePlan,
    pieces: tuple[Piece, ...] = (),
    starts: tuple[float, ...] = (),
    on_wait: OnWait = do_nothing,
) -> VideoFile:
    """Open a file, perhaps one of pieces."""
    size_bytes = media.stat().st_size if isinstance(media, Path) else media.ranges.size_bytes
    if size_bytes == 0:
        raise NotAVideo("The file is empty.")
    check_bytes(size_bytes, limits)
    edges = [0, *(edge for piece in pieces for edge in (piece.begin_byte, piece.end_byte)), size_bytes]
    if edges != sorted(edges):
        raise _failed()
    opened = OpenVideo(media if isinstance(media, Path) else media.ranges, plan, pieces, starts, on_wait)
    with ExitStack() as on_error:
        on_error.callback(opened.close)
        stream = opened.stream
        if stream.duration_seconds is not None:
            check_seconds(stream.duration_seconds, plan.start_seconds, plan.end_seconds, limits)
        on_error.pop_all()
    return VideoFile(
        path=media if isinstance(media, Path) else None,
        url=None,
        title=None,
        extractor=None,
        duration_seconds=stream.duration_seconds,
        width=stream.width,
        height=stream.height,
        size_bytes=size_bytes,
        sha256=None,
        opened=opened,
        offset_seconds=pieces[0].start_seconds if pieces else 0.0,
        remote=media if isinstance(media, WorkerRangeReader) else None,
        in_part=bool(pieces) or isinstance(media, WorkerRangeReader),
    )


def _has_gaps(pieces: Sequence[Piece]) -> bool:
    """Tell whether something between the pieces was left out."""
    return any(after.start_seconds > (before.end_seconds or 0.0) for before, after in pairwise(pieces))


def _request(worker: WorkerProcess, request: FetchRequest, on_progress: OnProgress) -> tuple[Found, bytes]:
    """Let the worker put the video into the file of the request, or find where it can be read in ranges.

    Returns what was found, and the Content Credentials beside it.
    """
    deadline = time.monotonic() + request.limits.timeout_seconds
    fraction, text = 0.0, LOOKING
    worker.send(request)
    while True:
        answer = worker.next_message()
        match answer:
            case Message(Found() as found, payload):
                return found, bytes(payload)
            case Message(Progress() as progress):
                fraction, text = max(fraction, progress.fraction or 0.0), progress.text
        if time.monotonic() > deadline:
            raise TimedOut(f"The download took longer than {format_duration(request.limits.timeout_seconds)}.")
        # a fragment lies on disk twice while it is put in its place
        check_bytes(_bytes_in(Path(request.file).parent) / 2, request.limits)
        on_progress("fetch", min(fraction, 1.0), text)


def _bytes_in(folder: Path) -> int:
    """Add up the sizes of the files in a folder while files come and go."""
    size_bytes = 0
    for parent, _, names in os.walk(folder):  # which leaves out a folder that is gone
        for name in names:
            with suppress(FileNotFoundError):
                size_bytes += Path(parent, name).lstat().st_size
    return size_bytes


def _failed() -> InternalError:
    return InternalError("The download ended in a way that it should not.")
