"""Augment face clips, uint8 (T, S, S, 3) RGB, as cameras, platforms and players change them, at the model's side.

Parameters are drawn once a clip where they are constant over a clip (camera, codec, resize), and once a frame where
they are not (the jitter of the face finder). Labels never change.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Clip = NDArray[np.uint8]


@dataclass(frozen=True)
class AugmentSpec:
    """The probability of each augmentation."""

    geometry: float = 1.0
    colour: float = 0.5
    smooth: float = 0.05  # as a beauty filter does
    blur: float = 0.1
    noise: float = 0.15
    resize: float = 0.3
    television: float = 0.2  # standard definition, enlarged, with sharpened edges and coarse chroma
    compression: float = 0.5
    generations: int = 3  # of compression at most, as clips are re-encoded each time they are uploaded
    video_share: float = 0.35  # of the compressions that are H.264, the rest JPEG
    drop_frames: float = 0.15  # frames dropped and repeated, as players and bad connections do
    cutout: float = 0.1  # a patch of one colour, as a caption or a logo


NO_AUGMENTATION = AugmentSpec(
    **{field.name: 0.0 for field in fields(AugmentSpec) if field.name not in ("generations", "video_share")},
    generations=1,
)


def augment(clip: Clip, side_px: int, spec: AugmentSpec, rng: Generator) -> Clip:
    """Return a clip at `side_px`, changed by a random choice of augmentations."""
    if rng.random() < spec.geometry:
        clip = random_affine(clip, side_px, rng)
    else:
        clip = resize(clip, side_px)
    if rng.random() < spec.colour:
        clip = _colour(clip, rng)
    if rng.random() < spec.smooth:
        colour_sigma = rng.uniform(10, 40)
        clip = map_frames(clip, lambda image: cv2.bilateralFilter(image, 5, colour_sigma, 3))
    if rng.random() < spec.blur:
        sigma = rng.uniform(0.3, 1.6)
        clip = map_frames(clip, lambda image: cv2.GaussianBlur(image, (0, 0), sigma))
    if rng.random() < spec.resize:
        clip = _downscale_and_restore(clip, rng)
    if rng.random() < spec.television:
        clip = television(clip, rng)
    if rng.random() < spec.noise:
        noise = rng.normal(0, rng.uniform(1, 8), clip.shape)
        clip = np.clip(clip + noise, 0, 255).astype(np.uint8)
    if rng.random() < spec.compression:
        for _ in range(rng.integers(1, spec.generations, endpoint=True)):
            is_video = rng.random() < spec.video_share
            clip = h264(clip, int(rng.integers(22, 42))) if is_video else _jpeg(clip, rng)
    if len(clip) > 1 and rng.random() < spec.drop_frames:
        clip = drop_frames(clip, rng)
    if rng.random() < spec.cutout:
        clip = _cover_patch(clip, rng)
    return clip


def resize(clip: Clip, side_px: int) -> Clip:
    """Resize square frames to `side_px`."""
    interpolation = cv2.INTER_AREA if clip.shape[1] > side_px else cv2.INTER_LINEAR
    return map_frames(clip, lambda image: cv2.resize(image, (side_px, side_px), interpolation=interpolation))


def random_affine(clip: Clip, side_px: int, rng: Generator) -> Clip:
    """Mirror, rotate, scale and shift the whole clip; jitter each frame as a face finder does."""
    side = clip.shape[1]
    turn, zoom = rng.normal(0, 3), rng.uniform(0.93, 1.12) * side_px / side
    shift = rng.uniform(-0.06, 0.06, 2) * side_px
    mirrored = rng.random() < 0.5
    frames = []
    for image in clip:
        jitter = rng.normal(0, 0.006, 2) * side_px
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, zoom * (1 + rng.normal(0, 0.008)))
        matrix[:, 2] += side_px / 2 - side / 2 + shift + jitter
        source = image[:, ::-1] if mirrored else image
        frames.append(
            cv2.warpAffine(
                np.ascontiguousarray(source),
                matrix,
                (side_px, side_px),
                flags=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )
    return np.stack(frames).astype(np.uint8)


def drop_frames(clip: Clip, rng: Generator) -> Clip:
    """Replace some frames by the one before them; the number of frames stays."""
    kept = rng.random(len(clip)) >= rng.uniform(0.1, 0.5)
    kept[0] = True
    return clip[np.maximum.accumulate(np.where(kept, np.arange(len(clip)), 0))]


def television(clip: Clip, rng: Generator) -> Clip:
    """Make a clip look like standard definition: small, sharpened, coded, then enlarged.

    Edges get a halo, chroma has a half or a quarter of the width, and two fields of a frame may be displaced.
    """
    side = clip.shape[1]
    small = 2 * int(side * rng.uniform(0.25, 0.75) / 2)
    chroma_width = small // int(rng.choice((2, 4)))
    halo, sigma = rng.uniform(0.0, 1.5) * (rng.random() < 0.7), rng.uniform(0.6, 1.6)
    field_shift_px = int(rng.integers(1, 3)) if rng.random() < 0.2 else 0
    interpolation = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)[rng.integers(3)]

    def shrink(image: Clip) -> Clip:
        planes = cv2.cvtColor(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2YCrCb)
        luma, chroma = planes[..., 0], planes[..., 1:]
        luma = cv2.addWeighted(luma, 1 + halo, cv2.GaussianBlur(luma, (0, 0), sigma), -halo, 0)
        luma[1::2] = np.roll(luma[1::2], field_shift_px, 1)
        coarse = cv2.resize(chroma, (chroma_width, small), interpolation=cv2.INTER_AREA)
        chroma = cv2.resize(coarse, (small, small), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.cvtColor(np.dstack([luma, chroma]), cv2.COLOR_YCrCb2RGB), np.uint8)

    clip = map_frames(clip, shrink)
    if rng.random() < 0.7:
        old = rng.random() < 0.5
        clip = mpeg2(clip, int(rng.integers(3, 16))) if old else h264(clip, int(rng.integers(20, 36)))
    return map_frames(clip, lambda image: cv2.resize(image, (side, side), interpolation=interpolation))


def h264(clip: Clip, crf: int) -> Clip:
    """Encode as H.264 at a constant rate factor and decode again; sides must be even."""
    return _recode(clip, "mp4", "libx264", {"crf": str(crf), "preset": "ultrafast", "threads": "1"})


def mpeg2(clip: Clip, quantiser: int) -> Clip:
    """Encode as MPEG-2 at a constant quantiser and decode again; sides must be even."""
    return _recode(clip, "matroska", "mpeg2video", {"qmin": str(quantiser), "qmax": str(quantiser), "threads": "1"})


def _recode(clip: Clip, container: str, codec: str, options: dict[str, str]) -> Clip:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = cast(av.VideoStream, out.add_stream(codec, rate=25, options=options))
        stream.width, stream.height, stream.pix_fmt = clip.shape[2], clip.shape[1], "yuv420p"
        for image in clip:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as source:
        frames = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    return np.stack(frames).astype(np.uint8)


def _colour(clip: Clip, rng: Generator) -> Clip:
    contrast, brightness = rng.uniform(0.75, 1.25), rng.uniform(-25, 25)
    tint = rng.uniform(-12, 12, 3)
    levels = np.arange(256, dtype=np.float32)[:, None]
    gamma = rng.uniform(0.75, 1.3)
    curve = 255 * (np.clip((levels - 128) * contrast + 128 + brightness + tint, 0, 255) / 255) ** gamma
    table = np.rint(curve).astype(np.uint8)[:, None, :]
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.6, 1.3)
    mix = np.full((3, 3), (1 - saturation) / 3) + np.eye(3) * saturation  # towards grey or away from it
    return map_frames(clip, lambda image: cv2.transform(cv2.LUT(image, table), mix))


def _downscale_and_restore(clip: Clip, rng: Generator) -> Clip:
    side = clip.shape[1]
    small = max(24, int(side * rng.uniform(0.25, 0.9)))
    up = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)[rng.integers(3)]

    def round_trip(image: Clip) -> Clip:
        down = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        return cv2.resize(down, (side, side), interpolation=up)

    return map_frames(clip, round_trip)


def _cover_patch(clip: Clip, rng: Generator) -> Clip:
    """Cover one patch, at the same place in every frame (DeVries & Taylor, 2017)."""
    side = clip.shape[1]
    height, width = (rng.uniform(0.1, 0.35, 2) * side).astype(int)
    top, left = rng.integers(side - height), rng.integers(side - width)
    covered = clip.copy()
    covered[:, top : top + height, left : left + width] = rng.integers(256, size=3)
    return covered


def _jpeg(clip: Clip, rng: Generator) -> Clip:
    quality = int(rng.integers(20, 95))

    def round_trip(image: Clip) -> Clip:
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(encoded, cv2.IMREAD_COLOR)

    return map_frames(clip, round_trip)


def map_frames(clip: Clip, change: Callable[[Clip], Any]) -> Clip:
    """Change each frame of (T, S, S, 3)."""
    return np.stack([change(image) for image in clip]).astype(np.uint8)
