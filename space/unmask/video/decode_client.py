"""`video` and `capture` for strangers' bytes: the same functions, run in a child process.

A child gets one open file and can open nothing else (see `decoding`). Where a decoder crashes, runs out of
memory or never ends, one call raises an UnmaskError. Windows come through a pipe: while one is being looked
at the next comes here, and the child decodes the one after it, so that three are in memory at a time.
"""

import json
import logging
import math
import os
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from unmask.errors import InternalError, NotAVideo, TimedOut, UnmaskError, from_code
from unmask.logs import frames
from unmask.sandbox.process import Child, Message
from unmask.video.captured_frames import Capture
from unmask.video.container import Image, Timed, open_file
from unmask.video.decode import Frames, VideoStream
from unmask.video.partial_file import ANNOUNCED, Parts
from unmask.video.sampling import MAX_SIDE_PX, DecodePlan, Span

StillWanted = Callable[[], None]  # called several times a second; what it raises ends the work

# The child gets its code from where this process has it; its first argument says what to do.
START = "import sys; sys.path[:] = sys.argv[2:]; from unmask.video.decode_worker import main; main()"
SILENCE_SECONDS = 180.0  # until the next answer; what uses the processor that long is ended by its own limit

CRASHES = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS"})
OVERTIME = frozenset({"SIGXCPU", "SIGALRM"})

logger = logging.getLogger(__name__)


def ignore() -> None:
    """For callers who always want to know."""


def probe(path: Path, still_wanted: StillWanted = ignore) -> VideoStream:
    """See `video.probe`. Raises TimedOut and InternalError, too."""
    with open_file(path) as media, closing(_answers({"task": "probe"}, media, 0, still_wanted)) as answers:
        return _to_stream(next(answers, Message({})))


class OpenVideo:
    """A file that a child has open: it has looked at it, and is decoding the first window already.

    `plan` counts in seconds of the whole video, of which `cut_seconds` were cut off before the file's first
    picture. Missing `parts` are fetched. Raises what `video.probe` and `video.decode` raise, TimedOut and
    InternalError. Whoever made it closes it.
    """

    def __init__(
        self,
        path: Path,
        plan: DecodePlan,
        cut_seconds: float = 0.0,
        still_wanted: StillWanted = ignore,
        parts: Parts | None = None,
    ) -> None:
        self._plan, self._still_wanted = plan, still_wanted
        task = {"task": "decode", "plan": asdict(plan), "cut_seconds": cut_seconds}
        with ExitStack() as opening:
            media = opening.enter_context(open_file(path))
            answers = _answers(task, media, _most_bytes(plan), lambda: self._still_wanted(), parts)
            self._messages = opening.enter_context(closing(answers))
            self.stream = _to_stream(next(self._messages, Message({})))
            self._held = opening.pop_all()

    def windows(self, still_wanted: StillWanted = ignore) -> Iterator[Frames]:
        """See `video.decode`; can be asked for once."""
        self._still_wanted = still_wanted
        return (_to_frames(message, self._plan) for message in self._messages)

    def close(self) -> None:
        """Ends the child, wherever it is."""
        self._held.close()


def play(path: Path, span: Span, max_side_px: int = MAX_SIDE_PX) -> Iterator[Timed[Image]]:
    """See `video.play`. Raises TimedOut and InternalError, too."""
    task = {"task": "play", "span": asdict(span), "max_side_px": max_side_px}
    one = DecodePlan(frames_per_window=1, max_side_px=max_side_px)
    with open_file(path) as media:
        for frames in _windows(task, media, one, ignore):
            yield float(frames.seconds[0]), frames.data[0]


def decode_capture(captured: Capture, plan: DecodePlan, still_wanted: StillWanted = ignore) -> Iterator[Frames]:
    """See `capture.decode`. Raises TimedOut and InternalError, too."""
    task = {
        "task": "capture",
        "plan": asdict(plan),
        "seconds": captured.seconds,
        "sizes": captured.sizes,
        "sizes_bytes": [len(image) for image in captured.images],
    }
    with tempfile.TemporaryFile(buffering=0) as media:  # it has no name
        for image in captured.images:
            media.write(image)
        media.seek(0)
        yield from _windows(task, media, plan, still_wanted)


def _windows(task: dict[str, Any], media: BinaryIO, plan: DecodePlan, still_wanted: StillWanted) -> Iterator[Frames]:
    for message in _answers(task, media, _most_bytes(plan), still_wanted):
        yield _to_frames(message, plan)


