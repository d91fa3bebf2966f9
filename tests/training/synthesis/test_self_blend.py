"""Blended fakes: same shape, changed inside the face, untouched far from it, equal for equal draws."""

import cv2
import numpy as np
import pytest

from tests.training.faces import portrait
from training.synthesis import landmarks, self_blend

SIDE = 224


@pytest.fixture(scope="module")
def face():
    return portrait(SIDE)


@pytest.fixture(scope="module")
def points(face):
    return landmarks.find(face)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_mesh_lies_on_the_face(points):
    assert points.shape == (468, 2)
    eyes, lips = points[list(landmarks.EYES)].mean(0), points[list(landmarks.LIPS)].mean(0)
    assert eyes[1] < lips[1] - 20
    outline = cv2.convexHull(points[list(landmarks.OVAL)].astype(np.float32))
    assert cv2.pointPolygonTest(outline, tuple(map(float, eyes)), False) > 0
    assert cv2.pointPolygonTest(outline, tuple(map(float, lips)), False) > 0


@pytest.mark.parametrize("seed", range(12))
def test_a_self_blended_face_keeps_its_shape_and_changes_somewhere_below_a_soft_mask(face, points, seed):
    fake = self_blend.self_blend(face, points, rng(seed))
    assert fake.shape == face.shape
    assert fake.dtype == np.uint8
    difference = np.abs(fake.astype(int) - face)
    assert difference.max() > 8
    assert difference.mean() < 40  # it is still that person
    mask = self_blend.region_mask(points, SIDE, rng(seed))
    assert mask.shape == (SIDE, SIDE)
    assert mask.min() >= 0 and mask.max() <= 1 + 1e-6
    assert 0.01 < mask.mean() < 0.95
    assert ((mask > 0.05) & (mask < 0.95)).any()


def test_a_cross_blended_face_shows_the_other_face_on_the_first_ones_surroundings(face, points):
    other = np.ascontiguousarray(face[:, ::-1])
    other_points = points * (-1, 1) + (SIDE - 1, 0)
    fake = self_blend.cross_blend(face, points, other, other_points.astype(np.float32), rng(1))
    assert fake.shape == face.shape
    assert not np.array_equal(fake, face)
