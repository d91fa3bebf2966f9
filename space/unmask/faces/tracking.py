"""Link the faces of successive frames to tracks. Pure numpy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from unmask.faces.boxes import distance_and_ratio, match_by_iou, match_greedily, sides
from unmask.faces.detector import FaceBoxes

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Detection = tuple[int, int]  # frame of the window, face of the frame

MAX_GAP_FRAMES = 2  # without its face, after which a track ends
MAX_STEP_SIDES = 1.0  # a subject's face moves at most so far between windows of a shot, in its own sides,
MAX_SIZE_RATIO = 1.6  # and grows or shrinks at most so much


@dataclass(frozen=True, repr=False)
class FaceTrack:
    """One face through the frames of a window."""

    id: int  # the same for one subject in all windows
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


def link(
    boxes: Sequence[FaceBoxes], seconds: Float64Array, known: Sequence[FaceTrack], first_id: int = 0
) -> tuple[FaceTrack, ...]:
    """Link the faces of frames of one shot to tracks, ordered by id.

    `known` holds the last track of every face of the same shot: a face near its last position, of about the same
    size, gets its id. Others get new ids from `first_id` on, the largest face first.
    """
    paths = _paths(boxes)
    tracks = [_track(-1, path, boxes, seconds) for path in paths]
    ids = _match_known(tracks, known)
    fresh = sorted((row for row in range(len(tracks)) if row not in ids), key=lambda row: -mean_side(tracks[row]))
    first = max([first_id, *(1 + track.id for track in known)])
    ids.update({row: first + rank for rank, row in enumerate(fresh)})
    named = [replace(track, id=ids[row]) for row, track in enumerate(tracks)]
    return tuple(sorted(named, key=lambda track: track.id))


def _paths(boxes: Sequence[FaceBoxes]) -> list[list[Detection]]:
    """Follow each face through the frames, best overlap first."""
    paths: list[list[Detection]] = []
    for frame, faces in enumerate(boxes):
        live = [path for path in paths if frame - path[-1][0] <= MAX_GAP_FRAMES + 1]
        last = np.array([boxes[at].xyxy[face] for at, face in (path[-1] for path in live)], np.float32)
        pairs = match_by_iou(last.reshape(-1, 4), faces.xyxy)
        for row, face in pairs:
            live[row].append((frame, face))
        taken = {face for _, face in pairs}
        paths.extend([(frame, face)] for face in range(len(faces)) if face not in taken)
    return paths


def _track(track_id: int, path: Sequence[Detection], boxes: Sequence[FaceBoxes], seconds: Float64Array) -> FaceTrack:
    at = np.array([frame for frame, _ in path], np.int64)
    return FaceTrack(
        track_id,
        at,
        seconds[at],
        np.stack([boxes[frame].xyxy[face] for frame, face in path]),
        np.stack([boxes[frame].landmarks[face] for frame, face in path]),
        np.array([boxes[frame].score[face] for frame, face in path], np.float32),
    )


def _match_known(tracks: Sequence[FaceTrack], known: Sequence[FaceTrack]) -> dict[int, int]:
    """Match each row of `tracks` to the known subject last seen nearest to where the track starts -> its id."""
    if not tracks or not known:
        return {}
    starts = np.stack([track.xyxy[0] for track in tracks])
    ends = np.stack([track.xyxy[-1] for track in known])
    distance, ratio = distance_and_ratio(starts, ends)
    near = (distance <= MAX_STEP_SIDES) & (ratio <= MAX_SIZE_RATIO)
    return {row: known[column].id for row, column in match_greedily(np.where(near, -distance, -np.inf))}


def mean_side(track: FaceTrack) -> float:
    """Compute the median over frames of the mean of width and height, in px."""
    return float(np.median(sides(track.xyxy)))
