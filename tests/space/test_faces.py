"""Finding faces, following them, and saying why one is left out."""

import training.backbone  # noqa: F401  first: it makes the reference importable beside a CPU build of torch

# isort: split
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models import mtcnn as reference_nets
from facenet_pytorch.models.utils import detect_face
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media import astronaut
from unmask import mtcnn
from unmask.boxes import overlaps, sides
from unmask.faces import FaceBoxes, FaceFinder, FaceRules, FaceTrack, link, why_excluded
from unmask.video import DecodePlan, Frames, decode


def times(count):
    return np.linspace(0.0, 0.12 * (count - 1), count)


def frames(*images):
    return Frames(np.stack(images), times(len(images)))


def scaled(image, factor):
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=method)


@pytest.fixture(scope="module")
def finder():
    return FaceFinder()


# Against the reference: facenet-pytorch 2.6.0, whose weights are the same.


@pytest.fixture(scope="module")
def reference():
    """Image -> box (4,) and landmarks (5, 2) of the largest face by facenet-pytorch.

    Its answer depends on how the levels of its pyramid happen to lie: with another smallest face, its own
    boxes of one picture overlap by 0.94 in the median and by 0.82 in the worst twentieth. So the
    reference is the mean over three settings.
    """
    patch = pytest.MonkeyPatch()
    patch.setattr(detect_face, "batched_nms", _batched_nms)
    finders = [MTCNN(min_face_size=size, select_largest=True) for size in (44, 48, 52)]

    def find(image):
        answers = [finder.detect(image, landmarks=True) for finder in finders]
        found = [(boxes[0], points[0]) for boxes, _, points in answers if boxes is not None]
        assert found, "the reference finds no face"
        return tuple(np.mean([part[k] for part in found], 0).astype(np.float32) for k in (0, 1))

    yield find
    patch.undo()


def _batched_nms(boxes, scores, groups, limit):
    """torchvision's, which the CPU build of torch cannot load."""
    if not len(boxes):
        return torch.empty(0, dtype=torch.int64)
    apart = (boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None]).numpy()
    xywh = np.concatenate([apart[:, :2], apart[:, 2:] - apart[:, :2]], 1)
    kept: Any = cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), 0.0, limit)
    return torch.as_tensor(np.asarray(kept, np.int64).reshape(-1))


@pytest.mark.parametrize(("name", "side_px"), [("PNet", 40), ("RNet", 24), ("ONet", 48)])
def test_networks_equal_the_reference(name, side_px):
    ours = mtcnn.load(getattr(mtcnn, name)(), torch.device("cpu"))
    theirs = getattr(reference_nets, name)().eval()
    images = torch.randn(3, 3, side_px, side_px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        score, offset, *points = ours(images)
        *their_others, their_scores = theirs(images)
    for mine, their in zip([score, offset, *points], [their_scores[:, 1], *their_others], strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.5, 2.0, 3.0])
def test_photograph_agrees_with_the_reference(finder, reference, factor):
    image = scaled(astronaut(), factor)
    (found,) = finder.detect(frames(image))
    box, points = reference(image)
    assert len(found) == 1
    assert overlaps(box[None], found.xyxy)[0, 0] >= 0.9
    assert np.abs(found.landmarks[0] - points).max() < 0.04 * sides(box[None])[0]


@pytest.mark.shared
def test_research_videos_agree_with_the_reference(finder, reference, shared_data: Path):
    overlap = []
    for path in sorted((shared_data / "dfdc-videos").glob("*.mp4"))[:8]:
        window = next(iter(decode(path, DecodePlan(windows=1, frames_per_window=1))))
        (found,) = finder.detect(window)
        assert len(found) == 1, path.name
        overlap.append(overlaps(reference(window.data[0])[0][None], found.xyxy)[0, 0])
    assert np.min(overlap) >= 0.9, np.round(overlap, 3)


# The finder's own promises.


