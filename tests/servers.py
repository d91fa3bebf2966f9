"""Small real web servers on loopback that behave well, badly and never, for tests of everything that fetches.

    with video_site(clip, segments) as site:
        fetch(site.url("/clip.mp4"), …)
        assert site.hits("/clip.mp4") == 1

`Site` takes any routes; `video_site` has one route a behaviour, listed in its docstring.
"""

import gzip
import io
import re
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import av

Headers = Mapping[str, object]
NO_HEADERS: Headers = {}


class Handler(BaseHTTPRequestHandler):
    """One request; `answer` functions below write to it."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.site.requests.append((self.command, path))
        answer = self.server.site.routes.get(path, self.server.site.otherwise)
        try:
            answer(self)
        except (ConnectionError, TimeoutError):  # the client went away
            self.close_connection = True

    do_HEAD = do_POST = do_GET

    def start(self, code: int, headers: Headers) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def give(self, body: bytes, kind: str, code: int = 200, headers: Headers = NO_HEADERS) -> None:
        self.start(code, {"Content-Type": kind, "Content-Length": len(body), **headers})
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


Answer = Callable[[Handler], None]
NO_ROUTES: Mapping[str, Answer] = {}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # slow answers must not hold the test
    site: "Site"

    def handle_error(self, request: Any, client_address: Any) -> None: ...


class Site:
    """A server with routes path -> answer, and one for all other paths; a context manager. Port 0 takes a free one."""

    def __init__(
        self,
        routes: Mapping[str, Answer] = NO_ROUTES,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        otherwise: Answer | None = None,
        server: type[Server] = Server,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.routes, self.otherwise = dict(routes), otherwise or status(404)
        self.requests: list[tuple[str, str]] = []
        self.leaving = threading.Event()  # slow answers end when it is set
        self._server = server((host, port), Handler)
        self._server.site = self
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.host, self.port = host, self._server.server_port

    def __enter__(self) -> "Site":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leaving.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"

    def hits(self, path: str) -> int:
        return Counter(asked for _, asked in self.requests)[path]


# --- answers -------------------------------------------------------------------------------------------


def content(body: bytes, kind: str = "application/octet-stream") -> Answer:
    """The whole body, whatever part was asked for."""
    return lambda handler: handler.give(body, kind)


def html(body: str, title: str = "A page") -> Answer:
    page = f"<!doctype html><html><head><title>{title}</title></head><body>{body}</body></html>"
    return content(page.encode(), "text/html; charset=utf-8")


def media(body: bytes, kind: str = "video/mp4") -> Answer:
    """A file of which ranges can be had."""

    def answer(handler: Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        if not asked:
            handler.give(body, kind, headers={"Accept-Ranges": "bytes"})
            return
        start, end = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
        if start > end:
            handler.give(b"", kind, 416, {"Content-Range": f"bytes */{len(body)}"})
            return
        part = f"bytes {start}-{end}/{len(body)}"
        handler.give(body[start : end + 1], kind, 206, {"Content-Range": part})

    return answer


def status(code: int, headers: Headers = NO_HEADERS) -> Answer:
    body = f"<html><title>{code}</title><body>{HTTPStatus(code).phrase}</body></html>".encode()
    return lambda handler: handler.give(body, "text/html", code, headers)


def redirect(to: str, code: int = 302) -> Answer:
    return lambda handler: handler.give(b"", "text/html", code, {"Location": to})


def packed(body: bytes, kind: str = "text/html") -> Answer:
    """The body compressed; a bomb if it is large and dull."""
    small = gzip.compress(body)
    return lambda handler: handler.give(small, kind, headers={"Content-Encoding": "gzip"})


def closing(answer: Answer) -> Answer:
    """The same on a connection of its own, so that the next request looks the server's name up again."""

    def closed(handler: Handler) -> None:
        answer(handler)
        handler.close_connection = True

    return closed


