"""Untrusted input is either parsed or refused with a sentence."""

import base64
import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.errors import BadInput, BadUrl, ModelUnavailable, UnmaskError
from unmask.inputs import to_frames, to_models, to_seconds, to_span, to_upload, to_url
from unmask.video.sampling import Span

JPEG = base64.b64encode(b"\xff\xd8\xff\xe0rest").decode()

SECONDS = [
    (None, None),
    ("", None),
    (0, 0.0),
    (12.5, 12.5),
    ("12.5", 12.5),
    (" 7 ", 7.0),
    ("1:02", 62.0),
    ("1:02:03.5", 3723.5),
]
NO_SECONDS = [True, "soon", "1:2:3:4", ":", "1:", [3], {"seconds": 3}, b"3", "1" * 10_000_000]


def test_a_time_may_be_a_number_or_a_clock_and_what_is_none_is_refused_by_name():
    for text, seconds in SECONDS:
        assert to_seconds(text, "The start") == seconds
    for wrong in NO_SECONDS:
        with pytest.raises(BadInput, match="The start must be seconds"):
            to_seconds(wrong, "The start")


def test_nothing_is_kept_that_is_longer_than_it_may_be(tmp_path):
    """A job can be asked for long after it has failed."""
    with pytest.raises(BadUrl, match="longer"):
        to_url("https://videos.example/" + "x" * 5000)
    (tmp_path / "clip.mp4").write_bytes(b"video")
    upload = to_upload({"path": str(tmp_path / "clip.mp4"), "orig_name": "x" * 5000 + ".mp4"}, tmp_path)
    assert upload.name == "x" * 251 + ".mp4"
    frames = to_frames([{"seconds": 0, "jpeg": JPEG}], "https://x/" + "y" * 5000, "z" * 5000)
    assert len(frames.page_url) == len(frames.title) == 2048


def test_a_span_is_open_where_nothing_is_said_and_one_that_makes_no_sense_is_refused():
    assert to_span(None, None) == Span(0.0, None)
    assert to_span("0:10", 20) == Span(10.0, 20.0)
    for start, end in ((-1, None), (3, 2), (2, 2), ("nan", None), (0, "inf"), (0, -1)):
        with pytest.raises(BadInput):
            to_span(start, end)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists))
def test_nothing_that_json_can_hold_is_a_defect(tmp_path_factory, anything):
    attempts = (
        lambda: to_url(anything),
        lambda: to_span(anything, anything),
        lambda: to_upload(anything, tmp_path_factory.getbasetemp() / "nowhere"),
        lambda: to_upload({"path": anything, "orig_name": anything}, tmp_path_factory.getbasetemp() / "nowhere"),
        lambda: to_frames(anything, anything, anything),
        lambda: to_frames([{"seconds": anything, "jpeg": anything}], anything, anything),
        lambda: to_models(anything, {"default"}),
    )
    for attempt in attempts:
        with contextlib.suppress(UnmaskError):
            attempt()


def test_an_upload_keeps_the_name_it_came_with(tmp_path):
    path = tmp_path / "hash" / "clip.mp4"
    path.parent.mkdir()
    path.write_bytes(b"video")
    assert to_upload(str(path), tmp_path).name == "clip.mp4"
    assert to_upload({"path": str(path), "orig_name": "../my clip.mp4"}, tmp_path).name == "my clip.mp4"


def test_no_file_but_an_upload_is_taken(tmp_path):
    uploads, secret = tmp_path / "uploads", tmp_path / "secret.mp4"
    uploads.mkdir()
    secret.write_bytes(b"secret")
    (uploads / "link.mp4").symlink_to(secret)
    for path in (secret, uploads / ".." / "secret.mp4", uploads / "link.mp4", uploads, uploads / "gone.mp4"):
        with pytest.raises(BadInput, match="not uploaded here"):
            to_upload(str(path), uploads)
    (uploads / "loop").symlink_to(uploads / "loop")
    for name in ("\ud800", "x" * 100_000, "a\0b", "/" * 5000, "loop"):  # that no file can have
        with pytest.raises(BadInput):
            to_upload(f"{uploads}/{name}", uploads)


def test_frames_are_put_in_the_order_of_time_which_each_needs():
    later, sooner = {"seconds": 2, "jpeg": JPEG}, {"seconds": 1.5, "jpeg": f"data:image/jpeg;base64,{JPEG}"}
    source = to_frames([later, sooner | {"hdr": True}], "https://videos.example/", "")
    assert source.hdr and not to_frames([later], "", "").hdr
    assert source.seconds == (1.5, 2.0)
    assert source.images == (base64.b64decode(JPEG),) * 2
    assert (source.page_url, source.title) == ("https://videos.example/", None)
    for seconds in (-0.1, math.nan, math.inf, "1", None, True):
        with pytest.raises(BadInput, match="seconds"):
            to_frames([{"seconds": seconds, "jpeg": JPEG}], "", "")
    with pytest.raises(BadInput, match="not a JPEG"):
        to_frames([{"seconds": 0, "jpeg": "iVBORw0KGgo="}], "", "")  # a PNG


def test_models_are_names_that_are_known_here():
    known = {"default", "mobilenet-gru", "resnext-lstm"}
    assert to_models("", known) == to_models(None, known) == to_models([], known) == ()
    assert to_models("mobilenet-gru, resnext-lstm,mobilenet-gru", known) == ("mobilenet-gru", "resnext-lstm")
    assert to_models(["resnext-lstm"], known) == ("resnext-lstm",)
    for unknown in ("other", "/etc", "owner/name", "default,other"):
        with pytest.raises(ModelUnavailable, match="mobilenet-gru"):
            to_models(unknown, known)
