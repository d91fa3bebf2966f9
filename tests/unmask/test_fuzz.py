"""Files that no encoder writes: no crash, no hang, bounded memory, and always an answer of the contract.

`python -m tests.bench.fuzz` does the same with 10,000 files and prints the numbers.
"""

import time

import pytest
from hypothesis import HealthCheck, given, settings

from tests.bench.fuzz import CORRUPTED, CPU_SECONDS, FINE, SandboxedDecoder, bombs
from tests.media import fetched
from tests.servers import HLS, Answer, Site, content, endless, html, redirect
from unmask import errors
from unmask.limits import Limits
from unmask.video.sampling import Span

CORRUPTED_FILES = 250
MOST_BYTES = 1.5 * 2**30  # of memory, for any file
BUSY_SECONDS = 30.0  # what a machine may lag that does other things, too

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    with SandboxedDecoder(tmp_path_factory.mktemp("decoder")) as decoder:
        yield decoder


def test_corrupted_files_get_an_answer(decoder):
    @settings(
        max_examples=CORRUPTED_FILES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CORRUPTED)
    def try_one(names):
        ended = decoder.decode(*decoder.corrupted(names))
        assert ended.outcome in FINE
        assert ended.cpu_seconds < CPU_SECONDS
        assert ended.peak_bytes < MOST_BYTES

    try_one()
    outcomes = {ended.outcome for ended in decoder.ended}
    assert {"frames", "not_a_video", "bad_input"} <= outcomes  # corrupted a little, or beyond repair
    assert len(decoder.ended) >= CORRUPTED_FILES


@pytest.fixture(scope="module")
def bomb_files(tmp_path_factory):
    return bombs(tmp_path_factory.mktemp("bombs"))


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("bomb.avi", {"no_frames"}),
        ("too-large.avi", {"too_large"}),
        ("claims-three-hours.mp4", {"frames"}),
        ("claims-three-hours.mkv", {"frames"}),
        ("8k.mp4", {"frames"}),
        ("wide.gif", {"too_large", "not_a_video"}),
        ("wide.jpg", {"too_large"}),
        ("wide.webm", FINE),
        ("many-frames.gif", {"frames"}),
        ("million-frames.mp4", {"frames", "no_frames"}),
        ("hundred-streams.mp4", {"frames"}),
        ("nested-boxes.mp4", {"not_a_video"}),
        ("endless-box.mp4", {"not_a_video"}),
        ("zero-boxes.mp4", {"not_a_video"}),
    ],
)
def test_a_file_that_promises_too_much_is_bounded(decoder, bomb_files, name, outcomes):
    ended = decoder.decode(bomb_files[name], "picture" if name.endswith(".jpg") else "video")
    assert ended.outcome in outcomes, ended
    assert ended.cpu_seconds < CPU_SECONDS
    assert ended.peak_bytes < MOST_BYTES


MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n"
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
SEGMENT = "#EXTINF:0.0001,\n0.ts\n"


def playlist(text: str) -> Answer:
    return content(text.encode(), HLS)


SITES: dict[str, dict[str, Answer]] = {
    "a playlist of itself": {"/": playlist(MASTER.format("/"))},
    "two playlists of each other": {"/": playlist(MASTER.format("/b")), "/b": playlist(MASTER.format("/"))},
    "a segment that is the playlist": {"/": playlist(HEAD + "#EXTINF:2,\n/\n#EXT-X-ENDLIST\n")},
    "half a million segments": {
        "/": playlist(HEAD + SEGMENT * 500_000 + "#EXT-X-ENDLIST\n"),
        "/0.ts": content(bytes(188)),
    },
    "a playlist without end": {"/": endless(SEGMENT.encode() * 4096, HLS)},
    "a video that redirects for ever": {"/": redirect("/")},
    "a page that frames itself": {
        "/": html('<iframe src=\'/\'></iframe><meta http-equiv="refresh" content="0; url=/">')
    },
    "a page of tags": {"/": html("<video><source>" * 200_000)},
}


@pytest.mark.parametrize("name", SITES)
def test_a_site_that_promises_too_much_is_bounded(name, tmp_path):
    limits = Limits(allow_private=True, timeout_seconds=5.0, max_bytes=20 * 2**20)
    began = time.monotonic()
    with Site(SITES[name]) as site, pytest.raises(errors.UnmaskError) as caught:
        fetched(site.url("/"), tmp_path, limits, Span())
    assert caught.value.code != "internal", caught.value.__cause__
    assert time.monotonic() - began < limits.timeout_seconds + BUSY_SECONDS
    assert list(tmp_path.iterdir()) == []