def test_landmarks_lie_where_eyes_nose_and_mouth_are(finder):
    (found,) = finder.detect(frames(astronaut()))
    left_eye, right_eye, nose, left_mouth, right_mouth = found.landmarks[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert 0.3 < (right_eye[0] - left_eye[0]) / sides(found.xyxy)[0] < 0.55


def test_a_window_gives_what_its_frames_give_alone(finder):
    images = [np.roll(astronaut(), shift, 1) for shift in (0, 7, 30)] + [np.zeros_like(astronaut())]
    together = finder.detect(frames(*images))
    assert [len(found) for found in together] == [1, 1, 1, 0]
    for found, image in zip(together, images, strict=True):
        (alone,) = finder.detect(frames(image))
        np.testing.assert_allclose(found.xyxy, alone.xyxy, atol=0.05)
        np.testing.assert_allclose(found.landmarks, alone.landmarks, atol=0.05)


@pytest.mark.parametrize(("right", "down"), [(3, 5), (-7, 2), (40, 11)])
def test_boxes_move_with_the_picture(finder, right, down):
    first, second = finder.detect(frames(astronaut(), np.roll(astronaut(), (down, right), (0, 1))))
    moved = first.xyxy + np.array([right, down, right, down], np.float32)
    assert overlaps(moved, second.xyxy)[0, 0] > 0.9


@pytest.mark.parametrize("size", [(720, 1280), (1280, 720)])
def test_faces_of_48_px_in_720p_are_found(finder, size):
    face = scaled(astronaut(), 0.5)  # its face is 48 px
    image = np.full((*size, 3), 110, np.uint8)
    image[300:556, 200:456] = face
    (found,) = finder.detect(frames(image))
    assert len(found) == 1
    assert 42 < sides(found.xyxy)[0] < 54


def test_every_face_of_a_group_is_found(finder):
    head = astronaut()[20:240, 120:330]
    image = np.zeros((720, 1280, 3), np.uint8)
    places = [(10, 20), (10, 500), (300, 900), (450, 200), (250, 500)]
    for top, left in places:
        image[top : top + 220, left : left + 210] = head
    (found,) = finder.detect(frames(image))
    centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
    offsets = centres[np.argsort(centres[:, 0])] - np.array(sorted((left, top) for top, left in places))
    np.testing.assert_allclose(offsets, offsets.mean(0, keepdims=True).repeat(5, 0), atol=6)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((11, 2000, 3), np.uint8),
        np.zeros((2000, 13, 3), np.uint8),
        np.full((360, 640, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8),
    ],
    ids=["1 px", "flat strip", "tall strip", "white", "noise"],
)
def test_no_face_is_an_answer(finder, image):
    (found,) = finder.detect(frames(image))
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)
    assert found.landmarks.shape == (0, 5, 2)


def test_a_face_cut_by_the_edge_is_found(finder):
    (found,) = finder.detect(frames(np.ascontiguousarray(astronaut()[75:, 190:])))
    assert len(found) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_finds_what_the_cpu_finds(finder):
    window = frames(astronaut(), scaled(scaled(astronaut(), 0.5), 2))
    on_gpu = FaceFinder(torch.device("cuda")).detect(window)
    for mine, their in zip(finder.detect(window), on_gpu, strict=True):
        np.testing.assert_allclose(mine.xyxy, their.xyxy, atol=1.0)


# Tracks.


def seen(*faces):
    """One frame's faces, each (centre x, centre y, side)."""
    rows = np.array(faces, np.float32).reshape(-1, 3)
    half = rows[:, 2:] / 2
    xyxy = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], 1)
    return FaceBoxes(xyxy, np.zeros((len(rows), 5, 2), np.float32), np.ones(len(rows), np.float32))


def linked(*boxes, known=()):
    """(id, frames, x of the first centre) of every track."""
    tracks = link(boxes, times(len(boxes)), known)
    return [
        (track.id, track.frame_index.tolist(), round(float(track.xyxy[0, [0, 2]].mean()))) for track in tracks
    ]


def known(*people):
    """Last tracks of people, each (id, centre x, centre y, side)."""
    return tuple(
        FaceTrack(person, np.array([3]), np.array([0.5]), faces.xyxy, faces.landmarks, faces.score)
        for person, *face in people
        for faces in [seen(face)]
    )


A, B = (100, 100, 80), (400, 100, 60)
NOBODY = seen()


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], []),
        ([NOBODY, NOBODY], []),
        ([seen(A), seen(A)], [(0, [0, 1], 100)]),
        # the largest is number 0, whatever their order in a frame
        ([seen(B, A), seen(A, B)], [(0, [0, 1], 100), (1, [0, 1], 400)]),
        # a drifting face
        ([seen((100 + 20 * step, 100, 80)) for step in range(4)], [(0, [0, 1, 2, 3], 100)]),
        # one or two frames without it are bridged, three are not
        ([seen(A), NOBODY, NOBODY, seen(A)], [(0, [0, 3], 100)]),
        ([seen(A), NOBODY, NOBODY, NOBODY, seen(A)], [(0, [0], 100), (1, [4], 100)]),
        # a cut to somebody elsewhere
        ([seen(A), seen(B)], [(0, [0], 100), (1, [1], 400)]),
        # a face as large as a room around a small one is not the same
        ([seen((100, 100, 20)), seen((100, 100, 90))], [(0, [1], 100), (1, [0], 100)]),
        # two that come close: each goes on with what overlaps more
        (
            [seen((100, 100, 80), (200, 100, 80)), seen((170, 100, 80), (130, 100, 80))],
            [(0, [0, 1], 100), (1, [0, 1], 200)],
        ),
    ],
)
def test_link_inside_a_window(boxes, expected):
    assert linked(*boxes) == expected


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([(5, *A)], [(5, 100)]),  # stands where number 5 stood
        ([(5, 160, 100, 80)], [(5, 100)]),  # moved by less than a face
        ([(5, 190, 100, 80)], [(6, 100)]),  # too far
        ([(5, 100, 100, 160)], [(6, 100)]),  # too large
        ([(0, *B)], [(1, 100)]),  # somebody else: next number
        ([(0, 150, 100, 80), (1, 110, 100, 80)], [(1, 100)]),  # the nearer one
    ],
)
def test_ids_continue_across_windows(people, expected):
    assert [(track, x) for track, _, x in linked(seen(A), known=known(*people))] == expected


