"""Geometry of boxes."""

import numpy as np
import pytest

from unmask.faces.boxes import (
    apply_offsets,
    distance_and_ratio,
    match_greedily,
    non_max_suppression,
    overlaps,
    to_squares,
)


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("other", "of_union", "of_smaller"),
    [
        ((0, 0, 10, 10), 1.0, 1.0),  # the same
        ((0, 0, 10, 5), 0.5, 1.0),  # its upper half
        ((5, 0, 15, 10), 1 / 3, 0.5),  # half beside it
        ((10, 0, 20, 10), 0.0, 0.0),  # touching
        ((50, 50, 60, 60), 0.0, 0.0),  # far away
        ((5, 5, 5, 5), 0.0, 0.0),  # of no size
    ],
)
def test_overlaps(other, of_union, of_smaller):
    one = boxes((0, 0, 10, 10))
    assert overlaps(one, boxes(other))[0, 0] == pytest.approx(of_union)
    assert overlaps(boxes(other), one, of_smaller=True)[0, 0] == pytest.approx(of_smaller)


def test_suppress_keeps_the_best_of_each_heap_best_first_and_a_suppressed_box_suppresses_nothing():
    heap = boxes((0, 0, 10, 10), (50, 50, 60, 60), (1, 0, 11, 10), (51, 50, 61, 60))
    assert non_max_suppression(heap, np.array([0.7, 0.8, 0.9, 0.6], np.float32), 0.5).tolist() == [2, 1]
    chain = boxes((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))  # the middle one overlaps both ends
    assert non_max_suppression(chain, np.array([0.9, 0.8, 0.7], np.float32), 0.3).tolist() == [0, 2]


def test_squares_keep_centre_and_longer_side_and_steps_count_in_sides():
    assert to_squares(boxes((0, 10, 20, 50))).tolist() == [[-10, 10, 30, 50]]
    assert to_squares(boxes()).shape == (0, 4)
    assert apply_offsets(boxes((0, 0, 10, 20)), boxes((0.1, 0.1, -0.1, -0.1))).tolist() == [[1, 2, 9, 18]]
    distance, ratio = distance_and_ratio(boxes((0, 0, 10, 10)), boxes((20, 0, 30, 10), (0, 0, 20, 20)))
    assert distance[0] == pytest.approx([2.0, 50**0.5 / 15])
    assert ratio[0] == pytest.approx([1.0, 2.0])


def test_best_pairs_takes_the_best_first_and_each_once():
    likeness = np.array([[0.9, 0.8], [0.85, -np.inf]], np.float32)
    assert match_greedily(likeness) == [(0, 0)]  # not the pairs with the best sum: (0, 1) and (1, 0)
    assert match_greedily(np.zeros((0, 3), np.float32)) == []
