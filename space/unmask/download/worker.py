"""The child process of a fetch: one request on stdin, JSON lines on stdout. fetch.py starts and kills it.

With `failures` and `ranges` the only file that imports yt_dlp. A line is {"fraction", "text"} while it works,
and at last {"result": …} or {"error": {"code", "message"}}; no such last line means that it crashed. A file
that is to be read in parts is left where it is: then each further line on stdin, {"begin", "end"}, is
answered by {"bytes"} and these bytes, or by an error.
"""

import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from yt_dlp import YoutubeDL
from yt_dlp.networking import Request as WebRequest
from yt_dlp.networking.exceptions import RequestError
from yt_dlp.utils import DownloadError, int_or_none

from unmask.download import hls, http_range, ytdlp_errors
from unmask.errors import LiveStream, NoFrames, TooLarge, UnsupportedSite
from unmask.limits import Limits, check_bytes, check_seconds
from unmask.sandbox.network import blocked, guard_process
from unmask.sandbox.rlimits import Bounds, confine
from unmask.video.sampling import Cut, Span, moments

Report = Callable[[dict[str, Any]], None]  # a line for the parent
Info = dict[str, Any]  # what yt-dlp knows about a video

PROGRAMS = frozenset({"deno"})  # runs YouTube's player code, itself without files and network
HANDLERS = ("Requests", "Urllib")  # both dial through Python's sockets, which the guard watches; best first
PROTOCOLS = frozenset({"http", "https", "m3u8", "m3u8_native", "http_dash_segments"})  # need no other program
NOT_ENDED = frozenset({"is_live", "is_upcoming", "post_live"})
ENDED = frozenset({"was_live", "not_live"})  # some sites know it although the playlist does not say it

MAX_TITLE_CHARACTERS = 300
MAX_PAGE_BYTES = 16 * 2**20  # of a page or playlist, which is read into memory whole
MAX_MEMORY_BYTES = 2 * 2**30
MAX_OPEN_FILES = 256
PASSWORD_FIELD = re.compile(rb"""<input[^>]+type=["']?password""", re.IGNORECASE)
SERVING_SECONDS = 3600.0  # a file is read in parts as long as its check takes; the parent is less patient
SILENCE_SECONDS = 20.0  # how long a server may say nothing
PROGRESS_SECONDS = 0.2  # between two lines


@dataclass(frozen=True)
class Request:
    """What to fetch, and where to."""

    url: str  # has passed check_url
    file: str  # absolute path of the file to write, in a folder of its own
    limits: Limits
    start_seconds: float
    end_seconds: float | None
    windows: int = 0  # so many are looked at, and only what they need may be fetched; 0: all of it
    window_seconds: float = 0.0  # length of each

    def moments(self, duration_seconds: float | None) -> list[tuple[float, float]]:
        """From when to when the video is needed."""
        span = Span(self.start_seconds, self.end_seconds)
        if self.windows == 0 or duration_seconds is None:
            return [(span.start_seconds, math.inf if span.end_seconds is None else span.end_seconds)]
        return moments(span, duration_seconds, self.window_seconds, self.windows)

    @classmethod
    def from_json(cls, text: str) -> "Request":
        fields = json.loads(text)
        return cls(**fields | {"limits": Limits(**fields["limits"])})


@dataclass(frozen=True)
class Found:
    """What the site says about the fetched video."""

    title: str | None
    extractor: str | None
    duration_seconds: float | None  # of the whole video
    offset_seconds: float  # in the whole video, of the file's second 0
    size_bytes: int | None  # of the file that stays where it is; None: it was fetched
    has_gaps: bool  # pieces in between were left out


