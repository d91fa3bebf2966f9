"""Whether a heatmap is true: where it is hot, blurring must move the score more than where it is cold."""

from dataclasses import replace

import cv2
import numpy as np

from unmask.faces.clips import FaceClip
from unmask.models.inference import LoadedModel
from unmask.models.saliency import BLUR_SHARE, Float32Array


def effects(
    model: LoadedModel, clip: FaceClip, heat: Float32Array, side_px: int, blur_share: float = BLUR_SHARE
) -> tuple[float, float]:
    """How much blurring the hottest and the coldest square of heat (S, S) moves the logit of the clip."""
    blur_px = blur_share * model.spec.side_px
    means = cv2.blur(heat, (side_px, side_px), borderType=cv2.BORDER_CONSTANT)
    edge = side_px // 2
    inner = means[edge : len(means) - edge, edge : len(means) - edge]
    places = (np.unravel_index(index, inner.shape) for index in (inner.argmax(), inner.argmin()))
    blurred = [_blur_square(clip, int(y), int(x), side_px, blur_px) for y, x in places]
    plain, hot, cold = model.logits([clip, *blurred])
    return abs(float(hot - plain)), abs(float(cold - plain))


def _blur_square(clip: FaceClip, y: int, x: int, side_px: int, blur_px: float) -> FaceClip:
    data = clip.data.copy()
    for image in data:
        smooth = cv2.GaussianBlur(image, (0, 0), blur_px)
        image[y : y + side_px, x : x + side_px] = smooth[y : y + side_px, x : x + side_px]
    return replace(clip, data=data)
