"""Measure how large, sharp and long in view a face is, and tell which tracks are worth scoring."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from unmask.faces.detector import cut_patch
from unmask.faces.tracking import FaceTrack, mean_side
from unmask.video.frames import Frames

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

SHARPNESS_SIDE_PX = 64  # faces in frames are compared at this size
CROP_SHARPNESS_SIDE_PX = 128  # and crops at this, which separates blurred from sharp ones best


@dataclass(frozen=True)
class FaceRules:
    """Limits within which a track is worth scoring."""

    min_side_px: float = 48.0  # mean of width and height in the decoded frame
    min_sharpness: float = 0.045  # see `sharpness`; a face enlarged from 24 px has 0.036, clear ones 0.1 to 1
    min_frames: int = 3  # of a window; in a shorter window, all of its frames


def exclusion_reason(track: FaceTrack, frames: Frames, rules: FaceRules) -> str | None:
    """Return why a track is not worth scoring, a code of `verdict_text.REASONS`, or None."""
    if len(track) < min(rules.min_frames, len(frames)):
        return "face_too_brief"
    if mean_side(track) < rules.min_side_px:
        return "face_too_small"
    if sharpness(frames, track) < rules.min_sharpness:
        return "face_too_blurred"
    return None


def sharpness(frames: Frames, track: FaceTrack) -> float:
    """Compute the share of fine detail in a face: variance of its Laplacian / its variance, median over frames.

    It is measured at one size, and does not change with exposure or contrast.
    """
    detections = zip(track.frame_index, track.xyxy, strict=True)
    return float(np.median([_detail(frames.data[at], box, SHARPNESS_SIDE_PX) for at, box in detections]))


def crop_sharpness(crops: UInt8Array) -> float:
    """Compute the sharpness of a face's crops (T, S, S, 3), as `sharpness` does."""
    whole = np.array([0, 0, crops.shape[2], crops.shape[1]], np.float32)
    return float(np.median([_detail(crop, whole, CROP_SHARPNESS_SIDE_PX) for crop in crops]))


def _detail(image: UInt8Array, xyxy: Float32Array, side_px: int) -> float:
    height, width = image.shape[:2]
    inside = xyxy.clip(0, [width, height, width, height])  # black beyond the image would count as detail
    face = cut_patch(image, inside, side_px)
    gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F).var() / max(gray.var(), 1.0))
