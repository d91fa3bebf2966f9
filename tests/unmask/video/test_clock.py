"""One continuous clock over all pieces of a file, as a player shows it, and what is missing."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import SHARED_DATA
from tests.media import RATE, glide, read_number, write_video
from tests.servers import Site, content
from unmask.download import client
from unmask.limits import Limits
from unmask.video.decode import decode, play, probe
from unmask.video.decode_client import OpenVideo
from unmask.video.sampling import DecodePlan, Span

CASES = SHARED_DATA.parent / "cases"
TICKS = 90_000
WRAP = 2**33

# file of the shared cases -> seconds that a player shows
SHOWN = {
    "ts-real4-then-fake4.ts": 8.0,
    "ts-fake4-alone.ts": 4.0,
    "ts-clock-restarts.ts": 12.0,
    "ts-clock-jumps-10min.ts": 12.0,
    "ts-clock-jumps-1h.ts": 12.0,
    "piece-of-live-50min.mkv": 12.0,
}
PLAYLISTS = {"hls/fake4-then-real8.m3u8": 12.0, "hls/real-then-fake.m3u8": 20.0, "dash/real-then-fake.mpd": 20.0}


def part(path: Path, start: float, frames: int = 100, first: int = 0, **options: Any) -> bytes:
    """Numbered frames whose clock begins at `start` seconds."""
    images = list(glide(first + frames))[first:]
    coding = {"g": "25", "bf": "0"}
    write_video(path, images, pts=(round(start * RATE)).__add__, options=coding, **options)
    return path.read_bytes()


def pieces(folder: Path, *starts: float, suffix: str = "ts", **options: Any) -> bytes:
    """Four seconds from each start, one behind the other, numbered through."""
    return b"".join(part(folder / f"{i}.{suffix}", start, first=100 * i, **options) for i, start in enumerate(starts))


def across_the_wrap(folder: Path) -> bytes:
    """Eight seconds of a broadcast whose clock of 33 bits begins anew after four."""
    data = bytearray(part(folder / "plain.ts", 0.0, 200))
    shift = WRAP - 4 * TICKS
    for at in range(0, len(data), 188):
        packet = memoryview(data)[at : at + 188]
        control, has_start = packet[3] >> 4 & 3, packet[1] & 0x40
        if control & 2 and packet[4] > 6 and packet[5] & 0x10:  # the programme's clock
            base = int.from_bytes(packet[6:10], "big") << 1 | packet[10] >> 7
            base = (base + shift) % WRAP
            packet[6:10], packet[10] = (base >> 1).to_bytes(4, "big"), packet[10] & 0x7F | (base & 1) << 7
        begin = 4 + (packet[4] + 1 if control & 2 else 0)
        if has_start and control & 1 and packet[begin : begin + 4] == b"\0\0\1\xe0":
            for place, flag in ((begin + 9, 0x80), (begin + 14, 0x40)):
                if packet[begin + 7] & flag:
                    stamp = packet[place : place + 5]
                    ticks = (
                        (stamp[0] >> 1 & 7) << 30 | stamp[1] << 22 | stamp[2] >> 1 << 15 | stamp[3] << 7 | stamp[4] >> 1
                    )
                    ticks = (ticks + shift) % WRAP
                    stamp[0] = stamp[0] & 0xF1 | ticks >> 30 << 1
                    stamp[1], stamp[2] = ticks >> 22 & 0xFF, ticks >> 15 << 1 & 0xFF | 1
                    stamp[3], stamp[4] = ticks >> 7 & 0xFF, ticks << 1 & 0xFF | 1
    return bytes(data)


def other_packets(stream: Any) -> None:
    stream.id = 777


# name -> the file, in a folder; each shows frame 0 at 0 s, and then one more every 0.04 s
MADE: dict[str, tuple[Callable[[Path], bytes], str, int]] = {
    "starts anew twice": (lambda folder: pieces(folder, 0, 0, 0), "ts", 300),
    "jumps forward, and back": (lambda folder: pieces(folder, 10, 5000, 30), "ts", 300),
    "another stream of packets": (
        lambda folder: pieces(folder, 0) + part(folder / "b.ts", 0, first=100, prepare=other_packets),
        "ts",
        200,
    ),
    "33 bits are over": (across_the_wrap, "ts", 200),
    "begins at 23 h": (lambda folder: pieces(folder, 82_800), "ts", 100),
    "mkv that begins at 23 h": (lambda folder: pieces(folder, 82_800, suffix="mkv"), "mkv", 100),
    "webm that begins at 7 s": (lambda folder: pieces(folder, 7, suffix="webm", codec="libvpx-vp9"), "webm", 100),
    "mp4 that begins at 7 s": (lambda folder: pieces(folder, 7, suffix="mp4"), "mp4", 100),
    "joined fragmented mp4s": (
        lambda folder: pieces(
            folder, 0, 0, suffix="mp4", container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        ),
        "mp4",
        200,
    ),
}


def check_clock(windows: Any, seconds: float) -> None:
    found = list(windows)
    times = np.concatenate([window.seconds for window in found])
    assert (np.diff(times) > 0).all()
    assert times[0] < 0.1
    assert times[-1] > seconds - 1.2  # a window moves to the key frame before it
    for window in found:
        assert [read_number(image) for image in window.data] == np.round(window.seconds * RATE).tolist()


@pytest.mark.parametrize("name", MADE)
def test_every_piece_is_looked_at_on_one_clock(tmp_path: Path, name: str) -> None:
    write, suffix, frames = MADE[name]
    path = tmp_path / f"video.{suffix}"
    path.write_bytes(write(tmp_path))
    assert probe(path).duration_seconds == pytest.approx(frames / RATE, abs=0.05)
    gaps: list[tuple[float, float]] = []
    check_clock(decode(path, DecodePlan(), on_gap=lambda *gap: gaps.append(gap)), frames / RATE)
    assert not gaps
    late = [(seconds, read_number(image)) for seconds, image in play(path, Span(frames / RATE - 1))]
    assert len(late) == 25
    assert all(number == round(seconds * RATE) for seconds, number in late)


@pytest.mark.shared
@pytest.mark.parametrize("name", SHOWN)
def test_shared_cases_last_as_long_as_a_player_shows_them(name: str) -> None:
    with closing(OpenVideo(CASES / name, DecodePlan())) as opened:
        times = np.concatenate([window.seconds for window in opened.windows()])
    assert opened.stream.duration_seconds == pytest.approx(SHOWN[name], abs=0.1)
    assert opened.gaps == ()
    assert times[0] < 0.1
    assert np.diff(times).max() < 2.0
    assert times[-1] > SHOWN[name] - 0.5


AT_HOME = Limits(allow_private=True, timeout_seconds=60.0)


def looked_at(site: Site, path: str, folder: Path) -> tuple[client.VideoFile, np.ndarray]:
    with closing(client.fetch(site.url(path), folder, AT_HOME, DecodePlan(), lambda *_: None)) as video:
        return video, np.concatenate([window.seconds for window in video.opened.windows()])


@pytest.mark.shared
@pytest.mark.parametrize("name", PLAYLISTS)
def test_shared_playlists_last_as_long_as_a_player_shows_them(tmp_path: Path, name: str) -> None:
    folder = (CASES / name).parent
    kinds = {".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml"}
    files = {
        f"/{path.name}": content(path.read_bytes(), kinds.get(path.suffix, "video/mp2t")) for path in folder.iterdir()
    }
    with Site(files) as site:
        video, times = looked_at(site, f"/{Path(name).name}", tmp_path)
    assert video.duration_seconds == pytest.approx(PLAYLISTS[name], abs=0.1)
    assert video.opened.gaps == ()
    assert np.diff(times).max() < 4.0
    assert times[-1] > PLAYLISTS[name] - 0.5
