"""URL -> VideoFile, against real servers that behave well and badly."""

import contextlib
import hashlib
import io
import json
import os
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from yt_dlp.utils import DownloadError

from tests.media import RATE, fetched, make, read_number, repeat
from tests.servers import Site, dash_routes, hls_routes, media_playlist, slow, split_hls, video_site
from unmask import errors
from unmask.download import client, ytdlp_session
from unmask.download.client import VideoFile, from_path
from unmask.download.messages import FetchRequest
from unmask.download.sources import FileSource, open_media
from unmask.limits import Limits
from unmask.sandbox import process
from unmask.video.decode import decode, probe
from unmask.video.sampling import DecodePlan, Span, window_starts

AT_HOME = Limits(allow_private=True, timeout_seconds=60.0)
WHOLE = Span()
BUSY_SECONDS = 5.0  # what a machine may lag that does other things, too

pytestmark = pytest.mark.usefixtures("quick_worker")


def _ignore(stage: str, fraction: float, text: str) -> None: ...


def _clip(seconds: int = 4, frame_rate: int = 10, width: int = 160, height: int = 120) -> bytes:
    """A small mp4 in which a bar moves, a key frame a second."""
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as sink:
        options = {"g": str(frame_rate), "bf": "0", "sc_threshold": "0"}
        stream = sink.add_stream("libx264", rate=frame_rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(seconds * frame_rate):
            image = np.full((height, width, 3), 40, np.uint8)
            image[:, (4 * i) % width :][:, :20] = 220
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        sink.mux(stream.encode())
    return data.getvalue()


def _padded(clip: bytes, size_bytes: int = 100_000) -> bytes:
    """The same video in a larger file."""
    return clip + size_bytes.to_bytes(4, "big") + b"free" + bytes(size_bytes - 8)


@pytest.fixture(scope="module")
def clip():
    return _clip()


@pytest.fixture(scope="module")
def segments(clip):
    return split_hls(clip)


@pytest.fixture(scope="module")
def site(clip, segments):
    with video_site(clip, segments) as site:
        site.routes |= dash_routes(clip)
        yield site


def _failure(url: str, into: Path, limits: Limits = AT_HOME, span: Span = WHOLE) -> errors.UnmaskError:
    with pytest.raises(errors.UnmaskError) as caught:
        fetched(url, into, limits, span, _ignore)
    assert list(into.iterdir()) == []
    return caught.value


@dataclass(frozen=True)
class Outcome:
    """How one fetch ended."""

    video: VideoFile | None
    error: errors.UnmaskError | None
    left: tuple[str, ...]  # names in the folder afterwards
    seconds: float


def _try(url: str, into: Path, limits: Limits = AT_HOME, span: Span = WHOLE) -> Outcome:
    began = time.monotonic()
    video = error = None
    try:
        video = fetched(url, into, limits, span, _ignore)
    except errors.UnmaskError as problem:
        error = problem
    left = tuple(sorted(str(path.relative_to(into)) for path in into.rglob("*")))
    return Outcome(video, error, left, time.monotonic() - began)


GOOD = [  # path, extractor, words in the title
    ("/clip.mp4", "generic", "clip"),
    ("/whole.mp4", "generic", "whole"),
    ("/video-tag", "html5", "A page with a clip"),
    ("/open-graph", "generic", "Shared clip"),
    ("/hls-page", "html5", "A page"),
    ("/hls/master.m3u8", "generic", "master"),
    ("/hls/index.m3u8", "generic", "index"),
    ("/dash/index.mpd", "generic", "index"),
    ("/moved", "generic", "clip"),
    ("/moved-page", "html5", "A page with a clip"),
    ("/one-shown-twice", "html5", "A page"),
]

# path, limits other than AT_HOME, error, a word of its message
BAD: list[tuple[str, dict[str, Any], type[errors.UnmaskError], str]] = [
    ("/plain", {}, errors.UnsupportedSite, "No video"),
    ("/feed.xml", {}, errors.UnsupportedSite, "several videos"),
    ("/two-videos", {}, errors.UnsupportedSite, "Choose one"),
    ("/missing", {}, errors.FetchFailed, "404 (not found)"),
    ("/forbidden", {}, errors.FetchFailed, "403 (forbidden)"),
    ("/circle", {}, errors.FetchFailed, "circle"),
    ("/half.mp4", {}, errors.FetchFailed, "broke off"),
    ("/unauthorized", {}, errors.LoginRequired, "signed in"),
    ("/login", {}, errors.LoginRequired, "signed in"),
    ("/hls/live.m3u8", {}, errors.LiveStream, "live stream"),
    ("/to-metadata", {}, errors.BlockedAddress, "outside the public web"),
    ("/liar.mp4", {}, errors.TooLarge, "larger than 200 MiB"),
    ("/clip.mp4", {"max_bytes": 2000}, errors.TooLarge, "larger than"),
    ("/endless.mp4", {"max_bytes": 2**20}, errors.TooLarge, "larger than 1 MiB"),
    ("/hls/index.m3u8", {"max_bytes": 12000}, errors.TooLarge, "larger than"),
    ("/endless-page", {}, errors.TooLarge, "too large"),
    ("/bomb", {}, errors.TooLarge, "too large"),
    ("/clip.mp4", {"max_seconds": 2.0}, errors.TooLong, "Give a start and an end"),
    ("/hls/index.m3u8", {"max_seconds": 2.0}, errors.TooLong, "Give a start and an end"),
    ("/empty.mp4", {}, errors.NotAVideo, "empty"),
    ("/text.mp4", {}, errors.NotAVideo, ""),
    ("/picture.jpg", {}, errors.NotAVideo, ""),
    ("/slow.mp4", {"timeout_seconds": 2.0}, errors.TimedOut, "2 seconds"),
    ("/silent", {"timeout_seconds": 2.0}, errors.TimedOut, ""),
]


def _try_all(wanted: list[tuple[str, Limits]], factory: pytest.TempPathFactory) -> list[Outcome]:
    folders = [factory.mktemp("into") for _ in wanted]  # not in the threads, which would make the same one
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda each, into: _try(each[0], into, each[1]), wanted, folders))


