"""Explain a score: a heatmap of what it rests on, over the face."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from unmask.faces.clips import FaceClip
from unmask.models.inference import LoadedModel

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

BLUR_SHARE = 1 / 32  # of the side: sigma of the blur that removes a face's details
JPEG_QUALITY = 88
GLOW_FROM = 0.3  # below, the face is shown unchanged
GLOW_OPACITY = 0.6  # where the map is 1
OUTLINE_FROM = 0.6  # above, places are outlined, for people who do not tell the colours apart


@dataclass(frozen=True)
class Explanation:
    """The frame of a face that looks worst, and what its score rests on."""

    seconds: float
    face: bytes  # JPEG
    heatmap: bytes  # JPEG of the same with what the score rests on


def explain(model: LoadedModel, clip: FaceClip) -> Explanation:
    """Show the frame of a clip that looks worst when scored alone, and what that score rests on."""
    single = clip.frames()
    worst = single[int(np.argmax(model.logits(single)))]
    (face,), (heat,) = worst.data, heatmap(model, worst)
    return Explanation(float(worst.seconds[0]), jpeg(face), jpeg(paint(face, heat)))


def heatmap(model: LoadedModel, clip: FaceClip) -> Float32Array:
    """Compute how much each place of a frame moves its logit, up or down: (T, S, S) in 0..1, each frame's maximum 1.

    Integrated gradients (Sundararajan et al., ICML 2017) on the last feature map of the backbone, from the blurred face
    to the face itself, through the temporal head. Unlike with Grad-CAM, blurring a place with a high value changes the
    score more than blurring one with a low value. All zero for a face without details.
    """
    blur_px = clip.data.shape[1] * BLUR_SHARE
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), blur_px) for image in clip.data])
    heat = model.heat(replace(clip, data=blurred), clip)
    hottest = np.maximum(heat.max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
    return np.stack([_enlarge(frame, clip.data.shape[1]) for frame in heat / hottest])


def _enlarge(heat: Float32Array, side_px: int) -> Float32Array:
    """Resize a map (h, w) -> (side_px, side_px), smoothly."""
    large = cv2.resize(heat.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    clipped: Float32Array = np.clip(large, 0.0, 1.0).astype(np.float32)
    return clipped


def paint(image: UInt8Array, heat: Float32Array) -> UInt8Array:
    """Draw a map (S, S) in 0..1 on a face (S, S, 3): a glow, and an outline of high values."""
    shown = np.clip((heat - GLOW_FROM) / (1 - GLOW_FROM), 0, 1)
    levels = (255 * (0.45 + 0.28 * shown)).astype(np.uint8)  # magenta to orange: neither black nor white
    colors = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    opacity = GLOW_OPACITY * shown[..., None]
    painted = (image * (1 - opacity) + colors * opacity).round().astype(np.uint8)
    outlines, _ = cv2.findContours((heat >= OUTLINE_FROM).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for color, width in (((0, 0, 0), 2), ((255, 255, 255), 1)):  # visible on light and on dark
        cv2.drawContours(painted, outlines, -1, color, width, cv2.LINE_AA)
    return painted


def jpeg(image: UInt8Array) -> bytes:
    """Encode RGB (H, W, 3) as JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"no JPEG from {image.shape}")
    return data.tobytes()
