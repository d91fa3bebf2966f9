"""Make blended fakes from real faces alone, so that a detector learns traces of blending and not one data set.

Written from Shiohara & Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022: two slightly different
versions of one face are blended under a deformed, soft landmark mask. Added are: a mask over a part of the face, as
re-enactment changes only the mouth or the eyes; a source that is another person's face of the same pose and colour
(cross-blending), as in a face swap; a source that is elastically deformed, and one that is smoothed and then sharpened,
as generators render faces; and blending of gradients (Perez et al., 2003), which leaves no edge of colour.
"""

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.synthesis import landmarks

Image = NDArray[np.uint8]
Points = NDArray[np.float32]
Mask = NDArray[np.float32]

REGIONS = {  # mesh points whose hull is the mask, and their probability
    "face": (landmarks.OVAL, 0.6),
    "inner": (landmarks.LIPS + landmarks.EYES + landmarks.NOSE, 0.2),
    "mouth": (landmarks.LIPS + (152, 148, 377, 2), 0.1),
    "eyes": (landmarks.EYES + (168,), 0.1),
}
OPACITIES = (0.5, 0.75, 1.0, 1.0, 1.0)
DEFORMED_SHARE = 0.3  # of the self-blended: the source is elastically deformed
GRADIENT_SHARE = 0.08  # of all: gradients are blended instead of colours


def self_blend(image: Image, points: Points, rng: Generator) -> Image:
    """Blend a real crop (S, S, 3) with a changed copy of itself; `points` is its mesh (468, 2)."""
    source, target = image, image
    if rng.random() < 0.5:
        source = _shift_statistics(source, rng)
    else:
        target = _shift_statistics(target, rng)
    if rng.random() < DEFORMED_SHARE:
        source = deform_elastically(source, 0.012, rng)
    return _paste_region(source, target, points, rng)


