"""What a stranger sends to the page or the API -> typed sources and options; looks at no file's content.

Everything here raises UnmaskError with a sentence for the asker, whatever the type of what came in.
"""

import base64
import binascii
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from unmask.download.sources import FileSource, FramesSource, UrlSource
from unmask.errors import BadInput, BadUrl, ModelUnavailable
from unmask.sandbox.network import MAX_URL_CHARACTERS
from unmask.video.sampling import Span

MAX_FRAMES = 256  # in one request
MAX_FRAMES_BYTES = 64 * 2**20  # of their JPEGs together
MAX_TEXT = 2048  # characters of a title or an address that are kept,
MAX_NAME = 255  # of a file's name,
MAX_TIME = 40  # and that a time may have
JPEG = b"\xff\xd8"  # a JPEG picture starts so


def to_seconds(value: object, name: str) -> float | None:
    """12.5, "12.5", "1:02" or "1:02:03.5" -> seconds; None and "" stay open."""
    if value is None or value == "":
        return None
    text = str(value).strip() if isinstance(value, (int, float, str)) and not isinstance(value, bool) else ":::"
    parts = text.split(":")
    try:
        if len(parts) <= 3 and len(text) <= MAX_TIME:
            return sum(float(part) * 60**power for power, part in enumerate(reversed(parts)))
    except (ValueError, OverflowError):
        pass
    raise BadInput(f"{name} must be seconds or minutes:seconds, not {str(value)[:40]!r}.")


def to_span(start: object, end: object) -> Span:
    return Span(to_seconds(start, "The start") or 0.0, to_seconds(end, "The end"))


def to_url(url: object) -> UrlSource:
    if not isinstance(url, str) or not url.strip():
        raise BadInput("Paste the link of a video first.")
    if len(url) > MAX_URL_CHARACTERS:  # before it is kept for as long as the job can be asked for
        raise BadUrl(f"This link is longer than {MAX_URL_CHARACTERS} characters.")
    return UrlSource(url.strip())


def to_upload(video: object, folder: Path) -> FileSource:
    """A file in the folder of uploads, as a path or as gradio's {"path", "orig_name"}; no other is read."""
    path_text = video.get("path") if isinstance(video, Mapping) else video
    if not isinstance(path_text, str) or not path_text:
        raise BadInput("Choose a video file first.")
    path = Path(path_text.replace("\0", ""))
    if not _lies_in(path, folder):
        raise BadInput("That file was not uploaded here. Upload it first, or check its link.")
    told = video.get("orig_name") if isinstance(video, Mapping) else None
    name = Path(told).name if isinstance(told, str) and told else path.name
    return FileSource(path.resolve(), name[-MAX_NAME:])


def _lies_in(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, RuntimeError, ValueError):  # a name that no file can have, or links in a circle
        return False


def to_frames(frames: object, page_url: object, title: object) -> FramesSource:
    """[{"seconds": 1.2, "jpeg": base64 or data URL}, …] -> a source, in time order."""
    if not isinstance(frames, list) or not 1 <= len(frames) <= MAX_FRAMES:
        raise BadInput(f"frames must be a list of 1 to {MAX_FRAMES} objects with seconds and jpeg.")
    pairs = sorted((_frame(frame) for frame in frames), key=lambda pair: pair[0])
    if sum(len(image) for _, image in pairs) > MAX_FRAMES_BYTES:
        raise BadInput(f"The frames are larger than {MAX_FRAMES_BYTES // 2**20} MiB together; send smaller JPEGs.")
    seconds, images = zip(*pairs, strict=True)
    return FramesSource(images, seconds, _text(page_url), _text(title))


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
    if not image.startswith(JPEG):
        raise BadInput("A frame's jpeg is not a JPEG picture.")
    return float(seconds), image


def _text(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) and value else None


def guess_source(kind: str, name: object) -> dict[str, Any]:
    """The source of a report on arguments that could not be understood."""
    text = _text(name)
    return {"kind": kind, "name": text or "", "url": text if kind != "file" else None}


def to_models(model: object, known: Collection[str]) -> tuple[str, ...]:
    """Names joined by commas, or a list of them. Strangers choose among the known: no folders, no Hub."""
    asked = ",".join(map(str, model)) if isinstance(model, list) else model or ""
    if not isinstance(asked, str):
        raise BadInput(f"model must be a name, or names joined by commas, not {str(asked)[:40]!r}.")
    names = tuple(dict.fromkeys(name.strip() for name in asked.split(",") if name.strip()))
    if unknown := [name for name in names if name not in known]:
        raise ModelUnavailable(f"There is no model {unknown[0][:80]!r} here. Choose from: {', '.join(sorted(known))}.")
    return names
