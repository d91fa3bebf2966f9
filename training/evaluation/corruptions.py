"""Corrupt a video's frames as platforms do, one way and one strength at a time, to measure robustness.

Frames are corrupted before faces are looked for, as in a file that a user uploads: the face finder, the rules that
exclude faces, and the models all see it. Of stored crops, the crops are corrupted.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from training.data.augment import h264, map_frames
from unmask.video.frames import Frames

Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Images = npt.NDArray[np.uint8]  # (N, H, W, 3) RGB


@dataclass(frozen=True)
class Condition:
    """One corruption of one strength."""

    kind: str  # a key of CORRUPTIONS
    level: float


CLEAN = Condition("clean", 0)
GRID: tuple[Condition, ...] = tuple(
    Condition(kind, level)
    for kind, levels in {
        "jpeg": (90, 70, 50, 30),  # quality
        "h264": (23, 28, 34, 40),  # constant rate factor
        "resize": (2, 4, 8),  # times smaller, and back up
        "blur": (1, 2, 4),  # sigma in px
        "noise": (4, 8, 16),  # sigma in grey levels
        "brightness": (-80, -40, 40, 80),  # added grey levels
    }.items()
    for level in levels
)


def corrupt(frames: Frames, condition: Condition) -> Frames:
    """Corrupt frames. Raises KeyError for an unknown kind."""
    return replace(frames, data=CORRUPTIONS[condition.kind](frames.data, condition.level))


def _jpeg(images: Images, quality: float) -> Images:
    def round_trip(image: Image) -> Image:
        options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
        encoded = cv2.imencode(".jpg", image[..., ::-1], options)[1]
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)

    return map_frames(images, round_trip)


def _h264(images: Images, rate_factor: float) -> Images:
    """Encode and decode as H.264; odd sides, which the codec cannot take, are padded with their edge."""
    height, width = images.shape[1:3]
    even = np.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    return h264(even, int(rate_factor))[:, :height, :width]


def _resize(images: Images, times: float) -> Images:
    height, width = images.shape[1:3]
    small = (max(1, round(width / times)), max(1, round(height / times)))

    def round_trip(image: Image) -> Image:
        shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC)

    return map_frames(images, round_trip)


def _blur(images: Images, sigma_px: float) -> Images:
    return map_frames(images, lambda image: cv2.GaussianBlur(image, (0, 0), sigma_px))


def _noise(images: Images, sigma: float) -> Images:
    """Add noise that is the same for every model and run."""
    noise = np.random.default_rng(0).normal(0, sigma, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def _brightness(images: Images, added: float) -> Images:
    return np.clip(images + np.float32(added), 0, 255).astype(np.uint8)


CORRUPTIONS: dict[str, Callable[[Images, float], Images]] = {
    "clean": lambda images, _: images,
    "jpeg": _jpeg,
    "h264": _h264,
    "resize": _resize,
    "blur": _blur,
    "noise": _noise,
    "brightness": _brightness,
}
