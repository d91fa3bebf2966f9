"""Collect what windows of frames show of each subject: boxes, and clips for every model."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from unmask.faces.appearance import embed
from unmask.faces.clips import ClipSpec, FaceClip, crop, recompressed
from unmask.faces.detector import FaceBoxes, FaceFinder
from unmask.faces.exclusion import FaceRules, exclusion_reason
from unmask.faces.shots import ShotFinder
from unmask.faces.tracking import FaceTrack, link
from unmask.faces.upright import turn_back
from unmask.video.frames import Frames
from unmask.video.sampling import CLOSE_STRIDES

MAX_SUBJECTS = 12  # that are scored: those seen first, and among them the largest
# Similarity of two faces in two shots. Measured on 28 videos, faces scaled, relit and compressed: 0.1 % of 9450 pairs
# of two people lie above, and 24 % of 280 pairs of one person below, who then counts as two.
SAME_PERSON = 0.6
CLEAR_SIMILARITY = 0.1  # by which it must exceed that with anybody else
# Below it a frontal face at the place of another is somebody else: so are 86 % of 1680 pairs of two people in 15
# videos, and none of 45 windows of these beside what was seen there before.
OTHER_PERSON = 0.2
FRONTAL = 0.2  # of the distance of the eyes, by which the nose lies beside their middle at most
MAX_BOXES = 64  # of one subject in a report
RULES = FaceRules()


@dataclass
class Subject:
    """One person through the whole video, over several tracks."""

    id: int
    seconds: list[float] = field(default_factory=list)  # of each box, rising
    boxes: list[npt.NDArray[np.float32]] = field(default_factory=list)  # xyxy (4,) px of the original frame
    clips: dict[ClipSpec, list[FaceClip]] = field(default_factory=dict)  # a clip a window it was seen in

    def extend(self, seen: "Subject") -> None:
        """Add what a later window shows of the same subject."""
        self.seconds.extend(seen.seconds)
        self.boxes.extend(seen.boxes)
        for spec, clips in seen.clips.items():
            self.clips.setdefault(spec, []).extend(clips)

    def thinned_boxes(self) -> list[tuple[float, tuple[float, float, float, float]]]:
        """Choose at most MAX_BOXES boxes evenly, the first and the last among them -> (seconds, xyxy) each."""
        count = min(len(self.boxes), MAX_BOXES)
        chosen = np.linspace(0, len(self.boxes) - 1, count).round().astype(int)
        return [(self.seconds[i], self._box(i)) for i in chosen]

    def recompressed(self) -> "Subject":
        """Return the subject with its clips mildly compressed once more."""
        clips = {spec: [recompressed(clip) for clip in some] for spec, some in self.clips.items()}
        return replace(self, clips=clips)

    def _box(self, index: int) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = self.boxes[index].tolist()
        return x1, y1, x2, y2


class SubjectTracker:
    """The subjects of a video so far, and how much of it was looked at.

    Windows are added in order and may be dropped after `add`: only boxes and small clips are kept.
    """

    def __init__(self, specs: Sequence[ClipSpec], rules: FaceRules = RULES) -> None:
        self.frames = 0
        self.frames_with_face = 0
        self.analysed_seconds = 0.0
        self.turned = False  # faces were found only after quarter turns
        self.too_many = False  # there were more than MAX_SUBJECTS
        self._specs = tuple(dict.fromkeys(specs))
        self._rules = rules
        self._shots = ShotFinder()
        self._faces: dict[int, FaceTrack] = {}  # last track of every face, excluded or not, by the linker's id
        self._shot_of: dict[int, int] = {}  # where that was
        self._exclusions: dict[int, str] = {}  # why a face was excluded where it was seen last
        self._people: list[Subject] = []
        self._subjects: dict[int, Subject] = {}  # who was seen last at a place, by the linker's id
        self._embeddings: dict[int, npt.NDArray[np.float32]] = {}  # sum of the embeddings of each, by the subject's id
        self._frontal_embeddings: dict[int, npt.NDArray[np.float32]] = {}  # the same where they faced the camera

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Return the subjects in the order of their ids."""
        return tuple(self._people)

    @property
    def excluded(self) -> tuple[str, ...]:
        """Return the reason codes of the faces that were excluded in every window.

        Beside a face that is judged, what looked like a face for a moment is none.
        """
        left = (reason for face, reason in self._exclusions.items() if face not in self._subjects)
        return tuple(reason for reason in left if reason != "face_too_brief" or not self._subjects)

    def add(self, frames: Frames, boxes: Sequence[FaceBoxes]) -> tuple[Subject, ...]:
        """Add a window: its frames and the faces of each.

        Returns:
            The subjects in the window, each with only what the window shows of it.
        """
        self.frames += len(frames)
        self.turned |= bool(frames.turns)
        self.frames_with_face += sum(1 for found in boxes if len(found))
        self.analysed_seconds += shown_seconds(frames)
        seen: list[Subject] = []
        for part in self._shots.split(frames):
            if part.end - part.begin >= min(self._rules.min_frames, len(frames)):
                kept = slice(part.begin, part.end)
                shown = replace(frames, data=frames.data[kept], seconds=frames.seconds[kept])
                seen += self._add_shot(part.shot, shown, boxes[kept])
        return tuple(seen)

    def _add_shot(self, shot: int, frames: Frames, boxes: Sequence[FaceBoxes]) -> Iterator[Subject]:
        """Add frames of one shot; a face is known by its place only where the same setting was shown before."""
        known = [track for face, track in self._faces.items() if self._shot_of[face] == shot]
        tracks = link(boxes, frames.seconds, known, len(self._faces))
        self._faces.update({track.id: track for track in tracks})
        self._shot_of.update({track.id: shot for track in tracks})
        for track in sorted(tracks, key=_area, reverse=True):
            reason = exclusion_reason(track, frames, self._rules)
            if reason is not None:
                self._exclusions[track.id] = reason
            elif (subject := self._subject(track, frames)) is not None:
                observed = self._observe(subject.id, track, frames)
                subject.extend(observed)
                yield observed

    def _subject(self, track: FaceTrack, frames: Frames) -> Subject | None:
        """Return the subject of a track, a new one if need be; None when there are too many."""
        middle = len(track) // 2
        embedding = embed(frames.data[track.frame_index[middle]], track.landmarks[middle])
        frontal = is_frontal(track.landmarks[middle])
        subject = self._subjects.get(track.id)
        seen = self._frontal_embeddings.get(subject.id) if subject and frontal else None
        if subject is None or (seen is not None and _similarity(embedding, seen) < OTHER_PERSON):
            subject = self._find_person(embedding, self._shot_of[track.id])
            if subject is None and len(self._people) == MAX_SUBJECTS:
                self.too_many = True
                return None
            if subject is None:
                subject = Subject(len(self._people))
                self._people.append(subject)
            self._subjects[track.id] = subject
        self._embeddings[subject.id] = self._embeddings.get(subject.id, 0.0) + embedding
        if frontal:
            self._frontal_embeddings[subject.id] = self._frontal_embeddings.get(subject.id, 0.0) + embedding
        return subject

    def _find_person(self, embedding: npt.NDArray[np.float32], shot: int) -> Subject | None:
        """Find the one subject who looks so and was not seen in this shot; in doubt none."""
        here = {subject.id for face, subject in self._subjects.items() if self._shot_of[face] == shot}
        others = [one for one in self._people if one.id not in here]
        scored = [(_similarity(embedding, self._embeddings[one.id]), one.id, one) for one in others]
        alike = sorted(scored, reverse=True)
        clear = len(alike) == 1 or (len(alike) > 1 and alike[0][0] - alike[1][0] >= CLEAR_SIMILARITY)
        return alike[0][2] if clear and alike[0][0] >= SAME_PERSON else None

    def _observe(self, subject_id: int, track: FaceTrack, frames: Frames) -> Subject:
        """Build what one window shows of a subject."""
        track = replace(track, id=subject_id)
        clips = {spec: [crop(frames, thin_to_stride(track, spec.frame_stride_seconds), spec)] for spec in self._specs}
        boxes = turn_back(track.xyxy, frames) * np.float32(frames.scale)
        return Subject(subject_id, track.seconds.tolist(), list(boxes), clips)


