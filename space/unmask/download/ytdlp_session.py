"""Find a video behind a URL with yt-dlp, choose its format, and fetch what is needed of it. For the download worker.

Only this file, `dash`, `http_range` and `ytdlp_errors` import yt_dlp.
"""

import re
import shutil
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from yt_dlp import YoutubeDL
from yt_dlp.networking import Request as WebRequest
from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import DownloadError, int_or_none

from unmask.download import dash, hls, http_range, ytdlp_errors
from unmask.download.messages import FetchRequest
from unmask.download.segments import Segment, gaps_in, segment_ranges, select_runs
from unmask.download.site_labels import find_label
from unmask.errors import LiveStream, NoFrames, TooLarge
from unmask.limits import Limits, check_bytes, check_seconds
from unmask.text import printable_line
from unmask.video.byte_ranges import MAX_RANGE_BYTES
from unmask.video.sampling import Piece

Info = dict[str, Any]  # what yt-dlp knows about a video

HANDLERS = ("Requests", "Urllib")  # both use Python's sockets, which `guard_process` watches; best first
PROTOCOLS = frozenset({"http", "https", "m3u8", "m3u8_native", "http_dash_segments"})  # need no other program
NOT_ENDED = frozenset({"is_live", "is_upcoming", "post_live"})
ENDED = frozenset({"was_live", "not_live"})  # some sites know it although the playlist does not say it
MAX_TITLE_CHARACTERS = 300
MAX_PAGE_BYTES = 16 * 2**20  # of a page or playlist, which is read into memory whole
LINK = re.compile(r"<([^<>]{1,2000})>([^<>]*)")  # in a header: address, attributes
TO_SIDECAR = re.compile(r"""\brel=["']?c2pa-manifest\b""")  # C2PA 2.2, 11.4
PASSWORD_FIELD = re.compile(rb"""<input[^<>]+type=["']?password""", re.IGNORECASE)
MAX_FORMATS = 3  # of a video that are tried, where servers fail, before the last
MAX_MISSING = 4  # segments more than are there
PROGRESS = "unmask_progress"  # field of an info: (which part it is, of how many)

Run = Sequence[Segment]  # that follow each other: a download of its own; without content: announced as missing
Fetched = tuple[Info, http_range.HttpRangeFile | None, tuple[Piece, ...], tuple[float, ...]]


