"""Frames -> faces -> tracks. MTCNN (Zhang et al., IEEE SPL 2016) in torch; boxes and tracks in plain numpy.

The three networks run on all frames of a window together: P-Net proposes boxes on a pyramid of small
pictures, R-Net rejects most of them, O-Net refines the rest and places five landmarks. Weights are the
data files of the package `mtcnn`, whose code (TensorFlow) is never imported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unmask.boxes import best_pairs, move, overlaps, sides, square, steps, suppress
from unmask.mtcnn import ONet, PNet, RNet, load
from unmask.video import Frames

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Scored = tuple[Float32Array, Float32Array]  # boxes (n, 4), scores (n,)
Sighting = tuple[int, int]  # frame of the window, face of the frame

CPU = torch.device("cpu")

SEARCH_SIDE_PX = 640  # frames are shrunk to this longest side before the search
MIN_FACE_PX = 24  # smallest face looked for, in the shrunk frame: 48 px of 720p, 72 px of 1080p
CELL_PX = 12  # what one cell of P-Net sees
CELL_STRIDE_PX = 2  # from one cell to the next
PYRAMID_STEP = 0.709  # scale from one level to the next: halves the area
MIN_SCORE = (0.6, 0.7, 0.9)  # of P-, R- and O-Net
SAME_PROPOSAL = 0.7  # overlap above which P-Net's proposals are one
SAME_REFINED = 0.9  # and R-Net's: near-twins go on, because their mean is steadier than the best of them
SAME_FACE = 0.7  # and O-Net's, over the smaller one; they vote on the box
MAX_PROPOSALS = 300  # of P-Net, a frame and level
FRAMES_PER_BATCH = 8  # bounds P-Net's memory: about 5 MB a frame of 640x360; more at once is no faster
PATCHES_PER_BATCH = {"cpu": 64, "cuda": 1024}  # 0.3 MB each; a CPU's cache holds no more

MIN_TRACK_OVERLAP = 0.3  # IoU of one face in successive frames, 0.12 s apart
MAX_GAP_FRAMES = 2  # a track survives so many frames without its face
MAX_STEP_SIDES = 1.0  # between windows the same person's face moves at most so far, in its own sides,
MAX_SIZE_RATIO = 1.6  # and grows or shrinks at most so much
SHARPNESS_SIDE_PX = 64  # faces are compared at this size, so that their own size does not matter


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


@dataclass(frozen=True, repr=False)
class FaceTrack:
    """One face through the frames of one window."""

    id: int  # the same for one person in all windows
    frame_index: Int64Array  # (k,) into the window's frames, rising
    seconds: Float64Array  # (k,)
    xyxy: Float32Array  # (k, 4) px of the decoded frame
    landmarks: Float32Array  # (k, 5, 2) px
    score: Float32Array  # (k,) 0..1

    def __post_init__(self) -> None:
        count = len(self.frame_index)
        shapes = (self.seconds.shape, self.xyxy.shape, self.landmarks.shape, self.score.shape)
        if count < 1 or shapes != ((count,), (count, 4), (count, 5, 2), (count,)):
            raise ValueError(f"{count} frames, but seconds, xyxy, landmarks, score are {shapes}")

    def __len__(self) -> int:
        return len(self.frame_index)

    def __repr__(self) -> str:
        return f"FaceTrack(id={self.id}, frames={self.frame_index.tolist()}, first={self.xyxy[0].round(1)})"


@dataclass(frozen=True)
class FaceRules:
    """Which tracks are worth a model's time. A face outside of these is left out, with the reason."""

    min_side_px: float = 48.0  # mean of width and height in the decoded frame
    min_sharpness: float = 0.045  # see `sharpness`; a face enlarged from 24 px has 0.036, clear ones 0.1 to 1
    min_frames: int = 3  # of a window; in a shorter window, all of its frames


class FaceFinder:
    """MTCNN on one device, for all frames of a window at once. Safe to share; takes about 2 MB."""

    def __init__(self, device: torch.device = CPU) -> None:
        self.device = device
        self._pnet = load(PNet(), device)
        self._rnet = load(RNet(), device)
        self._onet = load(ONet(), device)

    @torch.inference_mode()
    def detect(self, frames: Frames) -> list[FaceBoxes]:
        """Find the faces of every frame (N, H, W, 3)."""
        found: list[FaceBoxes] = []
        for start in range(0, len(frames.data), FRAMES_PER_BATCH):
            found.extend(self._detect(frames.data[start : start + FRAMES_PER_BATCH]))
        return found

    def _detect(self, images: UInt8Array) -> list[FaceBoxes]:
        small = shrink(images, SEARCH_SIDE_PX)
        scale = images.shape[2] / small.shape[2]
        proposed = self._propose(small)
        refined = self._refine(small, proposed)
        return self._place(images, [(boxes * scale, score) for boxes, score in refined])

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

    def _refine(self, images: UInt8Array, proposed: Sequence[Scored]) -> list[Scored]:
        """R-Net on every candidate -> fewer, better boxes."""
        boxes = [square(xyxy) for xyxy, _ in proposed]
        score, offset = self._run(self._rnet, images, boxes, 24)
        moved = [move(xyxy, shift) for xyxy, shift in zip(boxes, _split(offset, boxes), strict=True)]
        scored = zip(moved, _split(score, boxes), strict=True)
        return [_keep_apart(_above(item, MIN_SCORE[1]), SAME_REFINED) for item in scored]

    def _place(self, images: UInt8Array, refined: Sequence[Scored]) -> list[FaceBoxes]:
        """O-Net on every candidate, cut from the full frame -> faces."""
        boxes = [square(xyxy) for xyxy, _ in refined]
        score, offset, points = self._run(self._onet, images, boxes, 48)
        parts = (boxes, _split(score, boxes), _split(offset, boxes), _split(points, boxes))
        return [_to_faces(*part) for part in zip(*parts, strict=True)]

    def _run(
        self, net: nn.Module, images: UInt8Array, boxes: Sequence[Float32Array], side_px: int
    ) -> list[Float32Array]:
        """The network's outputs for all boxes of all frames, one after another."""
        places = [(image, box) for image, some in zip(images, boxes, strict=True) for box in some]
        patches = np.zeros((len(places), side_px, side_px, 3), np.uint8)
        for row, (image, box) in enumerate(places):
            patches[row] = patch(image, box, side_px)
        size = PATCHES_PER_BATCH.get(self.device.type, 64)
        batches = [
            net(self._to_tensor(patches[start : start + size])) for start in range(0, len(places) or 1, size)
        ]
        return [torch.cat(parts).cpu().numpy() for parts in zip(*batches, strict=True)]

    def _to_tensor(self, images: UInt8Array) -> Tensor:
        """(n, h, w, 3) uint8 -> (n, 3, h, w) in about -1..1, as MTCNN was trained, on the device."""
        pixels = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
        return (pixels.float() - 127.5) / 128


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
        kept = mine[suppress(cells[mine], values[mine, 0], 0.5)]
        yield boxes[kept], values[kept, 0]


