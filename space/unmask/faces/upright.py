"""Turn pictures upright in which everybody lies on the side or stands on the head, and boxes back."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from unmask.faces.detector import FaceBoxes
from unmask.video.frames import Frames, Image

Detect = Callable[[Frames], list[FaceBoxes]]

QUARTER_TURNS = (2, 1, 3)  # counter-clockwise, the likeliest first
MAX_TRIES = 3  # windows that are turned in vain


class UprightFinder:
    """A face finder that tries quarter turns where most frames of a window have no upright face."""

    def __init__(self, detect: Detect) -> None:
        self.turns = 0  # by which the pictures are turned
        self._detect = detect
        self._tries = MAX_TRIES  # that are left

    def find(self, frames: Frames) -> tuple[Frames, list[FaceBoxes]]:
        """Find the faces of a window -> (it as it was looked at, the faces of each frame)."""
        found = self._find_turned(frames, self.turns)
        seen = _frames_seen(found[1])
        if 2 * seen < len(frames) and self._tries:
            scores = {turns: self._score(turn(frames, turns)) for turns in (*QUARTER_TURNS, 0) if turns != self.turns}
            best = max(scores, key=lambda turns: scores[turns])
            other = self._find_turned(frames, best) if scores[best] else found
            if _frames_seen(other[1]) > seen:
                self.turns = best
                return other
            self._tries -= 1
        return found

    def _find_turned(self, frames: Frames, turns: int) -> tuple[Frames, list[FaceBoxes]]:
        turned = turn(frames, turns)
        return turned, self._detect(turned)

    def _score(self, frames: Frames) -> float:
        """Score the frame in the middle, and if there is a face, the first or the last as well; 0 without both."""
        middle, first, last = (frames.data[at : at + 1] for at in (len(frames) // 2, 0, len(frames) - 1))
        score = self._score_one(middle)
        return score and min(score, self._score_one(first) or self._score_one(last))

    def _score_one(self, image: Image) -> float:
        return _upright_score(self._detect(Frames(image, np.zeros(1)))[0])


def _frames_seen(found: Sequence[FaceBoxes]) -> int:
    return sum(_upright_score(boxes) > 0 for boxes in found)


def _upright_score(found: FaceBoxes) -> float:
    """Return the best score of a face that is taller than wide; those on their side are wider, and score less."""
    width, height = (found.xyxy[:, 2:] - found.xyxy[:, :2]).T
    return float(found.score[height > width].max(initial=0.0))


def turn(frames: Frames, turns: int) -> Frames:
    """Turn frames by so many quarters."""
    if not turns:
        return frames
    return replace(frames, data=np.ascontiguousarray(np.rot90(frames.data, turns, (1, 2))), turns=turns)


def turn_back(xyxy: npt.NDArray[np.float32], frames: Frames) -> npt.NDArray[np.float32]:
    """Convert boxes (n, 4) px of turned frames to those of the frames as a player shows them."""
    height, width = frames.data.shape[1:3]
    x1, y1, x2, y2 = np.asarray(xyxy).T
    sides: Sequence[npt.NDArray[np.float32]] = {
        0: (x1, y1, x2, y2),
        1: (height - y2, x1, height - y1, x2),
        2: (width - x2, height - y2, width - x1, height - y1),
        3: (y1, width - x2, y2, width - x1),
    }[frames.turns]
    return np.stack(sides, 1)
