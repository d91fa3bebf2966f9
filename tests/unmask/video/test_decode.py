import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.media import RATE, read_number
from unmask.errors import BadInput, NoFrames, NotAVideo, TooLarge, UnmaskError
from unmask.video import container, file_format
from unmask.video.decode import decode, play, probe
from unmask.video.frames import Frames
from unmask.video.sampling import DecodePlan, Span, gap_seconds, pick_nearest, snap_to_key_frames, window_starts
from unmask.video.video_reader import VideoReader, open_video

Media = Callable[[str], Path]

# name -> width, height, seconds, codec
GOOD = {
    "h264.mp4": (320, 240, 6.0, "h264"),
    "one-key.mp4": (320, 240, 10.0, "h264"),
    "open-gop.mp4": (320, 240, 6.0, "h264"),
    "hevc.mp4": (320, 240, 4.0, "hevc"),
    "vp9.webm": (320, 240, 4.0, "vp9"),
    "av1.mp4": (320, 240, 4.0, "av1"),
    "ten-bit.mp4": (320, 240, 4.0, "h264"),
    "ten-bit-hevc.mp4": (320, 240, 4.0, "hevc"),
    "mpeg4.avi": (320, 240, 4.0, "mpeg4"),
    "mjpeg.mov": (320, 240, 2.0, "mjpeg"),
    "h264.mkv": (320, 240, 4.0, "h264"),
    "h264.ts": (320, 240, 12.0, "h264"),
    "h264.flv": (320, 240, 4.0, "h264"),
    "animation.gif": (160, 120, 3.0, "gif"),
    "live.webm": (320, 240, 6.0, "vp9"),  # neither duration nor index, as browsers record
    "fragmented.mp4": (320, 240, 6.0, "h264"),
    "odd-size.webm": (321, 241, 1.0, "vp9"),
    "tiny.mp4": (16, 16, 1.0, "h264"),
    "one-frame.mp4": (320, 240, 0.04, "h264"),
    "still.gif": (320, 240, 0.1, "gif"),  # one frame, but the format is one of moving pictures
    "short.mp4": (320, 240, 0.4, "h264"),
    "4k.mp4": (3840, 2160, 0.2, "h264"),
    "8k.mp4": (7680, 4320, 0.04, "h264"),
    "slideshow.mp4": (320, 240, 20.0, "h264"),
    "variable-rate.mp4": (320, 240, 3.53, "h264"),
    "late-start.mkv": (320, 240, 4.0, "h264"),  # its clock begins at 5 s
    "three-hours.mp4": (64, 48, 10_800.0, "h264"),
    "ten-minutes.mp4": (320, 240, 600.0, "h264"),
    "rotated.mp4": (320, 240, 2.0, "h264"),  # stored as 240 x 320
    "trimmed.mp4": (320, 240, 5.48, "h264"),
    "wide-pixels.mp4": (320, 240, 2.0, "h264"),  # stored as 160 x 240
    "fifty-faces.mp4": (1440, 720, 1.2, "h264"),
    "no-face.mp4": (320, 240, 3.0, "h264"),
    "truncated.mp4": (320, 240, 4.84, "h264"),  # what is left of the ten seconds that the header claims
    "claims-three-hours.mp4": (320, 240, 6.0, "h264"),
    "claims-three-hours.mkv": (320, 240, 4.0, "h264"),
}

BAD: dict[str, tuple[type[UnmaskError], str]] = {
    "empty.mp4": (NotAVideo, "empty"),
    "text.mp4": (NotAVideo, "not a video"),
    "page.mp4": (NotAVideo, "web page"),
    "picture.mp4": (NotAVideo, "picture"),
    "picture.jpg": (NotAVideo, "picture"),
    "picture.png": (NotAVideo, "picture"),
    "picture.webp": (NotAVideo, "picture"),
    "picture.avif": (NotAVideo, "picture"),
    "playlist.mp4": (NotAVideo, "playlist"),
    "concat.mp4": (NotAVideo, "playlist"),
    "corrupt-header.mp4": (NotAVideo, "not a video"),
    "truncated-no-index.mp4": (NotAVideo, "incomplete"),
    "audio-only.mp4": (NoFrames, "sound"),
    "audio-with-cover.mp4": (NoFrames, "sound"),
    "garbage-pictures.mp4": (NoFrames, "decoded"),
    "bomb.avi": (NoFrames, "decoded"),  # the decoder refuses the size that the header hides
    "too-large.avi": (TooLarge, "30000"),
}

