"""Group pictures captured in a browser into windows of `Frames`, as `video.decode` gives them.

A browser that may show a video the Space cannot fetch sends JPEG frames with their seconds. Like a media file
they are untrusted: count, bytes and picture size are checked from the headers before anything is decoded.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from unmask.errors import BadInput, TooLarge
from unmask.limits import Limits, check_bytes
from unmask.video.frames import Frames
from unmask.video.jpeg_size import jpeg_size
from unmask.video.sampling import CLOSE_STRIDES, DecodePlan

MAX_PICTURES = 256  # of one capture
GAP_STRIDES = 4.0  # a gap wider than this begins a new window,
GAP_STEPS = 2.5  # unless the pictures are as far apart throughout: then it takes this many usual steps


@dataclass(frozen=True)
class Capture:
    """Checked pictures in the order of time."""

    images: tuple[bytes, ...]  # JPEG
    seconds: tuple[float, ...]  # rising
    sizes: tuple[tuple[int, int], ...]  # (width, height) px of each
    sha256: str  # of all pictures and their times

    @property
    def size_bytes(self) -> int:
        """Size of all pictures together."""
        return sum(map(len, self.images))


def collect(images: Sequence[bytes], seconds: Sequence[float], limits: Limits) -> Capture:
    """Check pictures by their headers and sort them by time. Raises BadInput and TooLarge."""
    if not images:
        raise BadInput("There are no frames to check.")
    if len(images) != len(seconds):
        raise BadInput(f"There are {len(images)} frames, but {len(seconds)} times for them.")
    if len(images) > MAX_PICTURES:
        raise TooLarge(f"There are {len(images)} frames; at most {MAX_PICTURES} are taken.")
    if not all(math.isfinite(second) and second >= 0 for second in seconds):
        raise BadInput("The times of the frames must be zero or more seconds.")
    check_bytes(sum(map(len, images)), limits)
    ordered = sorted(dict(zip(map(float, seconds), images, strict=True)).items())
    times, pictures = zip(*ordered, strict=True)
    return Capture(pictures, times, tuple(map(jpeg_size, pictures)), digest(pictures, times))


def decode(capture: Capture, plan: DecodePlan) -> Iterator[Frames]:
    """Yield windows of pictures that lie about a stride apart; at most `plan.windows`, spread over the time.

    Raises BadInput when a picture is damaged, or none lies in the asked range.
    """
    windows = group_into_windows(capture, plan)
    if not windows:
        raise BadInput("No frame lies between the asked start and end.")
    for window in select_windows(windows, plan.windows):
        yield _window(capture, window, plan.max_side_px)


def group_into_windows(capture: Capture, plan: DecodePlan) -> list[list[int]]:
    """Group pictures that belong together -> their indices, a list a window, none longer than the plan's."""
    chosen = _thin(capture.seconds, plan)
    gap = _gap_seconds([capture.seconds[index] for index in chosen], plan)
    windows: list[list[int]] = []
    for index in chosen:
        last = windows[-1] if windows else []
        full = len(last) == plan.frames_per_window
        if not last or full or not _continues(capture, last[-1], index, gap):
            windows.append([index])
        else:
            last.append(index)
    return windows


def _thin(seconds: Sequence[float], plan: DecodePlan) -> list[int]:
    """Give indices of the pictures in the asked range, without those that follow too closely."""
    end = math.inf if plan.end_seconds is None else plan.end_seconds
    chosen: list[int] = []
    for index, second in enumerate(seconds):
        if not plan.start_seconds <= second <= end:
            continue
        if not chosen or second - seconds[chosen[-1]] >= CLOSE_STRIDES * plan.frame_stride_seconds:
            chosen.append(index)
    return chosen


def _gap_seconds(seconds: Sequence[float], plan: DecodePlan) -> float:
    usual_step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    return max(GAP_STRIDES * plan.frame_stride_seconds, GAP_STEPS * usual_step)


def _continues(capture: Capture, last: int, now: int, gap_seconds: float) -> bool:
    close = capture.seconds[now] - capture.seconds[last] <= gap_seconds
    return close and capture.sizes[now] == capture.sizes[last]  # a player may switch its quality


def select_windows(windows: list[list[int]], count: int) -> list[list[int]]:
    """Select `count` windows, spread evenly."""
    if len(windows) <= count:
        return windows
    return [windows[round(place)] for place in np.linspace(0, len(windows) - 1, count)]


def _window(capture: Capture, indices: Sequence[int], max_side_px: int) -> Frames:
    width, height = capture.sizes[indices[0]]
    scale = max(1.0, max(width, height) / max_side_px)
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    data = np.stack([_decode_jpeg(capture.images[index], size) for index in indices])
    return Frames(data, np.array([capture.seconds[index] for index in indices]), scale)


def _decode_jpeg(image: bytes, size: tuple[int, int]) -> np.ndarray:
    """Decode a JPEG to (height, width, 3) RGB of `size` (width, height)."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(image, np.uint8), flags)
    if picture is None:
        raise BadInput("A frame is damaged: it is no JPEG picture that can be read.")
    if picture.shape[1::-1] == size:
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def digest(images: Sequence[bytes], with_them: object) -> str:
    """Hash pictures, and what is equal where they are the same capture."""
    whole = hashlib.sha256(repr(with_them).encode())
    for image in images:
        whole.update(hashlib.sha256(image).digest())
    return whole.hexdigest()
