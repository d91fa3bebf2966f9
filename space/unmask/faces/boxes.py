"""Geometry of boxes: float32 (n, 4) as x1, y1, x2, y2 in px. Pure numpy."""

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

SAME_OVERLAP = 0.3  # IoU of one face in two frames of a window


def sides(xyxy: Float32Array) -> Float32Array:
    """Mean of width and height of boxes (n, 4) -> (n,)."""
    lengths: Float32Array = (xyxy[:, 2:] - xyxy[:, :2]).mean(1)
    return lengths


def square(xyxy: Float32Array) -> Float32Array:
    """Boxes (n, 4) -> squares around the same centres with the longer side."""
    centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    half = (xyxy[:, 2:] - xyxy[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], 1)


def move(xyxy: Float32Array, offset: Float32Array) -> Float32Array:
    """Shift each side of boxes (n, 4) by offsets (n, 4), given in the box's width and height."""
    sizes = xyxy[:, 2:] - xyxy[:, :2]
    return xyxy + offset * np.concatenate([sizes, sizes], 1)


def carry(xyxy: Float32Array, before: Float32Array, after: Float32Array) -> Float32Array:
    """Move and stretch boxes (n, 4) as one box (4,) was, from `before` to `after`."""
    factor = (after[2:] - after[:2]) / np.maximum(before[2:] - before[:2], 1e-9)
    return (np.tile(after[:2], 2) + (xyxy - np.tile(before[:2], 2)) * np.tile(factor, 2)).astype(np.float32)


def overlaps(first: Float32Array, second: Float32Array, of_smaller: bool = False) -> Float32Array:
    """Intersection over union, or over the smaller box, of boxes (n, 4) with boxes (m, 4) -> (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    own, other = ((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1) for boxes in (first, second))
    own, other = own[:, None], other[None]
    whole = np.minimum(own, other) if of_smaller else own + other - shared
    return (shared / np.maximum(whole, 1e-9)).astype(np.float32)


def suppress(xyxy: Float32Array, score: Float32Array, limit: float, of_smaller: bool = False) -> Int64Array:
    """Non-maximum suppression: indices of boxes that no better kept box overlaps by more than `limit`."""
    order = np.argsort(-score, kind="stable")
    close = overlaps(xyxy[order], xyxy[order], of_smaller) > limit
    alive = np.ones(len(order), bool)
    for row in range(len(order)):
        if alive[row]:
            alive[row + 1 :] &= ~close[row, row + 1 :]
    return order[alive]


def steps(first: Float32Array, second: Float32Array) -> tuple[Float32Array, Float32Array]:
    """How far boxes (n, 4) lie from boxes (m, 4), in sides, and how many times larger one is: (n, m) both."""
    apart = (first[:, None, :2] + first[:, None, 2:] - second[None, :, :2] - second[None, :, 2:]) / 2
    own, other = sides(first)[:, None], sides(second)[None]
    distance = np.linalg.norm(apart, axis=2) / np.maximum((own + other) / 2, 1e-9)
    ratio = np.maximum(own, other) / np.maximum(np.minimum(own, other), 1e-9)
    return distance.astype(np.float32), ratio.astype(np.float32)


def best_pairs(likeness: Float32Array) -> list[tuple[int, int]]:
    """Pair rows with columns of (n, m), the best first, each used once; -inf is never paired."""
    pairs: list[tuple[int, int]] = []
    left = likeness.copy()
    while left.size and np.isfinite(best := left.max()):
        row, column = (int(index) for index in np.argwhere(left == best)[0])
        pairs.append((row, column))
        left[row], left[:, column] = -np.inf, -np.inf
    return pairs


def same(first: Float32Array, second: Float32Array) -> list[tuple[int, int]]:
    """Pair the faces (n, 4) of one frame with those (m, 4) of another, soon before or after it."""
    likeness = overlaps(first, second)
    return best_pairs(np.where(likeness >= SAME_OVERLAP, likeness, -np.inf))
