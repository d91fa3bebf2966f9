"""Ranges of a file on a server: which files are read so, and what a range must be."""

import io
from types import SimpleNamespace

import pytest
from yt_dlp.networking.exceptions import TransportError

from unmask.download.http_range import ATTEMPTS, MIN_BYTES, HttpRangeFile, find_remote_file
from unmask.errors import FetchFailed

FILE = HttpRangeFile("https://a.example/v", {}, MIN_BYTES)
PART = {"Content-Range": f"bytes 0-3/{MIN_BYTES}"}


def answer(body=b"", status=206, url=FILE.url, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(url=url, status=status, headers=given, read=io.BytesIO(body).read, close=lambda: None)


def opening(*answers):
    """Give one answer after the other; an error is raised."""
    left = list(answers)

    def open_url(request):
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return open_url


GOOD, SHORT, BROKEN = answer(b"abcd", **PART), [answer(b"ab", **PART) for _ in range(3)], TransportError("reset")


@pytest.mark.parametrize("before", [[], [BROKEN], [answer(b"ab", **PART), BROKEN]], ids=len)
def test_a_range_that_breaks_off_is_asked_for_again(before):
    GOOD.read = io.BytesIO(b"abcd").read
    assert FILE.read(opening(*before, GOOD), 0, 4) == b"abcd"


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([BROKEN] * ATTEMPTS, TransportError),
        (SHORT, FetchFailed),
        ([answer(b"abcd", 200)], FetchFailed),  # the whole
        ([answer(b"abcd", Content_Range="bytes 0-3/9")], FetchFailed),  # another version
        ([answer(b"abcd", Content_Encoding="gzip", **PART)], FetchFailed),
    ],
)
def test_what_is_not_the_range_is_refused(answers, error):
    with pytest.raises(error):
        FILE.read(opening(*answers), 0, 4)


FIRST = f"bytes 0-0/{MIN_BYTES}"


@pytest.mark.parametrize(
    ("found", "info", "headers"),
    [
        (answer(Content_Range=FIRST), {}, {}),
        (answer(Content_Range=FIRST, ETag='"1"'), {}, {"If-Range": '"1"'}),
        (answer(Content_Range=FIRST, ETag='W/"1"', Last_Modified="then"), {}, {"If-Range": "then"}),
        (answer(Content_Range="bytes 0-0/9"), {}, None),  # small
        (answer(status=200), {}, None),  # its server knows no ranges
        (BROKEN, {}, None),
        (answer(Content_Range=FIRST), {"protocol": "m3u8_native"}, None),
        (answer(Content_Range=FIRST), {"fragments": [{}]}, None),
    ],
)
def test_only_a_large_file_whose_server_serves_ranges_is_read_so(found, info, headers):
    remote = find_remote_file(opening(found), {"url": FILE.url, "protocol": "https", **info})
    wanted = None if headers is None else {"Accept-Encoding": "identity", **headers}
    assert (remote and remote.headers) == wanted


@pytest.mark.parametrize(("host", "kept"), [("a.example", True), ("b.example", False)])
def test_credentials_for_one_host_do_not_go_to_another_that_it_leads_to(host, kept):
    found = answer(url=f"https://{host}/v", Content_Range=FIRST)
    headers = {"Authorization": "secret", "Referer": "https://a.example/"}
    info = {"url": "https://a.example/v", "protocol": "https", "http_headers": headers}
    remote = find_remote_file(opening(found), info)
    assert ("Authorization" in remote.headers) is kept
    assert remote.headers["Referer"]
