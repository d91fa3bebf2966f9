"""Rewrite animations for libav: WebP, which it cannot read, and GIFs, whose shortest times browsers lengthen."""

import re
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
import numpy as np

from unmask.errors import NotAVideo, TooLarge

SIGNATURE_BYTES = 32  # that tell an animation from a still picture
ANIMATION_FLAG = 2
MAX_FRAMES = 5000
MIN_FRAME_MS = 11  # browsers show shorter ones for
SHORT_FRAME_MS = 100
SHORT_GIF_FRAME = re.compile(rb"(\x21\xf9\x04.)[\0\1]\0(.\0)", re.DOTALL)  # its control block, in hundredths


def is_animated_webp(start: bytes) -> bool:
    """Tell it by the first bytes of a file."""
    return (
        start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X" and bool(start[20:21]) and bool(start[20] & ANIMATION_FLAG)
    )


def with_times_of_browsers(gif: Any) -> Any:
    """Return a GIF in which no picture is shown for too short a time."""
    gif.seek(0)
    data = gif.read()
    changed, count = SHORT_GIF_FRAME.subn(lambda found: found[1] + b"\x0a\0" + found[2], data)
    return BytesIO(changed) if count else gif


def to_matroska(file: Any, max_pixels: int) -> BytesIO:
    """Convert an animated WebP. Raises NotAVideo and TooLarge."""
    from PIL import Image, UnidentifiedImageError, WebPImagePlugin  # loaded for such files only

    written = BytesIO()
    file.seek(0)
    try:
        pictures: Any = WebPImagePlugin.WebPImageFile(file)
        if pictures.width * pictures.height > max_pixels:
            raise TooLarge(f"The picture is {pictures.width} × {pictures.height} pixels; that is more than is read.")
        with av.open(written, "w", format="matroska") as output:
            stream: Any = output.add_stream("ffv1", rate=Fraction(1000))
            stream.width, stream.height, stream.pix_fmt = pictures.width, pictures.height, "bgr0"
            clock_ms = 0
            for index in range(min(pictures.n_frames, MAX_FRAMES)):
                pictures.seek(index)
                page = Image.new("RGBA", pictures.size, (255, 255, 255, 255))  # white, as a web page
                rgb = Image.alpha_composite(page, pictures.convert("RGBA")).convert("RGB")
                frame = av.VideoFrame.from_ndarray(np.asarray(rgb), "rgb24")
                shown_ms = int(pictures.info.get("duration") or 0)
                shown_ms = shown_ms if shown_ms >= MIN_FRAME_MS else SHORT_FRAME_MS
                frame.pts, frame.time_base = clock_ms, Fraction(1, 1000)
                for packet in stream.encode(frame):
                    packet.duration = shown_ms
                    output.mux(packet)
                clock_ms += shown_ms
            output.mux(stream.encode(None))
    except (OSError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise NotAVideo("This animation is damaged. Give another copy of it.") from error
    written.seek(0)
    return written
