"""Describe a video and its frames, without what decodes them: only a worker process loads libav."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unmask.video.embedded import Tags

FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True)
class VideoStream:
    """What a file holds, by its header, first frame and end."""

    width: int  # px as shown: after rotation, pixels made square
    height: int
    duration_seconds: float | None  # until the end of the last picture
    frame_rate: float | None  # mean a second
    codec: str
    tags: Tags = ()  # names in lower case, values on one line
    has_store: bool = False  # of Content Credentials
    traits: tuple[str, ...] = ()  # that a report speaks of, see `download.sources.NOTICES`


@dataclass(frozen=True, repr=False, eq=False)
class Frames:
    """The frames of one window, in order of time."""

    data: Image  # (N, H, W, 3) RGB
    seconds: FloatArray  # (N,) presentation times, rising
    scale: float = 1.0  # px of the shown video per px of `data`, both ways alike; >= 1
    turns: int = 0  # quarter turns counter-clockwise by which `data` was turned against what a player shows

    def __post_init__(self) -> None:
        if self.data.ndim != 4 or self.data.shape[3] != 3 or self.data.dtype != np.uint8:
            raise ValueError(f"data must be uint8 (N, H, W, 3), not {self.data.dtype} {self.data.shape}")
        if self.seconds.shape != (len(self.data),) or self.seconds.dtype != np.float64:
            raise ValueError(f"seconds must be float64 ({len(self.data)},), not {self.seconds.shape}")

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"Frames(data={self.data.shape}, seconds={np.round(self.seconds, 3)}, scale={self.scale:.3f})"
