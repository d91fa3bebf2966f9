"""`video.decode` and `video.captured_frames` for untrusted bytes: the same functions, run in a worker process.

A worker reads one file and can open nothing else (see `decode_worker`). Where a decoder crashes, runs out of
memory or never ends, one call raises an UnmaskError. Windows come through a pipe: while one is being looked
at the next comes here, and the worker decodes the one after it, so that three are in memory at a time.
"""

import functools
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from unmask.errors import InternalError, NotAVideo, TimedOut, UnmaskError
from unmask.sandbox.process import WorkerProcess, start_code
from unmask.sandbox.protocol import Done, Message
from unmask.video.byte_ranges import MAX_RANGE_BYTES, ByteRanges, open_file
from unmask.video.captured_frames import Capture
from unmask.video.embedded import MAX_STORE_BYTES
from unmask.video.frames import Frames, Image, VideoStream
from unmask.video.messages import ANSWERS, CaptureTask, DecodeTask, Findings, MediaFile, PlayTask, WindowFrames
from unmask.video.sampling import MAX_SIDE_PX, DecodePlan, Piece, Span, Timed

OnWait = Callable[[], None]  # called several times a second; what it raises ends the work

WORKER = start_code("unmask.video.decode_worker")
SILENCE_SECONDS = 180.0  # until the next answer; what uses the processor that long is ended by its own limit
CAN_INHERIT = os.name == "posix"  # elsewhere a worker cannot be given an open file

CRASHES = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS"})
OVERTIME = frozenset({"SIGXCPU", "SIGALRM"})


def do_nothing() -> None:
    """Go on waiting."""


class OpenVideo:
    """A file that a worker has open: it has looked at it, and is decoding the first window already.

    The caller closes it.

    Args:
        media: The file.
        plan: In seconds of the player.
        pieces: Of the file, in the order in which a player shows them; none: it is looked for them.
        starts: Of the windows, where they are fixed already.
        on_wait: Until `windows` is called.

    Raises:
        TimedOut, InternalError: The decoder took too long or failed. And what `video.decode.probe` raises.
    """

    stream: VideoStream
    store: bytes

    def __init__(
        self,
        media: Path | ByteRanges,
        plan: DecodePlan,
        pieces: Sequence[Piece] = (),
        starts: Sequence[float] = (),
        on_wait: OnWait = do_nothing,
    ) -> None:
        self._plan, self._on_wait = plan, on_wait
        self.gaps: tuple[tuple[float, float], ...] = ()  # announced but not there, in seconds; known after the windows
        in_part = bool(pieces) or not isinstance(media, Path)
        self._answers = run_worker(
            WORKER,
            lambda file: DecodeTask(file, plan, tuple(pieces), tuple(starts), in_part),
            media,
            lambda: self._on_wait(),
            ANSWERS,
            max(_max_bytes(plan), MAX_STORE_BYTES),
        )
        try:
            first = next(self._answers, None)
            self.stream = _to_stream(first)
            self.store = bytes(first.payload) if first else b""  # of Content Credentials; empty where all is here
        except BaseException:
            self.close()
            raise

    def windows(self, on_wait: OnWait = do_nothing) -> Iterator[Frames]:
        """Give the windows, once; see `video.decode.decode`."""
        self._on_wait = on_wait
        for answer in self._answers:
            if isinstance(answer.body, Findings):
                self.gaps = answer.body.gaps
                if answer.body.hdr and "hdr" not in self.stream.traits:  # it began later
                    self.stream = replace(self.stream, traits=("hdr", *self.stream.traits))
            else:
                yield _to_frames(answer, self._plan)

    def close(self) -> None:
        """End the worker, whatever it is doing."""
        self._answers.close()
        self._on_wait = do_nothing  # it may lead back here: a check's frames would stay until garbage is collected


def probe(path: Path) -> VideoStream:
    """Look at a file, see `video.decode.probe`. Raises TimedOut and InternalError, too."""
    with closing(OpenVideo(path, DecodePlan(windows=1, frames_per_window=1))) as opened:
        return opened.stream


def play(path: Path, span: Span, max_side_px: int = MAX_SIDE_PX) -> Iterator[Timed[Image]]:
    """Yield every frame shown in `span`, see `video.decode.play`. Raises TimedOut and InternalError, too."""
    one = DecodePlan(frames_per_window=1, max_side_px=max_side_px)
    task = lambda file: PlayTask(file, span, max_side_px)
    for answer in run_worker(WORKER, task, path, do_nothing, ANSWERS, _max_bytes(one)):
        frames = _to_frames(answer, one)
        yield float(frames.seconds[0]), frames.data[0]


