"""Corrupted frames: same shape, worse with every level, the same each time."""

import numpy as np
import pytest
from skimage.data import astronaut

from training.evaluation.corruptions import CLEAN, CORRUPTIONS, GRID, Condition, corrupt
from unmask.video.frames import Frames

FRAMES = Frames(np.stack([astronaut()[:201, 100:301]] * 3), np.arange(3.0))  # odd sides


def loss(condition):
    return np.abs(corrupt(FRAMES, condition).data.astype(int) - FRAMES.data).mean()


@pytest.mark.parametrize("condition", [CLEAN, *GRID], ids=lambda item: f"{item.kind}-{item.level:g}")
def test_size_and_times_stay(condition):
    corrupted = corrupt(FRAMES, condition)
    assert corrupted.data.shape == FRAMES.data.shape
    assert np.array_equal(corrupted.seconds, FRAMES.seconds)
    assert (loss(condition) > 0) == (condition != CLEAN)
    assert np.array_equal(corrupted.data, corrupt(FRAMES, condition).data)


@pytest.mark.parametrize("kind", sorted(set(CORRUPTIONS) - {"clean"}))
def test_a_worse_level_loses_more(kind):
    levels = [condition for condition in GRID if condition.kind == kind]
    milder_first = sorted(levels, key=lambda item: -item.level if kind == "jpeg" else abs(item.level))
    losses = [loss(condition) for condition in milder_first]
    assert losses == sorted(losses) or kind == "brightness"
    assert losses[-1] > losses[0]


def test_brightness_is_added_and_stops_at_white_and_black():
    grey = Frames(np.full((1, 8, 8, 3), 100, np.uint8), np.zeros(1))
    shown = {level: corrupt(grey, Condition("brightness", level)).data.max() for level in (-200, -40, 80, 200)}
    assert shown == {-200: 0, -40: 60, 80: 180, 200: 255}
