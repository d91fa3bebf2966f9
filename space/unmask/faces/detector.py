"""Frames -> faces. MTCNN (Zhang et al., IEEE SPL 2016) in torch; boxes in plain numpy.

The three networks run on all frames of a window together: P-Net proposes boxes on a pyramid of small
pictures, R-Net rejects most of them, O-Net refines the rest and places five landmarks. P-Net, which costs
most, is spared where the faces of a frame can be foretold from the frames around it. Weights are the data
files of the package `mtcnn`, whose code (TensorFlow) is never imported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unmask.faces.boxes import carry, move, overlaps, same, square, suppress
from unmask.faces.mtcnn import ONet, PNet, RNet, load
from unmask.video.decode import Frames

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Scored = tuple[Float32Array, Float32Array]  # boxes (n, 4), scores (n,)

CPU = torch.device("cpu")

SEARCH_SIDE_PX = 640  # frames are shrunk to this longest side before the search
MIN_FACE_PX = 24  # smallest face looked for, in the shrunk frame: 48 px of 720p, 72 px of 1080p
CELL_PX = 12  # what one cell of P-Net sees
CELL_STRIDE_PX = 2  # from one cell to the next
PYRAMID_STEP = 0.709  # scale from one level to the next: halves the area
MIN_SCORE = (0.6, 0.7, 0.9)  # of P-, R- and O-Net
SAME_CELL = 0.5  # overlap above which P-Net's cells of one level are one
SAME_PROPOSAL = 0.7  # overlap above which P-Net's proposals are one
SAME_REFINED = 0.9  # and R-Net's: near-twins go on, because their mean is steadier than the best of them
SAME_FACE = 0.7  # and O-Net's, over the smaller one; they vote on the box
MAX_PROPOSALS = 300  # of P-Net, a frame and level
ON_FACE = 0.5  # overlap with a face above which a proposal is carried along with it
FRAMES_PER_BATCH = 8  # bounds P-Net's memory: about 5 MB a frame of 640x360; more at once is no faster
PATCHES_PER_BATCH = {"cpu": 64, "cuda": 1024}  # 0.3 MB each; a CPU's cache holds no more


@dataclass(frozen=True, repr=False)
class FaceBoxes:
    """The faces of one frame, best first."""

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
    """MTCNN on one device, for all frames of a window at once. Safe to share; takes about 2 MB."""

    def __init__(self, device: torch.device = CPU) -> None:
        self.device = device
        self._pnet = load(PNet(), device)
        self._rnet = load(RNet(), device)
        self._onet = load(ONet(), device)

    @torch.inference_mode()
    def detect(self, frames: Frames) -> list[FaceBoxes]:
        """Find the faces of every frame (N, H, W, 3).

        Of a few frames in a row the first and the last are searched. Where both show the same faces, these
        are only confirmed in between; a frame where one is not confirmed is searched like the others.
        """
        found: list[FaceBoxes] = []
        for start in range(0, len(frames.data), FRAMES_PER_BATCH):
            full = frames.data[start : start + FRAMES_PER_BATCH]
            found.extend(self._detect(_Pictures(list(full), shrink(full, SEARCH_SIDE_PX))))
        return found

    def _detect(self, pictures: "_Pictures") -> list[FaceBoxes]:
        last = len(pictures.full) - 1
        ends = self._search(pictures, sorted({0, last}))
        between = range(1, last)
        guesses = foretell(ends[0], ends[last], len(between))
        confirmed = zip(between, self._judge(pictures.at(between), guesses), strict=True) if guesses else ()
        faces = {row: one for row, one in confirmed if len(one) == len(ends[0].faces)}
        rest = self._search(pictures, [row for row in between if row not in faces])
        faces |= {row: one.faces for row, one in (ends | rest).items()}
        return [faces[row] for row in range(last + 1)]

    def _search(self, pictures: "_Pictures", rows: Sequence[int]) -> dict[int, "Searched"]:
        """All three networks on some of the pictures."""
        if not rows:
            return {}
        chosen = pictures.at(rows)
        proposed = self._propose(chosen.small)
        faces = self._judge(chosen, [xyxy for xyxy, _ in proposed])
        return {
            row: Searched(xyxy, one.xyxy / np.float32(chosen.scale), one)
            for row, (xyxy, _), one in zip(rows, proposed, faces, strict=True)
        }

    def _judge(self, pictures: "_Pictures", proposed: Sequence[Float32Array]) -> list[FaceBoxes]:
        """R- and O-Net on the candidates of each picture."""
        refined = self._refine(pictures.small, proposed)
        return self._place(pictures.full, [xyxy * pictures.scale for xyxy in refined])

    def _propose(self, images: UInt8Array) -> list[Scored]:
        """P-Net on every level of the pyramid -> candidate boxes of every frame."""
        found: list[list[Scored]] = [[] for _ in images]
        level = images
        for side in pyramid_sides(images.shape[1], images.shape[2]):
            level = resize(level, side)  # each from the one before: a third of the time, boxes alike
            score, offset = self._pnet(self._to_tensor(level))
            for index, scored in enumerate(_decode_map(score, offset, level, images)):
                found[index].append(scored)
        return [_keep_apart(_join(levels), SAME_PROPOSAL) for levels in found]

    def _refine(self, images: UInt8Array, proposed: Sequence[Float32Array]) -> list[Float32Array]:
        """R-Net on every candidate -> fewer, better boxes."""
        boxes = [square(xyxy) for xyxy in proposed]
        score, offset = self._run(self._rnet, images, boxes, 24)
        moved = [move(xyxy, shift) for xyxy, shift in zip(boxes, _split(offset, boxes), strict=True)]
        scored = zip(moved, _split(score, boxes), strict=True)
        return [_keep_apart(_above(item, MIN_SCORE[1]), SAME_REFINED)[0] for item in scored]

    def _place(self, images: Sequence[UInt8Array], refined: Sequence[Float32Array]) -> list[FaceBoxes]:
        """O-Net on every candidate, cut from the full frame -> faces."""
        boxes = [square(xyxy) for xyxy in refined]
        score, offset, points = self._run(self._onet, images, boxes, 48)
        parts = (boxes, _split(score, boxes), _split(offset, boxes), _split(points, boxes))
        return [_to_faces(*part) for part in zip(*parts, strict=True)]

    def _run(
        self,
        net: nn.Module,
        images: Sequence[UInt8Array] | UInt8Array,
        boxes: Sequence[Float32Array],
        side_px: int,
    ) -> list[Float32Array]:
        """The network's outputs for all boxes of all frames, one after another."""
        places = [(image, box) for image, some in zip(images, boxes, strict=True) for box in some]
        patches = np.zeros((len(places), side_px, side_px, 3), np.uint8)
        for row, (image, box) in enumerate(places):
            patches[row] = patch(image, box, side_px)
        size = PATCHES_PER_BATCH.get(self.device.type, 64)
        batches = [net(self._to_tensor(patches[start : start + size])) for start in range(0, len(places) or 1, size)]
        return [torch.cat(parts).cpu().numpy() for parts in zip(*batches, strict=True)]

    def _to_tensor(self, images: UInt8Array) -> Tensor:
        """(n, h, w, 3) uint8 -> (n, 3, h, w) in about -1..1, as MTCNN was trained, on the device."""
        pixels = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
        return (pixels.float() - 127.5) / 128