def main() -> None:
    """Fetch what stdin asks for. A defect ends in a traceback on stderr and a missing last line."""
    request = Request.from_json(sys.stdin.readline())
    pipe = _keep_stdout()
    report = _reporter(pipe)
    confine(_bounds(request))
    refused = guard_process(request.limits, PROGRAMS)
    try:
        with Session(_options(request, report), request.limits) as session:
            info, cut = session.prepare(request)
            remote = http_range.find(session.urlopen, info) if request.windows else None
            if remote is None:
                session.save(info, Path(request.file))
            else:
                check_bytes(remote.size_bytes, request.limits)
            report({"result": asdict(_found(info, cut, remote))})
            if remote is not None:
                serve(remote, session, pipe)
    except ytdlp_errors.EXPECTED as error:
        problem = blocked() if refused else ytdlp_errors.explain(error)
        report({"error": {"code": problem.code, "message": problem.message}})


def serve(remote: http_range.RemoteFile, session: "Session", pipe: BinaryIO) -> None:
    """Give the parent what it asks for, until it asks no more."""
    for line in sys.stdin:
        asked = json.loads(line)
        data = remote.read(session.urlopen, asked["begin"], asked["end"])
        pipe.write(json.dumps({"bytes": len(data)}).encode() + b"\n" + data)
        pipe.flush()


def _found(info: Info, cut: Cut, remote: http_range.RemoteFile | None) -> Found:
    return Found(
        _line(info.get("title")),
        _line(info.get("extractor")),
        info.get("duration"),
        cut.offset_seconds,
        remote.size_bytes if remote is not None else None,
        cut.has_gaps,
    )


class Session(YoutubeDL):  # type: ignore[misc]
    """yt-dlp with only the doors open that a fetch needs."""

    def __init__(self, options: dict[str, Any], limits: Limits) -> None:
        self.limits = limits
        self.asks_for_password = False  # a page that was read has a password field
        self.last_failure: RequestError | None = None  # of the network
        super().__init__(options)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """No WebSocket, no curl: one handler, which dials through Python's sockets."""
        known = {handler.RH_KEY: handler for handler in handlers}
        chosen = next(known[key] for key in HANDLERS if key in known)
        return super().build_request_director([chosen], preferences)

    def urlopen(self, req: Any) -> Any:
        """A response that bounds `read()`, by which pages and playlists are read into memory whole."""
        with self._noting_failure():
            _check_scheme(req if isinstance(req, str) else req.url)
            response = super().urlopen(req)
        check_bytes(int_or_none(response.headers.get("Content-Length")) or 0, self.limits)
        read_some, head = response.read, b""

        def read(amount: int | None = None) -> bytes:
            nonlocal head
            with self._noting_failure():
                if amount is not None:
                    block = read_some(amount)
                    head = head or block
                    return bytes(block)
                page = b"".join(_bounded(lambda: read_some(2**16)))
            self.asks_for_password |= bool(PASSWORD_FIELD.search(head + page))
            return page

        response.read = read
        return response

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """yt-dlp's downloaders keep only the text of what went wrong."""
        try:
            yield
        except RequestError as error:
            self.last_failure = error
            raise

    def prepare(self, request: Request) -> tuple[Info, Cut]:
        """Find the one video behind the URL, check it against the limits, cut it to what is needed.

        Returns what there is to fetch and how it was cut. Raises UnmaskError, or what yt-dlp raises:
        `failures.explain` tells them apart.
        """
        info = self.find(request.url)
        _check_ended(info)
        cut = self.cut_out(info, request)
        check_bytes(info.get("filesize") or 0, request.limits)
        return info, cut

    def find(self, url: str) -> Info:
        """The one video behind `url`, its format chosen. Raises UnsupportedSite for playlists."""
        try:
            info = self.extract_info(url, download=False)
            if info and info.get("_type") in ("playlist", "multi_video"):
                info = self._only_entry(info)
        except Exception as error:  # extractors read foreign pages and fail in every way
            raise ytdlp_errors.explain(error, self.asks_for_password) from error
        if not info or not info.get("url"):
            raise ytdlp_errors.no_video()
        return dict(info)

    def cut_out(self, info: Info, request: Request) -> Cut:
        """Leave out the pieces of a video in pieces that are not needed; check the length, where known.

        Changes `info`.
        """
        if info["protocol"].startswith("m3u8"):
            return self._cut_hls(info, request)
        fragments = list(info.get("fragments") or ())
        lengths = [fragment.get("duration") for fragment in fragments]
        if None in lengths[1:] or not any(lengths):  # the first may be the head
            _check_duration(info, request)
            return Cut()
        in_all = sum(length or 0.0 for length in lengths)  # the site may say another
        info["duration"] = info.get("duration") or in_all
        _check_duration(info, request)
        info["fragments"], cut = cut_fragments(fragments, request.moments(in_all))
        return cut

    def _cut_hls(self, info: Info, request: Request) -> Cut:
        playlist = self._media_playlist(info)
        if hls.is_master(playlist):
            _check_duration(info, request)
            return Cut()
        if hls.is_live(playlist) and info.get("live_status") not in ENDED:
            raise _live()
        in_all = hls.duration_seconds(playlist) or None
        info["duration"] = info.get("duration") or in_all
        _check_duration(info, request)
        info["hls_media_playlist_data"], cut = hls.cut(playlist, request.moments(in_all))
        return cut

    def _media_playlist(self, info: Info) -> str:
        if info.get("hls_media_playlist_data"):
            return str(info["hls_media_playlist_data"])
        response = self.urlopen(WebRequest(info["url"], headers=info.get("http_headers") or {}))
        info["url"] = response.url  # to which the segments' addresses are relative
        return str(response.read().decode("utf-8", "ignore"))

    def save(self, info: Info, file: Path) -> None:
        """Download without any of yt-dlp's naming and post-processing."""
        self.last_failure = None
        try:
            done, _ = self.dl(str(file), info)
        except DownloadError as error:
            raise error from self.last_failure
        if not done or not file.is_file():
            raise ytdlp_errors.broken_off()

    def _only_entry(self, playlist: Info) -> Info:
        entries = list(playlist.get("entries") or ())
        if len(entries) != 1:
            raise UnsupportedSite("This link leads to several videos or none. Give the link of one video.")
        if entries[0].get("_type", "video") == "video":
            return dict(entries[0])
        return dict(self.process_ie_result(entries[0], download=False) or {})


