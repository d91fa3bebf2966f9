"""Detect faces in frames with MTCNN (Zhang et al., IEEE SPL 2016): boxes in numpy.

P-Net proposes boxes on an image pyramid, R-Net rejects most of them, and O-Net refines the rest and locates five
landmarks. In frames between two that show the same faces O-Net alone looks, where R-Net's boxes have moved to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from unmask.compute import Backend
from unmask.faces.boxes import apply_offsets, match_by_iou, non_max_suppression, overlaps, to_squares, warp_boxes
from unmask.faces.networks import FaceNetwork, load_networks
from unmask.video.frames import Frames

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
ScoredBoxes = tuple[Float32Array, Float32Array]  # boxes (n, 4), scores (n,)

# `training.release.extension_constants` exports these to the extension's own detector.
SEARCH_SIDE_PX = 640  # frames are scaled down to this longest side before the search
MIN_FACE_PX = 24  # smallest face searched for, in the scaled frame: 48 px of 720p, 72 px of 1080p,
MIN_FULL_FACE_PX = 36  # and in the full frame, where it is not scaled: below 48 px no face is judged
PNET_CELL_PX = 12  # side of P-Net's receptive field
PNET_STRIDE_PX = 2  # from one cell of its output to the next
RNET_SIDE_PX = 24  # of its input
ONET_SIDE_PX = 48
PYRAMID_SCALE = 0.709  # from one level to the next: halves the area
MIN_SCORE = (0.6, 0.7, 0.9)  # of P-, R- and O-Net
MAX_PROPOSALS = 300  # of P-Net, a frame and level
LEVEL_NMS_IOU = 0.5  # of P-Net's cells on one level
PNET_NMS_IOU = 0.7  # of its proposals on all levels
RNET_NMS_IOU = 0.9  # high: the mean of near-duplicates in O-Net is steadier than the best of them
ONET_NMS_OVERLAP = 0.7  # over the smaller box; suppressed boxes vote on the position of the kept one
ON_FACE_MIN_IOU = 0.5  # with a face: a box of R-Net above it moves with the face from frame to frame
BOXES_PER_FACE = 6  # of R-Net's, that move so; with fewer, their mean hangs on rounding
FRAMES_PER_GROUP = 8  # the first and the last are searched
PATCHES_PER_BATCH = {"cpu": 64, "cuda": 1024}  # 0.3 MB each; changes no result


@dataclass(frozen=True, repr=False)
class FaceBoxes:
    """Faces of one frame, best first."""

    xyxy: Float32Array  # (n, 4) px of the decoded frame; may reach beyond it
    landmarks: Float32Array  # (n, 5, 2) px: eyes left and right in the picture, nose, mouth left and right
    score: Float32Array  # (n,) 0..1

    def __post_init__(self) -> None:
        count = len(self.score)
        if self.xyxy.shape != (count, 4) or self.landmarks.shape != (count, 5, 2):
            raise ValueError(f"{count} scores, but boxes {self.xyxy.shape}, landmarks {self.landmarks.shape}")

    def __len__(self) -> int:
        return len(self.score)

    def __repr__(self) -> str:
        return f"FaceBoxes(n={len(self)}, xyxy={self.xyxy.round(1).tolist()})"


class FaceFinder:
    """MTCNN in one backend. Safe to share between threads; takes about 2 MB."""

    def __init__(self, backend: Backend | None = None) -> None:
        backend = backend or Backend()
        self._device = backend.device
        self._pnet, self._rnet, self._onet = load_networks(backend)

    def detect(self, frames: Frames) -> list[FaceBoxes]:
        """Find the faces of every frame (N, H, W, 3) -> N results.

        Of each FRAMES_PER_GROUP frames the first and the last are searched. Between frames that show the same faces,
        O-Net confirms these; between others the one in the middle is searched, and so on. Where neither shows a face,
        and where one is not confirmed, every frame is searched.
        """
        groups = range(0, len(frames.data), FRAMES_PER_GROUP)
        return [
            faces for start in groups for faces in self._detect_group(frames.data[start : start + FRAMES_PER_GROUP])
        ]

    def _detect_group(self, images: UInt8Array) -> list[FaceBoxes]:
        last = len(images) - 1
        searched = self._search(images, sorted({0, last}))
        found = {row: one.faces for row, one in searched.items()}
        gaps = [(0, last)]
        while gaps:
            first, last = gaps.pop()
            between = range(first + 1, last)
            boxes = extrapolate_boxes(searched[first], searched[last], len(between))
            if boxes:
                confirmed = zip(between, self._localize(images[first + 1 : last], boxes), strict=True)
                found |= {row: one for row, one in confirmed if len(one) == len(found[first])}
            elif between and len(found[first]) + len(found[last]):
                middle = (first + last) // 2
                searched |= self._search(images, [middle])
                found[middle] = searched[middle].faces
                gaps += [(first, middle), (middle, last)]
        rest = self._search(images, [row for row in range(len(images)) if row not in found])
        found |= {row: one.faces for row, one in rest.items()}
        return [found[row] for row in range(len(images))]

    def _search(self, images: UInt8Array, rows: Sequence[int]) -> dict[int, "SearchedFrame"]:
        """Run all three networks on some of the images."""
        if not rows:
            return {}
        full = [images[row] for row in rows]  # not copied: that takes as long as the networks
        small = shrink(full, SEARCH_SIDE_PX)
        scale = np.float32(images.shape[2] / small.shape[2])
        proposed = self._propose(small, max(MIN_FACE_PX, MIN_FULL_FACE_PX / float(scale)))
        refined = [xyxy * scale for xyxy in self._refine(small, [xyxy for xyxy, _ in proposed])]
        return dict(zip(rows, map(SearchedFrame, refined, self._localize(full, refined)), strict=True))

    def _propose(self, images: UInt8Array, min_face_px: float) -> list[ScoredBoxes]:
        """Run P-Net on every level of the pyramid -> proposals of every frame."""
        found: list[list[ScoredBoxes]] = [[] for _ in images]
        level = images
        for side in pyramid_sides(images.shape[1], images.shape[2], min_face_px):
            level = resize(level, side)  # each from the one before: a third of the time, boxes alike
            score, offset = self._pnet(level)
            for index, scored in enumerate(_decode_map(score, offset, level, images)):
                found[index].append(scored)
        return [_suppress(_join(levels), PNET_NMS_IOU) for levels in found]

    def _refine(self, images: UInt8Array, proposed: Sequence[Float32Array]) -> list[Float32Array]:
        """Run R-Net on every proposal -> fewer, better boxes."""
        boxes = [to_squares(xyxy) for xyxy in proposed]
        score, offset = self._run(self._rnet, images, boxes, RNET_SIDE_PX)
        moved = [apply_offsets(xyxy, shift) for xyxy, shift in zip(boxes, _split(offset, boxes), strict=True)]
        scored = zip(moved, _split(score, boxes), strict=True)
        return [_suppress(_above(item, MIN_SCORE[1]), RNET_NMS_IOU)[0] for item in scored]

    def _localize(self, images: Sequence[UInt8Array] | UInt8Array, refined: Sequence[Float32Array]) -> list[FaceBoxes]:
        """Run O-Net on every refined box, cut from the full frame -> faces."""
        boxes = [to_squares(xyxy) for xyxy in refined]
        score, offset, points = self._run(self._onet, images, boxes, ONET_SIDE_PX)
        parts = (boxes, _split(score, boxes), _split(offset, boxes), _split(points, boxes))
        return [_to_faces(*part) for part in zip(*parts, strict=True)]

    def _run(
        self, net: FaceNetwork, images: Sequence[UInt8Array] | UInt8Array, boxes: Sequence[Float32Array], side_px: int
    ) -> list[Float32Array]:
        """Run a network on the boxes of all frames, one after another -> its outputs."""
        places = [(image, box) for image, some in zip(images, boxes, strict=True) for box in some]
        patches = np.zeros((len(places), side_px, side_px, 3), np.uint8)
        for row, (image, box) in enumerate(places):
            patches[row] = cut_patch(image, box, side_px, halve=True)
        size = PATCHES_PER_BATCH["cpu" if self._device == "cpu" else "cuda"]
        batches = [net(patches[start : start + size]) for start in range(0, len(places) or 1, size)]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


# Boxes for frames between two searched ones.


@dataclass(frozen=True)
class SearchedFrame:
    """The result of a search of one frame."""

    refined: Float32Array  # (m, 4) px, by R-Net, best first
    faces: FaceBoxes


def extrapolate_boxes(first: SearchedFrame, last: SearchedFrame, count: int) -> list[Float32Array]:
    """Extrapolate R-Net's boxes (m, 4) to each of `count` frames between two searched ones, in px.

    The nearer frame's boxes move with the face on which they lie, which is assumed to move in a straight line.
    Returns an empty list where the two frames do not show the same faces, or show none: a face appears, leaves or was
    missed, or the scene changes.
    """
    pairs = match_by_iou(first.faces.xyxy, last.faces.xyxy)
    if not pairs or not len(pairs) == len(first.faces) == len(last.faces):
        return []
    starts, ends = first.faces.xyxy[[row for row, _ in pairs]], last.faces.xyxy[[row for _, row in pairs]]
    moved = []
    for share in np.linspace(0, 1, count + 2, dtype=np.float32)[1:-1]:
        near, before = (first.refined, starts) if share <= 0.5 else (last.refined, ends)
        on_face = (overlaps(near, before) > ON_FACE_MIN_IOU).T
        now = starts + share * (ends - starts)
        warped = [
            warp_boxes(near[own][:BOXES_PER_FACE], source, target)
            for own, source, target in zip(on_face, before, now, strict=True)
        ]
        moved.append(np.concatenate(warped))
    return moved


# Images and boxes.


def pyramid_sides(height: int, width: int, min_face_px: float) -> Iterator[tuple[int, int]]:
    """Yield (height, width) of each level: a cell holds the smallest face in the first, the frame in the last."""
    scale = PNET_CELL_PX / min_face_px
    while min(height, width) * scale >= PNET_CELL_PX:
        yield max(PNET_CELL_PX, round(height * scale)), max(PNET_CELL_PX, round(width * scale))
        scale *= PYRAMID_SCALE


def shrink(images: Sequence[UInt8Array], side_px: int) -> UInt8Array:
    """Scale images (n, h, w, 3) down so that the longest side is at most side_px."""
    height, width = images[0].shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1:
        return np.stack(images)
    return resize(images, (max(1, round(height * scale)), max(1, round(width * scale))))


def resize(images: Sequence[UInt8Array] | UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Resize images (h, w, 3) -> (n, *size, 3) by area averaging."""
    height, width = size
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images])