@pytest.fixture(scope="module")
def good(site, quick_worker, tmp_path_factory):
    done = _try_all([(site.url(path), AT_HOME) for path, *_ in GOOD], tmp_path_factory)
    return {path: outcome for (path, *_), outcome in zip(GOOD, done, strict=True)}


@pytest.fixture(scope="module")
def bad(site, quick_worker, tmp_path_factory):
    done = _try_all([(site.url(path), replace(AT_HOME, **changes)) for path, changes, *_ in BAD], tmp_path_factory)
    return {(path, *changes): outcome for (path, changes, *_), outcome in zip(BAD, done, strict=True)}


@pytest.mark.parametrize(("path", "extractor", "title"), GOOD)
def test_a_good_link_gives_a_whole_video(good, clip, path, extractor, title):
    outcome = good[path]
    assert outcome.error is None
    video = outcome.video
    assert (video.width, video.height) == (160, 120)
    assert video.duration_seconds == pytest.approx(4.0, abs=0.15)
    assert video.extractor == extractor
    assert title in video.title
    assert video.url.endswith(path)
    assert video.offset_seconds == 0.0
    assert video.size_bytes >= len(clip) * 0.9
    assert len(video.sha256) == 64
    assert outcome.left == ("video",)


@pytest.mark.parametrize(("path", "changes", "kind", "words"), BAD)
def test_a_bad_link_fails_with_its_code_and_a_sentence(bad, path, changes, kind, words):
    outcome = bad[(path, *changes)]
    assert type(outcome.error) is kind, outcome
    assert words in outcome.error.message
    assert outcome.error.message.endswith(".")
    assert outcome.left == ()
    assert outcome.seconds < changes.get("timeout_seconds", 60.0) + BUSY_SECONDS


@pytest.mark.parametrize(("path", "names"), [("/two-videos", ["clip.mp4", "whole.mp4"]), ("/feed.xml", ["clip.mp4?"])])
def test_several_videos_can_be_chosen_from(site, bad, path, names):
    choices = bad[(path,)].error.choices
    for name in names:
        assert any(choice.url.startswith(site.url(f"/{name}")) and choice.title for choice in choices)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "ftp://example.com/v.mp4",
        "ytsearch:cats",
        "https://example.com/v#__youtubedl_smuggle=%7B%22http_headers%22%3A%7B%7D%7D",
    ],
)
def test_what_is_no_web_link_starts_no_download(url, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "WORKER", "raise SystemExit('started')")
    with pytest.raises(errors.BadUrl):
        fetched(url, tmp_path, AT_HOME, WHOLE, _ignore)


