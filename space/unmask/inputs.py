"""Parse what users send to the page or the API into typed sources and options, without reading any file.

Input is untrusted: whatever its type, these functions raise an UnmaskError with a sentence for the user.
"""

import base64
import binascii
import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unmask.download.sources import FileSource, FramesSource, UrlSource
from unmask.download.web_address import find_address
from unmask.errors import BadInput, BadUrl, ModelUnavailable
from unmask.sandbox.address_policy import MAX_URL_CHARACTERS
from unmask.video.captured_frames import MAX_PICTURES
from unmask.video.sampling import Span

MAX_FRAMES_BYTES = 64 * 2**20  # of their JPEGs together
MAX_TEXT = 2048  # characters of a title or an address; the rest is cut off
MAX_NAME = 255  # characters of a file's name; the same
MAX_TIME = 40  # characters of a time
JPEG_START = b"\xff\xd8"


def to_seconds(value: object, name: str) -> float | None:
    """Parse 12.5, "12.5", "1:02" or "1:02:03.5"; None and "" become None.

    Raises:
        BadInput: It is none of these. `name` is how the message calls it.
    """
    if value is None or value == "":
        return None
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        text = str(value).strip()
        parts = text.split(":")
        if len(parts) <= 3 and len(text) <= MAX_TIME:
            with suppress(ValueError, OverflowError):
                return sum(float(part) * 60**power for power, part in enumerate(reversed(parts)))
    raise BadInput(f"{name} must be seconds or minutes:seconds, not {str(value)[:40]!r}.")


def to_span(start: object, end: object) -> Span:
    """Parse the part of the video to check. Raises BadInput."""
    return Span(to_seconds(start, "The start") or 0.0, to_seconds(end, "The end"))


def to_url(url: object) -> UrlSource:
    """Parse a link. Raises BadInput, BadUrl."""
    if not isinstance(url, str) or not url.strip():
        raise BadInput("Paste the link of a video first.")
    if len(url) > MAX_URL_CHARACTERS:  # before it is kept for as long as the job is
        raise BadUrl(f"This link is longer than {MAX_URL_CHARACTERS} characters.")
    return UrlSource(find_address(url))


def to_upload(video: object, folder: Path) -> FileSource:
    """Parse an uploaded file, given as a path or as gradio's {"path", "orig_name"}.

    Raises:
        BadInput: There is none, or it does not lie in the folder of uploads.
    """
    path_text = video.get("path") if isinstance(video, Mapping) else video
    if not isinstance(path_text, str) or not path_text:
        raise BadInput("Choose a video file first.")
    path = Path(path_text.replace("\0", ""))
    if not _lies_in(path, folder):
        raise BadInput("That file was not uploaded here. Upload it first, or check its link.")
    original = video.get("orig_name") if isinstance(video, Mapping) else None
    name = Path(original).name if isinstance(original, str) and original else path.name
    return FileSource(path.resolve(), name[-MAX_NAME:])


def _lies_in(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, RuntimeError, ValueError):  # a name that no file can have, or links in a circle
        return False


def to_frames(frames: object, page_url: object, title: object) -> FramesSource:
    """Parse captured frames [{"seconds": 1.2, "jpeg": base64 or data URL}, …] and put them in time order.

    Raises:
        BadInput: They have another form, or are too many or too large.
    """
    if not isinstance(frames, list) or not 1 <= len(frames) <= MAX_PICTURES:
        raise BadInput(f"frames must be a list of 1 to {MAX_PICTURES} objects with seconds and jpeg.")
    pairs = sorted((_frame(frame) for frame in frames), key=lambda pair: pair[0])
    if sum(len(image) for _, image in pairs) > MAX_FRAMES_BYTES:
        raise BadInput(f"The frames are larger than {MAX_FRAMES_BYTES // 2**20} MiB together; send smaller JPEGs.")
    seconds, images = zip(*pairs, strict=True)
    hdr = any(frame.get("hdr") is True for frame in frames)
    return FramesSource(images, seconds, _text(page_url), _text(title), hdr)


def _frame(frame: object) -> tuple[float, bytes]:
    seconds, jpeg = (frame.get("seconds"), frame.get("jpeg")) if isinstance(frame, Mapping) else (None, None)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise BadInput("Every frame needs seconds, a number of zero or more.")
    if not isinstance(jpeg, str):
        raise BadInput("Every frame needs jpeg, a base64 string or data URL.")
    try:
        image = base64.b64decode(jpeg.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("A frame's jpeg is not base64.") from error
    if not image.startswith(JPEG_START):
        raise BadInput("A frame's jpeg is not a JPEG picture.")
    return float(seconds), image


def _text(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) and value else None


def guess_source(kind: str, name: object) -> dict[str, Any]:
    """Describe the source for the failed report on arguments that could not be parsed."""
    text = _text(name)
    return {"kind": kind, "name": text or "", "url": text if kind != "file" else None}


def to_models(model: object, known: Collection[str]) -> tuple[str, ...]:
    """Parse names joined by commas, or a list of them. Users of a service get no folders and nothing from the Hub.

    Raises:
        BadInput: It is neither.
        ModelUnavailable: A name is not among the `known` ones.
    """
    text = ",".join(map(str, model)) if isinstance(model, list) else model or ""
    if not isinstance(text, str):
        raise BadInput(f"model must be a name, or names joined by commas, not {str(text)[:40]!r}.")
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in known]:
        raise ModelUnavailable(f"There is no model {unknown[0][:80]!r} here. Choose from: {', '.join(sorted(known))}.")
    return names
