"""HLS playlists, as text."""

import pytest

from unmask.download import hls
from unmask.video.sampling import Selection

HEAD = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n"
FIVE = HEAD + "".join(f"#EXTINF:4.0,\n{name}.ts\n" for name in "abcde") + "#EXT-X-ENDLIST\n"


def _segments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_duration_is_the_sum_of_the_segments():
    assert hls.duration_seconds(FIVE) == 20.0
    assert hls.duration_seconds(FIVE.replace("4.0,", "4.25,a title")) == 21.25


@pytest.mark.parametrize(
    ("text", "live"),
    [
        (FIVE, False),
        (FIVE.replace("#EXT-X-ENDLIST\n", ""), True),
        (FIVE.replace("#EXT-X-ENDLIST\n", "#EXT-X-PLAYLIST-TYPE:VOD\n"), False),
        (FIVE.replace("#EXT-X-ENDLIST\n", "#EXT-X-PLAYLIST-TYPE:EVENT\n"), True),
    ],
)
def test_a_playlist_without_an_end_is_live(text, live):
    assert hls.is_live(text) is live


def test_a_master_playlist_is_told_from_a_media_playlist():
    assert hls.is_master("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n")
    assert not hls.is_master(FIVE)


@pytest.mark.parametrize(
    ("start", "end", "kept", "offset"),
    [
        (0.0, float("inf"), "abcde", 0.0),
        (0.0, 4.0, "a", 0.0),
        (0.0, 4.1, "ab", 0.0),
        (3.9, 4.0, "a", 0.0),
        (4.0, 8.0, "b", 4.0),
        (5.0, 9.0, "bc", 4.0),
        (18.0, float("inf"), "e", 16.0),
        (19.0, 500.0, "e", 16.0),
    ],
)
def test_the_segments_that_overlap_the_range_are_kept(start, end, kept, offset):
    text, selection = hls.select_segments(FIVE, [(start, end)])
    assert _segments(text) == [f"{name}.ts" for name in kept]
    assert selection.offset_seconds == offset
    assert hls.duration_seconds(text) == 4.0 * len(kept)
    assert not hls.is_live(text)


INTERVALS = [(-0.5, 1.5), (9.0, 11.0), (19.0, 21.0)]


def test_of_moments_the_segments_between_are_left_out():
    text, selection = hls.select_segments(FIVE, INTERVALS)
    assert _segments(text) == ["a.ts", "c.ts", "e.ts"]
    assert selection == Selection(0.0, has_gaps=True)
    assert not hls.select_segments(FIVE, [(1.0, 2.0), (6.0, 7.0)])[1].has_gaps
    assert not hls.select_segments(FIVE, [(9.0, 11.0)])[1].has_gaps


@pytest.mark.parametrize(
    ("before_c", "kept"),
    [
        ('#EXT-X-KEY:METHOD=AES-128,URI="k"', "abcde"),  # a segment's number is its IV
        ("#EXT-X-DISCONTINUITY", "abcde"),  # the clock starts anew
        ('#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x1', "ace"),
        ("#EXT-X-KEY:METHOD=NONE", "ace"),
    ],
)
def test_segments_that_count_are_kept_without_gaps(before_c, kept):
    text = FIVE.replace("#EXTINF:4.0,\nc", f"{before_c}\n#EXTINF:4.0,\nc")
    short, selection = hls.select_segments(text, INTERVALS)
    assert _segments(short) == [f"{name}.ts" for name in kept]
    assert selection.has_gaps == (kept == "ace")


def test_the_number_of_the_first_segment_moves_with_it():
    assert "#EXT-X-MEDIA-SEQUENCE:9\n" in hls.select_segments(FIVE, [(8.0, 12.0)])[0]
    without = FIVE.replace("#EXT-X-MEDIA-SEQUENCE:7\n", "")
    assert "#EXT-X-MEDIA-SEQUENCE:2\n" in hls.select_segments(without, [(8.0, 12.0)])[0]


def test_keys_heads_and_breaks_stay_in_force():
    text = FIVE.replace("#EXTINF:4.0,\na", '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXT-X-MAP:URI="m"\n#EXTINF:4.0,\na')
    text = text.replace("#EXTINF:4.0,\nc", "#EXT-X-DISCONTINUITY\n#EXTINF:4.0,\nc")
    lines = hls.select_segments(text, [(12.0, 20.0)])[0].splitlines()
    for tag in ("#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-DISCONTINUITY"):
        assert sum(line.startswith(tag) for line in lines) == 1


def test_a_byte_range_goes_with_its_segment_wherever_it_stands():
    text = FIVE.replace("#EXTINF:4.0,\nb", "#EXT-X-BYTERANGE:10@20\n#EXTINF:4.0,\nb")
    assert "#EXT-X-BYTERANGE:10@20\n#EXTINF:4.0,\nb.ts" in hls.select_segments(text, [(5.0, 6.0)])[0]
    assert "BYTERANGE" not in hls.select_segments(text, [(9.0, 10.0)])[0]


@pytest.mark.parametrize("tag", ["#EXT-X-BYTERANGE:100", "#ANVATO-SEGMENT-INFO: type=ad", "#UPLYNK-SEGMENT: 1,ad"])
def test_segments_that_depend_on_each_other_are_left_together(tag):
    text = FIVE.replace("#EXTINF:4.0,\nb", f"{tag}\n#EXTINF:4.0,\nb")
    assert hls.select_segments(text, [(8.0, 12.0)]) == (text, Selection())
