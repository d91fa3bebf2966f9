"""Small real media for tests, made on the spot with PyAV from one photograph.

The photograph is scikit-image's `astronaut` (NASA, public domain): one clear face. The camera glides over it,
and every frame carries its number as black and white blocks along the top edge, so that a test can tell from
the pixels alone which frame it holds.

    path = make("h264.mp4", folder)      # any name of RECIPES; made once a folder
    read_number(frame)                   # (H, W, 3) -> number of the frame
"""

import functools
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

from unmask.download import client
from unmask.download.client import VideoFile
from unmask.limits import Limits
from unmask.progress import OnProgress, ignore_progress
from unmask.video.decode_client import OpenVideo, do_nothing
from unmask.video.frames import Frames
from unmask.video.sampling import DecodePlan, Span

Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Recipe = Callable[[Path], None]

EXAMPLES = Path(__file__).resolve().parents[1] / "space" / "examples"
FACE_XY = (225, 125)  # centre of the face in the photograph, px
GLIDE_FRAMES = 200  # until it begins anew
KEPT_PX = 320 * 240
NUMBER_BITS = 12
RATE = 25  # frames a second, where a recipe says nothing else
RECIPES: dict[str, Recipe] = {}

# Most of a short fetch is spent on asking 1700 sites whether the link is theirs: here only the last two are.
ONLY_GENERIC = """
from unmask.download import worker; options = worker._options
worker._options = lambda *args: options(*args) | {"allowed_extractors": ["generic", "html5"]}
"""
QUICK_WORKER = client.WORKER.replace("; from", "\nfrom", 1).replace("from", f"{ONLY_GENERIC}\nfrom", 1)

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder tells of errors only


def make(name: str, folder: Path) -> Path:
    """Path of the named file in `folder`, made now unless it is there."""
    path = folder / name
    if not path.exists():
        draft = folder / f"draft-{name}"
        RECIPES[name](draft)
        draft.rename(path)
    return path


def recipe(name: str) -> Callable[[Recipe], Recipe]:
    def register(function: Recipe) -> Recipe:
        RECIPES[name] = function
        return function

    return register


@functools.cache
def astronaut() -> Image:
    return skimage.data.astronaut()


def scaled(image: Image, factor: float) -> Image:
    """The image, so many times as large."""
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=method)


def jpeg(image: Image) -> bytes:
    """The image as a file."""
    done, data = cv2.imencode(".jpg", image[..., ::-1])
    assert done
    return data.tobytes()


def times(count: int) -> npt.NDArray[np.float64]:
    """When a window's frames are shown, in seconds."""
    return np.linspace(0.0, 0.12 * (count - 1), count)


def window_of(*images: Image) -> Frames:
    """Images as the frames of a window."""
    return Frames(np.stack(images), times(len(images)))


def decoded(path: Path, plan: DecodePlan, on_wait: Callable[[], None] = do_nothing) -> Iterator[Frames]:
    """Decode the windows of a file in a worker process."""
    with closing(OpenVideo(path, plan, on_wait=on_wait)) as opened:
        yield from opened.windows(on_wait)


def fetched(url: str, into: Path, limits: Limits, span: Span, on_progress: OnProgress = ignore_progress) -> VideoFile:
    """A whole video that is fetched, and not looked at."""
    plan = DecodePlan(start_seconds=span.start_seconds, end_seconds=span.end_seconds)
    with closing(client.fetch(url, into, limits, plan, on_progress, whole=True)) as video:
        return video


def glide(count: int, width: int = 320, height: int = 240, reach_px: int = 280, first: int = 0) -> Iterator[Image]:
    """`count` frames of a camera gliding over the face, `reach_px` of the photograph wide, numbered from `first`."""
    for i in range(first, first + count):
        view = kept_view if width * height <= KEPT_PX else kept_view.__wrapped__
        yield write_number(view(i % GLIDE_FRAMES, width, height, reach_px).copy(), i)


