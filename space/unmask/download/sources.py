"""What is checked and how: open a URL, a file, or pictures captured in a browser, within the limits."""

import hashlib
import math
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmask.download import client
from unmask.download.client import VideoFile
from unmask.download.web_address import BARE_ADDRESS, SCHEME, canonical_url, find_address
from unmask.errors import BadInput, BadUrl
from unmask.limits import Limits
from unmask.progress import OnProgress
from unmask.report import SiteReport, Source
from unmask.video import captured_frames, decode_client
from unmask.video.decode_client import OnWait
from unmask.video.frames import Frames
from unmask.video.sampling import DecodePlan, Span

BLOCK_BYTES = 2**18  # hashed at a time: stays in the processor's cache
NOTICES = {  # trait of a video -> what a report says of it
    "hdr": "The video is HDR; its colours were converted to those of an ordinary screen, as players do.",
    "several_tracks": "The file holds more than one video track; only the one that players show first was looked at.",
    "spherical": "This is a 360-degree video; it was looked at as it is stored, flat, which bends faces.",
    "stereo": "This is a 3D video with two views in each picture: faces are there twice, and may be squeezed.",
    "motion_photo": "This is a picture with a video in it (a motion photo); the video was looked at, not the picture.",
}
MAX_NAME = 200  # characters of a name in a message


@dataclass(frozen=True)
class UrlSource:
    """A video behind a link."""

    url: str


@dataclass(frozen=True)
class FileSource:
    """A video file on this machine."""

    path: Path
    name: str  # in the report


@dataclass(frozen=True)
class FramesSource:
    """Pictures captured in a browser; see `captured_frames` for what is accepted."""

    images: tuple[bytes, ...]  # JPEG
    seconds: tuple[float, ...]
    page_url: str | None = None
    title: str | None = None
    hdr: bool = False  # the video was; the browser drew it as SDR


VideoSource = UrlSource | FileSource | FramesSource


@dataclass(frozen=True)
class Options:
    """How a source is checked."""

    span: Span = Span()
    models: tuple[str, ...] = ("default",)  # several make an ensemble
    limits: Limits = Limits()
    notices: tuple[str, ...] = ()  # of the owner of the service, for the report's warnings
    input: str | None = None  # the line of a scan that is checked, for its report
    trust_list: str = ""  # certificates of signers whose Content Credentials are trusted, or of their issuers, in PEM


def to_source(text: str) -> UrlSource | FileSource:
    """Interpret what a user typed: a path, or else a URL if it looks like one."""
    path = Path(text)
    if not _exists(path) and (SCHEME.match(text) or "://" in text or BARE_ADDRESS.fullmatch(text)):
        with suppress(BadUrl):  # raised when it is opened
            return UrlSource(find_address(text))
        return UrlSource(text)
    return FileSource(path, path.name)


def describe(source: VideoSource) -> dict[str, Any]:
    """Describe a source for the report, before anything is known of its content."""
    if isinstance(source, UrlSource):
        return {"kind": "url", "name": source.url, "url": source.url}
    if isinstance(source, FileSource):
        return {"kind": "file", "name": source.name, "url": None, "title": None, "extractor": None}
    name = source.page_url or source.title or "captured frames"
    return {"kind": "frames", "name": name, "url": source.page_url, "title": source.title}


def content_key(sha256: str, offset_seconds: float) -> str:
    """Make a key that is equal for files of equal content that stand for the same part of a video."""
    return f"file:{sha256}:{offset_seconds:g}"


@dataclass(frozen=True)
class Statements:
    """What came with a video that speaks of its origin."""

    path: Path | None = None  # of the whole, unchanged file
    has_store: bool = False  # of Content Credentials
    store: bytes = b""  # what was read of it, where only parts of the file are here, or where it came beside the file
    tags: Mapping[str, str] = field(default_factory=dict)  # by name in lower case
    sidecar_url: str | None = None  # where the server says that Content Credentials lie
    site: SiteReport | None = None  # how the site labels it


@dataclass(frozen=True)
class Media:
    """An opened source, within the limits."""

    source: Source  # for the report, without its sha256
    sha256: Callable[[], str | None]  # of all of it; waits where it is still being hashed
    content: str | None  # equal for equal content, see content_key; None: not known before it is decoded
    windows: Callable[[OnWait], Iterable[Frames]]  # those of the plan, one at a time; called once
    offset_seconds: float = 0.0  # time in the original of the file's second 0
    fetched: Path | None = None  # the file, if it was fetched for this check
    notices: Callable[[], Sequence[str]] = tuple  # sentences on how its pictures are shown; after the windows
    gaps: Callable[[], Sequence[tuple[float, float]]] = tuple  # announced but not there, in seconds; after the windows
    statements: Statements = Statements()


