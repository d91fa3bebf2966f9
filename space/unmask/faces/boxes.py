"""Compute with boxes: float32 (n, 4) as x1, y1, x2, y2 in px. Pure numpy."""

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

MATCH_MIN_IOU = 0.3  # of one face in two frames of a window


def sides(xyxy: Float32Array) -> Float32Array:
    """Average width and height of boxes (n, 4) -> (n,)."""
    lengths: Float32Array = (xyxy[:, 2:] - xyxy[:, :2]).mean(1)
    return lengths


def to_squares(xyxy: Float32Array) -> Float32Array:
    """Extend boxes (n, 4) to squares around the same centres with the longer side."""
    centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    half = (xyxy[:, 2:] - xyxy[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], 1)


def apply_offsets(xyxy: Float32Array, offset: Float32Array) -> Float32Array:
    """Move each side of boxes (n, 4) by offsets (n, 4) in units of the box's width and height."""
    sizes = xyxy[:, 2:] - xyxy[:, :2]
    return xyxy + offset * np.concatenate([sizes, sizes], 1)


def warp_boxes(xyxy: Float32Array, before: Float32Array, after: Float32Array) -> Float32Array:
    """Move and scale boxes (n, 4) by the transform that takes the box `before` (4,) to `after` (4,)."""
    factor = (after[2:] - after[:2]) / np.maximum(before[2:] - before[:2], 1e-9)
    return (np.tile(after[:2], 2) + (xyxy - np.tile(before[:2], 2)) * np.tile(factor, 2)).astype(np.float32)


def overlaps(first: Float32Array, second: Float32Array, of_smaller: bool = False) -> Float32Array:
    """Compute intersection over union, or over the smaller box, of boxes (n, 4) with boxes (m, 4) -> (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    own, other = ((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1) for boxes in (first, second))
    own, other = own[:, None], other[None]
    whole = np.minimum(own, other) if of_smaller else own + other - shared
    return (shared / np.maximum(whole, 1e-9)).astype(np.float32)


def non_max_suppression(xyxy: Float32Array, score: Float32Array, limit: float, of_smaller: bool = False) -> Int64Array:
    """Select the boxes that no better selected box overlaps by more than `limit` -> their indices, best first."""
    order = np.argsort(-score, kind="stable")
    close = overlaps(xyxy[order], xyxy[order], of_smaller) > limit
    alive = np.ones(len(order), bool)
    for row in range(len(order)):
        if alive[row]:
            alive[row + 1 :] &= ~close[row, row + 1 :]
    return order[alive]


def distance_and_ratio(first: Float32Array, second: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Compute how far boxes (n, 4) lie from boxes (m, 4), in sides, and the ratio of their sizes >= 1: (n, m) each."""
    apart = (first[:, None, :2] + first[:, None, 2:] - second[None, :, :2] - second[None, :, 2:]) / 2
    own, other = sides(first)[:, None], sides(second)[None]
    distance = np.linalg.norm(apart, axis=2) / np.maximum((own + other) / 2, 1e-9)
    ratio = np.maximum(own, other) / np.maximum(np.minimum(own, other), 1e-9)
    return distance.astype(np.float32), ratio.astype(np.float32)


def match_greedily(similarity: Float32Array) -> list[tuple[int, int]]:
    """Pair rows with columns of a similarity (n, m), the best first, each used once; -inf is never paired."""
    pairs: list[tuple[int, int]] = []
    rest = similarity.copy()
    while rest.size and np.isfinite(best := rest.max()):
        row, column = (int(index) for index in np.argwhere(rest == best)[0])
        pairs.append((row, column))
        rest[row], rest[:, column] = -np.inf, -np.inf
    return pairs


def match_by_iou(first: Float32Array, second: Float32Array) -> list[tuple[int, int]]:
    """Pair the faces (n, 4) of one frame with those (m, 4) of a frame close in time -> (row, column) pairs."""
    similarity = overlaps(first, second)
    return match_greedily(np.where(similarity >= MATCH_MIN_IOU, similarity, -np.inf))