def is_frontal(landmarks: npt.NDArray[np.float32]) -> bool:
    """Tell by landmarks (5, 2) px whether a face is turned towards the camera: its nose lies between its eyes."""
    eyes = landmarks[1] - landmarks[0]
    offset = (landmarks[2] - landmarks[:2].mean(0)) @ eyes
    return bool(abs(offset) < FRONTAL * (eyes @ eyes))


def _similarity(embedding: npt.NDArray[np.float32], embeddings: npt.NDArray[np.float32]) -> float:
    """Compute how much a face looks like the sum of others, -1..1."""
    return float(embedding @ embeddings / np.linalg.norm(embeddings))


def find_subjects(windows: Iterable[Frames], finder: FaceFinder, specs: Sequence[ClipSpec]) -> SubjectTracker:
    """Detect and track the faces of a video's windows."""
    tracker = SubjectTracker(specs)
    for frames in windows:
        tracker.add(frames, finder.detect(frames))
    return tracker


def thin_to_stride(track: FaceTrack, stride_seconds: float) -> FaceTrack:
    """Drop the frames of a track that follow too closely on the one before."""
    kept = [0]
    for index in range(1, len(track)):
        if track.seconds[index] - track.seconds[kept[-1]] >= CLOSE_STRIDES * stride_seconds:
            kept.append(index)
    return FaceTrack(
        track.id,
        track.frame_index[kept],
        track.seconds[kept],
        track.xyxy[kept],
        track.landmarks[kept],
        track.score[kept],
    )


def shown_seconds(frames: Frames) -> float:
    """Compute how long a window is on screen: from its first frame to the end of its last."""
    if len(frames) < 2:
        return 0.0
    return float((frames.seconds[-1] - frames.seconds[0]) * len(frames) / (len(frames) - 1))


def _area(track: FaceTrack) -> float:
    return float((track.xyxy[:, 2:] - track.xyxy[:, :2]).prod(1).mean())