@contextmanager
def open_media(
    source: VideoSource,
    folder: Path,
    limits: Limits,
    plan: DecodePlan,
    on_progress: OnProgress,
    *,
    whole: bool = False,
) -> Iterator[Media]:
    """Fetch a URL into `folder`, open a file, or check captured pictures. Raises UnmaskError.

    Unless the `whole` file is wanted, perhaps only what is looked at is fetched.
    """
    if isinstance(source, FramesSource):
        yield _open_frames(source, limits, plan)
        return
    if isinstance(source, UrlSource):
        file = client.fetch(find_address(source.url), folder, limits, plan, on_progress, whole=whole)
        with closing(file):
            yield _open_file(source, file, lambda: file.sha256)
    elif _exists(source.path):
        with closing(BackgroundHash(source.path, limits.max_bytes)) as hashing:
            file = client.from_path(source.path, limits, plan)
            with closing(file):
                yield _open_file(source, file, hashing.result)
    else:
        raise BadInput(f"There is no file {str(source.path)[:MAX_NAME]}.")


class BackgroundHash:
    """The SHA-256 of a file, computed while it is decoded: of hours of video that takes a second.

    What is no file, or longer than `max_bytes`, is not read. The caller closes it.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._closed = threading.Event()
        pool = ThreadPoolExecutor(1, "unmask-sha256")
        self._future = pool.submit(self._hash, path, max_bytes)
        pool.shutdown(wait=False)

    def result(self) -> str:
        """Wait for it. Raises BadInput when the file cannot be read, any more."""
        try:
            return self._future.result()
        except OSError as error:
            raise BadInput(f"The file cannot be read: {error.strerror}.") from error

    def close(self) -> None:
        """Stop computing it."""
        self._closed.set()

    def _hash(self, path: Path, max_bytes: int) -> str:
        digest, block = hashlib.sha256(), memoryview(bytearray(BLOCK_BYTES))
        if path.is_file() and path.stat().st_size <= max_bytes:
            with path.open("rb", buffering=0) as file:
                while not self._closed.is_set() and (size := file.readinto(block)):
                    digest.update(block[:size])
        return digest.hexdigest()


def _open_file(source: UrlSource | FileSource, file: VideoFile, sha256: Callable[[], str | None]) -> Media:
    found = {
        "title": file.title,
        "extractor": file.extractor,
        "duration_seconds": _rounded(file.duration_seconds),
        "width": file.width,
        "height": file.height,
    }
    return Media(
        source=Source(**{**describe(source), **found}),
        sha256=sha256,
        content=content_key(file.sha256, file.offset_seconds) if file.sha256 else None,
        windows=file.opened.windows,
        offset_seconds=file.offset_seconds,
        fetched=file.path if isinstance(source, UrlSource) else None,
        notices=lambda: [text for trait, text in NOTICES.items() if trait in file.opened.stream.traits],
        gaps=lambda: file.opened.gaps,
        statements=Statements(
            path=None if file.in_part else file.path,
            has_store=file.opened.stream.has_store or bool(file.sidecar),
            store=file.opened.store if file.opened.stream.has_store else file.sidecar,
            tags=dict(file.opened.stream.tags),
            sidecar_url=file.sidecar_url,
            site=file.site,
        ),
    )


def _open_frames(source: FramesSource, limits: Limits, plan: DecodePlan) -> Media:
    captured = captured_frames.collect(source.images, source.seconds, limits)
    width, height = captured.sizes[0]
    return Media(
        source=Source(**describe(source), width=width, height=height),
        sha256=lambda: captured.sha256,
        content=f"frames:{captured.sha256}",
        windows=lambda on_wait: decode_client.decode_capture(captured, plan, on_wait),
        notices=lambda: [NOTICES["hdr"]] if source.hdr else [],
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None or not math.isfinite(seconds) else round(seconds, 3)


def fingerprint(source: VideoSource, max_bytes: int) -> str:
    """Make a key that is equal for sources of equal video: of the canonical URL, or a hash of the content.

    A file above `max_bytes` is not read: nothing equals it. Raises BadInput when it cannot be read.
    """
    if isinstance(source, UrlSource):
        return f"url:{canonical_url(source.url)}"
    if isinstance(source, FileSource):
        return _file_fingerprint(source.path, max_bytes)
    return f"frames:{captured_frames.digest(source.images, (source.page_url, source.title, source.seconds))}"


def _file_fingerprint(path: Path, max_bytes: int) -> str:
    try:
        if path.stat().st_size > max_bytes:
            return f"unread:{secrets.token_hex(8)}"
        return content_key(client.sha256_of(path), 0.0)
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read: {error.strerror}.") from error