class YtdlpSession(YoutubeDL):  # type: ignore[misc]
    """yt-dlp, allowed only what a fetch needs."""

    def __init__(self, options: dict[str, Any], limits: Limits) -> None:
        self.limits = limits
        self.asks_for_password = False  # a page that was read has a password field
        self.last_failure: RequestError | None = None  # of the network
        self.label: tuple[str, str] | None = None  # name of the site, and how it labels the video
        self.sidecar_url: str | None = None  # where a server says that Content Credentials lie
        self._sidecar_is_near = False  # on the same server
        self._variables: dict[str, str] = {}  # that HLS playlists have defined
        super().__init__(options)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """Choose the one handler: no WebSocket, no curl, only one that uses Python's sockets."""
        known = {handler.RH_KEY: handler for handler in handlers}
        chosen = next(known[key] for key in HANDLERS if key in known)
        return super().build_request_director([chosen], preferences)

    def urlopen(self, req: Any) -> Any:
        """Open a URL; the response bounds `read()`, by which pages and playlists are read into memory whole."""
        with self._noted_failure():
            _check_scheme(req if isinstance(req, str) else req.url)
            response = super().urlopen(req)
        check_bytes(int_or_none(response.headers.get("Content-Length")) or 0, self.limits)
        is_page = "html" in (response.headers.get("Content-Type") or "")  # whose credentials are not the video's
        for address, attributes in LINK.findall(response.headers.get("Link") or ""):
            if TO_SIDECAR.search(attributes) and not is_page:
                self.sidecar_url = printable_line(urljoin(response.url, address), MAX_TITLE_CHARACTERS)
                self._sidecar_is_near = _same_server(self.sidecar_url, response.url)
        read_some, head = response.read, b""
        playlist: BytesIO | None = None
        read_all: Callable[[], bytes] = lambda: b"".join(_bounded(lambda: read_some(2**16)))

        def read(amount: int | None = None) -> bytes:
            nonlocal head, playlist
            with self._noted_failure():
                block = b"" if playlist else bytes(read_all() if amount is None else read_some(amount))
                if not head and block.startswith((BOM_UTF8, b"#EXTM3U")):
                    text = (block + read_all()).decode("utf-8-sig", "ignore")
                    playlist = BytesIO(hls.substitute(text, response.url, self._variables).encode())
            block = playlist.read(amount) if playlist else block
            head = head or block
            if amount is None:
                self.asks_for_password |= bool(PASSWORD_FIELD.search(head + block))
                self.label = self.label or find_label(response.url, (head + block).decode("utf-8", "replace"))
            return block

        response.read = read
        return response

    def fetch_sidecar(self) -> bytes:
        """Fetch the Content Credentials that the server of the video offers; nothing of what lies on another one."""
        if self.sidecar_url is None or not self._sidecar_is_near:
            return b""
        try:
            response = self.urlopen(WebRequest(self.sidecar_url))
            content = bytes(response.read()) if _same_server(self.sidecar_url, response.url) else b""
        except (RequestError, TooLarge):
            return b""
        return content if len(content) <= MAX_RANGE_BYTES else b""

    @contextmanager
    def _noted_failure(self) -> Iterator[None]:
        """Keep an error of the network: yt-dlp's downloaders keep only its text."""
        try:
            yield
        except RequestError as error:
            self.last_failure = error
            raise

    def fetch(self, request: FetchRequest) -> Fetched:
        """Fetch what is needed of the one video behind the URL; where its server fails, of the form most like it.

        Returns the video, the file where it is left on its server, its pieces, and the starts of the windows for which
        they are enough. Raises UnmaskError, or what yt-dlp raises: `ytdlp_errors.to_unmask_error` tells them apart.
        """
        info = self.find(request.url)
        _check_ended(info)
        formats = list(info.get("formats") or ())
        for _ in range(MAX_FORMATS):
            try:
                return self._fetch_format(info, request)
            except (RequestError, DownloadError):
                chosen: Info = next((each for each in formats if each.get("format_id") == info.get("format_id")), {})
                formats = [each for each in formats if each is not chosen and each.get("vcodec") != "none"]
                if not any(each.get("protocol") in PROTOCOLS for each in formats):
                    raise
                Path(request.file).unlink(missing_ok=True)  # what came before it failed
                formats.sort(key=lambda each: (_is_beside(each, chosen), dash.distance(chosen, each)), reverse=True)
                common = {name: value for name, value in info.items() if name not in chosen}
                info = common | choose_format(formats, request.limits.max_bytes)
        return self._fetch_format(info, request)

    def _fetch_format(self, info: Info, request: FetchRequest) -> Fetched:
        runs, starts = self.select_runs(info, request)
        check_bytes(info.get("filesize") or 0, request.limits)
        remote = http_range.find_remote_file(self.urlopen, info) if request.windows else None
        if remote is not None:
            check_bytes(remote.size_bytes, request.limits)
        elif runs:
            return info, None, self.save_runs(info, runs, Path(request.file)), starts
        else:
            self.save(info, Path(request.file))
        return info, remote, (), starts

    def find(self, url: str) -> Info:
        """Find the one video behind `url` and choose its format. Raises UnsupportedSite for playlists."""
        try:
            info = self.extract_info(url, download=False)
            if info and info.get("_type") in ("playlist", "multi_video"):
                info = self._only_entry(info)
        except Exception as error:  # extractors read untrusted pages and fail in every way
            raise ytdlp_errors.to_unmask_error(error, self.asks_for_password) from error
        if not info or not info.get("url"):
            raise ytdlp_errors.no_video()
        return dict(info)

    def select_runs(self, info: Info, request: FetchRequest) -> tuple[list[Run], tuple[float, ...]]:
        """Select what is needed of a video in segments; check the duration, where known, and set it in `info`.

        Returns:
            The runs; none where it is fetched as it is. And the starts of the windows for which they are enough.
        """
        playlist = ""
        if info["protocol"].startswith("m3u8"):
            playlist = self._media_playlist(info)
            if not hls.is_master(playlist) and hls.is_live(playlist) and info.get("live_status") not in ENDED:
                raise _live()
            segments = [] if hls.is_master(playlist) else hls.read_segments(playlist)
            info["hls_media_playlist_data"] = playlist if segments else None
        else:
            fragments = list(info.get("fragments") or ())
            lengths = [fragment.get("duration") for fragment in fragments if not fragment.get("period")]
            segments = [] if None in lengths[1:] else dash.read_segments(fragments)  # the first may be the init
        if ranges := segment_ranges(segments):
            info["duration"] = ranges[-1][1] or info.get("duration")  # the site may say another
        _check_duration(info, request)
        if not segments or hls.must_stay_whole(playlist) or not ranges[-1][1]:
            return [], ()
        starts = request.window_starts(ranges)
        runs: list[Run] = [*select_runs(segments, request.needed_intervals(starts))]
        gaps = gaps_in(ranges, request.span)
        if gaps and not runs:
            raise NoFrames("The site says that this part of the video is missing.")
        runs += ([Segment(None, None, start, end, 0, 0)] for start, end in gaps)
        return sorted(runs, key=lambda run: run[0].start_seconds), starts

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

    def save_runs(self, info: Info, runs: Sequence[Run], file: Path) -> tuple[Piece, ...]:
        """Download runs, one behind the other in one file -> where they lie in it.

        What the server does not have is a piece of no bytes, as long as it has about as much.
        """
        pieces: list[Piece] = []
        waiting, surplus = list(runs), MAX_MISSING
        while waiting:
            run = waiting.pop(0)
            begin = end = pieces[-1].end_byte if pieces else 0
            if run[0].content is not None:
                path = file if [run] == runs else file.with_suffix(f".{len(pieces)}-{len(waiting)}")
                try:
                    self.save({**_only(info, run), PROGRESS: (len(pieces), len(pieces) + len(waiting) + 1)}, path)
                except DownloadError:
                    if not isinstance(self.last_failure, HTTPError | None):  # None: it is empty
                        raise
                    path.unlink(missing_ok=True)
                    if len(run) > 1:
                        waiting[:0] = [[each] for each in run]
                        continue
                    surplus -= 1
                    if surplus < 0 or not (waiting or end):
                        raise
                else:
                    surplus, end = surplus + 1, begin + path.stat().st_size
                    if path != file:
                        _move_to_end(path, file)
            pieces.append(_to_piece(run, begin, end))
        return tuple(pieces)

    def _only_entry(self, playlist: Info) -> Info:
        linked = [(ytdlp_errors.entry_link(entry), entry) for entry in playlist.get("entries") or () if entry]
        entries = list(dict(linked).values())  # a page may show one twice
        if len(entries) != 1:
            raise ytdlp_errors.several_videos(entries)
        if entries[0].get("_type", "video") == "video":
            return dict(entries[0])
        return dict(self.process_ie_result(entries[0], download=False) or {})