def slow(body: bytes, kind: str = "video/mp4", bytes_a_second: int = 200) -> Answer:
    """The body in drips, ten a second."""

    def answer(handler: Handler) -> None:
        handler.start(200, {"Content-Type": kind, "Content-Length": len(body)})
        step = max(1, bytes_a_second // 10)
        for start in range(0, len(body), step):
            handler.wfile.write(body[start : start + step])
            if handler.server.site.leaving.wait(0.1):
                break
        handler.close_connection = True

    return answer


def silent(seconds: float = 60.0) -> Answer:
    """Takes the request and says nothing."""

    def answer(handler: Handler) -> None:
        handler.server.site.leaving.wait(seconds)
        handler.close_connection = True

    return answer


def begun(text: str) -> Answer:
    """Give the beginning of a page, and never its end."""

    def answer(handler: Handler) -> None:
        handler.start(200, {"Content-Type": "text/html", "Content-Length": len(text) + 1})
        handler.wfile.write(text.encode())
        silent()(handler)

    return answer


def broken(body: bytes, kind: str = "video/mp4", part: float = 0.5) -> Answer:
    """Announces the whole body, gives a part of it and hangs up, every time."""

    def answer(handler: Handler) -> None:
        handler.start(200, {"Content-Type": kind, "Content-Length": len(body)})
        handler.wfile.write(body[: int(len(body) * part)])
        handler.close_connection = True

    return answer


def lying(body: bytes, announced_bytes: int, kind: str = "video/mp4") -> Answer:
    """Announces far more than it gives."""

    def answer(handler: Handler) -> None:
        handler.start(200, {"Content-Type": kind, "Content-Length": announced_bytes})
        handler.wfile.write(body)
        handler.close_connection = True

    return answer


def endless(block: bytes, kind: str = "video/mp4") -> Answer:
    """Announces no length and never stops."""

    def answer(handler: Handler) -> None:
        handler.start(200, {"Content-Type": kind, "Connection": "close"})
        while not handler.server.site.leaving.is_set():
            handler.wfile.write(block)
        handler.close_connection = True

    return answer


# --- HLS -----------------------------------------------------------------------------------------------


HLS, DASH = "application/vnd.apple.mpegurl", "application/dash+xml"
TS_START_SECONDS = 1.4  # MPEG-TS does not begin at zero: decoding begins before showing


class Segment(NamedTuple):
    data: bytes  # MPEG-TS
    seconds: float


def split_hls(clip: bytes, segment_seconds: float = 1.0) -> tuple[Segment, ...]:
    """Repack the first video stream of a file into HLS segments, cut at key frames, nothing re-encoded."""
    with av.open(io.BytesIO(clip), "r") as source:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        seconds = [float((packet.pts or 0) * (stream.time_base or 0)) for packet in packets]
        frame_seconds = float(1 / (stream.average_rate or 25))
        starts = [0]
        for i, packet in enumerate(packets):
            if packet.is_keyframe and seconds[i] - seconds[starts[-1]] >= segment_seconds - frame_seconds / 2:
                starts.append(i)
        bounds = zip(starts, [*starts[1:], len(packets)], strict=True)
        return tuple(_segment(stream, packets[a:b], (b - a) * frame_seconds) for a, b in bounds)


def _segment(stream: Any, packets: Sequence[Any], seconds: float) -> Segment:
    data = io.BytesIO()
    with av.open(data, "w", format="mpegts", options={"mpegts_copyts": "1"}) as sink:
        copy = sink.add_stream_from_template(stream)
        for packet in packets:
            packet.pts += int(TS_START_SECONDS / stream.time_base)
            packet.dts += int(TS_START_SECONDS / stream.time_base)
            packet.stream = copy
            sink.mux(packet)
    return Segment(data.getvalue(), seconds)


def media_playlist(segments: Sequence[Segment], folder: str = "", ended: bool = True) -> str:
    longest = max(segment.seconds for segment in segments)
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{int(longest) + 1}", "#EXT-X-MEDIA-SEQUENCE:0"]
    for i, segment in enumerate(segments):
        lines += [f"#EXTINF:{segment.seconds:.6f},", f"{folder}{i}.ts"]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else [])]) + "\n"


def hls_routes(segments: Sequence[Segment], folder: str = "/hls/") -> dict[str, Answer]:
    """`master.m3u8`, `index.m3u8`, `live.m3u8` (has no end) and the segments `0.ts`, …"""
    master = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=320x240,CODECS="avc1.42c01e"\nindex.m3u8\n'
    return {
        folder + "master.m3u8": content(master.encode(), HLS),
        folder + "index.m3u8": content(media_playlist(segments).encode(), HLS),
        folder + "live.m3u8": content(media_playlist(segments, ended=False).encode(), HLS),
        **{f"{folder}{i}.ts": content(segment.data, "video/mp2t") for i, segment in enumerate(segments)},
    }