@dataclass(frozen=True)
class _Pictures:
    """Frames in both sizes."""

    full: Sequence[UInt8Array]  # (H, W, 3) each; never copied, which would take as long as the networks
    small: UInt8Array  # (n, h, w, 3), at most SEARCH_SIDE_PX

    @property
    def scale(self) -> float:
        """From the small to the full one."""
        return self.full[0].shape[1] / self.small.shape[2]

    def at(self, rows: Sequence[int]) -> "_Pictures":
        return _Pictures([self.full[row] for row in rows], self.small[list(rows)])


# --- from frame to frame ---


@dataclass(frozen=True)
class Searched:
    """What a search of one frame gave."""

    proposals: Float32Array  # (m, 4) px of the small picture, by P-Net
    places: Float32Array  # (n, 4) of the faces, in the same px
    faces: FaceBoxes


def foretell(first: Searched, last: Searched, count: int) -> list[Float32Array]:
    """Candidates (m, 4) for each of the `count` frames between two searched ones, in px of the small picture.

    The nearer one's proposals are carried along with the face on which they lie, which moves straight from
    its first place to its last. None at all where the two do not show the same faces, or show no face: then
    somebody comes, goes, or was overlooked, or the scene changes.
    """
    pairs = same(first.places, last.places)
    if not pairs or not len(pairs) == len(first.places) == len(last.places):
        return []
    starts, ends = first.places[[row for row, _ in pairs]], last.places[[row for _, row in pairs]]
    guesses = []
    for share in np.linspace(0, 1, count + 2, dtype=np.float32)[1:-1]:
        near, before = (first.proposals, starts) if share <= 0.5 else (last.proposals, ends)
        on_face = (overlaps(near, before) > ON_FACE).T
        now = starts + share * (ends - starts)
        carried = [carry(near[mine], *way) for mine, *way in zip(on_face, before, now, strict=True)]
        guesses.append(np.concatenate(carried))
    return guesses


# --- boxes ---


