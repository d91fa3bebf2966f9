"""Draw the findings of a report into a copy of its video."""

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from unmask.progress import OnProgress
from unmask.render.drawing import Scene, UInt8Array
from unmask.report import CheckReport
from unmask.video.decode_client import play, probe
from unmask.video.frames import VideoStream
from unmask.video.sampling import Span

WHOLE_SECONDS = 60.0  # a longer video moves around its analysed moments only
MARGIN_SECONDS = 1.0  # before and after such a moment
STILL_SECONDS = 5.0  # the still picture in between comes this often, so that a player can seek into it
MIN_STEP_SECONDS = 1 / 31  # frames that come faster than 30 a second are left out
SIDE_PX = (640, 1280)  # smallest and largest longer side of the drawn picture
TICKS = 90_000  # a second, in the drawn file
PROGRESS_SECONDS = 0.25  # between two reports of progress


def overlay(video: Path, report: CheckReport, out: Path, on_progress: OnProgress) -> None:
    """Draw boxes, scores, label and a timeline strip into a copy of `video`, without sound, as H.264 MP4.

    Times stay true, so that a player jumps to the same second in both. Of a video longer than a minute only
    the analysed moments move; a dimmed still picture stands for the rest, so the cost is bounded.
    Raises what `decode_client.play` and `on_progress` raise; then there is no file `out`.
    """
    import av  # loaded here alone in this process, to write: a worker process reads what others made

    stream = probe(video)
    size = drawn_size(stream)
    scene = Scene(report, (stream.width, stream.height), size, _end_seconds(report, stream))
    report_seconds = _throttled(on_progress, scene.end_seconds)
    try:
        with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            writer = _Writer(container, scene.canvas_px, av.VideoFrame.from_ndarray)
            _draw(video, scene, writer, report_seconds)
            writer.close()
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    on_progress("explain", 1.0, "The findings are drawn in")


def drawn_size(stream: VideoStream) -> tuple[int, int]:
    """Compute width and height of the drawn picture: small ones are enlarged, so that text fits; both even."""
    longer = max(stream.width, stream.height)
    scale = min(max(longer, SIDE_PX[0]), SIDE_PX[1]) / longer
    return max(2, 2 * round(stream.width * scale / 2)), max(2, 2 * round(stream.height * scale / 2))


def moving_parts(scene: Scene) -> list[Span]:
    """List the parts of the file that move, in order; between them the picture stands still."""
    if scene.end_seconds - scene.start_seconds <= WHOLE_SECONDS:
        return [Span(scene.start_seconds, scene.end_seconds)]
    parts: list[Span] = []
    for start, end in scene.moments():
        part = Span(max(scene.start_seconds, start - MARGIN_SECONDS), min(scene.end_seconds, end + MARGIN_SECONDS))
        last = parts[-1].end_seconds if parts else None
        if last is not None and part.start_seconds <= last:
            part = Span(parts.pop().start_seconds, max(last, part.end_seconds or 0.0))
        parts.append(part)
    return parts or [Span(scene.start_seconds, scene.start_seconds + MARGIN_SECONDS)]


def _end_seconds(report: CheckReport, stream: VideoStream) -> float:
    """Compute the end of the checked part, in the file's seconds."""
    coverage = report["coverage"]
    offset = coverage["offset_seconds"]
    last = max((span["end_seconds"] - offset for span in report["timeline"]), default=0.0)
    end = stream.duration_seconds or last + MARGIN_SECONDS
    range_end = coverage["end_seconds"]
    return end if range_end is None else max(MARGIN_SECONDS, min(end, range_end - offset))


def _draw(video: Path, scene: Scene, writer: "_Writer", report_seconds: Callable[[float], None]) -> None:
    """Draw the parts that move, and still pictures between, before and after them."""
    still: UInt8Array | None = None
    for part in moving_parts(scene):
        for seconds, image in play(video, part, max(scene.picture_px)):
            report_seconds(seconds)
            if seconds - writer.last_seconds > STILL_SECONDS:
                _draw_still(scene, image if still is None else still, seconds, writer, report_seconds)
            if seconds - writer.last_seconds >= MIN_STEP_SECONDS:
                writer.add(scene.draw(image, seconds), seconds)
            still = image
    if still is not None and scene.end_seconds - writer.last_seconds > STILL_SECONDS:
        _draw_still(scene, still, scene.end_seconds, writer, report_seconds)


def _draw_still(
    scene: Scene, image: UInt8Array, until_seconds: float, writer: "_Writer", report_seconds: Callable[[float], None]
) -> None:
    seconds = max(0.0, writer.last_seconds + MIN_STEP_SECONDS)
    while seconds < until_seconds - MIN_STEP_SECONDS:
        report_seconds(seconds)
        writer.add(scene.draw_still(image, seconds, until_seconds), seconds)
        seconds += STILL_SECONDS


class _Writer:
    """An encoder of H.264 that every browser plays, with the given presentation times."""

    def __init__(self, container: Any, size: tuple[int, int], to_frame: Callable[..., Any]) -> None:
        self._container, self._to_frame = container, to_frame
        self._stream = container.add_stream("libx264", rate=30)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._stream.options = {"preset": "superfast", "crf": "23", "g": "60", "bf": "0"}
        self.last_seconds = float("-inf")

    def add(self, image: UInt8Array, seconds: float) -> None:
        """Encode a frame."""
        frame = self._to_frame(image, format="rgb24")
        frame.pts, frame.time_base = round(seconds * TICKS), Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))
        self.last_seconds = seconds

    def close(self) -> None:
        """Encode what is left."""
        self._container.mux(self._stream.encode(None))


def _throttled(on_progress: OnProgress, end_seconds: float) -> Callable[[float], None]:
    """Convert seconds of the file to progress, and report it only now and then."""
    last = float("-inf")

    def report_seconds(seconds: float) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            on_progress("explain", min(1.0, seconds / end_seconds), "Drawing the findings into the video")

    return report_seconds
