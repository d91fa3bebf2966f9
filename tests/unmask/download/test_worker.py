"""The download worker and its session of yt-dlp, the parts that need no network."""

import math
from dataclasses import replace

import pytest

from unmask.download import dash, worker
from unmask.download.messages import FetchRequest
from unmask.download.segments import segment_ranges, select_runs
from unmask.download.ytdlp_session import Info, choose_format
from unmask.errors import NoFrames, UnsupportedSite
from unmask.limits import Limits
from unmask.video.sampling import Span

MIB = 2**20


def _format(name: str, **fields: object) -> Info:
    return {"format_id": name, "vcodec": "avc1", "protocol": "https", **fields}


@pytest.mark.parametrize(
    ("formats", "chosen"),
    [
        ([_format("low"), _format("high")], "high"),  # sorted, best last
        ([_format("film"), _format("sound", vcodec="none")], "film"),
        ([_format("unknown codec", vcodec=None)], "unknown codec"),
        ([_format("playlist", protocol="m3u8_native"), _format("flash", protocol="rtmp")], "playlist"),
        ([_format("small", filesize=MIB), _format("huge", filesize=9 * MIB)], "small"),
        ([_format("small"), _format("perhaps huge", filesize_approx=9 * MIB)], "small"),
        ([_format("large", filesize=8 * MIB), _format("huge", filesize=9 * MIB)], "huge"),  # refused later
    ],
)
def test_the_best_format_with_pictures_that_fits_is_chosen(formats, chosen):
    assert choose_format(formats, 5 * MIB)["format_id"] == chosen


def test_sound_alone_has_no_pictures_and_what_only_another_program_could_fetch_is_unsupported():
    with pytest.raises(NoFrames):
        choose_format([_format("sound", vcodec="none")], MIB)
    with pytest.raises(UnsupportedSite):
        choose_format([_format("flash", protocol="rtmp"), _format("socket", protocol="websocket_frag")], MIB)


HEADED: list[Info] = [{"url": "head"}, *({"url": name, "duration": 2.0} for name in "abcd")]


@pytest.mark.parametrize(
    ("intervals", "runs"),
    [
        ([(0.0, math.inf)], [("abcd", 0.0)]),
        ([(2.5, 3.5)], [("b", 2.0)]),
        ([(3.5, 4.5)], [("bc", 2.0)]),
        ([(2.5, 3.5), (6.5, 7.5)], [("b", 2.0), ("d", 6.0)]),
    ],
)
def test_dash_fragments_are_cut_to_what_is_needed_and_keep_their_head(intervals, runs):
    found = select_runs(dash.read_segments(HEADED), intervals)
    assert [("".join(each.content["url"] for each in run), run[0].start_seconds) for run in found] == runs
    assert all(run[0].init == {"url": "head"} for run in found)


@pytest.mark.parametrize(
    ("seconds", "ranges"),
    [
        (None, [(0.0, 8.0), (8.0, 16.0)]),  # the manifest does not say how long its Periods are
        (8.0, [(0.0, 8.0), (8.0, 16.0)]),
        (7.5, [(0.0, 8.0), (7.5, 15.5)]),  # the last fragment is cut
    ],
)
def test_a_dash_period_begins_where_the_manifest_says(seconds, ranges):
    fragments = [{**each, "period": period, "period_seconds": seconds} for period in (0, 1) for each in HEADED]
    assert segment_ranges(dash.read_segments(fragments)) == ranges


def test_what_is_needed_of_a_video_is_its_moments_or_all_of_the_asked_part():
    request = FetchRequest("https://example.com/v", "/tmp/x/video", Limits(), Span(10.0))
    assert request.needed_intervals(request.window_starts([(0.0, 100.0)])) == [(10.0, math.inf)]
    some = replace(request, windows=3, window_seconds=1.0)
    assert some.needed_intervals(some.window_starts([])) == [(10.0, math.inf)]
    assert some.window_starts([(0.0, 101.0)]) == (10.0, 55.0, 100.0)
    assert some.needed_intervals((10.0, 55.0)) == [(9.5, 11.5), (54.5, 56.5)]
    assert some.window_starts([(0.0, 90.0), (90.0, 101.0)]) == (10.0, 89.0, 90.0)  # every period is looked at


def test_yt_dlp_is_told_to_leave_this_machine_alone():
    options = worker._options(FetchRequest("https://example.com/", "/tmp/x/video", Limits(), Span()), lambda _: None)
    assert options["cachedir"] is False
    assert options["usenetrc"] is False
    assert options["cookiefile"] is None
    assert options["proxy"] == ""
    assert options["external_downloader"] == "native"
    assert not {"exec_cmd", "postprocessors", "enable_file_urls", "nocheckcertificate"} & set(options)
