"""Pictures as a player shows them: colour, size and shape, whatever a file does with them and wherever it changes."""

import re
import struct
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

from tests.conftest import SHARED_DATA
from tests.media import EXAMPLES, faceless, glide, read_number, write_video
from unmask.download.sources import NOTICES
from unmask.errors import NoFrames, NotAVideo
from unmask.video import colour
from unmask.video.decode import decode, play, probe
from unmask.video.decode_client import OpenVideo
from unmask.video.sampling import DecodePlan, Span

CASES = SHARED_DATA.parent / "cases"
EXAMPLE = EXAMPLES / "photograph.mp4"
Image = npt.NDArray[np.uint8]

BT709, BT2020 = ColorPrimaries.BT709, ColorPrimaries.BT2020
HLG, PQ, SDR = ColorTrc.ARIB_STD_B67, ColorTrc.SMPTE2084, ColorTrc.BT709
LIMITED, FULL = ColorRange.MPEG, ColorRange.JPEG

P3 = ColorPrimaries.SMPTE432
# name -> height px, tag of the matrix (2: none), the matrix of the pixels, range, transfer, primaries
Kind = tuple[int, int, Colorspace, ColorRange, ColorTrc, ColorPrimaries]
COLOURS: dict[str, Kind] = {
    "bt601": (240, 6, Colorspace.ITU601, LIMITED, SDR, BT709),
    "bt709, small": (240, 1, Colorspace.ITU709, LIMITED, SDR, BT709),
    "bt601, large": (720, 6, Colorspace.ITU601, LIMITED, SDR, BT709),
    "full range": (240, 1, Colorspace.ITU709, FULL, SDR, BT709),
    "untagged, small": (240, 2, Colorspace.ITU601, LIMITED, SDR, BT709),
    "untagged, large": (720, 2, Colorspace.ITU709, LIMITED, SDR, BT709),
    "bt2020": (240, 9, Colorspace.BT2020, LIMITED, SDR, BT2020),
    "hlg": (240, 9, Colorspace.BT2020, LIMITED, HLG, BT2020),
    "hlg, full range": (240, 9, Colorspace.BT2020, FULL, HLG, BT2020),
    "pq": (240, 9, Colorspace.BT2020, LIMITED, PQ, BT2020),
    "hlg, nothing else tagged": (240, 2, Colorspace.BT2020, LIMITED, HLG, BT2020),
    "pq, nothing else tagged": (240, 2, Colorspace.BT2020, LIMITED, PQ, BT2020),
    "bt2020, only the matrix tagged": (240, 9, Colorspace.BT2020, LIMITED, SDR, BT2020),
    "bt2020, constant luminance": (240, 10, Colorspace.BT2020, LIMITED, SDR, BT2020),
    "p3": (240, 1, Colorspace.ITU709, LIMITED, SDR, P3),
    "pq, large": (720, 9, Colorspace.BT2020, LIMITED, PQ, BT2020),
    "pq, of a bright display": (240, 9, Colorspace.BT2020, LIMITED, PQ, BT2020),
}
DISPLAY = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
NEAR = 4.0  # mean difference, of 255


def patches(height: int) -> Image:
    """Grey and the colours of skin, sky and cloth, side by side."""
    colours = [[128, 128, 128], [224, 172, 140], [141, 85, 60], [70, 110, 170], [150, 50, 60], [60, 120, 70]]
    row = np.array(colours, np.uint8)
    return np.ascontiguousarray(row[None].repeat(height, 0).repeat(48, 1))


def write_tagged(path: Path, image: Image, kind: Kind, coded: str = "") -> None:
    """Encode a picture in 10 bit with the given colours and tags."""
    _, tag, matrix, range_, transfer, primaries = kind
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx265", rate=25)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p10le"
        stream.options = {"preset": "ultrafast", "crf": "4", "x265-params": f"log-level=none:pools=2:{coded}"}
        context = stream.codec_context
        context.colorspace, context.color_range = tag, range_
        if tag != 2 or transfer is not SDR:
            context.color_trc = transfer
        if tag not in (2, 9) or (transfer is not SDR and tag != 2):
            context.color_primaries = primaries
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        frame.color_trc, frame.color_primaries = SDR, BT709
        converted = VideoReformatter().reformat(
            frame, format="yuv420p10le", dst_colorspace=matrix, dst_color_range=range_,
            dst_color_trc=transfer, dst_color_primaries=primaries,
        )  # fmt: skip
        for i in range(5):
            converted.pts = i
            output.mux(stream.encode(converted))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_converted_by_their_tags_or_by_the_size(tmp_path: Path, name: str) -> None:
    kind, path = COLOURS[name], tmp_path / "colours.mp4"
    image = patches(kind[0])
    write_tagged(path, image, kind, DISPLAY if "display" in name else "")
    _, shown = next(play(path, Span()))
    inner = np.arange(image.shape[1]) % 48
    kept = (inner > 8) & (inner < 40)
    assert np.abs(shown.astype(int) - image)[:, kept].mean() < NEAR
    assert probe(path).traits == (("hdr",) if kind[4] is not SDR else ())


