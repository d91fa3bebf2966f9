"""HLS playlists, as text."""

import pytest

from unmask.download import hls
from unmask.download.segments import segment_ranges, select_runs

HEAD = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n"
FIVE = HEAD + "".join(f"#EXTINF:4.0,\n{name}.ts\n" for name in "abcde") + "#EXT-X-ENDLIST\n"
BREAK = "#EXT-X-DISCONTINUITY"
KEY, GIVEN, NO_KEY = '#EXT-X-KEY:METHOD=AES-128,URI="k"', "#EXT-X-KEY:METHOD=AES-128,IV=0x1", "#EXT-X-KEY:METHOD=NONE"
MAP = '#EXT-X-MAP:URI="m"'


def playlists(text: str, intervals: list[tuple[float, float]]) -> list[str]:
    """What is fetched, a playlist a run."""
    return [hls.write_playlist(text, run) for run in select_runs(hls.read_segments(text), intervals)]


def names(playlist: str) -> str:
    return "".join(line.removesuffix(".ts") for line in playlist.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        (FIVE, [(0.0, 20.0)]),
        (FIVE.replace("4.0,", "4.25,a title"), [(0.0, 21.25)]),
        (FIVE.replace("#EXTINF:4.0,\nc", f"{BREAK}\n#EXTINF:4.0,\nc"), [(0.0, 8.0), (8.0, 20.0)]),
        (FIVE.replace("#EXTINF:4.0,\nc", "#EXT-X-GAP\n#EXTINF:4.0,\nc"), [(0.0, 8.0), (12.0, 20.0)]),
        ("#EXTM3U\n", []),
    ],
)
def test_periods_lie_on_the_clock_of_the_player(text, ranges):
    assert segment_ranges(hls.read_segments(text)) == ranges


def test_a_playlist_without_an_end_is_live_and_a_master_playlist_is_told_from_a_media_playlist():
    ends = ("#EXT-X-ENDLIST\n", "", "#EXT-X-PLAYLIST-TYPE:VOD\n", "#EXT-X-PLAYLIST-TYPE:EVENT\n")
    assert [hls.is_live(FIVE.replace(ends[0], end)) for end in ends] == [False, True, False, True]
    assert hls.is_master("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n")
    assert not hls.is_master(FIVE)


@pytest.mark.parametrize("fields", ['NAME="x",VALUE=".ts"', 'VALUE=".ts",NAME="x"'])
def test_variables_are_put_in_their_places(fields):
    text = f"{HEAD}#EXT-X-DEFINE:{fields}\n#EXTINF:4.0,\na{{$x}}\n#EXTINF:4.0,\nb{{$z}}\n"
    assert [segment.content[-1] for segment in hls.read_segments(hls.substitute(text, "", {}))] == ["a.ts", "b{$z}"]


def test_variables_cannot_make_a_playlist_grow_without_bounds():
    nested = "".join(f'#EXT-X-DEFINE:NAME="v{n}",VALUE="{f"{{$v{n + 1}}}" * 10}"\n' for n in range(12))
    assert len(hls.substitute(nested + "{$v0}", "", {})) < 100 * len(nested)
    large = f'#EXT-X-DEFINE:NAME="x",VALUE="{"a" * hls.MAX_GROWTH}"\n'
    assert hls.substitute(large + "{$x}{$x}", "", {}) == large + "{$x}{$x}"


INTERVALS = [(-0.5, 1.5), (9.0, 11.0), (19.0, 21.0)]


@pytest.mark.parametrize(
    ("before_c", "intervals", "runs"),
    [
        ("", [(0.0, float("inf"))], ["abcde"]),
        ("", [(0.0, 4.0)], ["a"]),
        ("", [(0.0, 4.1)], ["ab"]),
        ("", [(3.9, 4.0)], ["a"]),
        ("", [(5.0, 9.0)], ["bc"]),
        ("", [(19.0, 500.0)], ["e"]),
        ("", INTERVALS, ["a", "c", "e"]),
        ("", [(1.0, 2.0), (6.0, 7.0)], ["ab"]),
        (BREAK, [(0.0, 20.0)], ["ab", "cde"]),  # the clock starts anew
        (MAP, [(0.0, 20.0)], ["ab", "cde"]),  # and so does the file
        (KEY, INTERVALS, ["a", "c", "e"]),
        ("#EXT-X-GAP", [(0.0, 20.0)], ["ab", "de"]),  # announced as missing
    ],
)
def test_the_segments_that_overlap_an_interval_are_kept(before_c, intervals, runs):
    text = FIVE.replace("#EXTINF:4.0,\nc", f"{before_c}\n#EXTINF:4.0,\nc")
    found = playlists(text, intervals)
    assert list(map(names, found)) == runs
    for playlist in found:
        segments = hls.read_segments(playlist)
        assert segments[0].number == 7 + "abcde".index(names(playlist)[0])  # where no IV is given, it is the IV
        assert segments[-1].end_seconds == 4.0 * len(names(playlist))
        assert not hls.is_live(playlist)
        assert "#EXT-X-VERSION:3" in playlist


@pytest.mark.parametrize(
    ("before_a", "before_c", "tags"),
    [
        (f"{KEY}\n{MAP}", BREAK, ["KEY", "MAP", "-"]),  # the head is encrypted, too
        (f"{MAP}\n{KEY}", BREAK, ["MAP", "KEY", "-"]),
        (KEY, NO_KEY, ["KEY"]),
        (KEY, GIVEN, ["KEY"]),
        ("", GIVEN, ["KEY"]),
    ],
)
def test_keys_and_heads_stay_in_force(before_a, before_c, tags):
    text = FIVE.replace("#EXTINF:4.0,\na", f"{before_a}\n#EXTINF:4.0,\na")
    text = text.replace("#EXTINF:4.0,\nc", f"{before_c}\n#EXTINF:4.0,\nc")
    (playlist,) = playlists(text, [(12.0, 20.0)])
    found = [line.split(":")[0][7:] for line in playlist.splitlines() if line.startswith(("#EXT-X-KEY", "#EXT-X-MAP"))]
    assert found == [tag for tag in tags if tag != "-"]
    asked = before_c if before_c.startswith("#EXT-X-KEY") else KEY
    assert asked in playlist


def test_a_byte_range_goes_with_its_segment_wherever_it_stands():
    text = FIVE.replace("#EXTINF:4.0,\nb", "#EXT-X-BYTERANGE:10@20\n#EXTINF:4.0,\nb")
    assert "#EXT-X-BYTERANGE:10@20\n#EXTINF:4.0,\nb.ts" in playlists(text, [(5.0, 6.0)])[0]
    assert "BYTERANGE" not in playlists(text, [(9.0, 10.0)])[0]


@pytest.mark.parametrize("tag", ["#EXT-X-BYTERANGE:100", "#ANVATO-SEGMENT-INFO: type=ad", "#UPLYNK-SEGMENT: 1,ad"])
def test_segments_that_depend_on_each_other_are_left_together(tag):
    assert hls.must_stay_whole(FIVE.replace("#EXTINF:4.0,\nb", f"{tag}\n#EXTINF:4.0,\nb"))
    assert not hls.must_stay_whole(FIVE)
