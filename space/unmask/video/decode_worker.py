"""The worker process that decodes one untrusted file, started by `decode_client`.

Before it looks at the first byte it has given up everything else: sockets, programs, every other file.
"""

import faulthandler
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from io import FileIO, RawIOBase
from typing import Any

import numpy as np

from unmask.errors import TooLarge, UnmaskError
from unmask.sandbox.address_policy import seal_process
from unmask.sandbox.protocol import Connection, Done, Message, RangeData, ReadRange
from unmask.sandbox.rlimits import ResourceLimits, apply_rlimits, forbid_new_descriptors
from unmask.video import decode as video
from unmask.video.animations import SIGNATURE_BYTES, is_animated_webp
from unmask.video.byte_ranges import ByteRanges, FilePart, RemoteFile, read_range
from unmask.video.embedded import MAX_STORE_BYTES, MAX_TAGS, MAX_XMP_BYTES, find_embedded, read_xmp
from unmask.video.frames import Frames
from unmask.video.messages import TASKS, CaptureTask, DecodeTask, Findings, MediaFile, PlayTask, WindowFrames
from unmask.video.pieces import find_pieces, find_remote_pieces
from unmask.video.sampling import Piece

MEMORY_BYTES = 2 * 2**30  # 8K with four threads needs 1 GiB
WALL_SECONDS = 3600.0  # a worker waits while its last window is looked at; the parent is less patient
STDERR_BYTES = 2**20  # the only file that it may write


def main() -> None:
    """Do one task. A defect ends in a traceback on stderr, a decoder's crash in a signal, and no last message."""
    faulthandler.enable()
    parent = Connection()
    request = parent.receive(*TASKS)
    if request is None:
        return
    media = getattr(request.body, "media", None)
    here = media is not None and media.descriptor is not None
    import_lazy_modules(request.body, open_media(media, parent).read(SIGNATURE_BYTES) if media and here else b"")
    enter_sandbox(request.body.cpu_seconds)
    try:
        RUN[type(request.body)](request, parent)
        parent.send(Done())
    except UnmaskError as error:
        parent.send_failure(error)
    except MemoryError:
        parent.send_failure(TooLarge("The pictures of this video need more memory than there is for one check."))


def import_lazy_modules(task: object, start: bytes = b"") -> None:
    """Import what libraries import at first use, for a file that starts so: in the sandbox no file can be opened."""
    import traceback  # noqa: F401

    import av.subtitles.codeccontext
    import av.subtitles.stream
    import av.subtitles.subtitle  # noqa: F401

    if is_animated_webp(start):
        import PIL.WebPImagePlugin  # noqa: F401
    if isinstance(task, CaptureTask):
        import numpy.ma  # noqa: F401 - what numpy.median looks up at its first call

        import unmask.video.captured_frames  # noqa: F401 - with OpenCV, which takes longer to load than all else


def enter_sandbox(cpu_seconds: float) -> None:
    """Give up, for good, all rights that reading one open file does not need."""
    apply_rlimits(ResourceLimits(MEMORY_BYTES, cpu_seconds, WALL_SECONDS, STDERR_BYTES, open_files=16))
    forbid_new_descriptors()
    seal_process()


def decode(request: Message, parent: Connection) -> None:
    """Do a `DecodeTask`: first what the file is, so that the client can judge it meanwhile."""
    task: DecodeTask = request.body
    file = open_media(task.media, parent)
    embedded = find_embedded(file)
    media = video.readable(file)
    pieces = task.pieces or (Piece(0, media.seek(0, os.SEEK_END)),)
    if not task.pieces:  # of a file on its server, only what is looked at is fetched
        pieces = (find_remote_pieces if task.media.descriptor is None else find_pieces)(media, pieces[0])
    stream = video.probe(media, pieces)
    xmp = read_xmp(read_range(file, embedded.xmp, MAX_XMP_BYTES).decode("utf-8", "replace"))
    stream = replace(
        stream,
        has_store=embedded.store is not None,
        tags=(*embedded.tags, *xmp, *stream.tags)[:MAX_TAGS],
        traits=(*stream.traits, "motion_photo") if isinstance(media, FilePart) else stream.traits,
    )
    parent.send(stream, read_range(file, embedded.store if task.sends_store else None, MAX_STORE_BYTES))
    gaps: list[tuple[float, float]] = []
    hdr: list[bool] = []

    def on_gap(start: float, end: float) -> None:
        if gaps and gaps[-1][0] <= start <= gaps[-1][1]:
            start, last_end = gaps.pop()
            end = max(end, last_end)
        gaps.append((start, end))

    _send_windows(video.decode(media, task.plan, pieces, task.starts, on_gap, hdr.append), parent)
    parent.send(Findings(tuple(gaps), any(hdr)))


def play(request: Message, parent: Connection) -> None:
    """Do a `PlayTask`."""
    task: PlayTask = request.body
    pictures = video.play(open_media(task.media, parent), task.span, task.max_side_px)
    _send_windows((Frames(image[None], np.array([seconds])) for seconds, image in pictures), parent)


def decode_capture(request: Message, parent: Connection) -> None:
    """Do a `CaptureTask`."""
    from unmask.video import captured_frames

    task: CaptureTask = request.body
    ends = np.cumsum(task.sizes_bytes).tolist()
    images = (bytes(request.payload[end - size : end]) for end, size in zip(ends, task.sizes_bytes, strict=True))
    capture = captured_frames.Capture(tuple(images), task.seconds, task.sizes, sha256="")
    _send_windows(captured_frames.decode(capture, task.plan), parent)


RUN: dict[type, Callable[[Message, Connection], None]] = {
    DecodeTask: decode,
    PlayTask: play,
    CaptureTask: decode_capture,
}


def open_media(media: MediaFile, parent: Connection) -> RawIOBase:
    """Open the file of a task."""

    def read(begin: int, end: int) -> Any:
        parent.send(ReadRange(begin, end))
        answer = parent.receive(RangeData)
        if answer is None:
            raise OSError("The file is not here any more.")
        return answer.payload

    if media.descriptor is None:
        return RemoteFile(ByteRanges(media.size_bytes, read))
    return FileIO(media.descriptor, "rb", closefd=False)


def _send_windows(windows: Iterable[Frames], parent: Connection) -> None:
    for frames in windows:
        parent.send(WindowFrames(frames.data.shape, tuple(frames.seconds.tolist()), frames.scale), frames.data)
        del frames  # before the next is made


if __name__ == "__main__":
    main()