def decode_capture(capture: Capture, plan: DecodePlan, on_wait: OnWait = do_nothing) -> Iterator[Frames]:
    """Yield windows of pictures, see `video.captured_frames.decode`. Raises TimedOut and InternalError, too."""
    task = CaptureTask(plan, capture.seconds, capture.sizes, tuple(map(len, capture.images)))
    images = b"".join(capture.images)
    for answer in run_worker(WORKER, lambda _: task, None, on_wait, ANSWERS, _max_bytes(plan), images):
        yield _to_frames(answer, plan)


def _max_bytes(plan: DecodePlan) -> int:
    """Give the size of the pixels of the largest window."""
    return plan.frames_per_window * plan.max_side_px**2 * 3


def run_worker(
    code: str,
    make_task: Callable[[MediaFile], Any],
    media: Path | ByteRanges | None,
    on_wait: OnWait,
    answers: Sequence[type],
    max_bytes: int = 0,
    payload: bytes = b"",
) -> Generator[Message]:
    """Start a worker at a task on a media file and yield its answers, up to its end.

    Args:
        code: Of the worker, see `start_code`.
        make_task: Makes its request.
        media: The only file that it can read.
        on_wait: Called several times a second.
        answers: The dataclasses that it may send.
        max_bytes: Of the payload of one.
        payload: Of the request.
    """
    with ExitStack() as resources:
        descriptor = None
        if isinstance(media, Path):
            file = resources.enter_context(open_file(media))
            descriptor = file.fileno() if CAN_INHERIT else None
            media = ByteRanges(os.fstat(file.fileno()).st_size, functools.partial(_read_at, file))
        ranges = media or ByteRanges(0, lambda begin, end: b"")
        worker = WorkerProcess(
            code,
            (*answers, Done),
            _crash_error,
            max_payload_bytes=max_bytes,
            pass_fds=() if descriptor is None else (descriptor,),
            read_range=functools.partial(_read_range, ranges),
        )
        resources.enter_context(worker)
        worker.send(make_task(MediaFile(descriptor, ranges.size_bytes)), payload)
        yield from _answers_of(worker, on_wait)


def _answers_of(worker: WorkerProcess, on_wait: OnWait) -> Iterator[Message]:
    """Yield answers until the worker is done. Raises TimedOut where it is silent for too long."""
    heard_at = time.monotonic()
    while True:
        on_wait()
        answer = worker.next_message()
        if answer is None:
            if time.monotonic() > heard_at + SILENCE_SECONDS:
                raise _overtime()
        elif isinstance(answer.body, Done):
            return
        else:
            yield answer
            heard_at = time.monotonic()


def _read_at(file: FileIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)


def _read_range(ranges: ByteRanges, begin: int, end: int) -> Any:
    """Answer a worker, if what it asks for is a part of the file."""
    if not 0 <= begin < end <= ranges.size_bytes or end - begin > MAX_RANGE_BYTES:
        raise _failed()
    return ranges.read(begin, end)


def _crash_error(signal_name: str) -> UnmaskError:
    """Give the error to raise for a video that ended the decoder."""
    if signal_name in OVERTIME:
        return _overtime()
    if signal_name in CRASHES:
        return NotAVideo("This video is damaged in a way that stops the decoder. Give another copy of it.")
    return _failed()


def _to_stream(answer: Message | None) -> VideoStream:
    """Check how a worker describes an untrusted file."""
    if answer is None or not isinstance(answer.body, VideoStream):
        raise _failed()
    stream: VideoStream = answer.body
    if min(stream.width, stream.height, stream.duration_seconds or 0.0, stream.frame_rate or 0.0) < 0:
        raise _failed()
    return stream


def _to_frames(answer: Message, plan: DecodePlan) -> Frames:
    """Check the frames that a worker sends: others rely on their shape and times."""
    try:
        window: WindowFrames = answer.body
        count, height, width, _ = window.shape
        frames = Frames(answer.payload.reshape(window.shape), np.array(window.seconds), window.scale)
    except (AttributeError, ValueError) as error:
        raise _failed() from error
    rising = (np.diff(frames.seconds) > 0).all()
    fits = 1 <= count <= plan.frames_per_window and min(height, width) >= 1
    if not (rising and fits and max(height, width) <= plan.max_side_px and frames.scale >= 1):
        raise _failed()
    return frames


def _overtime() -> TimedOut:
    return TimedOut("Reading the pictures of this video took too long. Give a shorter or smaller one.")


def _failed() -> InternalError:
    return InternalError("The video could not be read, for a reason on our side. Trying again may help.")
