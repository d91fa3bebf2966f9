"""URL or path -> VideoFile.

A URL is fetched by `unmask.download.worker` in a child process, which is killed with all that it started when it
takes too long, grows too large or is no longer wanted. What the child says is checked again here.
"""

import functools
import hashlib
import logging
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unmask.errors import BadInput, BadUrl, InternalError, NotAVideo, TimedOut, from_code
from unmask.limits import Limits, check_bytes, check_seconds
from unmask.logs import frames
from unmask.progress import OnProgress
from unmask.sandbox.network import check_url
from unmask.sandbox.process import Child
from unmask.video.decode_client import OpenVideo, StillWanted, ignore
from unmask.video.partial_file import MOST_BYTES, Parts
from unmask.video.sampling import DecodePlan

LOOKING = "Looking for the video"
IN_PARTS = os.name == "posix"  # elsewhere a child cannot be given another pipe
SMUGGLING = "__youtubedl_smuggle"  # behind a #, yt-dlp reads headers and more for its own use

# The child gets its code from where this process has it.
START = "import sys; sys.path[:] = sys.argv[1:]; from unmask.download.worker import main; main()"

logger = logging.getLogger(__name__)


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
    sha256: str | None  # of what was fetched; None: not all of it is here, or it was here already
    opened: OpenVideo  # for the plan that it was asked for with
    offset_seconds: float = 0.0  # time in the whole video of the file's second 0
    parts: Parts | None = None  # the way to what is not here

    def close(self) -> None:
        """For whoever got it: no child is left that has it open."""
        self.opened.close()
        if self.parts is not None:
            self.parts.close()


def fetch(
    url: str,
    into: Path,
    limits: Limits,
    plan: DecodePlan,
    on_progress: OnProgress,
    *,
    whole: bool = False,
) -> VideoFile:
    """Fetch the one video behind `url` to a file in `into` and open it; the span alone, where sites allow it.

    Unless the `whole` is wanted, only what is looked at may be fetched: a large file is read where it lies,
    see `parts`, and of a video in pieces some are left out. Whatever happens, `into` holds nothing more
    afterwards than the result. Raises UnmaskError, or what `on_progress` raises, which is called several
    times a second.
    """
    url = check_url(url, limits)
    if SMUGGLING in url:
        raise BadUrl("This link holds instructions for the downloader. Copy the address of the page again.")
    into = into.resolve()
    on_progress("fetch", 0.0, LOOKING)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=into) as scratch, ExitStack() as open_things:
        downloaded = Path(scratch) / "video"
        child = open_things.enter_context(Child(START, folder=downloaded.parent, max_payload_bytes=MOST_BYTES))
        request = {"url": url, "file": str(downloaded), "limits": asdict(limits), **asdict(plan.span)}
        if IN_PARTS and not whole:
            request |= {"windows": plan.windows, "window_seconds": plan.window_seconds}
        found = _ask(child, request, limits, on_progress)
        parts = None
        if found["size_bytes"] is not None:
            parts = Parts(child, downloaded, found["size_bytes"], limits)
            open_things.callback(parts.close)
        wanted = functools.partial(on_progress, "fetch", 1.0, LOOKING)
        video = _describe(downloaded, limits, plan, found["offset_seconds"], parts, wanted)
        with ExitStack() as otherwise:
            otherwise.callback(video.close)
            path = downloaded.replace(into / downloaded.name)
            sha256 = sha256_of(path) if parts is None and not found["has_gaps"] else None
            otherwise.pop_all()
        if parts is not None:
            parts.hold(open_things.pop_all())
    return replace(
        video,
        path=path,
        sha256=sha256,
        parts=parts,
        url=url,
        title=found["title"],
        extractor=found["extractor"],
        duration_seconds=found["duration_seconds"] or video.duration_seconds,
    )


def from_path(path: Path, limits: Limits, plan: DecodePlan) -> VideoFile:
    """A file that is already here, opened. Raises BadInput, NotAVideo, NoFrames, TooLarge, TooLong."""
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    if not os.access(path, os.R_OK):
        raise BadInput(f"The file {path} may not be read.")
    return _describe(path, limits, plan)


def _describe(
    path: Path,
    limits: Limits,
    plan: DecodePlan,
    cut_seconds: float = 0.0,
    parts: Parts | None = None,
    still_wanted: StillWanted = ignore,
) -> VideoFile:
    """Measure a file whose first picture is that at `cut_seconds` of the video, 0 if nothing was cut off."""
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise NotAVideo("The file is empty.")
    check_bytes(size_bytes, limits)
    with ExitStack() as otherwise:
        opened = OpenVideo(path, plan, cut_seconds, still_wanted, parts)
        otherwise.callback(opened.close)
        stream = opened.stream
        offset_seconds = stream.offset_seconds(cut_seconds)
        if stream.duration_seconds is not None:
            whole_seconds = offset_seconds + stream.duration_seconds
            check_seconds(whole_seconds, plan.start_seconds, plan.end_seconds, limits)
        otherwise.pop_all()
    return VideoFile(
        path=path,
        url=None,
        title=None,
        extractor=None,
        duration_seconds=stream.duration_seconds,
        width=stream.width,
        height=stream.height,
        size_bytes=size_bytes,
        sha256=None,
        opened=opened,
        offset_seconds=offset_seconds,
    )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ask(child: Child, request: dict[str, Any], limits: Limits, on_progress: OnProgress) -> dict[str, Any]:
    """What the child says about the video that it put into the file of the request, or left where it is."""
    deadline = time.monotonic() + limits.timeout_seconds
    fraction, text = 0.0, LOOKING
    child.tell(request)
    while True:
        message = _next_message(child)
        if "result" in message:
            return dict(message["result"])
        if "error" in message:
            raise from_code(message["error"]["code"], message["error"]["message"])
        if time.monotonic() > deadline:
            raise TimedOut(f"The download took longer than {limits.timeout_seconds:.3g} seconds.")
        # a fragment lies on disk twice while it is put in its place
        check_bytes(_bytes_in(Path(request["file"]).parent) / 2, limits)
        fraction, text = max(fraction, message.get("fraction") or 0.0), message.get("text") or text
        on_progress("fetch", min(fraction, 1.0), text)


def _next_message(child: Child) -> dict[str, Any]:
    """{} while it says nothing."""
    try:
        message = child.next_message()
    except subprocess.CalledProcessError as crash:
        logger.error("A download ended with %s: %s", crash.returncode, frames(crash.stderr))
        raise InternalError("The download ended in a way that it should not.") from crash
    return {} if message is None else message.fields


def _bytes_in(folder: Path) -> int:
    size_bytes = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # fragments come and go
            size_bytes += path.stat().st_size
    return size_bytes
