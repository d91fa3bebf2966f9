"""Animate a single picture of a face by the landmarks of a video of somebody else, as talking heads of one photo are.

The motion of the driving video, relative to its first frame, moves the mesh of the picture, and the picture is warped
along (as Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019, do with learned keypoints): in
triangles, or along a thin-plate spline. A mouth that opens is filled in. Only the picture itself is shown: no border
of a blend, but skin that stretches, a background that swims or stands still, teeth that were never filmed.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, RBFInterpolator

from training.synthesis import landmarks

Image = NDArray[np.uint8]
Points = NDArray[np.float32]
Map = NDArray[np.float32]  # (S, S, 2): where in the picture each pixel is read, px

INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
KEYPOINTS = landmarks.OVAL + landmarks.LIPS + landmarks.EYES + landmarks.NOSE  # enough for a smooth spline
DAMPING = (0.6, 1.1)  # of the driver's motion
MAX_SHIFT = 0.07  # of the side: no landmark is moved further
GRID = 32  # points a side that the warp is computed at
SPLINE_SHARE = 0.5
FROZEN_SHARE = 0.5  # of the animations: what is far from the face stands still
DRAWN_SHARE = 0.7  # of the animations: smaller by a factor of DRAWN_SCALE and back, as networks of fixed size draw
DRAWN_SCALE = (0.5, 0.95)
MOUTH_OPENS = 0.0008  # of the picture's area
MOUTH_SHUT = 0.003  # at most; where the picture shows the inside of a mouth, that is stretched


def animate(still: Image, points: Points, driver: Points, rng: Generator) -> Image:
    """Animate a face crop (S, S, 3), whose mesh is `points` (468, 2), by a driver's meshes (T, 468, 2) -> (T, S, S, 3).

    The first frame of the driver stands for the picture as it is.
    """
    side_px = still.shape[0]
    moved = move_points(points, driver, side_px, float(rng.uniform(*DAMPING)))
    is_spline, is_frozen = rng.random() < SPLINE_SHARE, rng.random() < FROZEN_SHARE
    scale = float(rng.uniform(*DRAWN_SCALE)) if rng.random() < DRAWN_SHARE else 1.0
    frames = []
    for target in moved:
        source = warp_map(points, target, side_px, is_spline=is_spline, is_frozen=is_frozen)
        frame = cv2.remap(still, source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        frame = fill_mouth(np.asarray(frame, np.uint8), points, target)
        frames.append(redraw(frame, scale))
    return np.stack(frames)


def move_points(points: Points, driver: Points, side_px: int, damping: float) -> Points:
    """Move the mesh (468, 2) as the driver's (T, 468, 2) moves from its first frame on -> (T, 468, 2)."""
    matrix, _ = cv2.estimateAffinePartial2D(driver[0], points)
    turn = np.eye(2) if matrix is None else matrix[:, :2]
    shifts = damping * (driver - driver[0]) @ turn.T
    longest = np.linalg.norm(shifts, axis=-1).max((1,), keepdims=True)[..., None]
    return (points + shifts * np.minimum(1, MAX_SHIFT * side_px / np.maximum(longest, 1e-6))).astype(np.float32)


def warp_map(points: Points, target: Points, side_px: int, *, is_spline: bool, is_frozen: bool) -> Map:
    """Compute where in the picture each pixel of a frame is read, when `points` (468, 2) have moved to `target`."""
    edge = np.linspace(0, side_px - 1, 5)
    border = np.array([(x, y) for x in edge for y in edge if {x, y} & {edge[0], edge[-1]}], np.float32)
    border += 0.15 * (border - (side_px - 1) / 2)  # beyond the picture, so that all of it is inside
    rows = list(KEYPOINTS) if is_spline else list(range(len(points)))
    back = points[rows] - target[rows]
    away = np.zeros(2) if is_frozen else back.mean(0)
    known, shifts = np.concatenate([target[rows], border]), np.concatenate([back, np.tile(away, (len(border), 1))])
    known += np.random.default_rng(0).normal(0, 1e-3, known.shape)  # two points at one place have no spline
    steps = np.linspace(0, side_px - 1, GRID)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    interpolator = (
        RBFInterpolator(known, shifts, smoothing=1.0) if is_spline else LinearNDInterpolator(known, shifts, 0.0)
    )
    coarse = np.asarray(interpolator(grid), np.float32).reshape(GRID, GRID, 2)
    pixels = np.linspace(0, GRID - 1, side_px, dtype=np.float32)
    at_x, at_y = np.meshgrid(pixels, pixels)
    fine = cv2.remap(coarse, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    x, y = np.meshgrid(*2 * [np.arange(side_px, dtype=np.float32)])
    return np.asarray(np.stack([x, y], -1) + fine, np.float32)


def fill_mouth(frame: Image, before: Points, after: Points) -> Image:
    """Draw the inside of a mouth into a frame (S, S, 3), where the lips of the mesh were shut and have opened."""
    side_px = frame.shape[0]
    lips, shown = after[list(INNER_LIPS)], cv2.contourArea(before[list(INNER_LIPS)])
    if shown > MOUTH_SHUT * side_px**2 or cv2.contourArea(lips) - shown < MOUTH_OPENS * side_px**2:
        return frame
    mask = np.zeros(frame.shape[:2], np.float32)
    cv2.fillPoly(mask, [np.rint(lips).astype(np.int32)], 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.006 * side_px)[..., None]
    x, y = np.clip(np.rint(after[list(landmarks.OVAL)]).astype(int), 0, side_px - 1).T
    skin = np.median(frame[y, x], 0)
    dark, teeth = 0.25 * skin * (1, 0.6, 0.55), 0.6 * skin + 0.2 * skin.mean()
    top, bottom = lips[:, 1].min(), lips[:, 1].max()
    depth = np.clip((np.arange(side_px) - top) / max(1.0, bottom - top), 0, 1)[:, None, None]
    inside = teeth + (dark - teeth) * np.clip((depth - 0.25) / 0.25, 0, 1)
    return np.clip(np.rint(frame * (1 - mask) + inside * mask), 0, 255).astype(np.uint8)


def redraw(frame: Image, scale: float) -> Image:
    """Shrink a frame (S, S, 3) by `scale` and enlarge it again."""
    if scale >= 1:
        return frame
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, frame.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
