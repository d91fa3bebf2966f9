"""The child process of `decoder`: a file open on stdin, one task as argument, messages on stdout.

Before it reads the first byte it has given up everything else: sockets, programs, every other file.
"""

import faulthandler
import json
import os
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from io import FileIO
from typing import Any, BinaryIO

import numpy as np

from unmask.errors import TooLarge, UnmaskError
from unmask.sandbox.network import seal_process
from unmask.sandbox.rlimits import Bounds, close_doors, confine
from unmask.video import decode as video
from unmask.video.decode import Frames, Image
from unmask.video.partial_file import ANNOUNCED, PartialFile
from unmask.video.sampling import DecodePlan, Span

Task = dict[str, Any]
Say = Callable[[dict[str, Any], Image | None], None]  # a message and its payload

MEMORY_BYTES = 2 * 2**30  # 8K with four threads needs 1 GiB
CPU_SECONDS = {"probe": 60.0, "decode": 180.0, "play": 900.0, "capture": 60.0}
WALL_SECONDS = 3600.0  # a child waits while its last window is being looked at; the parent is less patient
STDERR_BYTES = 2**20  # the only file that it may write


def main() -> None:
    """A defect ends in a traceback on stderr, a decoder's crash in a signal; then no last message comes."""
    faulthandler.enable()
    task = json.loads(sys.argv[1])
    work = WORK[task["task"]]
    import_late(task["task"])
    pipe = _keep_stdout()
    give_up(task["task"])
    say = _speaker(pipe)
    try:
        work(_media(task, say), task, say)
        say({"end": True}, None)
    except UnmaskError as error:
        say({"error": {"code": error.code, "message": error.message}}, None)
    except MemoryError:
        problem = TooLarge("The pictures of this video need more memory than there is for one check.")
        say({"error": {"code": problem.code, "message": problem.message}}, None)


def import_late(task: str) -> None:
    """What libraries import at first use has to be there before the doors close."""
    import traceback  # noqa: F401

    import av.subtitles.codeccontext
    import av.subtitles.stream
    import av.subtitles.subtitle  # noqa: F401

    if task == "capture":
        import numpy.ma  # noqa: F401 - what numpy.median looks up at its first call

        import unmask.video.captured_frames  # noqa: F401 - with OpenCV, which takes longer to load than all else


def give_up(task: str) -> None:
    """All rights that reading one open file does not need."""
    confine(Bounds(MEMORY_BYTES, CPU_SECONDS[task], WALL_SECONDS, STDERR_BYTES, open_files=16))
    close_doors()
    seal_process()


def _media(task: Task, say: Say) -> FileIO:
    """What lies on stdin; missing parts of it are asked for on stdout and announced on a pipe."""
    if "announced_on" not in task:
        return FileIO(0, "rb", closefd=False)
    pipe = FileIO(task["announced_on"], "rb")

    def ask(begin: int, end: int) -> tuple[int, int]:
        say({"want": [begin, end]}, None)
        first, last = struct.unpack(ANNOUNCED, pipe.read(struct.calcsize(ANNOUNCED)))
        return first, last

    return PartialFile(0, ask)


def probe(media: FileIO, task: Task, say: Say) -> None:
    say({"stream": asdict(video.probe(media))}, None)


def decode(media: FileIO, task: Task, say: Say) -> None:
    """What it is first, so that others can judge it meanwhile."""
    stream = video.probe(media)
    say({"stream": asdict(stream)}, None)
    plan = DecodePlan(**task["plan"]).earlier(stream.offset_seconds(task["cut_seconds"]))
    _say_all(video.decode(media, plan), say)


def play(media: FileIO, task: Task, say: Say) -> None:
    pictures = video.play(media, Span(**task["span"]), task["max_side_px"])
    _say_all((Frames(image[None], np.array([seconds])) for seconds, image in pictures), say)


def capture(media: FileIO, task: Task, say: Say) -> None:
    from unmask.video.captured_frames import Capture
    from unmask.video.captured_frames import decode as decode_capture

    images = tuple(_read(media, size_bytes) for size_bytes in task["sizes_bytes"])
    sizes = tuple((width, height) for width, height in task["sizes"])
    captured = Capture(images, tuple(task["seconds"]), sizes, sha256="")
    _say_all(decode_capture(captured, DecodePlan(**task["plan"])), say)


WORK: dict[str, Callable[[FileIO, Task, Say], None]] = {
    "probe": probe,
    "decode": decode,
    "play": play,
    "capture": capture,
}


def _say_all(windows: Iterable[Frames], say: Say) -> None:
    for frames in windows:
        head = {"shape": frames.data.shape, "seconds": frames.seconds.tolist(), "scale": frames.scale}
        say(head, frames.data)
        del frames  # before the next is made


def _read(media: FileIO, size_bytes: int) -> bytes:
    """A raw file may give less than it is asked for."""
    blocks, left = [], size_bytes
    while left and (block := media.read(left)):
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks)


def _keep_stdout() -> BinaryIO:
    """The pipe to the parent; whatever else prints to stdout lands on stderr."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe


def _speaker(pipe: BinaryIO) -> Say:
    def say(fields: dict[str, Any], payload: Image | None) -> None:
        size_bytes = 0 if payload is None else payload.nbytes
        pipe.write(json.dumps({**fields, "bytes": size_bytes}).encode() + b"\n")
        if payload is not None:
            pipe.write(payload.data)
        pipe.flush()

    return say


if __name__ == "__main__":
    main()