def test_one_id_is_given_once_a_window():
    assert linked(seen(A, (150, 100, 80)), known=known((3, *A))) == [(3, [0], 100), (4, [0], 150)]


def test_tracks_carry_times_and_landmarks_of_their_frames():
    boxes = [NOBODY, seen(A), seen(A)]
    boxes[2].landmarks[:] = 7
    (track,) = link(boxes, np.array([1.0, 1.5, 2.5]), ())
    assert track.seconds.tolist() == [1.5, 2.5]
    assert track.landmarks[:, 0, 0].tolist() == [0, 7]
    assert len(track) == 2


face = st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(20, 200))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(face, max_size=4), max_size=6), st.lists(face, max_size=3))
def test_every_face_is_in_one_track_and_ids_are_unique(window, earlier):
    boxes = [seen(*faces) for faces in window]
    people = known(*((2 * number, *face) for number, face in enumerate(earlier)))
    tracks = link(boxes, times(len(boxes)), people)
    assert sum(len(track) for track in tracks) == sum(len(faces) for faces in window)
    assert len({track.id for track in tracks}) == len(tracks)
    assert all((np.diff(track.frame_index) > 0).all() for track in tracks)


# Exclusion.


def looked_at(image, count=8):
    """A window that shows one image, and the track of its face."""
    box = np.array([[181, 63, 267, 172]], np.float32) * (image.shape[0] / 512)
    faces = FaceBoxes(box, np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32))
    window = frames(*[image] * 8)
    (track,) = link([faces] * count + [NOBODY] * (8 - count), window.seconds, ())
    return track, window


def through(image, factor):
    """The image as it looks after it was stored `factor` times smaller."""
    return cv2.resize(scaled(image, factor), image.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def jpeg(image, quality):
    stored = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(
    ("image", "count", "reason"),
    [
        (astronaut(), 8, None),
        (astronaut(), 3, None),
        (astronaut(), 2, "face_too_brief"),
        (scaled(astronaut(), 3), 8, None),  # 290 px
        (scaled(astronaut(), 0.55), 8, None),  # 53 px
        (scaled(astronaut(), 0.4), 8, "face_too_small"),  # 39 px
        (scaled(astronaut(), 0.4), 1, "face_too_brief"),
        (through(astronaut(), 0.5), 8, None),  # as soft as a face of 48 px
        (through(astronaut(), 0.15), 8, "face_too_blurred"),  # as a face of 15 px
        (cv2.GaussianBlur(astronaut(), (0, 0), 5), 8, "face_too_blurred"),
        (jpeg(astronaut(), 20), 8, None),
        (astronaut() // 4, 8, None),  # dark
        (astronaut() // 2 + 110, 8, None),  # faded
        (np.full_like(astronaut(), 90), 8, "face_too_blurred"),
    ],
)
def test_why_excluded(image, count, reason):
    track, window = looked_at(image, count)
    assert why_excluded(track, window, FaceRules()) == reason


def test_a_short_window_asks_for_no_more_frames_than_it_has():
    track, window = looked_at(astronaut(), 1)
    alone = Frames(window.data[:1], window.seconds[:1])
    assert why_excluded(track, alone, FaceRules()) is None


@pytest.mark.shared
def test_clear_faces_of_research_videos_are_kept(finder, shared_data: Path):
    for path in sorted(shared_data.glob("*-videos/*.mp4"))[::2]:
        window = next(iter(decode(path, DecodePlan(windows=1, frames_per_window=3))))
        (track,) = link(finder.detect(window), window.seconds, ())
        assert why_excluded(track, window, FaceRules()) is None, path.name
