"""Animated stills: they move as the driver moves, keep still where it does, and stand beside the clip they show."""

import numpy as np
import pytest

from tests.training.faces import face, portrait
from training.data.shards import read_clips, write_clips
from training.synthesis import animated_still, landmarks
from training.tools import animate_stills

SIDE = 224
KINDS = [{"is_spline": spline, "is_frozen": frozen} for spline in (False, True) for frozen in (False, True)]


@pytest.fixture(scope="module")
def still():
    return portrait(SIDE)


@pytest.fixture(scope="module")
def points(still):
    return landmarks.find(still)


def lowered(points, rows, by_px):
    moved = points.copy()
    moved[list(rows), 1] += by_px
    return moved


def test_motion_is_relative_to_the_drivers_first_frame_in_the_pictures_scale(points):
    driver = np.stack([2 * points + 30, 2 * (points + (0, 4)) + 30]).astype(np.float32)
    moved = animated_still.move_points(points, driver, SIDE, 0.5)
    np.testing.assert_allclose(moved, np.stack([points, points + (0, 2)]), atol=0.05)
    far = animated_still.move_points(points, np.stack([points, points + 90]), SIDE, 1.0)
    assert np.linalg.norm(far[1] - points, axis=1).max() == pytest.approx(animated_still.MAX_SHIFT * SIDE, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warp_reads_where_the_landmarks_were(points, kind):
    nose, chin = points[2, 1], points[152, 1]
    target = points + np.float32([0, 8]) * np.clip((points[:, 1:] - nose) / (chin - nose), 0, 1)
    source = animated_still.warp_map(points, target, SIDE, **kind)
    for row in (17, 9, 1):  # the lower lip, the forehead, the tip of the nose
        x, y = target[row].round().astype(int)
        assert source[y, x] == pytest.approx(points[row], abs=1.5)


def test_what_is_far_from_the_face_moves_along_unless_it_is_frozen(points):
    corner = {
        frozen: animated_still.warp_map(points, points + 8, SIDE, is_spline=False, is_frozen=frozen)[0, 0]
        for frozen in (False, True)
    }
    assert corner[False] == pytest.approx((-8, -8), abs=0.5)
    assert np.abs(corner[True]).max() < 4  # from the face to beyond the corner it fades


def test_a_mouth_that_was_shut_is_filled_where_it_opens_and_nowhere_else(still, points):
    rows, middle = list(animated_still.INNER_LIPS), points[13, 1]
    shut = points.copy()
    shut[rows, 1] = middle + 0.05 * (points[rows, 1] - middle)  # the portrait smiles
    opened = lowered(points, (14, 87, 178, 88, 317, 402, 318), 16)
    for before, after in ((points, points), (points, opened), (shut, shut)):
        assert animated_still.fill_mouth(still, before, after) is still
    changed = np.abs(animated_still.fill_mouth(still, shut, opened).astype(int) - still).max(-1)
    x, y = opened[rows].mean(0).round().astype(int)
    assert changed[y, x] > 20
    assert not changed[: int(points[list(landmarks.EYES), 1].max())].any()


def test_a_driver_who_does_not_move_leaves_the_picture_and_equal_draws_are_equal(still, points):
    rest = animated_still.animate(still, points, np.stack([points] * 3), np.random.default_rng(0))
    assert rest.shape == (3, SIDE, SIDE, 3) and np.abs(rest[2].astype(int) - still).mean() < 6
    driver = np.stack([points, lowered(points, landmarks.LIPS, 9)])
    first, again = (animated_still.animate(still, points, driver, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first, again) and not np.array_equal(first[0], first[1])


def test_every_real_clip_stands_beside_its_animation(tmp_path, monkeypatch):
    people = [face("a", frames=3), face("b", shift=9, frames=3), face("c", split="val", frames=3), face("d", "a")]
    write_clips(tmp_path / "faces", people)
    arguments = ["animate_stills", "--data", str(tmp_path / "faces"), "--out", str(tmp_path / "pairs")]
    monkeypatch.setattr("sys.argv", arguments)
    animate_stills.main()
    found = {clip.video_id: clip for clip in read_clips(tmp_path / "pairs")}
    assert sorted(found) == ["a-0", "a-0-animated", "b-1", "b-1-animated"]
    for name in ("a-0", "b-1"):
        real, drawn = found[name], found[f"{name}-animated"]
        assert (real.fake, drawn.fake, drawn.method) == (False, True, animate_stills.METHOD)
        assert drawn.original_id == name and drawn.group == real.group and len(drawn.jpegs) == len(real.jpegs) == 3


def test_one_person_alone_cannot_be_animated():
    with pytest.raises(ValueError, match="two people"):
        next(animate_stills.animated_pairs([face("a", frames=2)], [[face("a", frames=2)]], seed=0))
