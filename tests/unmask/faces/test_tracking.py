"""Following faces, and saying why one is left out."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media import astronaut, scaled, times, window_of
from unmask.faces.detector import FaceBoxes
from unmask.faces.exclusion import FaceRules, crop_sharpness, exclusion_reason
from unmask.faces.tracking import FaceTrack, link
from unmask.video.frames import Frames


def seen(*faces):
    """One frame's faces, each (centre x, centre y, side)."""
    rows = np.array(faces, np.float32).reshape(-1, 3)
    half = rows[:, 2:] / 2
    xyxy = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], 1)
    return FaceBoxes(xyxy, np.zeros((len(rows), 5, 2), np.float32), np.ones(len(rows), np.float32))


def linked(*boxes, known=()):
    """(id, frames, x of the first centre) of every track."""
    tracks = link(boxes, times(len(boxes)), known)
    return [(track.id, track.frame_index.tolist(), round(float(track.xyxy[0, [0, 2]].mean()))) for track in tracks]


def known(*people):
    """Last tracks of people, each (id, centre x, centre y, side)."""
    return tuple(
        FaceTrack(person, np.array([3]), np.array([0.5]), faces.xyxy, faces.landmarks, faces.score)
        for person, *face in people
        for faces in [seen(face)]
    )


A, B = (100, 100, 80), (400, 100, 60)
NO_FACES = seen()


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], []),
        ([NO_FACES, NO_FACES], []),
        ([seen(A), seen(A)], [(0, [0, 1], 100)]),
        # the largest is number 0, whatever their order in a frame
        ([seen(B, A), seen(A, B)], [(0, [0, 1], 100), (1, [0, 1], 400)]),
        # a drifting face
        ([seen((100 + 20 * step, 100, 80)) for step in range(4)], [(0, [0, 1, 2, 3], 100)]),
        # one or two frames without it are bridged, three are not
        ([seen(A), NO_FACES, NO_FACES, seen(A)], [(0, [0, 3], 100)]),
        ([seen(A), NO_FACES, NO_FACES, NO_FACES, seen(A)], [(0, [0], 100), (1, [4], 100)]),
        # a cut to another person
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
        ([(0, *B)], [(1, 100)]),  # another person: next number
        ([(0, 150, 100, 80), (1, 110, 100, 80)], [(1, 100)]),  # the nearer one
    ],
)
def test_ids_continue_across_windows(people, expected):
    assert [(track, x) for track, _, x in linked(seen(A), known=known(*people))] == expected


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


def looked_at(image, count=8):
    """A window that shows one image, and the track of its face."""
    box = np.array([[181, 63, 267, 172]], np.float32) * (image.shape[0] / 512)
    faces = FaceBoxes(box, np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32))
    window = window_of(*[image] * 8)
    (track,) = link([faces] * count + [NO_FACES] * (8 - count), window.seconds, ())
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
    assert exclusion_reason(track, window, FaceRules()) == reason


def test_crops_are_the_less_sharp_the_more_they_are_blurred_however_bright_they_are():
    face = cv2.resize(astronaut()[63:172, 170:279], (224, 224), interpolation=cv2.INTER_CUBIC)
    blurred = [cv2.GaussianBlur(face, (0, 0), sigma) for sigma in (1, 2, 3, 4)]
    found = [crop_sharpness(image[None]) for image in (face, *blurred)]
    assert found == sorted(found, reverse=True) and found[0] > 5 * found[-1]
    darker = crop_sharpness(np.stack([face // 2, face // 2 + 60, blurred[3]]))
    assert darker == pytest.approx(found[0], rel=0.1)  # the middle frame decides


def test_a_short_window_asks_for_no_more_frames_than_it_has():
    track, window = looked_at(astronaut(), 1)
    alone = Frames(window.data[:1], window.seconds[:1])
    assert exclusion_reason(track, alone, FaceRules()) is None