def test_a_closed_port_is_a_failed_fetch(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert "could not be reached" in _failure(f"http://127.0.0.1:{port}/v.mp4", tmp_path).message


@pytest.mark.parametrize(
    ("path", "span", "asked", "offset"),
    [
        ("/hls/index.m3u8", Span(1.5, 2.5), ["/hls/1.ts", "/hls/2.ts"], 1.0),
        ("/dash/index.mpd", Span(2.2, 2.8), ["/dash/chunk-stream0-00003.m4s"], 2.0),
    ],
)
def test_of_a_video_in_segments_only_the_asked_range_is_fetched(clip, segments, tmp_path, path, span, asked, offset):
    with Site(hls_routes(segments) | dash_routes(clip)) as site:
        video = fetched(site.url(path), tmp_path, AT_HOME, span, _ignore)
    assert sorted(name for _, name in site.requests if name.endswith(".ts") or "chunk" in name) == asked
    assert video.offset_seconds == pytest.approx(offset)
    assert video.duration_seconds == pytest.approx(4.0)  # of the whole video


@pytest.mark.parametrize("path", ["/hls/master.m3u8", "/dash/index.mpd"])
def test_times_in_a_cut_file_plus_its_offset_are_times_in_the_video(site, tmp_path, path):
    span = Span(2.0, 3.0)
    video = fetched(site.url(path), tmp_path, AT_HOME, span, _ignore)
    start = span.start_seconds - video.offset_seconds
    frames = next(decode(video.path, DecodePlan(windows=1, frame_stride_seconds=0.1, start_seconds=start)))
    bar = (frames.data[0, 60, :, 0] > 130).nonzero()[0][0]  # moves 40 px a second
    assert bar == pytest.approx(40 * (frames.seconds[0] + video.offset_seconds), abs=4)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory) -> bytes:
    """The same few seconds again and again; a frame tells by its number where it belongs."""
    folder = tmp_path_factory.mktemp("long")
    repeat(make("h264.mp4", folder), folder / "long.mp4", 4)
    return (folder / "long.mp4").read_bytes()


@pytest.mark.parametrize("kind", ["hls", "dash"])
def test_of_a_video_in_segments_only_those_around_the_windows_are_fetched(long_clip, media, tmp_path, kind):
    routes = hls_routes(split_hls(long_clip)) if kind == "hls" else dash_routes(long_clip)
    pieces = {name for name in routes if name.endswith(".ts") or "chunk" in name}
    plan = DecodePlan(windows=3, frames_per_window=4)
    with Site(routes) as site:
        url = site.url("/hls/index.m3u8" if kind == "hls" else "/dash/index.mpd")
        with contextlib.closing(client.fetch(url, tmp_path, AT_HOME, plan, _ignore)) as video:
            windows = list(video.opened.windows())
        asked = {name for _, name in site.requests} & pieces
    assert 3 <= len(asked) <= 0.6 * len(pieces)
    assert video.sha256 is None
    count = round((probe(media("h264.mp4")).duration_seconds or 0.0) * RATE)
    assert len(windows) == 3
    wanted = window_starts(0.0, video.duration_seconds or 0.0, plan.window_seconds, plan.windows)
    for frames, start in zip(windows, wanted, strict=True):
        assert abs(frames.seconds[0] - start) < 1.6  # it moves to the next key frame
        numbers = [read_number(frame) for frame in frames.data]
        assert numbers == [round(second * RATE) % count for second in frames.seconds]


def test_the_windows_lie_where_the_segments_lie_whatever_duration_the_site_claims(long_clip):
    segments = split_hls(long_clip)
    info: ytdlp_session.Info = {
        "protocol": "m3u8_native",
        "duration": 3.0,
        "hls_media_playlist_data": media_playlist(segments),
    }
    request = FetchRequest("https://example.com/", "", AT_HOME, Span(), windows=2, window_seconds=0.5)
    with ytdlp_session.YtdlpSession({"quiet": True}, AT_HOME) as session:
        (*_, end_of_first), (*_, end_of_last) = session.select_runs(info, request)[0]
    assert end_of_first.end_seconds < end_of_last.start_seconds
    assert end_of_last.number == len(segments) - 1


