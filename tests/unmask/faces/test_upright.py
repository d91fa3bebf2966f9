"""Pictures without a face are turned by quarters; boxes stay where a player shows the face."""

import numpy as np
import pytest

from tests.media import astronaut, faceless, window_of
from unmask.faces.detector import FaceBoxes, FaceFinder
from unmask.faces.upright import MAX_TRIES, UprightFinder, turn_back
from unmask.video.frames import Frames


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_face_is_found_however_the_picture_lies(turns: int) -> None:
    image = np.ascontiguousarray(np.rot90(astronaut()[:400], -turns))
    upright = UprightFinder(FaceFinder().detect)
    frames, boxes = upright.find(window_of(image, image, image))
    assert frames.turns == upright.turns == turns
    (here,) = turn_back(boxes[0].xyxy, frames)
    mask = np.zeros(image.shape[:2])
    x1, y1, x2, y2 = here.round().astype(int)
    mask[y1:y2, x1:x2] = 1
    ys, xs = np.nonzero(np.rot90(mask, turns))
    assert np.hypot(xs.mean() - 225, ys.mean() - 120) < 20  # the face of the photograph


def test_a_phone_may_be_turned_at_any_time_and_what_is_a_face_for_a_moment_does_not_hide_it() -> None:
    image = astronaut()[:400]
    upright = UprightFinder(FaceFinder().detect)
    for turns in (0, 1, 0, 2):
        lying = np.ascontiguousarray(np.rot90(image, -turns))
        other = image if lying.shape == image.shape else np.zeros_like(lying)
        for window in ((lying, other, lying, lying, lying), (other, lying, lying, lying, lying)):
            frames, boxes = upright.find(window_of(*window))
            assert frames.turns == turns
            assert sum(map(bool, map(len, boxes))) >= 4


def test_where_there_is_no_face_only_a_few_windows_are_turned() -> None:
    looked_at: list[int] = []
    finder = FaceFinder()

    def detect(frames: Frames) -> list[FaceBoxes]:
        looked_at.append(len(frames))
        return finder.detect(frames)

    upright = UprightFinder(detect)
    window = window_of(*faceless(4))
    for _ in range(6):
        frames, boxes = upright.find(window)
        assert frames.turns == 0
        assert not any(map(len, boxes))
    assert looked_at.count(1) == 3 * MAX_TRIES
