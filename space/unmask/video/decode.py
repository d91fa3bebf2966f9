"""Decode a media file into `Frames`: a few windows, spread over the whole video.

Each window starts at a key frame where key frames are dense, and is reached by decoding forward where they
are not. Cost depends on the number of windows, not on the length of the video. Untrusted files are
decoded in a worker process: `decode_client` has the same three functions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from itertools import chain
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import numpy.typing as npt

from unmask.errors import BadInput, NoFrames
from unmask.video import container
from unmask.video.container import Timed, VideoReader
from unmask.video.sampling import (
    MAX_SIDE_PX,
    DecodePlan,
    Span,
    Window,
    pick_nearest,
    snap_to_key_frames,
    window_starts,
)

# Frames decoded only to reach a window, and once more inside it: 1e9 pixels = 480 frames of 1080p (16 s at
# 30 a second, twice the usual distance of key frames), about a second of work.
FORWARD_PIXELS = 1_000_000_000
FORWARD_FRAMES = (64, 4000)  # fewest and most, whatever the size of a picture
FULL_DETAIL_SECONDS = 0.25  # before a window (and two frames), no frame is skipped any more
FIRST_FRAME_PACKETS = 300  # a file that shows no picture within these shows none

FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Item = TypeVar("Item")


@dataclass(frozen=True)
class VideoStream:
    """What a file holds, by its header, first frame and end."""

    width: int  # px as shown: after rotation, pixels made square
    height: int
    duration_seconds: float | None  # until the end of the last picture
    frame_rate: float | None  # mean a second
    codec: str
    begin_seconds: float = 0.0  # of the first picture, on the file's own clock
    hdr: bool = False  # its pictures are tone-mapped

    def offset_seconds(self, skipped_seconds: float) -> float:
        """Find the time in the whole video of the file's second 0, if so much is missing before its first frame.

        Segments of fragmented MP4 keep the clock of the whole video, segments of MPEG-TS start anew.
        """
        return skipped_seconds - self.begin_seconds if skipped_seconds else 0.0


@dataclass(frozen=True, repr=False, eq=False)
class Frames:
    """The frames of one window, in order of time."""

    data: Image  # (N, H, W, 3) RGB
    seconds: FloatArray  # (N,) presentation times, rising
    scale: float = 1.0  # px of the shown video per px of `data`, both ways alike; >= 1

    def __post_init__(self) -> None:
        if self.data.ndim != 4 or self.data.shape[3] != 3 or self.data.dtype != np.uint8:
            raise ValueError(f"data must be uint8 (N, H, W, 3), not {self.data.dtype} {self.data.shape}")
        if self.seconds.shape != (len(self.data),) or self.seconds.dtype != np.float64:
            raise ValueError(f"seconds must be float64 ({len(self.data)},), not {self.seconds.shape}")

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"Frames(data={self.data.shape}, seconds={np.round(self.seconds, 3)}, scale={self.scale:.3f})"


def probe(media: Path | RawIOBase) -> VideoStream:
    """Look at the header, the first frame and the end.

    Raises:
        BadInput: There is no such file.
        NotAVideo: It cannot be read.
        NoFrames: It holds only sound, or nothing in it decodes.
        TooLarge: Its pictures are larger than is read.
    """
    with container.open_video(media) as reader:
        first = next(reader.frames_until(math.inf, FIRST_FRAME_PACKETS), None)
        if first is None:
            raise NoFrames("The file says that it holds video, but no picture in it can be decoded.")
        width, height = reader.shown_size(first[1])
        hdr = container.is_hdr(first[1])
        end_seconds = reader.end_seconds()
        return VideoStream(width, height, end_seconds, reader.frame_rate, reader.codec, reader.begin_seconds, hdr)


def decode(media: Path | RawIOBase, plan: DecodePlan) -> Iterator[Frames]:
    """Yield the windows of `plan` one after another, so that one is in memory at a time.

    Windows never share a frame. One in which nothing decodes is left out; one in which the size changes is cut there.

    Raises:
        NoFrames: No window holds a frame.
        BadInput: The asked start lies beyond the end. And what `probe` raises.
    """
    with container.open_video(media) as reader:
        empty = True
        for window in _lay_out_windows(reader, plan):
            runs = _split_by_size(reader, _pick_frames(reader, window, plan), plan.max_side_px)
            empty = empty and not runs
            while runs:
                scale, seconds, images = runs.pop(0)
                frames = Frames(np.stack(images), np.array(seconds), scale)
                del images  # while the caller looks at them, they would be in memory twice
                yield frames
                del frames
        if empty:
            raise NoFrames("No picture can be decoded from the asked part of this video.")


def _split_by_size(
    reader: VideoReader, timed: Iterator[Timed[av.VideoFrame]], max_side_px: int
) -> list[tuple[float, list[float], list[Image]]]:
    """Convert frames, a new run where their size changes -> (scale, seconds, images) of each."""
    runs: list[tuple[float, list[float], list[Image]]] = []
    for seconds, frame in timed:
        image, scale = reader.to_rgb(frame, max_side_px)
        if not runs or runs[-1][0] != scale or runs[-1][2][0].shape != image.shape:
            runs.append((scale, [], []))
        runs[-1][1].append(seconds)
        runs[-1][2].append(image)
    return runs


def play(media: Path | RawIOBase, span: Span, max_side_px: int = MAX_SIDE_PX) -> Iterator[Timed[Image]]:
    """Yield every frame shown in `span` as (seconds, (H, W, 3) RGB); cost grows with the span.

    Raises what `decode` raises.
    """
    with container.open_video(media) as reader:
        reader.seek_to_key_frame(reader.key_frame_before(span.start_seconds))
        empty = True
        for seconds, frame in reader.frames_until(math.inf if span.end_seconds is None else span.end_seconds):
            if seconds >= span.start_seconds:
                empty = False
                yield seconds, reader.to_rgb(frame, max_side_px)[0]
        if empty:
            raise NoFrames("No picture can be decoded from the asked part of this video.")


def _lay_out_windows(reader: VideoReader, plan: DecodePlan) -> list[Window]:
    """Find the end and the key frames, by seeking only, and lay out the windows of `plan`."""
    end = reader.end_seconds()
    if end is not None and 0 < plan.start_seconds >= end:
        raise BadInput(f"The start, {plan.start_seconds:g} s, lies beyond the end of the video, {end:.1f} s.")
    asked = math.inf if plan.end_seconds is None else plan.end_seconds
    begin = max(plan.start_seconds, reader.begin_seconds)
    known = begin + plan.windows * plan.window_seconds if end is None else end
    starts = window_starts(begin, min(asked, known), plan.window_seconds, plan.windows)
    return snap_to_key_frames(starts, [reader.key_frame_before(start) for start in starts], plan.window_seconds, asked)


def _pick_frames(reader: VideoReader, window: Window, plan: DecodePlan) -> Iterator[Timed[av.VideoFrame]]:
    """Go to a window and pick its frames."""
    key, position = window.key_seconds, reader.position_seconds
    if position is None or (key is not None and key > position):
        reader.seek_to_key_frame(key)
    lead_seconds = max(FULL_DETAIL_SECONDS, 2 / (reader.frame_rate or 1))
    reader.full_detail_from_seconds = window.start_seconds - lead_seconds
    start, timed = _decode_up_to(reader, window)
    return pick_nearest(timed, (start + i * plan.frame_stride_seconds for i in range(plan.frames_per_window)))


def _decode_up_to(reader: VideoReader, window: Window) -> tuple[float, Iterator[Timed[av.VideoFrame]]]:
    """Decode up to a window -> (its start, the frames from the last one before it on).

    Where the budget does not reach so far, the window starts where the budget ends.
    """
    fewest, most = FORWARD_FRAMES
    budget = min(max(FORWARD_PIXELS // reader.coded_pixels, fewest), most)
    spent = reader.packets_decoded + budget
    timed = reader.frames_until(window.until_seconds, spent + budget)
    before: list[Timed[av.VideoFrame]] = []
    for now in timed:
        if now[0] >= window.start_seconds or reader.packets_decoded >= spent:
            start = min(window.start_seconds, now[0]) if before else now[0]
            return start, chain(before, [now], timed)
        before = [now]
    return window.start_seconds, iter(before)
