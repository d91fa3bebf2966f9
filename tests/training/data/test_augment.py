"""Augmentation: right shape and type, consistent over a clip, equal for equal draws, labels untouched."""

import numpy as np
import pytest
from skimage.data import astronaut

from training.data.augment import (
    NO_AUGMENTATION,
    AugmentSpec,
    augment,
    drop_frames,
    h264,
    mpeg2,
    random_affine,
    resize,
    television,
)

FACE = np.ascontiguousarray(astronaut()[20:244, 100:324])
CLIP = np.repeat(FACE[None], 4, 0)
ALWAYS = AugmentSpec(**{**dict.fromkeys(vars(NO_AUGMENTATION), 1.0), "generations": 3})


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("side_px", [64, 160, 256])
def test_any_draw_gives_the_asked_side(seed, side_px):
    result = augment(CLIP, side_px, ALWAYS, rng(seed))
    assert result.shape == (4, side_px, side_px, 3)
    assert result.dtype == np.uint8


def test_without_augmentation_only_the_size_changes():
    assert np.array_equal(augment(CLIP, 160, NO_AUGMENTATION, rng()), resize(CLIP, 160))
    assert np.array_equal(resize(CLIP, 224), CLIP)


def test_equal_draws_give_equal_clips():
    first, second, other = (augment(CLIP, 96, ALWAYS, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("field", ["colour", "smooth", "blur", "resize", "cutout"])
def test_what_camera_and_codec_do_is_the_same_in_every_frame(field):
    spec = AugmentSpec(**{**vars(NO_AUGMENTATION), field: 1.0})
    result = augment(CLIP, 224, spec, rng(5))
    assert not np.array_equal(result, CLIP)
    assert all(np.array_equal(frame, result[0]) for frame in result)


def test_frames_jitter_a_little_as_a_face_finder_does():
    result = random_affine(CLIP, 224, rng(1)).astype(int)
    steps = np.abs(np.diff(result, axis=0)).mean((1, 2, 3))
    assert (steps > 0).all()
    assert steps.max() < 15


CODED = [(h264, 18, 0.0, 6.0), (h264, 40, 2.0, 30.0), (mpeg2, 2, 0.0, 4.0), (mpeg2, 31, 4.0, 30.0)]


@pytest.mark.parametrize(("codec", "level", "least", "most"), CODED)
def test_video_compression_loses_more_at_a_coarser_level(codec, level, least, most):
    again = codec(CLIP, level)
    assert again.shape == CLIP.shape
    assert least < np.abs(again.astype(int) - CLIP).mean() < most


@pytest.mark.parametrize("side_px", range(56, 170, 6))
def test_single_frames_of_every_even_side_can_be_coded(side_px):
    small = resize(CLIP[:1], side_px)
    for level in (3, 9, 15):
        assert mpeg2(small, level).shape == h264(small, 20 + level).shape == small.shape


@pytest.mark.parametrize("seed", range(6))
def test_television_keeps_the_picture_and_loses_its_detail(seed):
    noisy = np.clip(CLIP + rng().normal(0, 20, FACE.shape), 0, 255).astype(np.uint8)
    again = television(noisy, rng(seed))
    assert again.shape == noisy.shape
    assert np.abs(again.mean((1, 2)) - noisy.mean((1, 2))).max() < 12
    finest = [np.abs(np.diff(clip.astype(int), axis=2)).mean() for clip in (again, noisy)]
    assert finest[0] < 0.8 * finest[1]


@pytest.mark.parametrize("seed", range(8))
def test_a_stutter_repeats_frames_and_never_turns_time_back(seed):
    numbered = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None, None], (8, 4, 4, 3))
    order = drop_frames(numbered, rng(seed))[:, 0, 0, 0].astype(int)
    assert len(order) == 8
    assert (np.diff(order) >= 0).all()
    assert (order <= np.arange(8)).all()


def test_a_patch_covers_a_part_and_leaves_the_rest():
    spec = AugmentSpec(**{**vars(NO_AUGMENTATION), "cutout": 1.0})
    changed = (augment(CLIP, 224, spec, rng(2)) != CLIP).any(-1).mean()
    assert 0.005 < changed < 0.13