# name -> frame number a second: the number in the picture must be the one that belongs to the time
NUMBERED = {
    "h264.mp4": RATE, "one-key.mp4": 30, "open-gop.mp4": RATE, "hevc.mp4": RATE, "vp9.webm": RATE,
    "av1.mp4": RATE, "ten-bit.mp4": RATE, "ten-bit-hevc.mp4": RATE, "mpeg4.avi": RATE, "mjpeg.mov": RATE,
    "h264.mkv": RATE, "h264.flv": RATE, "animation.gif": 10, "live.webm": RATE, "fragmented.mp4": RATE,
    "odd-size.webm": RATE, "short.mp4": RATE, "4k.mp4": RATE, "slideshow.mp4": 1, "late-start.mkv": RATE,
    "rotated.mp4": RATE, "rotated-left.mp4": RATE, "upside-down.mp4": RATE, "mirrored.mp4": RATE,
    "wide-pixels.mp4": RATE, "truncated.mp4": RATE, "damaged.mp4": RATE, "claims-three-hours.mp4": RATE,
}  # fmt: skip

# one of every way to store key frames, times and an index
SEEKABLE = [
    "h264.mp4", "one-key.mp4", "open-gop.mp4", "hevc.mp4", "vp9.webm", "av1.mp4", "mpeg4.avi", "h264.ts",
    "h264.mkv", "h264.flv", "animation.gif", "live.webm", "fragmented.mp4", "variable-rate.mp4",
]  # fmt: skip


def windows_of(path: Path) -> list[Frames]:
    """Decode the usual windows, of which there must be some."""
    windows = list(decode(path, DecodePlan()))
    assert windows
    return windows


def all_seconds(windows: list[Frames]) -> np.ndarray:
    return np.concatenate([window.seconds for window in windows])


@pytest.mark.parametrize("name", GOOD)
def test_probe_tells_what_a_player_shows(media: Media, name: str) -> None:
    width, height, seconds, codec = GOOD[name]
    found = probe(media(name))
    assert (found.width, found.height, found.codec) == (width, height, codec)
    assert found.duration_seconds == pytest.approx(seconds, abs=0.05)
    assert found.frame_rate is not None
    assert found.frame_rate > 0


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_video_gets_its_code_and_sentence(media: Media, name: str) -> None:
    kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        probe(media(name))
    with pytest.raises(kind):
        list(decode(media(name), DecodePlan()))


@pytest.mark.parametrize("name", GOOD)
def test_windows_are_apart_and_reach_from_end_to_end(media: Media, name: str) -> None:
    plan = DecodePlan()
    end = GOOD[name][2]
    windows = list(decode(media(name), plan))
    seconds = all_seconds(windows)
    assert (np.diff(seconds) > 0).all()
    full = max(1, min(plan.windows, round(end / plan.window_seconds)))
    assert len(windows) == full - (name == "slideshow.mp4")  # the window before took the last slide
    assert all(1 <= len(window) <= plan.frames_per_window for window in windows)
    last_frame = end - 1 / (probe(media(name)).frame_rate or 1)
    assert 0.0 <= seconds[0] <= 0.1
    assert seconds[-1] >= last_frame - plan.window_seconds
    assert max(GOOD[name][:2]) == round(max(windows[0].data.shape[1:3]) * windows[0].scale)


@pytest.mark.parametrize("name", NUMBERED)
def test_every_picture_is_the_one_shown_at_its_time(media: Media, name: str) -> None:
    for window in windows_of(media(name)):
        shown = [read_number(image) for image in window.data]
        assert shown == [round(seconds * NUMBERED[name]) for seconds in window.seconds]


def test_a_clip_that_was_cut_between_key_frames_is_read_from_its_first_picture(media: Media) -> None:
    for window in windows_of(media("trimmed.mp4")):
        shown = [read_number(image) for image in window.data]
        assert shown == [13 + round(seconds * RATE) for seconds in window.seconds]


