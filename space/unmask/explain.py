"""What the model looked at: a heatmap on a face, and the whole video with the findings drawn in."""

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask.clips import FaceClip, to_input
from unmask.decoder import play, probe
from unmask.plan import Span
from unmask.progress import OnProgress
from unmask.report import Report
from unmask.scene import Scene
from unmask.video import VideoStream
from unmask.weights import LoadedModel

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

BLUR_SHARE = 1 / 32  # of the side: radius of the blur that takes a face's details away
GRADIENT_STEPS = 8
JPEG_QUALITY = 88
GLOW_FROM = 0.3  # colder places show the face unchanged
GLOW_OPACITY = 0.6  # of the hottest place
OUTLINE_FROM = 0.6  # hotter places are outlined, for eyes that do not tell the colours apart

WHOLE_SECONDS = 60.0  # a longer video moves around its analysed moments only
MARGIN_SECONDS = 1.0  # before and after such a moment
HELD_SECONDS = 5.0  # the still picture in between comes this often, so that a player can jump into it
MIN_STEP_SECONDS = 1 / 31  # frames that come faster than 30 a second are left out
SIDE_PX = (640, 1280)  # shortest and longest allowed longer side of the drawn picture
TICKS = 90_000  # a second, in the drawn file
TELL_SECONDS = 0.25  # between two signs of progress


# --- heatmaps