@pytest.mark.parametrize(("coded", "shown"), [(ColorTrc.UNSPECIFIED, HLG), (SDR, SDR), (PQ, PQ)])
def test_what_pictures_do_not_say_of_their_colours_their_container_says(coded: ColorTrc, shown: ColorTrc) -> None:
    frame = av.VideoFrame(32, 32, "yuv420p10le")
    frame.color_trc = coded
    colour.complete_tags(frame, {"color_trc": HLG})
    assert frame.color_trc == shown


@pytest.mark.parametrize(("reserved", "hdr"), [(0, False), (3, False), (3, True)])
def test_tags_that_mean_nothing_are_no_tags(reserved: int, hdr: bool) -> None:
    shown, reformatter = [], VideoReformatter()
    for number in (reserved, 2):
        frame = av.VideoFrame.from_ndarray(patches(64), "rgb24").reformat(format="yuv420p10le")
        frame.color_trc = HLG if hdr else number
        frame.colorspace, frame.color_primaries = (9, number) if hdr else (number, BT2020)
        colour.complete_tags(frame, {})
        shown.append(colour.to_rgb(frame, (288, 64), reformatter))
    assert (shown[0] == shown[1]).all()


@pytest.mark.parametrize(("primaries", "matrix"), [(BT709, Colorspace.ITU709), (BT2020, Colorspace.BT2020)])
def test_a_matrix_may_be_that_of_the_primaries(primaries: ColorPrimaries, matrix: Colorspace) -> None:
    shown = []
    for tag in (12, matrix):
        frame = av.VideoFrame.from_ndarray(patches(64), "rgb24").reformat(format="yuv420p", dst_colorspace=matrix)
        frame.colorspace, frame.color_primaries = tag, primaries
        shown.append(colour.to_rgb(frame, (288, 64), VideoReformatter()).astype(int))
    assert np.abs(shown[0] - shown[1]).max() <= 1


@pytest.mark.parametrize(("kinds", "hdr"), [(("bt709, small", "hlg"), True), (("bt709, small", "bt601"), False)])
def test_hdr_that_begins_later_is_told_after_the_windows(tmp_path: Path, kinds: tuple[str, ...], hdr: bool) -> None:
    blocks = []
    for kind in kinds:
        write_tagged(tmp_path / "part.ts", patches(COLOURS[kind][0]), COLOURS[kind])
        blocks.append((tmp_path / "part.ts").read_bytes())
    (tmp_path / "joined.ts").write_bytes(b"".join(blocks))
    with closing(OpenVideo(tmp_path / "joined.ts", DecodePlan())) as opened:
        assert "hdr" not in opened.stream.traits
        assert sum(map(len, opened.windows())) > 2
        assert ("hdr" in opened.stream.traits) == hdr


@pytest.mark.shared
@pytest.mark.parametrize("name", ["photograph-hlg.mp4", "photograph-pq.mp4"])
def test_hdr_looks_like_the_same_video_in_sdr(name: str) -> None:
    shares = np.linspace(5, 95, 19)
    shown, wanted = (
        np.percentile(next(play(path, Span()))[1][rows], shares, axis=(0, 1))
        for path, rows in ((CASES / name, slice(60, 420)), (EXAMPLE, slice(None)))
    )
    assert np.abs(shown - wanted).mean() < NEAR


Part = dict[str, Any]


def joined(path: Path, *parts: Part) -> Path:
    """A broadcast stream of two seconds for each part, on one clock."""
    blocks = []
    for i, part in enumerate(parts):
        images = glide(50, part.pop("width", 320), part.pop("height", 240))
        write_video(path, images, pts=(50 * i).__add__, options={"g": "25", "bf": "0"}, **part)
        blocks.append(path.read_bytes())
    path.write_bytes(b"".join(blocks))
    return path


def oblong(stream: Any) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(2)


