"""Subjects: faces joined over windows, cut for every model, in pixels of the original. Pure: arrays in."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from tests.media import astronaut
from unmask.faces.appearance import to_lab
from unmask.faces.clips import ClipSpec
from unmask.faces.detector import FaceBoxes
from unmask.faces.exclusion import FaceRules
from unmask.faces.subjects import MAX_BOXES, MAX_SUBJECTS, Subject, SubjectTracker, thin_to_stride
from unmask.faces.tracking import FaceTrack
from unmask.video.frames import Frames

SPEC = ClipSpec(side_px=32)
ANY = FaceRules(min_side_px=0.0, min_sharpness=0.0, min_frames=1)


def window(start: float, count: int = 8, step: float = 0.12, scale: float = 1.0) -> Frames:
    data = np.random.default_rng(0).integers(0, 255, (1, 400, 400, 3), np.uint8).repeat(count, 0)
    return Frames(data, start + np.arange(count, dtype=np.float64) * step, scale)


def faces(*xyxy: Sequence[float]) -> FaceBoxes:
    boxes = np.array(xyxy, np.float32).reshape(-1, 4)
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    landmarks = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
    return FaceBoxes(boxes, landmarks, np.ones(len(boxes), np.float32))


LEFT, RIGHT, SMALL = (20, 20, 120, 120), (220, 20, 300, 100), (350, 350, 358, 358)


def track(seconds: Sequence[float]) -> FaceTrack:
    n = len(seconds)
    boxes = np.arange(4 * n, dtype=np.float32).reshape(n, 4)
    return FaceTrack(0, np.arange(n), np.array(seconds), boxes, np.zeros((n, 5, 2), np.float32), np.ones(n, np.float32))


def test_two_people_through_two_windows():
    tracker = SubjectTracker([SPEC], ANY)
    for start in (0.0, 5.0):
        tracker.add(window(start), [faces(LEFT, RIGHT)] * 8)
    assert [subject.id for subject in tracker.subjects] == [0, 1]
    for subject in tracker.subjects:
        assert [clip.track_id for clip in subject.clips[SPEC]] == [subject.id] * 2
        assert [clip.seconds[0] for clip in subject.clips[SPEC]] == [0.0, 5.0]
        assert subject.seconds == sorted(subject.seconds)
    assert (tracker.frames, tracker.frames_with_face) == (16, 16)
    assert tracker.analysed_seconds == pytest.approx(2 * 8 * 0.12)


def scene(number: int, count: int = 8) -> np.ndarray:
    """Frames of a setting of its own."""
    coarse = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
    return cv2.resize(coarse, (400, 400))[None].repeat(count, 0)


# the settings of each window's frames, everybody at the same place -> whose clips begin when
CUTS: dict[str, tuple[list[list[int]], list[list[float]]]] = {
    "no cut": ([[1] * 8, [1] * 8], [[0.0, 5.0]]),
    "a cut between windows": ([[1] * 8, [2] * 8], [[0.0], [5.0]]),
    "a cut within a window": ([[1] * 4 + [2] * 4], [[0.0], [0.48]]),
    "there and back": ([[1] * 8, [2] * 8, [1] * 8, [2] * 8], [[0.0, 10.0], [5.0, 15.0]]),
    "there and back within a window": ([[1] * 3 + [2] * 3 + [1] * 3], [[0.0, 0.72], [0.36]]),
    "too short to be judged": ([[1] * 8, [1] * 6 + [2] * 2], [[0.0, 5.0]]),
}


@pytest.mark.parametrize("name", CUTS)
def test_nobody_is_followed_over_a_cut_by_place_alone(name: str) -> None:
    windows, starts = CUTS[name]
    tracker = SubjectTracker([SPEC], FaceRules(min_side_px=0.0, min_sharpness=0.0))
    for index, settings in enumerate(windows):
        data = np.concatenate([scene(number, 1) for number in settings])
        seconds = 5.0 * index + 0.12 * np.arange(len(data), dtype=np.float64)
        tracker.add(Frames(data, seconds), [faces(LEFT)] * len(data))
    found = [[float(clip.seconds[0]) for clip in subject.clips[SPEC]] for subject in tracker.subjects]
    assert found == [pytest.approx(each) for each in starts]
    assert tracker.excluded == ()


def portrait(number: int, x: int, y: int, side: int, brightness: float = 1.0) -> tuple[Frames, FaceBoxes]:
    """The astronaut in a setting of its own, her face at a place: (frames, boxes)."""
    face = astronaut()[20:260, 105:345]
    points = np.array([[205, 112], [247, 112], [228, 138], [210, 158], [245, 158]], np.float32) - [105, 20]
    data = scene(number)
    data[:, y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    places = (points * side / 240 + [x, y]).astype(np.float32)
    box = np.array([[x + 0.3 * side, y + 0.2 * side, x + 0.7 * side, y + 0.7 * side]], np.float32)
    frames = Frames((data * brightness).astype(np.uint8), 0.12 * np.arange(8.0))
    return frames, FaceBoxes(box, places[None], np.ones(1, np.float32))


def somebody(number: int) -> tuple[Frames, FaceBoxes]:
    """Another face, or what stands for it, at the same place."""
    frames, boxes = portrait(number, 50, 50, 200)
    return Frames(scene(1000 + number), frames.seconds), boxes


PEOPLE = {
    "larger, elsewhere": ([portrait(1, 50, 50, 200), portrait(2, 120, 20, 250)], 1),
    "smaller, darker": ([portrait(1, 50, 50, 240), portrait(2, 200, 150, 120, 0.8)], 1),
    "somebody else between": ([portrait(1, 50, 50, 200), somebody(2), portrait(3, 60, 60, 220)], 2),
    "three others": ([somebody(1), somebody(2), somebody(3)], 3),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_a_person_is_found_again_in_another_shot_by_looks(name: str) -> None:
    shots, people = PEOPLE[name]
    tracker = SubjectTracker([SPEC], ANY)
    for index, (frames, boxes) in enumerate(shots):
        tracker.add(Frames(frames.data, frames.seconds + 5.0 * index), [boxes] * 8)
    assert len(tracker.subjects) == people
    assert tracker.subjects[0].seconds[0] == 0.0
    assert sum(len(subject.clips[SPEC]) for subject in tracker.subjects) == len(shots)


def test_a_face_at_the_place_of_another_in_the_same_setting_is_somebody_else_by_looks() -> None:
    first, boxes = portrait(1, 50, 50, 200)
    second = first.data.copy()
    second[:, 80:190, 100:200] = (np.arange(100) // 4 % 2)[:, None] * [255, 80, 40]  # what stands for another face
    tracker = SubjectTracker([SPEC], ANY)
    for index, data in enumerate((first.data, second, first.data, second, first.data)):
        tracker.add(Frames(data, first.seconds + 5.0 * index), [boxes] * 8)
    assert [len(subject.clips[SPEC]) for subject in tracker.subjects] == [3, 2]
    boxes.landmarks[0, 2, 0] += 20  # who turns away is still at their place
    tracker.add(Frames(second, first.seconds + 30.0), [boxes] * 8)
    assert len(tracker.subjects[0].clips[SPEC]) == 4


@pytest.mark.parametrize("again", [0, 2])
def test_what_looks_like_a_face_for_a_moment_is_no_reason_beside_one_that_is_judged(again: int) -> None:
    tracker = SubjectTracker([SPEC], FaceRules(min_side_px=0.0, min_sharpness=0.0))
    tracker.add(window(0.0), [faces(RIGHT), *[faces()] * 7])
    assert tracker.excluded == ("face_too_brief",)
    for index in range(1, 2 + again):
        tracker.add(window(5.0 * index), [faces(LEFT, RIGHT), *[faces(LEFT)] * 7])
    assert [subject.id for subject in tracker.subjects] == [0]
    assert tracker.excluded == ()


def test_faces_that_are_left_out_leave_no_gap_in_the_ids_and_a_reason():
    tracker = SubjectTracker([SPEC], FaceRules(min_side_px=48.0, min_frames=1))
    tracker.add(window(0.0), [faces(SMALL)] * 8)
    tracker.add(window(5.0), [faces(SMALL, LEFT)] * 8)
    assert [subject.id for subject in tracker.subjects] == [0]
    assert tracker.excluded == ("face_too_small",)


def test_a_face_that_is_judged_somewhere_is_not_excluded():
    tracker = SubjectTracker([SPEC], FaceRules(min_side_px=0.0, min_frames=4))
    tracker.add(window(0.0), [faces(LEFT)] * 2 + [faces()] * 6)
    assert tracker.excluded == ("face_too_brief",)
    tracker.add(window(5.0), [faces(LEFT)] * 8)
    assert tracker.excluded == ()
    assert len(tracker.subjects[0].clips[SPEC]) == 1


def test_in_a_crowd_the_largest_are_taken():
    columns = [(20 * i, 10, 20 * i + 12 + (i % 5), 22 + (i % 5)) for i in range(MAX_SUBJECTS + 8)]
    tracker = SubjectTracker([SPEC], ANY)
    tracker.add(window(0.0, count=2), [faces(*columns)] * 2)
    assert tracker.too_many
    assert len(tracker.subjects) == MAX_SUBJECTS
    widths = [subject.boxes[0][2] - subject.boxes[0][0] for subject in tracker.subjects]
    assert min(widths) >= 13


def test_boxes_are_in_pixels_of_the_original():
    tracker = SubjectTracker([SPEC], ANY)
    tracker.add(window(0.0, scale=2.5), [faces(LEFT)] * 8)
    (subject,) = tracker.subjects
    assert subject.thinned_boxes()[0] == (0.0, (50.0, 50.0, 300.0, 300.0))


def test_boxes_are_thinned_evenly():
    subject = Subject(0, [float(i) for i in range(1000)], [np.full(4, i, np.float32) for i in range(1000)])
    seconds = [second for second, _ in subject.thinned_boxes()]
    assert len(seconds) == MAX_BOXES
    assert (seconds[0], seconds[-1]) == (0.0, 999.0)
    assert max(np.diff(seconds)) - min(np.diff(seconds)) <= 1
    assert len(Subject(0, [1.0], [np.zeros(4, np.float32)]).thinned_boxes()) == 1


def test_each_model_gets_clips_at_its_own_stride():
    coarse = ClipSpec(side_px=32, frames_per_clip=3, frame_stride_seconds=0.36)
    tracker = SubjectTracker([SPEC, coarse, SPEC], ANY)
    tracker.add(window(0.0), [faces(LEFT)] * 8)
    (subject,) = tracker.subjects
    assert len(subject.clips[SPEC][0].seconds) == 8
    assert subject.clips[coarse][0].seconds.tolist() == pytest.approx([0.0, 0.36, 0.72])


@pytest.mark.parametrize(
    ("seconds", "stride", "kept"),
    [
        ([0.0], 0.12, [0.0]),
        ([0.0, 0.12, 0.24], 0.12, [0.0, 0.12, 0.24]),
        ([0.0, 0.1, 0.2, 0.3], 0.12, [0.0, 0.1, 0.2, 0.3]),  # a little early is near enough
        ([0.0, 0.04, 0.08, 0.12], 0.12, [0.0, 0.12]),
        ([0.0, 5.0, 5.01], 0.12, [0.0, 5.0]),
    ],
)
def test_at_stride(seconds, stride, kept):
    thinned = thin_to_stride(track(seconds), stride)
    assert thinned.seconds.tolist() == kept
    assert thinned.xyxy[:, 0].tolist() == [4.0 * seconds.index(second) for second in kept]


def test_colours_are_those_of_opencv():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    apart = np.abs(to_lab(image) - cv2.cvtColor(image, cv2.COLOR_RGB2LAB))
    assert apart.mean() < 0.3
    assert apart.max() < 2