def _most_bytes(plan: DecodePlan) -> int:
    """Of the pictures of one window."""
    return plan.frames_per_window * plan.max_side_px**2 * 3


def _answers(
    task: dict[str, Any],
    media: BinaryIO,
    most_bytes: int,
    still_wanted: StillWanted,
    parts: Parts | None = None,
) -> Generator[Message]:
    """What a child says to a task, up to its end."""
    with ExitStack() as open_things:
        child = open_things.enter_context(_start(task, media, most_bytes, parts, open_things))
        heard_at = time.monotonic()
        while True:
            still_wanted()
            message = _next_message(child)
            if message is None:
                if time.monotonic() > heard_at + SILENCE_SECONDS:
                    raise _overtime()
                continue
            if "end" in message.fields:
                return
            if "error" in message.fields:
                raise from_code(message.fields["error"]["code"], message.fields["error"]["message"])
            yield message
            heard_at = time.monotonic()


def _start(
    task: dict[str, Any], media: BinaryIO, most_bytes: int, parts: Parts | None, open_things: ExitStack
) -> Child:
    """A child at the task, and with `parts` a pipe on which it hears what has come."""
    if parts is None:
        return Child(START, [json.dumps(task)], stdin=media, max_payload_bytes=most_bytes)
    hears, tells = os.pipe()
    open_things.callback(os.close, hears)
    speaker = open_things.enter_context(FileIO(tells, "wb"))

    def fetch(fields: dict[str, Any]) -> None:
        begin, end = _to_range(fields["want"], parts.size_bytes)
        here = parts.provide(begin, end)
        with suppress(ValueError):  # it is closed: nobody wants to know any more
            speaker.write(struct.pack(ANNOUNCED, *here))

    return Child(
        START,
        [json.dumps(task | {"announced_on": hears})],
        stdin=media,
        max_payload_bytes=most_bytes,
        pass_fds=(hears,),
        on_want=fetch,
    )


def _to_range(said: object, size_bytes: int) -> tuple[int, int]:
    """What the child asks for, if it is a part of the file."""
    match said:
        case [int(begin), int(end)] if 0 <= begin < end <= size_bytes:
            return begin, end
        case _:
            raise _nonsense()


def _next_message(child: Child) -> Message | None:
    try:
        return child.next_message()
    except subprocess.CalledProcessError as crash:
        raise _explain(crash) from crash


def _explain(crash: subprocess.CalledProcessError) -> UnmaskError:
    """What a person is told whose video ended the decoder."""
    name = signal.Signals(-crash.returncode).name if crash.returncode < 0 else ""
    if name in OVERTIME:
        return _overtime()
    if name in CRASHES:
        logger.warning("The decoder crashed on a video: %s", name)
        return NotAVideo("This video is damaged in a way that stops the decoder. Give another copy of it.")
    logger.error("The decoder ended with %s: %s", name or crash.returncode, frames(crash.stderr))
    return InternalError("The video could not be read, for a reason on our side. Trying again may help.")


def _to_stream(message: Message) -> VideoStream:
    """The child has read a stranger's file: what it says is looked at once more."""
    try:
        stream = VideoStream(**message.fields["stream"])
        numbers = [stream.duration_seconds or 0.0, stream.frame_rate or 0.0, stream.begin_seconds]
        sane = min(stream.width, stream.height, *numbers) >= 0 and all(map(math.isfinite, numbers))
    except (KeyError, TypeError) as error:
        raise _nonsense() from error
    if not sane or not isinstance(stream.codec, str):
        raise _nonsense()
    return stream


def _to_frames(message: Message, plan: DecodePlan) -> Frames:
    """The same for pictures, whose shape and times others rely on."""
    assert message.payload is not None
    try:
        count, height, width, _ = map(int, message.fields["shape"])
        data = message.payload.reshape(count, height, width, 3)
        frames = Frames(data, np.array(message.fields["seconds"], float), float(message.fields["scale"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _nonsense() from error
    rising = np.isfinite(frames.seconds).all() and (np.diff(frames.seconds) > 0).all()
    fits = 1 <= count <= plan.frames_per_window and min(height, width) >= 1
    if not (rising and fits and max(height, width) <= plan.max_side_px and 1 <= frames.scale < math.inf):
        raise _nonsense()
    return frames


def _overtime() -> TimedOut:
    return TimedOut("Reading the pictures of this video took too long. Give a shorter or smaller one.")


def _nonsense() -> InternalError:
    return InternalError("The video could not be read, for a reason on our side. Trying again may help.")
