"""Large files are read in ranges: the same frames from a part of the bytes."""

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from tests.media import decoded
from tests.servers import Answer, Handler, Site, content, media, redirect, status
from unmask import errors
from unmask.download import client
from unmask.download.client import VideoFile
from unmask.download.http_range import MIN_BYTES
from unmask.download.sources import open_media
from unmask.limits import Limits
from unmask.pipeline import Checker, Options, UrlSource
from unmask.video.byte_ranges import BLOCK_BYTES, MAX_RANGE_BYTES, ByteRanges, RemoteFile
from unmask.video.sampling import DecodePlan

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("quick_worker")]

AT_HOME = Limits(allow_private=True)
SECONDS, WIDTH, HEIGHT = 100, 160, 120
PLAN = DecodePlan(windows=4, frames_per_window=4)


def noise(container: str, **options: str) -> bytes:
    """A video that cannot be made small: about 0.3 MiB a second."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (8, HEIGHT, WIDTH, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder, av.open(f"{folder}/v", "w", container, options) as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 10
        stream.bit_rate = 4_000_000
        for index in range(SECONDS * 10):
            picture = np.roll(pictures[index % 8], index, axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode())
        out.close()
        data = Path(folder, "v").read_bytes()
    assert len(data) > MIN_BYTES
    return data


@pytest.fixture(scope="module")
def index_behind() -> bytes:
    return noise("mp4")


@pytest.fixture(scope="module")
def index_in_front() -> bytes:
    return noise("mp4", movflags="faststart")


@pytest.fixture(scope="module")
def matroska() -> bytes:
    return noise("matroska")


@contextmanager
def fetched(url: str, into: Path, plan: DecodePlan = PLAN) -> Iterator[VideoFile]:
    with closing(client.fetch(url, into, AT_HOME, plan, lambda *_: None)) as file:
        yield file


def counting(body: bytes) -> tuple[Answer, list[int]]:
    """An answer, and the sizes of the ranges that it gave."""
    sent: list[int] = []

    def answer(handler: Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        if asked:
            sent.append(int(asked[2]) + 1 - int(asked[1]))
        media(body)(handler)

    return answer, sent


@pytest.mark.parametrize("name", ["index_behind", "index_in_front", "matroska"])
def test_the_pictures_are_those_of_the_whole_file_from_a_part_of_its_bytes(request, tmp_path, name):
    whole = request.getfixturevalue(name)
    (tmp_path / "whole").write_bytes(whole)
    answer, sent = counting(whole)
    with Site({"/v": answer}) as site, fetched(site.url("/v"), tmp_path) as file:
        assert file.sha256 is None
        assert file.size_bytes == len(whole)
        assert file.duration_seconds == pytest.approx(SECONDS, abs=0.5)
        windows = list(file.opened.windows())
    assert sum(sent) < 0.5 * len(whole)
    expected = list(decoded(tmp_path / "whole", PLAN))
    assert len(windows) == len(expected) == PLAN.windows
    for window, other in zip(windows, expected, strict=True):
        assert (window.data == other.data).all()
        assert (window.seconds == other.seconds).all()


@pytest.mark.parametrize(
    ("answer", "what"),
    [(content, "a server that knows no ranges"), (lambda body: media(body[: MIN_BYTES // 2]), "a small file")],
)
def test_it_is_fetched_as_a_whole_from(index_in_front, tmp_path, answer, what):
    with Site({"/v.mp4": answer(index_in_front)}) as site, fetched(site.url("/v.mp4"), tmp_path) as file:
        assert file.remote is None, what
        assert file.sha256


def changing(first: Answer, then: Answer, after: int = 3) -> Answer:
    """One answer so many times, then the other for good."""
    count = 0

    def answer(handler: Handler) -> None:
        nonlocal count
        count += 1
        (first if count <= after else then)(handler)

    return answer


def mute(handler: Handler) -> None:
    handler.server.site.leaving.wait(60.0)
    handler.close_connection = True


@pytest.mark.parametrize(
    ("then", "error"),
    [
        (lambda body: media(body + b"more"), errors.FetchFailed),
        (lambda body: content(body), errors.FetchFailed),
        (lambda _: status(403), errors.UnmaskError),
        (lambda _: redirect("http://169.254.169.254/v"), errors.BlockedAddress),
        (lambda _: mute, errors.TimedOut),
    ],
    ids=["another file", "no ranges any more", "no access any more", "a forbidden address", "silence"],
)
def test_what_goes_wrong_midway_is_told(index_in_front, tmp_path, then, error):
    answer = changing(media(index_in_front), then(index_in_front), after=4)
    with Site({"/v.mp4": answer}) as site, fetched(site.url("/v.mp4"), tmp_path) as file:
        assert file.remote is not None
        if error is errors.TimedOut:
            file.remote._left_seconds = 3.0
        windows = file.opened.windows()
        with pytest.raises(error):
            list(windows)


def test_a_check_that_is_cancelled_while_it_waits_for_a_part_ends_and_leaves_nothing(index_in_front, tmp_path):
    answer = changing(media(index_in_front), mute, after=4)

    def cancel() -> None:
        if site.hits("/v.mp4") > 4:
            raise errors.Cancelled

    others = set(psutil.Process().children(recursive=True))  # of other tests
    with Site({"/v.mp4": answer}) as site:
        with fetched(site.url("/v.mp4"), tmp_path) as file, pytest.raises(errors.Cancelled):
            for _ in file.opened.windows(cancel):
                pass
        deadline = time.monotonic() + 10
        while set(psutil.Process().children(recursive=True)) - others:
            assert time.monotonic() < deadline, "a worker outlived its check"
            time.sleep(0.1)


@pytest.fixture
def numbered() -> bytes:
    """Blocks that differ, the last one short."""
    return b"".join(bytes([i]) * BLOCK_BYTES for i in range(200))[:-5]


def partial(data: bytes) -> tuple[RemoteFile, list[tuple[int, int]]]:
    """The file, and the blocks [first, last) that it asked for."""
    asked: list[tuple[int, int]] = []

    def read(begin: int, end: int) -> bytes:
        asked.append((begin // BLOCK_BYTES, -(-end // BLOCK_BYTES)))
        return data[begin:end]

    return RemoteFile(ByteRanges(len(data), read)), asked


def test_a_remote_file_asks_once_for_what_is_missing(numbered):
    file, asked = partial(numbered)
    file.seek(BLOCK_BYTES - 2)
    assert file.read(4) == b"\0\0\1\1"
    file.seek(5)
    assert file.read(1) == b"\0"
    assert asked == [(0, 2)]
    assert file.seek(0, 2) == len(numbered)
    assert file.read(1) == b""
    assert file.seek(-1, 1) == len(numbered) - 1
    assert file.read(9) == numbered[-1:]
    with pytest.raises(OSError, match="before"):
        file.seek(-1)


def test_a_file_that_is_read_from_front_to_end_is_asked_for_in_growing_ranges(numbered):
    file, asked = partial(numbered)
    assert file.readall() == numbered
    sizes = [end - begin for begin, end in asked]
    assert sizes[:5] == [1, 2, 4, 8, 16]
    assert max(sizes) * BLOCK_BYTES == MAX_RANGE_BYTES
    assert sum(sizes) == 200


def test_whoever_wants_to_keep_the_file_gets_all_of_it(index_in_front, tmp_path):
    with Site({"/v.mp4": media(index_in_front)}) as site:
        source = UrlSource(site.url("/v.mp4"))
        with open_media(source, tmp_path, AT_HOME, PLAN, lambda *_: None, whole=True) as whole:
            assert whole.fetched.read_bytes() == index_in_front
            assert re.fullmatch("[0-9a-f]{64}", whole.sha256())
        with open_media(source, tmp_path, AT_HOME, PLAN, lambda *_: None) as some:
            assert some.content is None


def test_a_check_reads_a_large_file_in_parts(index_in_front, tmp_path):
    with Site({"/v.mp4": media(index_in_front)}) as site:
        report = Checker().check(UrlSource(site.url("/v.mp4")), Options(limits=AT_HOME))
        assert report["verdict"]["label"] == "no_face"
        assert report["source"]["sha256"] is None
        assert report["source"]["duration_seconds"] == pytest.approx(SECONDS, abs=0.5)
        assert site.hits("/v.mp4") > 4