def copy_video(source: Any, sink: Any) -> Any:
    """Copy the packets of the first video stream, nothing re-encoded -> that stream."""
    stream = source.streams.video[0]
    copy = sink.add_stream_from_template(stream)
    for packet in source.demux(stream):
        if packet.dts is not None:
            packet.stream = copy
            sink.mux(packet)
    return stream


# --- DASH ----------------------------------------------------------------------------------------------


def dash_routes(clip: bytes, folder: str = "/dash/") -> dict[str, Answer]:
    """`index.mpd` and its fragments of a second each."""
    options = {"seg_duration": "1", "use_timeline": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        with av.open(io.BytesIO(clip), "r") as source, av.open(f"{scratch}/index.mpd", "w", options=options) as sink:
            copy_video(source, sink)
        return {
            folder + path.name: content(path.read_bytes(), DASH if path.suffix == ".mpd" else "video/iso.segment")
            for path in Path(scratch).iterdir()
        }


# --- the whole site -------------------------------------------------------------------------------------


def video_site(clip: bytes, segments: Sequence[Segment] = ()) -> Site:
    """A site that serves `clip` (an mp4) in every way there is, good and bad:

    /clip.mp4 with ranges · /whole.mp4 without · /hls/{master,index,live}.m3u8 if there are segments
    /video-tag · /open-graph · /hls-page: pages around it · /plain: a page without a video
    /moved, /moved-page (one redirect) · /circle (redirects to itself) · /to-metadata (a cloud's keys)
    /missing 404 · /forbidden 403 · /unauthorized 401 · /broken-server 500 · /login: a sign-in form
    /slow.mp4 drips · /silent says nothing · /half.mp4 hangs up midway · /liar.mp4 announces 10 TiB
    /endless.mp4 never stops · /endless-page too · /bomb: a page of 64 MiB in 64 KiB ·
    /empty.mp4 · /text.mp4 · /picture.jpg
    /feed.xml: a playlist · /two-videos: a page with two · /one-shown-twice
    """
    site = Site()
    tag = '<video controls src="/clip.mp4"></video>'
    og = '<meta property="og:title" content="Shared clip"><meta property="og:video" content="{}">'
    item = "<item><title>{0}</title><enclosure url='{1}?{0}' type='video/mp4' length='1'/></item>"
    items = "".join(item.format(name, site.url("/clip.mp4")) for name in ("one", "two", "three"))
    feed = f"<?xml version='1.0'?><rss version='2.0'><channel><title>A feed</title>{items}</channel></rss>"
    site.routes |= {
        "/clip.mp4": media(clip),
        "/whole.mp4": content(clip, "video/mp4"),
        "/video-tag": html(f"<h1>Look</h1>{tag}", "A page with a clip"),
        "/open-graph": html(og.format(site.url("/clip.mp4"))),
        "/hls-page": html("<video><source src='/hls/master.m3u8' type='application/x-mpegURL'></video>"),
        "/plain": html("<p>Only words.</p>"),
        "/moved": redirect("/clip.mp4"),
        "/moved-page": redirect("/video-tag", 301),
        "/circle": redirect("/circle"),
        "/to-metadata": redirect("http://169.254.169.254/latest/meta-data/"),
        "/missing": status(404),
        "/forbidden": status(403),
        "/unauthorized": status(401, {"WWW-Authenticate": 'Basic realm="members"'}),
        "/broken-server": status(500),
        "/login": html("<form method=post><input name=user><input name=word type=password></form>", "Sign in"),
        "/slow.mp4": slow(clip),
        "/silent": silent(),
        "/half.mp4": broken(clip),
        "/liar.mp4": lying(clip, 10 * 2**40),
        "/endless.mp4": endless(clip),
        "/endless-page": endless(b"<p>and so on</p>" * 4096, "text/html"),
        "/bomb": packed(b"<html>" + bytes(64 * 2**20)),
        "/empty.mp4": content(b"", "video/mp4"),
        "/text.mp4": content(b"This is a text and no video. " * 100, "video/mp4"),
        "/picture.jpg": content(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(2000), "image/jpeg"),
        "/feed.xml": content(feed.encode(), "application/rss+xml"),
        "/two-videos": html(tag + tag.replace("/clip", "/whole")),
        "/one-shown-twice": html(tag + tag.replace(".mp4", ".mp4#t=1")),
        **(hls_routes(segments) if segments else {}),
    }
    return site