def test_times_are_the_true_ones_where_the_rate_varies(media: Media) -> None:
    for window in windows_of(media("variable-rate.mp4")):
        numbers = np.array([read_number(image) for image in window.data])
        assert window.seconds == pytest.approx((20 * numbers + numbers // 10 * 170) / 1000, abs=0.002)


@pytest.mark.parametrize("name", SEEKABLE)
def test_a_window_holds_what_decoding_from_the_start_gives(media: Media, name: str) -> None:
    everything = dict(play(media(name), Span()))
    for window in windows_of(media(name)):
        for seconds, image in zip(window.seconds, window.data, strict=True):
            assert np.array_equal(image, everything[seconds])


@pytest.mark.parametrize("name", ["rotated.mp4", "rotated-left.mp4", "upside-down.mp4", "mirrored.mp4"])
def test_pictures_are_put_upright(media: Media, name: str) -> None:
    plan = DecodePlan(windows=1)
    (turned,), (upright,) = (decode(media(name), plan), decode(media("no-face.mp4").with_name("h264.mp4"), plan))
    assert np.abs(turned.data.astype(int) - upright.data).mean() < 8


def test_frames_lie_at_the_asked_distance(media: Media) -> None:
    (window,) = decode(media("h264.mp4"), DecodePlan(windows=1, frames_per_window=6, frame_stride_seconds=0.2))
    assert window.seconds == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_large_frames_are_scaled_down_and_say_by_how_much(media: Media) -> None:
    (window,) = decode(media("4k.mp4"), DecodePlan(max_side_px=1920))
    assert window.data.shape[1:] == (1080, 1920, 3)
    assert window.scale == 2.0
    (full,) = decode(media("4k.mp4"), DecodePlan(max_side_px=8192))
    assert full.data.shape[1:] == (2160, 3840, 3)
    assert full.scale == 1.0


def test_frames_check_their_shapes() -> None:
    for shape, named in (((1, 4, 4), "data"), ((2, 4, 4, 3), "seconds")):
        with pytest.raises(ValueError, match=named):
            Frames(np.zeros(shape, np.uint8), np.zeros(1))


def test_only_the_asked_part_is_looked_at(media: Media) -> None:
    seconds = all_seconds(list(decode(media("one-key.mp4"), DecodePlan(start_seconds=4.0, end_seconds=7.0))))
    assert seconds[0] == pytest.approx(4.0, abs=0.02)
    assert 6.5 < seconds[-1] < 7.0
    (window,) = decode(media("slideshow.mp4"), DecodePlan(start_seconds=5.3, end_seconds=5.7))
    assert window.seconds.tolist() == [5.0]  # the slide on screen
    with pytest.raises(BadInput, match=r"6\.0 s"):
        list(decode(media("h264.mp4"), DecodePlan(start_seconds=6.5)))


NO_SPANS = [(-1.0, None), (math.nan, None), (math.inf, None), (0.0, 0.0), (2.0, 1.0), (0.0, math.nan), (0.0, math.inf)]


def test_spans_and_plans_that_make_no_sense_are_bad_input() -> None:
    for start, end in NO_SPANS:
        for make in (lambda: Span(start, end), lambda: DecodePlan(start_seconds=start, end_seconds=end)):  # noqa: B023
            with pytest.raises(BadInput):
                make()
    for field in ("windows", "frames_per_window", "frame_stride_seconds", "max_side_px"):
        with pytest.raises(BadInput):
            DecodePlan(**{field: 0})


@pytest.fixture
def packets_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one entry at every packet that goes to the decoder."""
    packets: list[int] = []
    original = VideoReader._decode

    def counted(self: VideoReader, packet: Any, before: float, after: float) -> Any:
        packets.append(self.packets_decoded)
        return original(self, packet, before, after)

    monkeypatch.setattr(VideoReader, "_decode", counted)
    return packets


def test_cost_does_not_grow_with_length(media: Media, packets_decoded: list[int]) -> None:
    assert len(list(decode(media("one-minute.mp4"), DecodePlan()))) == 8
    minute = len(packets_decoded)
    assert len(list(decode(media("ten-minutes.mp4"), DecodePlan()))) == 8
    assert len(packets_decoded) - minute <= minute + 30
    assert minute < 8 * (25 + 10)  # a window and a little more, of 1500 frames


def test_damage_in_the_middle_costs_only_what_follows_until_the_next_key_frame(media: Media) -> None:
    whole = dict(play(media("h264.mp4"), Span()))
    left = dict(play(media("damaged.mp4"), Span()))
    assert 0.8 * len(whole) < len(left) < len(whole)
    differences = [np.abs(image.astype(int) - whole[seconds]).mean() for seconds, image in left.items()]
    assert max(differences) < 1.0  # no smeared guesses


def test_a_playlist_that_slips_through_is_stopped_by_the_list_of_containers(media, monkeypatch):
    monkeypatch.setattr(file_format, "PLAYLIST_SIGNATURES", ())
    monkeypatch.setattr(container, "_refuse_nested", pytest.fail)
    for name in ("playlist.mp4", "concat.mp4"):
        with pytest.raises(NotAVideo):
            probe(media(name))


@pytest.mark.parametrize("target", ["{path}", "file:{path}", "http://127.0.0.1:9/x.ts", "concat:{path}|{path}"])
def test_even_an_allowed_playlist_cannot_open_a_file_or_an_address(media, tmp_path, monkeypatch, target):
    asked: list[str] = []

    def refuse(url: str, flags: int, options: dict[str, str]) -> None:
        asked.append(url)
        raise NotAVideo("only points")

    monkeypatch.setattr(file_format, "PLAYLIST_SIGNATURES", ())
    monkeypatch.setattr(container, "_refuse_nested", refuse)
    monkeypatch.setitem(container.OPTIONS, "format_whitelist", "hls,mpegts,mov")
    monkeypatch.setitem(container.OPTIONS, "allowed_extensions", "ALL")
    path = tmp_path / "list.m3u8"
    url = target.format(path=media("h264.ts"))
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{url}\n#EXT-X-ENDLIST\n")
    with pytest.raises(NotAVideo):
        probe(path)
    assert asked == [url] or not asked


seconds_strategy = st.floats(0, 20_000, allow_nan=False)


@given(seconds_strategy, seconds_strategy, st.floats(0.05, 5), st.integers(2, 20))
def test_spread_windows_are_apart_and_cover_the_range(start: float, length: float, window: float, count: int) -> None:
    end = start + length
    starts = window_starts(start, end, window, count)
    assert 1 <= len(starts) <= max(1, count)
    assert starts[0] == start
    assert all(b - a >= window - 1e-6 for a, b in itertools.pairwise(starts))
    assert starts[-1] <= max(start, end - window / 2) + 1e-6
    assert starts[-1] + 1.5 * window >= end - 1e-6


@given(st.lists(seconds_strategy, max_size=200), st.floats(0.5, 2000), st.integers(1, 20))
def test_placed_windows_never_overlap(key_frames: list[float], length: float, count: int) -> None:
    window = 0.96
    starts = window_starts(0.0, length, window, count)
    keys = [max((key for key in key_frames if key <= start), default=None) for start in starts]
    placed = snap_to_key_frames(starts, keys, gap_seconds(starts, window), length)
    for now, after in itertools.pairwise(placed):
        assert after.start_seconds - now.start_seconds >= window - 1e-6
        assert now.until_seconds == after.start_seconds
    for key, asked, found in zip(keys, starts, placed, strict=True):
        assert found.start_seconds in (asked, key)


def test_dense_key_frames_begin_windows_and_sparse_ones_do_not() -> None:
    starts = [0.0, 10.0, 20.0]
    dense = snap_to_key_frames(starts, [0.0, 9.5, 19.0], 9.0, math.inf)
    assert [window.start_seconds for window in dense] == [0.0, 9.5, 19.0]
    sparse = snap_to_key_frames(starts, [0.0, 0.0, 15.0], 9.0, math.inf)
    assert [window.start_seconds for window in sparse] == [0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("items", "targets", "picked"),
    [
        ([0, 40, 80, 120, 160, 200], [0, 120], [0, 120]),  # exact
        ([0, 33, 67, 100, 133, 167], [0, 120], [0, 133]),  # 133 is nearer than 100
        ([0, 33, 67, 100, 133, 167], [40, 110], [33, 100]),  # the nearest may lie before
        ([0, 500, 1000], [0, 120, 240, 360], [0, 500, 1000]),  # sparser than asked: late, never twice
        ([5], [7], [5]),  # what is on screen at the end
        ([5, 6], [5, 9], [5]),  # 6 belongs to the first target, which has its picture
        ([], [1], []),
        ([1, 2], [], []),
    ],
)
def test_pick(items: list[float], targets: list[float], picked: list[float]) -> None:
    assert [seconds for seconds, _ in pick_nearest(((float(i), i) for i in items), targets)] == picked


@pytest.mark.parametrize("windows", [2, 8])
@pytest.mark.parametrize(
    "name", ["h264.mp4", "one-key.mp4", "open-gop.mp4", "hevc.mp4", "vp9.webm", "h264.ts", "variable-rate.mp4"]
)
def test_skipping_what_is_not_picked_changes_no_frame(media: Media, monkeypatch: pytest.MonkeyPatch, name, windows):
    plan = DecodePlan(windows=windows)
    quick = list(decode(media(name), plan))
    monkeypatch.setattr(VideoReader, "_is_needed", lambda *_: True)
    for ours, whole in itertools.zip_longest(quick, decode(media(name), plan)):
        np.testing.assert_array_equal(ours.seconds, whole.seconds)
        np.testing.assert_array_equal(ours.data, whole.data)


def test_what_is_neither_picked_nor_needed_by_others_is_not_decoded(media: Media):
    with open_video(media("h264.mp4")) as reader:
        reader.targets = (1.0, 1.4, 1.8)
        times = [seconds for seconds, _ in reader.frames_until(1.7)]
    assert len(times) < 0.8 * 1.7 * RATE
    assert {1.0, 1.4} <= {round(seconds, 3) for seconds in times}