def heatmap(model: LoadedModel, clip: FaceClip) -> Float32Array:
    """Which places of each frame the score rests on: (T, S, S) in 0..1, in each frame the hottest is 1.

    Integrated gradients (Sundararajan et al., ICML 2017) on the last feature map of the backbone, from the
    blurred face to the face itself, through the whole temporal model: how much the details of a place move
    the logit, up or down. Plain Grad-CAM failed where this holds: blurring a hot place changes the score
    more than blurring a cold one. All zero for a face without details.
    """
    blur_px = clip.data.shape[1] * BLUR_SHARE
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), blur_px) for image in clip.data])
    # cuDNN cannot go backward through a recurrent network that is not being trained
    with (
        torch.inference_mode(False),
        torch.autocast(model.device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=False),
    ):
        start, end = (_maps(model, replace(clip, data=data)) for data in (blurred, clip.data))
        heat = ((end - start) * _mean_gradient(model, start, end)).sum(1).abs().cpu().numpy()
    hottest = np.maximum(heat.max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
    return np.stack([_enlarge(frame, clip.data.shape[1]) for frame in heat / hottest])


@torch.no_grad()
def _maps(model: LoadedModel, clip: FaceClip) -> Tensor:
    """Last feature map of each frame, (T, C, h, w) in full precision."""
    images = to_input([clip], model.spec).data[0, : len(clip.data)]
    return model.module.frame_features(images.to(model.device)).float()


def _mean_gradient(model: LoadedModel, start: Tensor, end: Tensor) -> Tensor:
    """Of the logit, along the straight way from one series of maps (T, C, h, w) to another."""
    mask = torch.ones(1, len(start), dtype=torch.bool, device=start.device)
    total = torch.zeros_like(start)
    for step in range(GRADIENT_STEPS):
        share = (step + 0.5) / GRADIENT_STEPS
        maps = (start + share * (end - start)).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(model.module.temporal(maps[None], mask).sum(), maps)
        total += gradient
    return total / GRADIENT_STEPS


def _enlarge(heat: Float32Array, side_px: int) -> Float32Array:
    """(h, w) -> (side_px, side_px), smooth."""
    large = cv2.resize(heat.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    clipped: Float32Array = np.clip(large, 0.0, 1.0).astype(np.float32)
    return clipped


def paint(image: UInt8Array, heat: Float32Array) -> UInt8Array:
    """Lay heat (S, S) in 0..1 over a face (S, S, 3): a warm glow, and a line around the hot places."""
    shown = np.clip((heat - GLOW_FROM) / (1 - GLOW_FROM), 0, 1)
    levels = (255 * (0.45 + 0.28 * shown)).astype(np.uint8)  # magenta to orange: neither black nor white
    colors = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    opacity = GLOW_OPACITY * shown[..., None]
    painted = (image * (1 - opacity) + colors * opacity).round().astype(np.uint8)
    outlines, _ = cv2.findContours(
        (heat >= OUTLINE_FROM).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    for color, width in (((0, 0, 0), 2), ((255, 255, 255), 1)):  # seen on light and on dark
        cv2.drawContours(painted, outlines, -1, color, width, cv2.LINE_AA)
    return painted


def jpeg(image: UInt8Array) -> bytes:
    """RGB (H, W, 3) -> JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"no JPEG from {image.shape}")
    return data.tobytes()


# --- the video with the findings


def overlay(video: Path, report: Report, out: Path, on_progress: OnProgress) -> None:
    """Draw boxes, scores, label and a timeline strip into a copy of `video`, without sound, as H.264 MP4.

    Times stay true, so that a player jumps to the same second in both. Of a video longer than a minute only
    the analysed moments move; a dimmed still picture stands for the rest, so the cost is bounded.
    Raises what `decoder.play` and `on_progress` raise; then there is no file `out`.
    """
    stream = probe(video)
    size = drawn_size(stream)
    scene = Scene(report, (stream.width, stream.height), size, _end_seconds(report, stream))
    tell = _throttled(on_progress, scene.end_seconds)
    try:
        with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            writer = _Writer(container, scene.canvas_px)
            _draw(video, scene, writer, tell)
            writer.close()
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    on_progress("explain", 1.0, "The findings are drawn in")


def drawn_size(stream: VideoStream) -> tuple[int, int]:
    """(width, height) of the drawn picture: small ones are enlarged, so that text fits; both even."""
    longer = max(stream.width, stream.height)
    scale = min(max(longer, SIDE_PX[0]), SIDE_PX[1]) / longer
    return max(2, 2 * round(stream.width * scale / 2)), max(2, 2 * round(stream.height * scale / 2))


def moving_parts(scene: Scene) -> list[Span]:
    """The parts of the file that are played, in order; what lies between is held."""
    if scene.end_seconds - scene.start_seconds <= WHOLE_SECONDS:
        return [Span(scene.start_seconds, scene.end_seconds)]
    parts: list[Span] = []
    for start, end in scene.moments():
        part = Span(
            max(scene.start_seconds, start - MARGIN_SECONDS), min(scene.end_seconds, end + MARGIN_SECONDS)
        )
        last = parts[-1].end_seconds if parts else None
        if last is not None and part.start_seconds <= last:
            part = Span(parts.pop().start_seconds, max(last, part.end_seconds or 0.0))
        parts.append(part)
    return parts or [Span(scene.start_seconds, scene.start_seconds + MARGIN_SECONDS)]


def _end_seconds(report: Report, stream: VideoStream) -> float:
    """End of the part that was asked for, in the file's seconds."""
    coverage = report["coverage"]
    offset = coverage.get("offset_seconds") or 0.0
    last = max((span["end_seconds"] - offset for span in report["timeline"]), default=0.0)
    end = stream.duration_seconds or last + MARGIN_SECONDS
    asked = coverage.get("end_seconds")
    return end if asked is None else max(MARGIN_SECONDS, min(end, asked - offset))


def _draw(video: Path, scene: Scene, writer: "_Writer", tell: Callable[[float], None]) -> None:
    """Played parts, and still pictures between, before and after them."""
    still: UInt8Array | None = None
    for part in moving_parts(scene):
        for seconds, image in play(video, part, max(scene.picture_px)):
            tell(seconds)
            if seconds - writer.last_seconds > HELD_SECONDS:
                _hold(scene, image if still is None else still, seconds, writer, tell)
            if seconds - writer.last_seconds >= MIN_STEP_SECONDS:
                writer.add(scene.draw(image, seconds), seconds)
            still = image
    if still is not None and scene.end_seconds - writer.last_seconds > HELD_SECONDS:
        _hold(scene, still, scene.end_seconds, writer, tell)


def _hold(
    scene: Scene, image: UInt8Array, until_seconds: float, writer: "_Writer", tell: Callable[[float], None]
) -> None:
    seconds = max(0.0, writer.last_seconds + MIN_STEP_SECONDS)
    while seconds < until_seconds - MIN_STEP_SECONDS:
        tell(seconds)
        writer.add(scene.draw_held(image, seconds, until_seconds), seconds)
        seconds += HELD_SECONDS


class _Writer:
    """H.264 that every browser plays, with the given presentation times."""

    def __init__(self, container: Any, size: tuple[int, int]) -> None:
        self._container = container
        self._stream = container.add_stream("libx264", rate=30)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._stream.options = {"preset": "superfast", "crf": "23", "g": "60", "bf": "0"}
        self.last_seconds = float("-inf")

    def add(self, image: UInt8Array, seconds: float) -> None:
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = round(seconds * TICKS), Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))
        self.last_seconds = seconds

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))


def _throttled(on_progress: OnProgress, end_seconds: float) -> Callable[[float], None]:
    """Seconds of the file -> a sign of progress, now and then."""
    told = float("-inf")

    def tell(seconds: float) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            on_progress("explain", min(1.0, seconds / end_seconds), "Drawing the findings into the video")

    return tell