def cut_patch(image: UInt8Array, xyxy: Float32Array, side_px: int, halve: bool = False) -> UInt8Array:
    """Cut a box out of (h, w, 3) and scale it to (side_px, side_px, 3); black beyond the image, as in training.

    Args:
        image: RGB.
        xyxy: The box, in px.
        side_px: Of the patch.
        halve: First halve it as often as it goes, which is three times as fast, and moves an edge by 1 % at most.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (int(value) for value in np.rint(xyxy))
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    halvings = max(0, (min(x2 - x1, y2 - y1) // side_px).bit_length() - 1) if halve else 0
    x2, y2 = (low + (round((high - low) / 2**halvings) << halvings) for low, high in ((x1, x2), (y1, y2)))
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if left >= right or top >= bottom:
        return np.zeros((side_px, side_px, 3), np.uint8)
    cut = image[top:bottom, left:right]
    if (left, top, right, bottom) != (x1, y1, x2, y2):
        cut = cv2.copyMakeBorder(cut, top - y1, y2 - bottom, left - x1, x2 - right, cv2.BORDER_CONSTANT)
    for _ in range(halvings):
        cut = cv2.resize(cut, (cut.shape[1] // 2, cut.shape[0] // 2), interpolation=cv2.INTER_AREA)
    method = cv2.INTER_AREA if x2 - x1 >= side_px else cv2.INTER_LINEAR
    return cv2.resize(cut, (side_px, side_px), interpolation=method)


def _suppress(scored: ScoredBoxes, limit: float) -> ScoredBoxes:
    xyxy, score = scored
    kept = non_max_suppression(xyxy, score, limit)
    return xyxy[kept], score[kept]


def _above(scored: ScoredBoxes, least: float) -> ScoredBoxes:
    xyxy, score = scored
    return xyxy[score > least], score[score > least]


def _join(parts: Sequence[ScoredBoxes]) -> ScoredBoxes:
    if not parts:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    return np.concatenate([xyxy for xyxy, _ in parts]), np.concatenate([score for _, score in parts])


def _split(values: Float32Array, like: Sequence[Float32Array]) -> list[Float32Array]:
    """Split one array for all frames into an array a frame."""
    return np.split(values, np.cumsum([len(part) for part in like])[:-1])


def _decode_map(
    score: Float32Array, offset: Float32Array, level: UInt8Array, images: UInt8Array
) -> Iterator[ScoredBoxes]:
    """Decode P-Net's maps (n, h, w), (n, 4, h, w) -> proposals of each frame, in px of `images`."""
    to_px = np.array([images.shape[2] / level.shape[2], images.shape[1] / level.shape[1]], np.float32)
    frame, y, x = (score > MIN_SCORE[0]).nonzero()
    values = np.concatenate([score[frame, y, x, None], offset[frame, :, y, x]], 1)
    corners = np.stack([x, y], 1).astype(np.float32) * PNET_STRIDE_PX
    cells = np.concatenate([corners * to_px, (corners + PNET_CELL_PX) * to_px], 1)
    boxes = apply_offsets(cells, values[:, 1:])
    for row in range(len(images)):
        mine = np.flatnonzero(frame == row)
        mine = mine[np.argsort(-values[mine, 0], kind="stable")[:MAX_PROPOSALS]]
        kept = mine[non_max_suppression(cells[mine], values[mine, 0], LEVEL_NMS_IOU)]
        yield boxes[kept], values[kept, 0]


def _to_faces(boxes: Float32Array, score: Float32Array, offset: Float32Array, points: Float32Array) -> FaceBoxes:
    """Convert O-Net's outputs for the squares of one frame to faces.

    A face's box and landmarks are the mean over all squares that agree on it, weighted by score: that halves the jitter
    from frame to frame, as O-Net's output depends on how a square happens to lie.
    """
    xyxy = apply_offsets(boxes, offset)
    likely = (score > MIN_SCORE[2]) & (xyxy[:, 2:] > xyxy[:, :2]).all(1)
    xyxy, score = xyxy[likely], score[likely]
    sizes = (boxes[:, 2:] - boxes[:, :2])[likely, None]
    landmarks = boxes[likely, None, :2] + points[likely].reshape(-1, 2, 5).transpose(0, 2, 1) * sizes
    kept = non_max_suppression(xyxy, score, ONET_NMS_OVERLAP, of_smaller=True)
    votes = (overlaps(xyxy[kept], xyxy) > ONET_NMS_OVERLAP) * score
    votes /= votes.sum(1, keepdims=True)
    return FaceBoxes(votes @ xyxy, np.einsum("fv,vpc->fpc", votes, landmarks), score[kept])
