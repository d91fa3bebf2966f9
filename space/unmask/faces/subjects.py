"""Windows of frames and the faces in them -> people: where each was seen, and their clips for every model.

Windows come one after another and may be dropped after `People.add`: only boxes and small clips are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from unmask.faces.clips import ClipSpec, FaceClip, crop, recompressed
from unmask.faces.detector import FaceBoxes
from unmask.faces.tracking import FaceRules, FaceTrack, link, why_excluded
from unmask.video.decode import Frames
from unmask.video.sampling import CLOSE_STRIDES

MAX_PEOPLE = 12  # who are scored; in a crowd, those seen first, and among them the largest
MAX_BOXES = 64  # of one person in a report
RULES = FaceRules()


@dataclass
class Person:
    """One face through the whole video."""

    id: int
    seconds: list[float] = field(default_factory=list)  # of each box, rising
    boxes: list[npt.NDArray[np.float32]] = field(default_factory=list)  # xyxy (4,) px of the original frame
    clips: dict[ClipSpec, list[FaceClip]] = field(default_factory=dict)  # a clip a window it was seen in

    def extend(self, seen: "Person") -> None:
        """Take what a later window shows of the same person."""
        self.seconds.extend(seen.seconds)
        self.boxes.extend(seen.boxes)
        for spec, clips in seen.clips.items():
            self.clips.setdefault(spec, []).extend(clips)

    def thinned_boxes(self) -> list[tuple[float, tuple[float, float, float, float]]]:
        """(seconds, xyxy) of at most MAX_BOXES boxes, spread evenly, the first and the last among them."""
        count = min(len(self.boxes), MAX_BOXES)
        chosen = np.linspace(0, len(self.boxes) - 1, count).round().astype(int)
        return [(self.seconds[i], self._box(i)) for i in chosen]

    def recompressed(self) -> "Person":
        """The same person in clips that were mildly compressed once more."""
        clips = {spec: [recompressed(clip) for clip in some] for spec, some in self.clips.items()}
        return replace(self, clips=clips)

    def _box(self, index: int) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = self.boxes[index].tolist()
        return x1, y1, x2, y2


class People:
    """Everybody seen so far, and how much was looked at."""

    def __init__(self, specs: Sequence[ClipSpec], rules: FaceRules = RULES) -> None:
        self.frames = 0
        self.frames_with_face = 0
        self.analysed_seconds = 0.0
        self.too_many = False  # there were more than MAX_PEOPLE
        self._specs = tuple(dict.fromkeys(specs))
        self._rules = rules
        self._known: dict[int, FaceTrack] = {}  # last track of every face, left out or not, by the linker's id
        self._left_out: dict[int, str] = {}  # why a face was left out where it was seen last
        self._people: dict[int, Person] = {}  # by the linker's id

    @property
    def all(self) -> tuple[Person, ...]:
        return tuple(self._people.values())

    @property
    def excluded(self) -> tuple[str, ...]:
        """Reason codes of the faces that were left out wherever they were seen."""
        return tuple(reason for face, reason in self._left_out.items() if face not in self._people)

    def add(self, frames: Frames, boxes: Sequence[FaceBoxes]) -> tuple[Person, ...]:
        """Take what one window shows, frames and the faces found in each of them -> who is seen in it.

        These are given with what the window adds to them alone.
        """
        self.frames += len(frames)
        self.frames_with_face += sum(1 for found in boxes if len(found))
        self.analysed_seconds += shown_seconds(frames)
        tracks = link(boxes, frames.seconds, tuple(self._known.values()))
        self._known.update({track.id: track for track in tracks})
        seen = []
        for track in sorted(tracks, key=_area, reverse=True):
            reason = why_excluded(track, frames, self._rules)
            if reason is not None:
                self._left_out[track.id] = reason
            elif (person := self._person(track.id)) is not None:
                seen.append(self._sighting(person.id, track, frames))
                person.extend(seen[-1])
        return tuple(seen)

    def _person(self, face: int) -> Person | None:
        """Who a face belongs to; None for a new one when there are too many."""
        if face not in self._people:
            if len(self._people) == MAX_PEOPLE:
                self.too_many = True
                return None
            self._people[face] = Person(len(self._people))
        return self._people[face]

    def _sighting(self, person: int, track: FaceTrack, frames: Frames) -> Person:
        """One person in one window."""
        own = replace(track, id=person)
        clips = {spec: [crop(frames, at_stride(own, spec.frame_stride_seconds), spec)] for spec in self._specs}
        boxes = track.xyxy * np.float32(frames.scale)
        return Person(person, track.seconds.tolist(), list(boxes), clips)


def at_stride(track: FaceTrack, stride_seconds: float) -> FaceTrack:
    """The track without the frames that follow too closely on the one before."""
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
    """How long a window is on the screen: from its first frame to its last, and that one's own time."""
    if len(frames) < 2:
        return 0.0
    return float((frames.seconds[-1] - frames.seconds[0]) * len(frames) / (len(frames) - 1))


def _area(track: FaceTrack) -> float:
    return float((track.xyxy[:, 2:] - track.xyxy[:, :2]).prod(1).mean())
