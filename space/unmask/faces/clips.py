"""Cut face clips out of frames and normalise them to model input, in training and serving alike."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from unmask.faces.tracking import FaceTrack
from unmask.video.frames import Frames

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)
ALIGNED_LANDMARKS = np.array(  # of GenD: eyes, nose, corners of the mouth in a square of side 1
    [(0.34, 0.46), (0.66, 0.46), (0.5, 0.64), (0.37, 0.82), (0.63, 0.82)], np.float32
)
RESAMPLINGS = ("area", "bilinear", "bicubic")  # the last two as Pillow has them, which large towers learned from
RECOMPRESSION_JPEG_QUALITY = 70  # as one more upload to a site does


@dataclass(frozen=True)
class ClipSpec:
    """How a face is cut and normalised for a model; saved with its weights."""

    frames_per_clip: int = 8
    frame_stride_seconds: float = 0.12  # from one frame of a clip to the next
    side_px: int = 160  # of the square crop
    crop_scale: float = 1.0  # side of the square / mean of the face box's width and height
    crop_shift: tuple[float, float] = (0.013, 0.042)  # right and down, in sides; as the DFDC crops are cut
    aligned: bool = False  # turned upright by the landmarks, which then give place and size instead of the box
    resampling: str = "area"  # one of RESAMPLINGS
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.frames_per_clip < 1 or self.side_px < 1:
            raise ValueError("frames_per_clip and side_px must be at least 1")
        if not (self.frame_stride_seconds > 0 and self.crop_scale > 0 and min(self.std) > 0):
            raise ValueError("frame_stride_seconds, crop_scale and std must be positive")
        if self.resampling not in RESAMPLINGS:
            raise ValueError(f"resampling must be one of {', '.join(RESAMPLINGS)}")


@dataclass(frozen=True, repr=False)
class FaceClip:
    """One face through successive frames."""

    data: UInt8Array  # (T, S, S, 3) RGB
    seconds: Float64Array  # (T,) presentation times
    track_id: int
    xyxy: Float32Array  # (T, 4) the square around the face, px of the decoded frame; may reach beyond it

    def __post_init__(self) -> None:
        count, side_px = (*self.data.shape, 0, 0)[:2]
        if self.data.shape != (count, side_px, side_px, 3) or count < 1 or self.data.dtype != np.uint8:
            raise ValueError(f"data must be uint8 (T, S, S, 3), not {self.data.dtype} {self.data.shape}")
        if self.seconds.shape != (count,) or self.xyxy.shape != (count, 4):
            raise ValueError(f"{count} frames, but seconds {self.seconds.shape} and xyxy {self.xyxy.shape}")

    def __repr__(self) -> str:
        return f"FaceClip(data={self.data.shape}, track_id={self.track_id}, start={self.seconds[0]:.3f} s)"

    def frames(self) -> list["FaceClip"]:
        """Split the clip into clips of one frame."""
        parts = zip(self.data[:, None], self.seconds[:, None], self.xyxy[:, None], strict=True)
        return [FaceClip(data, seconds, self.track_id, xyxy) for data, seconds, xyxy in parts]


def crop(frames: Frames, track: FaceTrack, spec: ClipSpec) -> FaceClip:
    """Cut the track's face out of its first `frames_per_clip` frames."""
    kept = slice(spec.frames_per_clip)
    squares = square_boxes(track.xyxy[kept], spec)
    seen = zip(track.frame_index[kept], squares, track.landmarks[kept], strict=True)
    faces = [_crop_face(frames.data[index], square, landmarks, spec) for index, square, landmarks in seen]
    return FaceClip(np.stack(faces), track.seconds[kept], track.id, squares)


def _crop_face(image: UInt8Array, square: Float32Array, landmarks: Float32Array, spec: ClipSpec) -> UInt8Array:
    upright = align(image, landmarks, spec.crop_scale) if spec.aligned else None
    if upright is None:
        return crop_square(image, square, spec.side_px, spec.resampling)
    return crop_square(upright, (0, 0, *upright.shape[:2]), spec.side_px, spec.resampling)