def cross_blend(image: Image, points: Points, other: Image, other_points: Points, rng: Generator) -> Image:
    """Blend `other`'s face, aligned by the mesh and with its colour transferred, onto `image` -> (S, S, 3)."""
    matrix, _ = cv2.estimateAffinePartial2D(other_points, points)
    if matrix is None:
        return self_blend(image, points, rng)
    aligned = cv2.warpAffine(other, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    return _paste_region(transfer_colour(np.asarray(aligned, np.uint8), image, points), image, points, rng)


def flicker(real: NDArray[np.uint8], fake: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Vary the strength and the place of what a blend changed from frame to frame of (T, S, S, 3).

    Faces that are swapped frame by frame flicker so, filmed ones do not: a temporal head can learn this from stills.
    """
    strength, shake_px = rng.uniform(0.05, 0.3), rng.uniform(0.0, 0.008) * real.shape[1]
    frames = []
    for before, after in zip(real.astype(np.float32), fake.astype(np.float32), strict=True):
        shift = rng.normal(0, shake_px, 2)
        matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
        change = cv2.warpAffine(after - before, matrix, before.shape[1::-1])
        frames.append(before + change * np.clip(rng.normal(1, strength), 0.2, 1.6))
    return np.clip(np.rint(np.stack(frames)), 0, 255).astype(np.uint8)


def region_mask(points: Points, side_px: int, rng: Generator) -> Mask:
    """Draw a deformed, soft mask (S, S) in 0..1 over the whole face or a part of it, given the mesh (468, 2)."""
    names = list(REGIONS)
    chosen = names[rng.choice(len(names), p=[REGIONS[name][1] for name in names])]
    outline = points[list(REGIONS[chosen][0])] + rng.normal(0, 0.01 * side_px, (len(REGIONS[chosen][0]), 2))
    hull = cv2.convexHull(outline.astype(np.float32)).astype(np.int32)
    mask = np.zeros((side_px, side_px), np.float32)
    cv2.fillConvexPoly(mask, hull, 1.0)
    return soften_edges(deform_elastically(mask, 0.03, rng), rng)


def _paste_region(source: Image, target: Image, points: Points, rng: Generator) -> Image:
    side_px = target.shape[0]
    mask = region_mask(points, side_px, rng)
    shift = rng.uniform(-0.03, 0.03, 2) * side_px * (1.0, 0.5)
    scale = rng.uniform(0.95, 1.05)
    centre = side_px / 2
    matrix = np.array(
        [[scale, 0, centre * (1 - scale) + shift[0]], [0, scale, centre * (1 - scale) + shift[1]]], np.float32
    )
    moved = cv2.warpAffine(source, matrix, (side_px, side_px), borderMode=cv2.BORDER_REFLECT)
    moved_mask = cv2.warpAffine(mask, matrix, (side_px, side_px))[..., None] * rng.choice(OPACITIES)
    if rng.random() < GRADIENT_SHARE:
        moved = _paste_gradients(np.asarray(moved, np.uint8), target, moved_mask)
    blended = moved * moved_mask + target * (1 - moved_mask)
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)


def _paste_gradients(source: Image, target: Image, mask: Mask) -> Image:
    """Give the target the source's gradients where the mask (S, S, 1) is not zero."""
    inside = np.asarray((mask[..., 0] > 0.02) * np.uint8(255))
    inside[[0, -1]] = inside[:, [0, -1]] = 0  # the edge of the crop has nothing to start from
    x, y, width, height = cv2.boundingRect(inside)
    if width < 3 or height < 3:
        return source
    centre = (x + width // 2, y + height // 2)
    return np.asarray(cv2.seamlessClone(source, target, inside, centre, cv2.NORMAL_CLONE), np.uint8)


def _shift_statistics(image: Image, rng: Generator) -> Image:
    """Change colour and sharpness a little, as if the face came through another camera and codec."""
    shifted = image.astype(np.float32)
    if rng.random() < 0.5:
        shifted += np.clip(rng.normal(0, 8, 3), -20, 20)
    if rng.random() < 0.5:
        shifted = (shifted - 128) * rng.uniform(0.85, 1.15) + 128 + rng.uniform(-15, 15)
    if rng.random() < 0.3:
        hsv = cv2.cvtColor(np.clip(shifted, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv = np.clip(hsv + rng.uniform(-1, 1, 3) * (3, 12, 12), 0, (179, 255, 255))
        shifted = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
    return _shift_frequencies(np.clip(shifted, 0, 255).astype(np.uint8), rng)


def _shift_frequencies(image: Image, rng: Generator) -> Image:
    side_px = image.shape[0]
    kind = rng.random()
    if kind < 0.15:
        return _smooth_and_sharpen(image, rng)
    if kind < 0.5:
        small = int(side_px * rng.uniform(0.25, 0.7))
        down = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        up = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.choice(3, p=(0.1, 0.5, 0.4))]
        result = cv2.resize(down, (side_px, side_px), interpolation=up)
    elif kind < 0.75:
        soft = cv2.GaussianBlur(image, (0, 0), 2)
        amount = rng.uniform(0.2, 0.8)
        result = cv2.addWeighted(image, 1 + amount, soft, -amount, 0)
    else:
        quality = int(rng.integers(30, 80))
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        result = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.asarray(result, np.uint8)


def _smooth_and_sharpen(image: Image, rng: Generator) -> Image:
    """Smooth the skin and then sharpen edges, as generators render faces."""
    smooth = cv2.bilateralFilter(image, 7, rng.uniform(15, 45), 4)
    soft = cv2.GaussianBlur(smooth, (0, 0), rng.uniform(1, 2))
    amount = rng.uniform(0.2, 1.0)
    return np.asarray(cv2.addWeighted(smooth, 1 + amount, soft, -amount, 0), np.uint8)


def transfer_colour(source: Image, target: Image, points: Points) -> Image:
    """Give the source the target's mean and spread in LAB inside the face (Reinhard et al., 2001)."""
    inside = np.zeros(target.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points).astype(np.int32), 255)
    source_lab = cv2.cvtColor(source, cv2.COLOR_RGB2LAB).astype(np.float32)
    target_lab = cv2.cvtColor(target, cv2.COLOR_RGB2LAB)
    source_mean, source_std = cv2.meanStdDev(source_lab, mask=inside)
    target_mean, target_std = cv2.meanStdDev(target_lab, mask=inside)
    gain = np.clip(target_std / np.maximum(source_std, 1e-3), 0.5, 2.0)
    lab = (source_lab - source_mean.T) * gain.T + target_mean.T
    return np.asarray(cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8)


def deform_elastically(picture: NDArray[Any], reach: float, rng: Generator) -> NDArray[Any]:
    """Deform a picture or mask by a smooth random field of 5 × 5 cells; `reach` is a share of the side."""
    side_px = picture.shape[0]
    field = rng.normal(0, reach * side_px, (2, 5, 5)).astype(np.float32)
    dx, dy = (cv2.resize(cells, (side_px, side_px), interpolation=cv2.INTER_CUBIC) for cells in field)
    y, x = np.mgrid[:side_px, :side_px].astype(np.float32)
    return np.asarray(cv2.remap(picture, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def soften_edges(mask: Mask, rng: Generator) -> Mask:
    """Erode or widen by blur and threshold, then blur again: edges from hard to very soft."""
    side_px = mask.shape[0]
    first = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.01, 0.05) * side_px)
    cut = (first > rng.uniform(0.3, 0.9)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(cut, (0, 0), rng.uniform(0.003, 0.05) * side_px), np.float32)