def _to_faces(
    boxes: Float32Array, score: Float32Array, offset: Float32Array, points: Float32Array
) -> FaceBoxes:
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


# --- tracks ---


def link(
    boxes: Sequence[FaceBoxes], seconds: Float64Array, known: Sequence[FaceTrack]
) -> tuple[FaceTrack, ...]:
    """Join the faces of one window's frames into tracks, ordered by id.

    `known` holds the last track of every person seen in earlier windows: who stands where one of them
    stood, about as large, keeps the id. Others get new ids, the largest face first.
    """
    paths = _paths(boxes)
    tracks = [_track(-1, path, boxes, seconds) for path in paths]
    ids = _recognise(tracks, known)
    fresh = sorted((row for row in range(len(tracks)) if row not in ids), key=lambda row: -_side(tracks[row]))
    first = 1 + max((track.id for track in known), default=-1)
    ids.update({row: first + rank for rank, row in enumerate(fresh)})
    named = [replace(track, id=ids[row]) for row, track in enumerate(tracks)]
    return tuple(sorted(named, key=lambda track: track.id))


def _paths(boxes: Sequence[FaceBoxes]) -> list[list[Sighting]]:
    """Follow each face through the frames, best overlap first."""
    paths: list[list[Sighting]] = []
    for frame, faces in enumerate(boxes):
        live = [path for path in paths if frame - path[-1][0] <= MAX_GAP_FRAMES + 1]
        last = np.array([boxes[at].xyxy[face] for at, face in (path[-1] for path in live)], np.float32)
        likeness = overlaps(last.reshape(-1, 4), faces.xyxy)
        pairs = best_pairs(np.where(likeness >= MIN_TRACK_OVERLAP, likeness, -np.inf))
        for row, face in pairs:
            live[row].append((frame, face))
        taken = {face for _, face in pairs}
        paths.extend([(frame, face)] for face in range(len(faces)) if face not in taken)
    return paths


def _track(
    track_id: int, path: Sequence[Sighting], boxes: Sequence[FaceBoxes], seconds: Float64Array
) -> FaceTrack:
    at = np.array([frame for frame, _ in path], np.int64)
    return FaceTrack(
        track_id,
        at,
        seconds[at],
        np.stack([boxes[frame].xyxy[face] for frame, face in path]),
        np.stack([boxes[frame].landmarks[face] for frame, face in path]),
        np.array([boxes[frame].score[face] for frame, face in path], np.float32),
    )


def _recognise(tracks: Sequence[FaceTrack], known: Sequence[FaceTrack]) -> dict[int, int]:
    """Row in `tracks` -> id of the known person who was last seen nearest to where the track starts."""
    if not tracks or not known:
        return {}
    starts = np.stack([track.xyxy[0] for track in tracks])
    ends = np.stack([track.xyxy[-1] for track in known])
    distance, ratio = steps(starts, ends)
    near = (distance <= MAX_STEP_SIDES) & (ratio <= MAX_SIZE_RATIO)
    return {row: known[column].id for row, column in best_pairs(np.where(near, -distance, -np.inf))}


def _side(track: FaceTrack) -> float:
    """Median over the frames of the mean of width and height, px."""
    return float(np.median(sides(track.xyxy)))


def why_excluded(track: FaceTrack, frames: Frames, rules: FaceRules) -> str | None:
    """A stable reason code when the track is not worth scoring, else None."""
    if len(track) < min(rules.min_frames, len(frames)):
        return "face_too_brief"
    if _side(track) < rules.min_side_px:
        return "face_too_small"
    if sharpness(frames, track) < rules.min_sharpness:
        return "face_too_blurred"
    return None


def sharpness(frames: Frames, track: FaceTrack) -> float:
    """Share of fine detail in the face: variance of its Laplacian over its variance, at one size.

    The ratio does not change with exposure or contrast. Median over the frames.
    """
    sightings = zip(track.frame_index, track.xyxy, strict=True)
    return float(np.median([_detail(frames.data[at], box) for at, box in sightings]))


def _detail(image: UInt8Array, xyxy: Float32Array) -> float:
    height, width = image.shape[:2]
    inside = xyxy.clip(0, [width, height, width, height])  # black beyond the picture would count as detail
    face = patch(image, inside, SHARPNESS_SIDE_PX)
    gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F).var() / max(gray.var(), 1.0))