def _check_scheme(url: str) -> None:
    """Not every handler refuses ftp: and data: by itself."""
    if not url.startswith(("http:", "https:", "//")):
        raise RequestError("Unsupported URL scheme.")


def choose(formats: list[Info], max_bytes: int) -> Info:
    """The best format that holds pictures, needs no other program, and fits; sound does not matter.

    `formats` are sorted, best last. Raises NoFrames or UnsupportedSite.
    """
    pictures = [each for each in formats if each.get("vcodec") != "none"]
    if not pictures:
        raise NoFrames("This link holds no moving pictures, perhaps only sound.")
    plain = [each for each in pictures if each.get("protocol") in PROTOCOLS]
    if not plain:
        raise ytdlp_errors.unfetchable()
    fitting = [each for each in plain if _announced_bytes(each) <= max_bytes]
    return (fitting or plain)[-1]


def cut_fragments(fragments: list[Info], moments: Sequence[tuple[float, float]]) -> tuple[list[Info], Cut]:
    """The DASH fragments that overlap one of the moments. One without length is kept: it is the head."""
    kept, clock, until, cut = [], 0.0, None, Cut()
    for fragment in fragments:
        begins, clock = clock, clock + (fragment.get("duration") or 0.0)
        if clock == begins:
            kept.append(fragment)
        elif any(begins < end and clock > start for start, end in moments):
            cut = Cut(begins) if until is None else replace(cut, has_gaps=cut.has_gaps or begins > until)
            until = clock
            kept.append(fragment)
    return kept, cut


