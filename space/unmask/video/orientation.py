"""Put frames upright that a phone or camera recorded turned or mirrored."""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

from unmask.video.frames import Image


@dataclass(frozen=True)
class Orientation:
    """How to put a frame upright: transpose, then mirror. Phones store this beside the picture."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """Read it from the display matrix of a frame."""
        side_data: Any = frame.side_data
        matrix = side_data.get(SideDataType.DISPLAYMATRIX)
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()  # x' = ax + cy, y' = bx + dy
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, image: Image) -> Image:
        """Put an image upright, as a view."""
        turned = image.transpose(1, 0, 2) if self.transpose else image
        return turned[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]
