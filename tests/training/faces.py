"""Stored clips of one public-domain portrait, for tests of training."""

import cv2
from skimage.data import astronaut

from training.data.shards import StoredClip

STRIDE_SECONDS = 0.12


def face(name, source=None, *, method="swap", group=None, split="train", shift=0, frames=1, side=224, jpeg=None):
    """A clip of the portrait, `shift` px lower; with a `source` it is labelled as a fake of that video."""
    if jpeg is None:
        image = cv2.resize(astronaut()[40 + shift : 260 + shift, 120:320], (side, side))
        jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return StoredClip(
        video_id=name,
        fake=source is not None,
        method="real" if source is None else method,
        original_id=source or name,
        group=group or source or name,
        split=split,
        track_id=0,
        seconds=tuple(STRIDE_SECONDS * index for index in range(frames)),
        jpegs=(jpeg,) * frames,
    )


def portrait(side=224):
    """The portrait alone, (side, side, 3) RGB."""
    return cv2.resize(astronaut()[40:260, 120:320], (side, side), interpolation=cv2.INTER_AREA)