class _Silent:
    """A logger that drops everything: what matters comes as an exception."""

    def debug(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


def _options(request: Request, report: Report) -> dict[str, Any]:
    limits = request.limits

    def selected(context: Mapping[str, Any]) -> Iterator[Info]:
        yield choose(context["formats"], limits.max_bytes)

    return {
        "logger": _Silent(),
        "color": "never",
        "noprogress": True,
        "progress_hooks": [_progress(limits, report)],
        # one video
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "playlist_items": "1-2",  # enough to see that there are several
        # small, quick to decode, and in one piece; a format without sound is as good
        "format": selected,
        "format_sort": ["res:720", "fps:30", "vcodec:h264", "hasaud", "proto"],
        "check_formats": False,
        # nothing of this machine or of its owner
        "cachedir": False,
        "usenetrc": False,
        "cookiefile": None,
        "proxy": "",
        "geo_bypass": False,
        # no other program: ffmpeg would dial past the guard
        "ffmpeg_location": f"{request.file}.no-ffmpeg",
        "external_downloader": "native",
        "hls_prefer_native": True,
        "fixup": "never",
        "js_runtimes": {"deno": {}},
        "remote_components": (),
        # patience
        "socket_timeout": min(SILENCE_SECONDS, limits.timeout_seconds),
        "retries": 2,
        "fragment_retries": 2,
        "extractor_retries": 1,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        # the file
        "nopart": True,
        "updatetime": False,
    }


def _progress(limits: Limits, report: Report) -> Callable[[Mapping[str, Any]], None]:
    """A hook that stops the download at the cap and passes on how far it is."""
    last = 0.0

    def hook(status: Mapping[str, Any]) -> None:
        nonlocal last
        so_far, total = status.get("downloaded_bytes") or 0, status.get("total_bytes")
        check_bytes(max(so_far, total or 0), limits)
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            report({"fraction": _fraction(status), "text": _how_far(so_far, total)})

    return hook


def _fraction(status: Mapping[str, Any]) -> float | None:
    if status.get("total_bytes"):
        return float(status["downloaded_bytes"] / status["total_bytes"])
    if status.get("fragment_count"):
        return float(status["fragment_index"] / status["fragment_count"])
    return None


def _how_far(so_far: int, total: int | None) -> str:
    whole = f" of {total / 2**20:.1f}" if total else ""
    return f"Fetched {so_far / 2**20:.1f}{whole} MiB"


def _check_ended(info: Info) -> None:
    if info.get("is_live") or info.get("live_status") in NOT_ENDED:
        raise _live()


def _live() -> LiveStream:
    return LiveStream("This is a live stream that has not ended yet. Try again once it is recorded.")


def _check_duration(info: Info, request: Request) -> None:
    """Of some videos the length is not known: fetch.py looks again at the file."""
    if info.get("duration"):
        check_seconds(info["duration"], request.start_seconds, request.end_seconds, request.limits)


def _announced_bytes(info: Info) -> float:
    return info.get("filesize") or info.get("filesize_approx") or 0


def _bounded(read_some: Callable[[], bytes]) -> Iterator[bytes]:
    size_bytes = 0
    while block := read_some():
        size_bytes += len(block)
        if size_bytes > MAX_PAGE_BYTES:
            raise TooLarge("The page behind this link is too large to be searched for a video.")
        yield block


def _bounds(request: Request) -> Bounds:
    """The parent ends what takes too long; these end what the parent can no longer end."""
    limits = request.limits
    return Bounds(
        memory_bytes=MAX_MEMORY_BYTES,
        cpu_seconds=limits.timeout_seconds + 10,
        wall_seconds=max(limits.timeout_seconds + 10, SERVING_SECONDS if request.windows else 0.0),
        file_bytes=limits.max_bytes + 2**20,
        open_files=MAX_OPEN_FILES,
    )


def _line(text: object) -> str | None:
    """One printable line of what a site calls something."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text or "")).split())
    return words[:MAX_TITLE_CHARACTERS] or None


def _keep_stdout() -> BinaryIO:
    """The pipe to the parent; whatever else prints to stdout lands on stderr."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe


def _reporter(pipe: BinaryIO) -> Report:
    def report(message: dict[str, Any]) -> None:
        pipe.write(json.dumps(message).encode() + b"\n")
        pipe.flush()

    return report


if __name__ == "__main__":
    main()