# what the parts are -> (width, height) shown in each
CHANGES: dict[str, tuple[tuple[Part, ...], tuple[tuple[int, int], ...]]] = {
    "a turned phone": (({}, {"width": 240, "height": 320}), ((320, 240), (240, 320))),
    "another quality and back": (({}, {"width": 160, "height": 120}, {}), ((320, 240), (160, 120), (320, 240))),
    "oblong pixels": (({}, {"prepare": oblong}), ((320, 240), (640, 240))),
    "square pixels": (({"prepare": oblong}, {}), ((640, 240), (320, 240))),
    "another pixel format": (({}, {"pix_fmt": "yuv444p"}), ((320, 240), (320, 240))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_size_and_shape_may_change_at_any_frame(tmp_path: Path, name: str) -> None:
    parts, sizes = CHANGES[name]
    path = joined(tmp_path / "changes.ts", *map(dict, parts))
    windows = list(decode(path, DecodePlan(windows=12)))
    for i, size in enumerate(sizes):
        inside = [window for window in windows if 2 * i + 0.1 <= window.seconds[0] < 2 * i + 1.9]
        assert inside
        for window in inside:
            assert window.data.shape[2:0:-1] == size
            assert window.scale == 1.0
            assert [read_number(image) for image in window.data] == np.round((window.seconds - 2 * i) * 25).tolist()


BARE = {
    "h264": b"\0\0\0\1\x67",
    "hevc": b"\0\0\1\x40\1",
    "mpeg2": b"\0\0\1\xb3",
    "mpeg4": b"\0\0\1\xb0",
    "av1": b"\x12\0\x0a",
    "jpegs": b"\xff\xd8\xff\xe0" + b"\xff\xd9\xff\xd8\xff" * 3,
    "jpegs of a camera": b"--frame\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff",
}


def bare(path: Path, name: str) -> Path:
    path.write_bytes(BARE[name] + bytes(1000))
    return path


@pytest.mark.parametrize("name", BARE)
def test_of_a_stream_without_times_the_form_to_give_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotAVideo, match="MP4 or MKV"):
        probe(bare(tmp_path / name, name))


NO_VIDEOS = {
    "an archive": b"PK\3\4" + bytes(1000),
    "incomplete": bytes(1000),  # of which the place was made ready
    "a piece of a stream": struct.pack(">I4s", 16, b"styp") + bytes(8) + struct.pack(">I4s", 900, b"moof") + bytes(900),
    "a web page": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "a playlist": b"\xef\xbb\xbf<?xml version='1.0'?>\n<MPD></MPD>",
}


@pytest.mark.parametrize("words", NO_VIDEOS)
def test_of_what_is_no_video_is_told_what_it_is(tmp_path: Path, words: str) -> None:
    (tmp_path / "a.mp4").write_bytes(NO_VIDEOS[words])
    with pytest.raises((NotAVideo, NoFrames), match=words):
        probe(tmp_path / "a.mp4")


def animation(path: Path, shown_ms: list[int], alpha: bool) -> Path:
    """An animated WebP, numbered."""
    images = [PIL.Image.fromarray(image).convert("RGBA" if alpha else "RGB") for image in glide(len(shown_ms))]
    images[0].save(path, save_all=True, append_images=images[1:], duration=shown_ms, lossless=False, quality=90)
    return path


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("shown_ms", [[100] * 20, [50, 200, 50, 400, 120, 120]])
def test_an_animated_webp_is_read_like_a_video(tmp_path: Path, shown_ms: list[int], alpha: bool) -> None:
    path = animation(tmp_path / "animation.webp", shown_ms, alpha)
    with closing(
        OpenVideo(path, DecodePlan(windows=1, frames_per_window=len(shown_ms), frame_stride_seconds=0.04))
    ) as opened:
        (window,) = opened.windows()
    assert opened.stream.duration_seconds == pytest.approx(sum(shown_ms) / 1000, abs=0.02)
    starts = np.cumsum([0, *shown_ms[:-1]]) / 1000
    numbers = [read_number(image) for image in window.data]
    assert window.seconds == pytest.approx(starts[numbers], abs=0.002)


def test_what_is_transparent_in_a_webp_is_white(tmp_path: Path) -> None:
    images = [PIL.Image.fromarray(np.dstack([image, np.zeros((240, 320), np.uint8)])) for image in glide(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=100, exact=True)
    with closing(OpenVideo(tmp_path / "a.webp", DecodePlan())) as opened:
        assert min(window.data.min() for window in opened.windows()) == 255


# Tracks, transparency, and what is not judged.


def with_tracks(path: Path, *tracks: tuple[str, str, Any, int]) -> Path:
    """Tracks of (codec, pixel format, images, frames a second)."""
    with av.open(str(path), "w") as output:
        streams: list[Any] = [output.add_stream(codec, rate=rate) for codec, _, _, rate in tracks]
        for stream, (_, pix_fmt, images, _) in zip(streams, tracks, strict=True):
            (stream.height, stream.width), stream.pix_fmt = images[0].shape[:2], pix_fmt
            stream.options = {"auto-alt-ref": "0", "crf": "4", "b": "4M"} if stream.name.startswith("libvpx") else {}
        for stream, (_, _, images, rate) in zip(streams, tracks, strict=True):
            for i, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, "rgba" if image.shape[2] == 4 else "rgb24")
                frame.pts, frame.time_base = i, Fraction(1, rate)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


MAIN = ("libx264", "yuv420p", list(glide(50)), 25)
OTHER = ("libx264", "yuv420p", list(faceless(50, 160, 120)), 25)
THUMBNAILS = ("mjpeg", "yuvj420p", list(faceless(2, 640, 480)), 1)


@pytest.mark.parametrize(
    ("tracks", "traits"),
    [((MAIN, OTHER), ("several_tracks",)), ((THUMBNAILS, MAIN), ()), ((MAIN, THUMBNAILS), ()), ((MAIN,), ())],
)
def test_the_track_that_players_show_is_looked_at(tmp_path: Path, tracks: Any, traits: tuple[str, ...]) -> None:
    path = with_tracks(tmp_path / "tracks.mp4", *tracks)
    stream = probe(path)
    assert (stream.width, stream.height, stream.traits) == (320, 240, traits)
    (window, *_) = decode(path, DecodePlan())
    assert [read_number(image) for image in window.data] == np.round(window.seconds * 25).tolist()


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.mov", "png", "rgba"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.webm", "libvpx", "yuva420p"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("a.apng", "apng", "rgba"),
    ],
)
def test_what_is_transparent_is_not_shown(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    alpha = np.repeat([0, 128, 255], 80).astype(np.uint8)[:, None, None].repeat(320, 1)
    images = [np.dstack([image, alpha]) for image in glide(3)]
    _, shown = next(play(with_tracks(tmp_path / name, (codec, pix_fmt, images, 25)), Span()))
    assert shown[5:75].min() >= 253
    half = (images[0][85:155, ..., :3].astype(int) + 255) // 2
    assert np.abs(shown[85:155] - half).mean() < NEAR
    assert np.abs(shown[165:].astype(int) - images[0][165:, ..., :3]).mean() < NEAR


def test_colours_of_dolby_vision_alone_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "dolby.mp4"
    write_tagged(path, patches(240), COLOURS["pq"])
    data = path.read_bytes()
    assert data.count(b"hev1") == 1
    path.write_bytes(data.replace(b"hev1", b"dvh1"))
    with pytest.raises(NotAVideo, match="profile 5"):
        probe(path)


def test_colours_that_cannot_be_converted_are_said(tmp_path: Path) -> None:
    write_tagged(tmp_path / "ycgco.mp4", patches(240), (240, 8, Colorspace.ITU601, LIMITED, SDR, BT709))
    with pytest.raises(NotAVideo, match="another form"):
        next(play(tmp_path / "ycgco.mp4", Span()))


def test_gray_of_limited_range_is_expanded(tmp_path: Path) -> None:
    path, gray = tmp_path / "gray.mp4", np.linspace(16, 235, 320).astype(np.uint8)[None].repeat(240, 0)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx265", rate=25)
        stream.height, stream.width, stream.pix_fmt = 240, 320, "gray"
        stream.options = {"x265-params": "log-level=none:pools=2", "crf": "4"}
        stream.codec_context.color_range = LIMITED
        output.mux(stream.encode(av.VideoFrame.from_ndarray(gray, "gray")))
        output.mux(stream.encode(None))
    _, shown = next(play(path, Span()))
    assert np.abs(shown[120, :, 1] - np.linspace(0, 255, 320)).max() < NEAR


@pytest.mark.parametrize(
    ("name", "shown_ms", "seconds"),
    [
        ("a.gif", 10, 1.0),
        ("a.gif", 20, 0.2),
        ("a.gif", 70, 0.7),
        ("a.gif", None, 1.0),
        ("a.png", 0, 1.0),
        ("a.png", 10, 1.0),
        ("a.png", 20, 0.2),
        ("a.avif", 20, 0.2),
    ],
)
def test_times_of_an_animation_are_those_of_browsers(
    tmp_path: Path, name: str, shown_ms: int | None, seconds: float
) -> None:
    images = [PIL.Image.fromarray(image) for image in glide(10)]
    images[0].save(tmp_path / name, save_all=True, append_images=images[1:], duration=shown_ms or 0)
    if shown_ms is None:  # no control blocks
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(re.sub(rb"\x21\xf9\x04.{4}\0", b"", data, flags=re.DOTALL))
    with closing(OpenVideo(tmp_path / name, DecodePlan())) as opened:
        assert list(opened.windows())
    assert opened.stream.duration_seconds == pytest.approx(seconds, abs=0.02)
    assert opened.stream.traits == ()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def described(video: bytes, description: bytes) -> bytes:
    """The video with one more box in the description of its pictures."""
    data, place = bytearray(video), 0
    ways = [place := data.index(kind, place) for kind in b"moov trak mdia minf stbl stsd avc1".split()]
    end = ways[-1] - 4 + int.from_bytes(data[ways[-1] - 4 : ways[-1]])
    data[end:end] = description
    for place in ways:
        data[place - 4 : place] = struct.pack(">I", int.from_bytes(data[place - 4 : place]) + len(description))
    return bytes(data)


JPEG = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))[1].tobytes()
HEIC = box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(40))
SPHERE = box(
    b"sv3d",
    box(b"svhd", b"\0\0\0\0by\0") + box(b"proj", box(b"prhd", bytes(16)) + box(b"equi", bytes(20))),
)
TRAITS: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...]]] = {
    "a.mp4": (bytes, ()),
    "sphere.mp4": (lambda video: described(video, SPHERE), ("spherical",)),
    "one view.mp4": (lambda video: described(video, box(b"st3d", bytes(5))), ()),
    "side by side.mp4": (lambda video: described(video, box(b"st3d", b"\0\0\0\0\2")), ("stereo",)),
    "motion photo.jpg": (lambda video: JPEG + video, ("motion_photo",)),
    "motion photo.heic": (lambda video: HEIC + box(b"mpvd", video), ("motion_photo",)),
}