def pyramid_sides(height: int, width: int) -> Iterator[tuple[int, int]]:
    """(height, width) of each level: a cell holds the smallest face in the first, the frame in the last."""
    scale = CELL_PX / MIN_FACE_PX
    while min(height, width) * scale >= CELL_PX:
        yield max(CELL_PX, round(height * scale)), max(CELL_PX, round(width * scale))
        scale *= PYRAMID_STEP


def shrink(images: UInt8Array, side_px: int) -> UInt8Array:
    """(n, h, w, 3), scaled down so that the longest side is at most side_px."""
    height, width = images.shape[1:3]
    scale = side_px / max(height, width)
    if scale >= 1:
        return images
    return resize(images, (max(1, round(height * scale)), max(1, round(width * scale))))


def resize(images: UInt8Array, side: tuple[int, int]) -> UInt8Array:
    """(n, h, w, 3) -> (n, *side, 3) by area averaging."""
    height, width = side
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images])


def patch(image: UInt8Array, xyxy: Float32Array, side_px: int) -> UInt8Array:
    """A box of (h, w, 3) scaled to (side_px, side_px, 3); black beyond the picture, as MTCNN was trained."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (int(value) for value in np.rint(xyxy))
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if left >= right or top >= bottom:
        return np.zeros((side_px, side_px, 3), np.uint8)
    cut = image[top:bottom, left:right]
    if (left, top, right, bottom) != (x1, y1, x2, y2):
        cut = cv2.copyMakeBorder(cut, top - y1, y2 - bottom, left - x1, x2 - right, cv2.BORDER_CONSTANT)
    method = cv2.INTER_AREA if x2 - x1 >= side_px else cv2.INTER_LINEAR
    return cv2.resize(cut, (side_px, side_px), interpolation=method)


def _keep_apart(scored: Scored, limit: float) -> Scored:
    xyxy, score = scored
    kept = suppress(xyxy, score, limit)
    return xyxy[kept], score[kept]


def _above(scored: Scored, least: float) -> Scored:
    xyxy, score = scored
    return xyxy[score > least], score[score > least]


def _join(parts: Sequence[Scored]) -> Scored:
    if not parts:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    return np.concatenate([xyxy for xyxy, _ in parts]), np.concatenate([score for _, score in parts])


def _split(values: Float32Array, like: Sequence[Float32Array]) -> list[Float32Array]:
    """One array for all frames -> an array a frame."""
    return np.split(values, np.cumsum([len(part) for part in like])[:-1])


def _decode_map(score: Tensor, offset: Tensor, level: UInt8Array, images: UInt8Array) -> Iterator[Scored]:
    """P-Net's maps (n, h, w), (n, 4, h, w) -> candidates of each frame, in px of `images`."""
    to_px = np.array([images.shape[2] / level.shape[2], images.shape[1] / level.shape[1]], np.float32)
    at = (score > MIN_SCORE[0]).nonzero()
    index, y, x = at.unbind(1)
    values = torch.cat([score[index, y, x, None], offset[index, :, y, x]], 1).cpu().numpy()
    frame, corners = np.split(at.cpu().numpy(), [1], 1)
    corners = corners[:, ::-1].astype(np.float32) * CELL_STRIDE_PX
    cells = np.concatenate([corners * to_px, (corners + CELL_PX) * to_px], 1)
    boxes = move(cells, values[:, 1:])
    for row in range(len(images)):
        mine = np.flatnonzero(frame == row)
        mine = mine[np.argsort(-values[mine, 0], kind="stable")[:MAX_PROPOSALS]]
        kept = mine[suppress(cells[mine], values[mine, 0], SAME_CELL)]
        yield boxes[kept], values[kept, 0]


def _to_faces(boxes: Float32Array, score: Float32Array, offset: Float32Array, points: Float32Array) -> FaceBoxes:
    """O-Net's outputs for the squares of one frame -> its faces.

    O-Net's answer depends on how a square happens to lie. The mean over all squares of a face is
    off by half as much after the picture was moved a few pixels, so crops tremble less.
    """
    xyxy = move(boxes, offset)
    likely = (score > MIN_SCORE[2]) & (xyxy[:, 2:] > xyxy[:, :2]).all(1)
    xyxy, score = xyxy[likely], score[likely]
    sizes = (boxes[:, 2:] - boxes[:, :2])[likely, None]
    landmarks = boxes[likely, None, :2] + points[likely].reshape(-1, 2, 5).transpose(0, 2, 1) * sizes
    kept = suppress(xyxy, score, SAME_FACE, of_smaller=True)
    votes = (overlaps(xyxy[kept], xyxy) > SAME_FACE) * score
    votes /= votes.sum(1, keepdims=True)
    return FaceBoxes(votes @ xyxy, np.einsum("fv,vpc->fpc", votes, landmarks), score[kept])