def _only(info: Info, run: Run) -> Info:
    """Describe a run of a video as a video of its own."""
    if playlist := info.get("hls_media_playlist_data"):
        return {**info, "hls_media_playlist_data": hls.write_playlist(playlist, run)}
    return {**info, "fragments": [*filter(None, [run[0].init]), *(each.content for each in run)]}


def _move_to_end(path: Path, file: Path) -> None:
    """Move the content of a file behind that of another."""
    with path.open("rb") as source, file.open("ab") as target:
        shutil.copyfileobj(source, target)
    path.unlink()


def _to_piece(run: Run, begin_byte: int, end_byte: int) -> Piece:
    """Describe where a run lies in its file."""
    first, until = run[0], run[-1].end_seconds
    lead, ahead = first.lead_seconds, first.ahead_seconds
    return Piece(begin_byte, end_byte, first.start_seconds, until, first.period, lead_seconds=lead, ahead_seconds=ahead)


def _is_beside(each: Info, other: Info) -> bool:
    """Tell whether two formats lie on one server."""
    return each.get("server") == other.get("server") and _same_server(each.get("url") or "", other.get("url") or "")


def _same_server(url: str, other: str) -> bool:
    return urlsplit(url)[:2] == urlsplit(other)[:2]


def _check_scheme(url: str) -> None:
    """Not every handler refuses ftp: and data: by itself."""
    if not url.startswith(("http:", "https:", "//")):
        raise RequestError("Unsupported URL scheme.")


def choose_format(formats: list[Info], max_bytes: int) -> Info:
    """Choose the best format that holds pictures, needs no other program, and fits; sound does not matter.

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


def _check_ended(info: Info) -> None:
    if info.get("is_live") or info.get("live_status") in NOT_ENDED:
        raise _live()


def _live() -> LiveStream:
    return LiveStream("This is a live stream that has not ended yet. Try again once it is recorded.")


def _check_duration(info: Info, request: FetchRequest) -> None:
    """Check the duration, where it is known; the client checks it again by the file."""
    if info.get("duration"):
        span = request.span
        check_seconds(info["duration"], span.start_seconds, span.end_seconds, request.limits)


def _announced_bytes(info: Info) -> float:
    return info.get("filesize") or info.get("filesize_approx") or 0


def _bounded(read_some: Callable[[], bytes]) -> Iterator[bytes]:
    size_bytes = 0
    while block := read_some():
        size_bytes += len(block)
        if size_bytes > MAX_PAGE_BYTES:
            raise TooLarge("The page behind this link is too large to be searched for a video.")
        yield block