@functools.lru_cache(GLIDE_FRAMES)
def kept_view(place: int, width: int, height: int, reach_px: int) -> Image:
    """One of the frames of `glide`, which takes as long to draw as to encode."""
    phase = 2 * np.pi * place / (GLIDE_FRAMES / 2)
    centre = (FACE_XY[0] + 12 * np.cos(phase), FACE_XY[1] + 12 * np.sin(phase))
    scale = width / (reach_px * (1 + 0.08 * np.sin(phase / 2)))
    matrix = np.array([[scale, 0, width / 2 - scale * centre[0]], [0, scale, height / 2 - scale * centre[1]]])
    return cv2.warpAffine(astronaut(), matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def write_number(image: Image, number: int) -> Image:
    height, width = image.shape[:2]
    bits = [number >> i & 1 for i in range(NUMBER_BITS)]
    strip = np.array([255 * bit for bit in bits], np.uint8)[None, :, None].repeat(3, 2)
    image[: height // 12] = cv2.resize(strip, (width, height // 12), interpolation=cv2.INTER_NEAREST)
    return image


def read_number(image: Image) -> int:
    height, width = image.shape[:2]
    row = image[: max(1, height // 24)].mean((0, 2))
    centres = (np.arange(NUMBER_BITS) + 0.5) * width / NUMBER_BITS
    return sum(1 << i for i, x in enumerate(centres) if row[int(x)] > 127)


def faceless(count: int, width: int = 320, height: int = 240) -> Iterator[Image]:
    """Smooth moving colours: nothing that a face finder could take for a face."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    for i in range(count):
        shift = i / 40
        layers = [np.sin(3 * (x + shift)), np.cos(2 * (y - shift)), np.sin(2 * (x + y) + shift)]
        yield (np.stack(layers, -1) * 100 + 128).astype(np.uint8)


def crowd(count: int, columns: int = 10, rows: int = 5, tile_px: int = 144) -> Iterator[Image]:
    """`columns` x `rows` small faces side by side."""
    for tile in glide(count, tile_px, tile_px, reach_px=260):
        plain = tile.copy()
        plain[: tile_px // 12] = plain[tile_px // 12]  # fifty numbers would be one too many
        yield np.tile(plain, (rows, columns, 1))


def write_video(
    path: Path,
    frames: Iterable[Image],
    codec: str = "libx264",
    *,
    rate: float = RATE,
    pix_fmt: str = "yuv420p",
    pts: Callable[[int], int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    prepare: Callable[[Any], None] = lambda stream: None,
    sound: bool = False,
) -> None:
    """Encode RGB frames; `pts` gives times in `time_base` where they are not evenly spaced."""
    iterator = iter(frames)
    first = next(iterator)
    kind = container or _container(path)
    written = av.open(str(path), "w", format=kind, options=container_options or {})
    with _priority_as_before(), written as output:
        stream: Any = output.add_stream(codec, rate=Fraction(rate).limit_denominator(100_000))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pix_fmt
        stream.options = _ENCODER_OPTIONS.get(codec, {}) | (options or {})
        if time_base:
            stream.codec_context.time_base = time_base
        prepare(stream)
        if sound:
            _add_sound(output, seconds=2.0)
        for i, image in enumerate((first, *iterator)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = pts(i) if pts else i
            frame.time_base = time_base or Fraction(1) / Fraction(rate).limit_denominator(100_000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@contextmanager
def _priority_as_before() -> Iterator[None]:
    """As root, the AV1 encoder puts its caller, and all that this starts later, before everything else."""
    if not hasattr(os, "sched_getscheduler"):  # neither does it elsewhere than on Linux
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


_ENCODER_OPTIONS = {
    "libx264": {"preset": "superfast", "crf": "20", "g": "25"},
    "libx265": {"preset": "ultrafast", "crf": "22", "x265-params": "log-level=none:keyint=25:pools=2"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "25", "b": "0", "g": "25"},
    "libsvtav1": {"preset": "12", "crf": "30", "g": "25", "svtav1-params": "lp=2"},
}


def _container(path: Path) -> str:
    suffix = path.suffix[1:]
    names = {"mkv": "matroska", "ts": "mpegts", "m2ts": "mpegts", "mpg": "mpeg", "m4a": "mp4"}
    return names.get(suffix, suffix)


def _add_sound(output: Any, seconds: float, frequency_hz: float = 440.0) -> None:
    stream: Any = output.add_stream("aac", rate=16_000)
    stream.layout = "mono"
    wave = 0.2 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * 16_000)) / 16_000)
    for at in range(0, len(wave) - 1023, 1024):
        frame: Any = av.AudioFrame.from_ndarray(wave[None, at : at + 1024].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, at, Fraction(1, 16_000)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def repeat(source: Path, path: Path, times: int) -> None:
    """Copy the packets of `source` again and again: a long video in no time."""
    with av.open(str(source)) as given, av.open(str(path), "w", format=_container(path)) as output:
        stream: Any = given.streams.video[0]
        copy: Any = output.add_stream_from_template(stream)
        packets = [(p.pts, p.dts, p.is_keyframe, bytes(p)) for p in given.demux(stream) if p.pts is not None]
        length = stream.duration
        for i in range(times):
            for pts, dts, is_keyframe, data in packets:
                packet = av.Packet(data)
                packet.stream, packet.is_keyframe = copy, is_keyframe
                packet.pts, packet.dts = pts + i * length, dts + i * length
                packet.time_base = stream.time_base
                output.mux(packet)


def _png(width: int, height: int) -> bytes:
    """A black picture, tiny on disk whatever its size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    press = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(press.compress(row) for _ in range(height)) + press.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _picture(kind: str, **options: Any) -> bytes:
    ok, data = cv2.imencode(kind, cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR), **options)
    assert ok
    return data.tobytes()


def _patched(source: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """`source` with `value` written `offset` bytes after the start of every `mark`."""
    data, at = bytearray(source), source.find(mark)
    while at >= 0:
        data[at + offset : at + offset + len(value)] = value
        at = source.find(mark, at + 1)
    return bytes(data)


def _video(name: str, seconds: float = 4.0, *, width: int = 320, height: int = 240, **options: Any) -> None:
    """Register a recipe for the usual glide, encoded in an unusual way."""

    def write(path: Path) -> None:
        count = max(1, round(seconds * options.get("rate", RATE)))
        write_video(path, glide(count, width, height), **options)

    RECIPES[name] = write


def _sized(name: str, stored: Callable[[Image], Image], prepare: Callable[[Any], None]) -> None:
    """Register a recipe for frames that are stored in another shape than they are shown in."""
    RECIPES[name] = lambda path: write_video(path, map(stored, glide(50)), prepare=prepare)


def _matrix(a: int, b: int, c: int, d: int) -> Callable[[Any], None]:
    """Show x' = ax + cy, y' = bx + dy."""
    one, unit = 1 << 16, 1 << 30
    return lambda stream: stream.set_display_matrix([a * one, b * one, 0, c * one, d * one, 0, 0, 0, unit])


def _contiguous(change: Callable[[Image], Image]) -> Callable[[Image], Image]:
    return lambda image: np.ascontiguousarray(change(image))


def _wide_pixels(stream: Any) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(2)


# Video of every usual kind. Key frames every second unless the name says otherwise.
_video("h264.mp4", 6.0, sound=True)
_video("one-key.mp4", 10.0, rate=30, options={"g": "9999", "sc_threshold": "0"})
_video("open-gop.mp4", 6.0, options={"x264-params": "open-gop=1:bframes=3:keyint=25"})
_video("hevc.mp4", codec="libx265")
_video("vp9.webm", codec="libvpx-vp9")
_video("av1.mp4", codec="libsvtav1")
_video("ten-bit.mp4", pix_fmt="yuv420p10le")
_video("ten-bit-hevc.mp4", codec="libx265", pix_fmt="yuv420p10le")
_video("mpeg4.avi", codec="mpeg4", options={"q": "4", "g": "25"})
_video("mjpeg.mov", 2.0, codec="mjpeg", pix_fmt="yuvj420p")
_video("h264.mkv")
_video("h264.ts", 12.0, sound=True)
_video("h264.flv")
_video("animation.gif", 3.0, width=160, height=120, codec="gif", pix_fmt="rgb8", rate=10)
_video("live.webm", 6.0, codec="libvpx-vp9", container_options={"live": "1"})  # no duration, no index
_video("fragmented.mp4", 6.0, container_options={"movflags": "frag_keyframe+empty_moov"})
_video("odd-size.webm", 1.0, width=321, height=241, codec="libvpx-vp9")
_video("tiny.mp4", 1.0, width=16, height=16)
_video("one-frame.mp4", 0.0)
_video("still.gif", 0.0, codec="gif", pix_fmt="rgb8", rate=10)
_video("short.mp4", 0.4)
_video("4k.mp4", 0.2, width=3840, height=2160)
_video("8k.mp4", 0.0, width=7680, height=4320)
_video("slideshow.mp4", 20.0, rate=1)
_video("three-hours.mp4", 10_800, rate=1 / 60, width=64, height=48)
_video(
    "variable-rate.mp4",
    pts=lambda i: 20 * i + (i // 10) * 170,  # ten frames at 50 a second, then a pause of 0.19 s
    time_base=Fraction(1, 1000),
    sound=True,
)
_video("late-start.mkv", pts=lambda i: 40 * i + 5000, time_base=Fraction(1, 1000))
_sized("rotated.mp4", _contiguous(lambda image: np.rot90(image)), _matrix(0, 1, -1, 0))
_sized("rotated-left.mp4", _contiguous(lambda image: np.rot90(image, -1)), _matrix(0, -1, 1, 0))
_sized("upside-down.mp4", _contiguous(lambda image: image[::-1, ::-1]), _matrix(-1, 0, 0, -1))
_sized("mirrored.mp4", _contiguous(lambda image: image[:, ::-1]), _matrix(-1, 0, 0, 1))
_sized("wide-pixels.mp4", lambda image: cv2.resize(image, (160, 240)), _wide_pixels)


RECIPES["no-face.mp4"] = lambda path: write_video(path, faceless(75))
RECIPES["fifty-faces.mp4"] = lambda path: write_video(path, crowd(30))
RECIPES["one-minute.mp4"] = lambda path: repeat(make("h264.mp4", path.parent), path, 10)
RECIPES["ten-minutes.mp4"] = lambda path: repeat(make("h264.mp4", path.parent), path, 100)


@recipe("trimmed.mp4")
def _trimmed(path: Path) -> None:
    """The first 13 frames are cut away by an edit list, without encoding anew: no key frame at time zero."""
    with av.open(str(make("h264.mp4", path.parent))) as given, av.open(str(path), "w", format="mp4") as output:
        stream: Any = given.streams.video[0]
        copy: Any = output.add_stream_from_template(stream)
        for packet in given.demux(stream):
            if packet.pts is not None and packet.dts is not None:
                cut = round(13 / RATE / stream.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - cut, packet.dts - cut, copy
                output.mux(packet)


def _written(name: str, content: Callable[[], bytes]) -> None:
    """Register a recipe for a file of this content."""

    def write(path: Path) -> None:
        path.write_bytes(content())

    RECIPES[name] = write


@recipe("audio-only.mp4")
def _audio_only(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as output:
        _add_sound(output, seconds=1.0)


@recipe("audio-with-cover.mp4")
def _audio_with_cover(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as output:
        cover: Any = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 512, 512, "yuvj420p"
        cover.disposition = 1 << 10  # attached picture
        _add_sound(output, seconds=1.0)
        packet = av.Packet(_picture(".jpg"))
        packet.stream, packet.is_keyframe = cover, True
        output.mux(packet)


RECIPES["empty.mp4"] = Path.touch
_written("text.mp4", lambda: b"This is not a video, whatever its name says.\n" * 40)
_written("page.mp4", lambda: b"\n<!DOCTYPE html><html><title>Please log in</title></html>")
_written("picture.mp4", lambda: _picture(".jpg"))
_written("picture.jpg", lambda: _picture(".jpg"))
_written("picture.png", lambda: _picture(".png"))
_written("picture.webp", lambda: _picture(".webp"))


@recipe("playlist.mp4")
def _playlist(path: Path) -> None:
    target = make("h264.mp4", path.parent).resolve()
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{target}\n#EXT-X-ENDLIST\n")


@recipe("concat.mp4")
def _concat(path: Path) -> None:
    path.write_text(f"ffconcat version 1.0\nfile {make('h264.mp4', path.parent).resolve()}\n")


@recipe("picture.avif")
def _picture_avif(path: Path) -> None:
    still = {"still-picture": "1"}
    write_video(path, glide(1), "libsvtav1", container="avif", options=still)


@recipe("corrupt-header.mp4")
def _corrupt_header(path: Path) -> None:
    data = make("h264.mp4", path.parent).read_bytes()
    path.write_bytes(bytes(range(256)) * 4 + data[1024:])


@recipe("truncated.mp4")
@recipe("truncated.avi")
def _truncated(path: Path) -> None:
    """Index in front, or in the head what was to come, and the second half missing, as after a broken download."""
    whole, kind = path.with_name(f"whole-{path.name}"), path.suffix[1:]
    write_video(whole, glide(250), container_options={"movflags": "faststart"} if kind == "mp4" else {}, container=kind)
    data = whole.read_bytes()
    whole.unlink()
    path.write_bytes(data[: len(data) // 2])


@recipe("truncated-no-index.mp4")
def _truncated_no_index(path: Path) -> None:
    """The index stood at the end and is gone."""
    data = make("h264.mp4", path.parent).read_bytes()
    path.write_bytes(data[: len(data) // 2])


@recipe("damaged.mp4")
def _damaged(path: Path) -> None:
    """A stretch in the middle of the pictures is overwritten."""
    data = bytearray(make("h264.mp4", path.parent).read_bytes())
    start = int(len(data) * 0.45)
    data[start : start + 4000] = np.random.default_rng(0).bytes(4000)
    path.write_bytes(bytes(data))


@recipe("garbage-pictures.mp4")
def _garbage_pictures(path: Path) -> None:
    """A good index over pictures of which nothing is left."""
    data = bytearray(make("h264.mp4", path.parent).read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = np.random.default_rng(0).bytes(end - start)
    path.write_bytes(bytes(data))


@recipe("claims-three-hours.mp4")
def _claims_three_hours(path: Path) -> None:
    """Six seconds of video whose header speaks of three hours (every duration field of the format)."""
    data, long = make("h264.mp4", path.parent).read_bytes(), struct.pack(">I", 10_800_000)
    data = _patched(_patched(data, b"mvhd", 20, long), b"tkhd", 24, long)
    path.write_bytes(_patched(data, b"mdhd", 20, struct.pack(">I", 10_800 * 12_800)))


@recipe("claims-three-hours.mkv")
def _claims_three_hours_mkv(path: Path) -> None:
    data = make("h264.mkv", path.parent).read_bytes()
    path.write_bytes(_patched(data, b"\x44\x89\x88", 3, struct.pack(">d", 10_800_000.0)))


@recipe("bomb.avi")
def _bomb(path: Path) -> None:
    """The header says 64 pixels, the pictures have 30,000 a side: 2.7 GB each, once decoded."""
    with av.open(str(path), "w", format="avi") as output:
        stream: Any = output.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "monob"
        for i in range(2):
            packet = av.Packet(_png(30_000, 30_000))
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, i, i, True
            output.mux(packet)


@recipe("too-large.avi")
def _too_large(path: Path) -> None:
    """The same, and the header admits it."""
    size = struct.pack("<II", 30_000, 30_000)
    path.write_bytes(
        _patched(_patched(make("bomb.avi", path.parent).read_bytes(), b"avih", 40, size), b"strf", 12, size)
    )