def align(image: UInt8Array, landmarks: Float32Array, scale: float) -> UInt8Array | None:
    """Turn a face upright and cut it at its own size, as GenD (Yermakov et al., WACV 2026) does -> (S, S, 3).

    Args:
        image: (H, W, 3). Beyond it is black.
        landmarks: (5, 2) px. None is returned where they lie in one place.
        scale: Side of the square, relative to that in which the landmarks lie at ALIGNED_LANDMARKS.
    """
    pairs = np.triu_indices(len(landmarks), 1)
    here, there = (np.linalg.norm(points[:, None] - points, axis=2)[pairs] for points in (landmarks, ALIGNED_LANDMARKS))
    side_px = round(float((here / there).mean()) * scale)
    if side_px < 1:
        return None
    margin_px = side_px * (scale - 1) / 2
    wanted = (ALIGNED_LANDMARKS * side_px + margin_px) * (side_px / (side_px + 2 * margin_px))
    matrix, _ = cv2.estimateAffinePartial2D(landmarks, wanted, method=cv2.LMEDS)
    return None if matrix is None else cv2.warpAffine(image, matrix, (side_px, side_px))


def square_boxes(xyxy: Float32Array, spec: ClipSpec) -> Float32Array:
    """Compute the squares (n, 4) that the spec cuts around face boxes (n, 4)."""
    sizes = xyxy[:, 2:] - xyxy[:, :2]
    sides = sizes.mean(1, keepdims=True) * spec.crop_scale
    centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2 + np.array(spec.crop_shift, np.float32) * sides
    return np.concatenate([centres - sides / 2, centres + sides / 2], 1).astype(np.float32)


def crop_square(image: UInt8Array, xyxy: npt.ArrayLike, side_px: int, resampling: str = "area") -> UInt8Array:
    """Cut a box (px, rounded to whole ones) out of (H, W, 3) and scale it to (side_px, side_px, 3).

    Beyond the image its edge is repeated. `area` averages areas when scaling down, and is cubic when scaling up.
    """
    x1, y1, x2, y2 = np.asarray(xyxy, np.float64).tolist()
    left, top = round(x1), round(y1)
    width, height = max(1, round(x2 - x1)), max(1, round(y2 - y1))
    patch = _cut(image, left, top, width, height)
    if resampling != "area":
        from PIL import Image  # no bundled model needs it

        method = Image.Resampling[resampling.upper()]
        return np.asarray(Image.fromarray(patch).resize((side_px, side_px), method))
    method = cv2.INTER_AREA if min(width, height) >= side_px else cv2.INTER_CUBIC
    return cv2.resize(patch, (side_px, side_px), interpolation=method)


def _cut(image: UInt8Array, left: int, top: int, width: int, height: int) -> UInt8Array:
    rows, columns = image.shape[:2]
    if left >= 0 and top >= 0 and left + width <= columns and top + height <= rows:
        return image[top : top + height, left : left + width]
    y = np.clip(np.arange(top, top + height), 0, rows - 1)
    x = np.clip(np.arange(left, left + width), 0, columns - 1)
    return image[y[:, None], x]


def recompressed(clip: FaceClip) -> FaceClip:
    """Compress a clip mildly once more, as JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, RECOMPRESSION_JPEG_QUALITY]
    encoded = (cv2.imencode(".jpg", image[..., ::-1], options)[1] for image in clip.data)
    return replace(clip, data=np.stack([cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) for data in encoded]))


def normalise(clip: FaceClip, spec: ClipSpec) -> Float32Array:
    """Normalise a clip to model input: (T, 3, S, S), channels and rows contiguous.

    Raises:
        ValueError: It is longer or of another side than the spec's clips.
    """
    count, side_px = clip.data.shape[:2]
    if count > spec.frames_per_clip or side_px != spec.side_px:
        raise ValueError(f"a clip of {count} frames of {side_px} px does not fit {spec}")
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))
    pixels = np.ascontiguousarray(clip.data.transpose(0, 3, 1, 2)).astype(np.float32)
    return ((pixels / 255 - mean) / std).astype(np.float32, copy=False)