def test_what_one_server_sent_before_it_failed_is_not_in_what_another_sends(tmp_path, monkeypatch):
    file = tmp_path / "video"
    request = FetchRequest("https://example.com/", str(file), AT_HOME, Span())
    formats = [{"format_id": each, "url": f"https://{each}.example/clip.mp4", "protocol": "https"} for each in "ab"]
    found = []

    def fetch_format(self, info, request):
        found.append((info["format_id"], file.exists()))
        file.write_bytes(b"half of it")
        if len(found) == 1:
            raise DownloadError("broken off")
        return info, None, (), ()

    monkeypatch.setattr(ytdlp_session.YtdlpSession, "find", lambda self, url: formats[0] | {"formats": formats})
    monkeypatch.setattr(ytdlp_session.YtdlpSession, "_fetch_format", fetch_format)
    with ytdlp_session.YtdlpSession({"quiet": True}, AT_HOME) as session:
        assert session.fetch(request)[0]["url"] == formats[1]["url"]
    assert found == [("a", False), ("b", False)]


def test_a_range_of_a_file_is_fetched_with_the_whole_file(site, clip, tmp_path):
    limits = Limits(allow_private=True, max_seconds=2.0)  # the asked part counts, not the file
    video = fetched(site.url("/clip.mp4"), tmp_path, limits, Span(1.0, 2.0), _ignore)
    assert video.offset_seconds == 0.0
    assert video.size_bytes == len(clip)


@pytest.mark.parametrize("path", ["/clip.mp4", "/hls/index.m3u8"])
def test_a_range_behind_the_end_is_bad_input(site, path, tmp_path):
    assert isinstance(_failure(site.url(path), tmp_path, span=Span(100.0)), errors.BadInput)


