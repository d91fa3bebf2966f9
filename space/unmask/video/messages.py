"""Messages between the decode client and its worker."""

from dataclasses import dataclass
from typing import ClassVar

from unmask.video.frames import VideoStream
from unmask.video.sampling import DecodePlan, Piece, Span


@dataclass(frozen=True)
class MediaFile:
    """The file to read."""

    descriptor: int | None  # inherited; None: its bytes are asked for by `ReadRange`
    size_bytes: int


@dataclass(frozen=True)
class DecodeTask:
    """See `video.decode.decode`; answered by a `VideoStream`, `WindowFrames` and `Findings`."""

    media: MediaFile
    plan: DecodePlan
    pieces: tuple[Piece, ...]
    starts: tuple[float, ...]
    sends_store: bool  # the store of Content Credentials is the payload of the `VideoStream`
    cpu_seconds: ClassVar[float] = 180.0


@dataclass(frozen=True)
class PlayTask:
    """See `video.decode.play`; answered by `WindowFrames` of one frame each."""

    media: MediaFile
    span: Span
    max_side_px: int
    cpu_seconds: ClassVar[float] = 900.0


@dataclass(frozen=True)
class CaptureTask:
    """See `video.captured_frames.decode`; its payload are the pictures, answered by `WindowFrames`."""

    plan: DecodePlan
    seconds: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]  # (width, height) px
    sizes_bytes: tuple[int, ...]
    cpu_seconds: ClassVar[float] = 60.0


@dataclass(frozen=True)
class WindowFrames:
    """The frames of one window; the pixels are its payload, see `video.frames.Frames`."""

    shape: tuple[int, ...]  # (N, H, W, 3)
    seconds: tuple[float, ...]
    scale: float


@dataclass(frozen=True)
class Findings:
    """What became known while the windows were decoded."""

    gaps: tuple[tuple[float, float], ...]  # announced but not there: (start, end) in seconds of each
    hdr: bool  # some picture was


TASKS: tuple[type, ...] = (DecodeTask, PlayTask, CaptureTask)
ANSWERS: tuple[type, ...] = (VideoStream, WindowFrames, Findings)
