"""Rewrite animations for libav: WebP, which it cannot read, and GIFs, whose shortest times browsers lengthen."""

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
GIF_EXTENSION, GIF_PICTURE = b"\x21", b"\x2c"  # first bytes of blocks
GIF_CONTROL = b"\x21\xf9\4\0\x0a\0\0\0"  # a block that shows the next picture for 10 hundredths of a second


def is_animated_webp(start: bytes) -> bool:
    """Tell whether a file that starts so is an animated WebP."""
    return (
        start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X" and bool(start[20:21]) and bool(start[20] & ANIMATION_FLAG)
    )


def with_times_of_browsers(gif: Any) -> Any:
    """Return a GIF in which every picture has a control block, and none is shown for too short a time."""
    gif.seek(0)
    data = gif.read()
    written, kept, controlled = bytearray(), 0, False
    place = 13 + _table_bytes(data[10:11])
    while (kind := data[place : place + 1]) in (GIF_EXTENSION, GIF_PICTURE):
        block = place
        if kind == GIF_PICTURE:
            place += 11 + _table_bytes(data[place + 9 : place + 10])
            if not controlled:
                written += data[kept:block] + GIF_CONTROL
                kept = block
        else:
            place += 2
        while size := int.from_bytes(data[place : place + 1]):
            place += 1 + size
        place += 1
        controlled = data[block : block + 3] == GIF_CONTROL[:3] or (controlled and kind == GIF_EXTENSION)
        if data[block : block + 3] == GIF_CONTROL[:3] and int.from_bytes(data[block + 4 : block + 6], "little") < 2:
            written += data[kept : block + 4] + GIF_CONTROL[4:6]
            kept = block + 6
    return BytesIO(written + data[kept:]) if kept else gif


def _table_bytes(flags: bytes) -> int:
    """Compute the size of the table of colours that a GIF announces."""
    return 3 * 2 ** (1 + (flags[0] & 7)) if flags and flags[0] & 0x80 else 0


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