def _processes_in(folder: Path) -> list[str]:
    """Running processes whose working folder is or was below `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in str((path / "cwd").readlink()):
                found.append(path.name)
        except OSError:  # not ours, or gone
            continue
    return found


def test_progress_rises_and_never_rests_for_long(clip, tmp_path):
    calls: list[tuple[float, str, float, str]] = []

    def note(stage, fraction, text):
        calls.append((time.monotonic(), stage, fraction, text))

    with Site({"/v.mp4": slow(_padded(clip), bytes_a_second=50_000)}) as site:
        fetched(site.url("/v.mp4"), tmp_path, AT_HOME, WHOLE, note)
    times, stages, fractions, texts = zip(*calls, strict=True)
    assert set(stages) == {"fetch"}
    assert list(fractions) == sorted(fractions)
    assert any(0.1 < fraction < 0.95 for fraction in fractions)
    assert any("MiB" in text for text in texts)
    assert np.median(np.diff(times)) < 0.5
    assert max(np.diff(times)) < 0.5 + BUSY_SECONDS


def test_cancelling_ends_the_download_at_once(clip, tmp_path):
    cancelled = threading.Event()

    def cancel(stage, fraction, text):
        if fraction > 0:
            cancelled.set()
            raise errors.Cancelled("Not wanted any more.")

    with Site({"/v.mp4": slow(_padded(clip), bytes_a_second=10_000)}) as site, pytest.raises(errors.Cancelled):
        fetched(site.url("/v.mp4"), tmp_path, AT_HOME, WHOLE, cancel)
    assert cancelled.is_set()
    assert list(tmp_path.iterdir()) == []
    assert _processes_in(tmp_path) == []


HANGS = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
FILLS = "import time; open('big', 'wb').truncate(10**9); time.sleep(60)"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_timeout_also_ends_what_the_download_started(site, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "WORKER", HANGS)
    seen = []

    def count(stage, fraction, text):
        seen.append(len(_processes_in(tmp_path)))

    with pytest.raises(errors.TimedOut):
        fetched(site.url("/clip.mp4"), tmp_path, replace(AT_HOME, timeout_seconds=1.0), WHOLE, count)
    assert max(seen) == 2  # the download and its own child
    assert _processes_in(tmp_path) == []


def test_a_download_that_fills_the_disk_is_ended_from_outside(site, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "WORKER", FILLS)
    assert isinstance(_failure(site.url("/clip.mp4"), tmp_path), errors.TooLarge)


def test_a_download_that_crashes_is_our_defect_and_says_how(site, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "WORKER", "raise RuntimeError('out of cheese')")
    error = _failure(site.url("/clip.mp4"), tmp_path)
    assert type(error) is errors.InternalError
    assert "cheese" not in error.message
    assert isinstance(error.__cause__, subprocess.CalledProcessError)
    assert "out of cheese" in error.__cause__.stderr


SENDS_ENVIRONMENT = """
import json, os, sys
words = json.dumps([sorted(os.environ), sys.argv, os.getcwd(), os.environ["TMPDIR"]])
failure = {"code": "bad_input", "message": words}
print(json.dumps({"type": "Failure", "fields": failure, "payload_bytes": 0}))
"""


def test_the_download_inherits_no_secret_and_no_proxy(site, tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "http_proxy", "HTTPS_PROXY", "NETRC", "PYTHONPATH"):
        monkeypatch.setenv(name, "http://secret.example")
    monkeypatch.setattr(client, "WORKER", SENDS_ENVIRONMENT)
    words = _failure(site.url("/clip.mp4?key=1"), tmp_path).message
    names, arguments, folder, temporary = json.loads(words)
    assert set(names) <= {*process.INHERITED_VARIABLES, *process.WORKER_VARIABLES, "HOME", "TMPDIR", "LC_CTYPE"}
    assert "key=1" not in " ".join(arguments)  # other users of the machine see arguments
    assert folder == temporary
    assert folder.startswith(str(tmp_path))


def test_a_proxy_in_the_environment_is_not_used(site, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert _try(site.url("/video-tag"), tmp_path).error is None


def test_ffmpeg_in_the_path_is_not_used(site, tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("ffmpeg", "ffprobe", "aria2c", "curl", "phantomjs"):
        (tools / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/used\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    into = tmp_path / "into"
    into.mkdir()
    assert _try(site.url("/hls/index.m3u8"), into, span=Span(1.0, 2.0)).error is None
    assert not (tmp_path / "used").exists()


def test_a_local_file_is_described(clip, tmp_path):
    path = tmp_path / "mine.mp4"
    path.write_bytes(clip)
    with contextlib.closing(from_path(path, Limits(), DecodePlan())) as video:
        assert video.opened.stream.codec == "h264"
    assert (video.path, video.url, video.title, video.extractor) == (path, None, None, None)
    assert (video.width, video.height, video.size_bytes) == (160, 120, len(clip))
    assert video.duration_seconds == pytest.approx(4.0, abs=0.15)
    with open_media(FileSource(path, "mine.mp4"), tmp_path, Limits(), DecodePlan(), _ignore) as media:
        assert media.sha256() == hashlib.sha256(clip).hexdigest()


@pytest.mark.parametrize(
    ("name", "body", "limits", "span", "kind"),
    [
        ("missing.mp4", None, Limits(), WHOLE, errors.BadInput),
        (".", None, Limits(), WHOLE, errors.BadInput),  # a folder
        ("empty.mp4", b"", Limits(), WHOLE, errors.NotAVideo),
        ("text.mp4", b"not a video at all", Limits(), WHOLE, errors.NotAVideo),
        ("large.mp4", "clip", Limits(max_bytes=1000), WHOLE, errors.TooLarge),
        ("long.mp4", "clip", Limits(max_seconds=2.0), WHOLE, errors.TooLong),
        ("long.mp4", "clip", Limits(max_seconds=2.0), Span(1.0, 2.0), None),
        ("short.mp4", "clip", Limits(), Span(60.0), errors.BadInput),
    ],
)
def test_a_local_file_must_keep_the_limits_too(clip, tmp_path, name, body, limits, span, kind):
    path = tmp_path / name
    if body is not None:
        path.write_bytes(clip if body == "clip" else body)
    plan = DecodePlan(start_seconds=span.start_seconds, end_seconds=span.end_seconds)
    if kind is None:
        from_path(path, limits, plan).close()
        return
    with pytest.raises(kind):
        from_path(path, limits, plan)