@pytest.mark.parametrize("name", TRAITS)
def test_what_a_report_says_of_the_pictures(media: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    change, traits = TRAITS[name]
    (tmp_path / name).write_bytes(change(media("h264.mp4").read_bytes()))
    with closing(OpenVideo(tmp_path / name, DecodePlan())) as opened:
        windows = list(opened.windows())
    assert opened.stream.traits == traits
    assert all(read_number(window.data[0]) == round(window.seconds[0] * 25) for window in windows)
    assert set(traits) <= set(NOTICES)


@pytest.mark.parametrize(("apart", "wide"), [(0, False), (20, False), (20, True)])
def test_of_fields_that_do_not_fit_one_is_shown(tmp_path: Path, apart: int, wide: bool) -> None:
    images = list(glide(25))
    woven = images[0].copy()
    woven[1::2] = images[apart][1::2]
    options = {"x264-params": "tff=1", "crf": "4"}
    prepare = oblong if wide else lambda stream: None
    write_video(tmp_path / "a.mp4", [woven] * 3, options=options, prepare=prepare)
    (_, shown), *_ = play(tmp_path / "a.mp4", Span())
    wanted = cv2.resize(images[0], shown.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    assert np.abs(shown.astype(int) - wanted).mean() < NEAR
    assert apart == 0 or np.abs(woven.astype(int) - images[0]).mean() > 2 * NEAR


def test_scrambled_recordings_are_called_encrypted(tmp_path: Path, media: Callable[[str], Path]) -> None:
    data = bytearray(media("h264.ts").read_bytes())
    for place in range(0, len(data), 188):
        if data[place + 1] & 31:  # neither of the tables
            data[place + 3] |= 0x80
            data[place + 24 : place + 188] = bytes(164)
    (tmp_path / "a.ts").write_bytes(data)
    with pytest.raises(NoFrames, match="encrypted"):
        probe(tmp_path / "a.ts")


def test_encrypted_pictures_are_called_so(tmp_path: Path) -> None:
    key = {f"encryption_{name}": "00112233445566778899aabbccddeeff" for name in ("key", "kid")}
    options = {"encryption_scheme": "cenc-aes-ctr", **key}
    write_video(tmp_path / "a.mp4", glide(20), container_options=options)
    with pytest.raises(NoFrames, match="encrypted"):
        probe(tmp_path / "a.mp4")
