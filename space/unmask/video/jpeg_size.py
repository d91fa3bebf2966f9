"""Check JPEG pictures by their headers, before anything is decoded."""

from unmask.errors import BadInput, TooLarge

MAX_PIXELS = 4_000_000  # 2560 x 1440 is 3.7 million
MAX_SEGMENTS = 256  # of a header that are looked at; cameras write a few dozen
START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
START_OF_FRAME = frozenset(bytes([kind]) for kind in range(0xC0, 0xD0)) - {b"\xc4", b"\xc8", b"\xcc"}


def jpeg_size(image: bytes) -> tuple[int, int]:
    """Read (width, height) px from the header.

    Parsed by hand: libraries keep all segments of a header, and a picture can be made of millions of them.

    Raises:
        BadInput: It is no whole JPEG picture.
        TooLarge: It has more than MAX_PIXELS.
    """
    if END_OF_IMAGE not in image[-64:]:  # some cameras write a little after it
        raise BadInput("A frame is damaged: it is no whole JPEG picture.")
    start = _frame_header(image)
    width, height = (int.from_bytes(image[start + at : start + at + 2]) for at in (5, 3)) if start else (0, 0)
    if width * height == 0:
        raise BadInput("Frames must be JPEG pictures; one of them is not.")
    if width * height > MAX_PIXELS:
        raise TooLarge(f"A frame is {width} × {height} pixels; at most {MAX_PIXELS / 1e6:g} million fit.")
    return width, height


def _frame_header(image: bytes) -> int | None:
    """Find where the segment with the size begins, after its marker."""
    place = len(START_OF_IMAGE)
    for _ in range(MAX_SEGMENTS if image.startswith(START_OF_IMAGE) else 0):
        if image[place : place + 1] != b"\xff":
            return None
        kind, length = image[place + 1 : place + 2], int.from_bytes(image[place + 2 : place + 4])
        if kind in START_OF_FRAME:
            return place + 2
        place += 1 if kind == b"\xff" else 2 + length  # before a marker there may be more of its first byte
    return None
