"""Cutting faces out and making them model input."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from tests.media import astronaut, times, window_of
from unmask.faces.clips import (
    ALIGNED_LANDMARKS,
    ClipSpec,
    FaceClip,
    align,
    crop,
    crop_square,
    recompressed,
    square_boxes,
)
from unmask.faces.tracking import FaceTrack
from unmask.models.torch_model import to_input
from unmask.video.frames import Frames

SPEC = ClipSpec(frames_per_clip=4, side_px=64)


def track_of(boxes, landmarks=(0, 0)):
    boxes = np.array(boxes, np.float32)
    count = len(boxes)
    return FaceTrack(
        id=7,
        frame_index=np.arange(count) + 1,
        seconds=times(count) + 3.0,
        xyxy=boxes,
        landmarks=np.broadcast_to(np.float32(landmarks), (count, 5, 2)),
        score=np.ones(count, np.float32),
    )


def clip_of(count, side_px=64, value=None):
    rng = np.random.default_rng(count)
    data = rng.integers(0, 256, (count, side_px, side_px, 3), dtype=np.uint8)
    if value is not None:
        data[:] = value
    return FaceClip(data, times(count), 0, np.zeros((count, 4), np.float32))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ClipSpec(crop_scale=1, crop_shift=(0, 0)), (105, 105, 215, 215)),  # side: mean of 100 and 120
        (ClipSpec(crop_scale=2, crop_shift=(0, 0)), (50, 50, 270, 270)),
        (ClipSpec(crop_scale=1, crop_shift=(0.1, -0.1)), (116, 94, 226, 204)),
        (ClipSpec(crop_scale=2, crop_shift=(0.1, 0)), (72, 50, 292, 270)),  # the shift counts in sides
        (ClipSpec(), (106.43, 109.62, 216.43, 219.62)),  # a little right and down, as the DFDC crops
    ],
)
def test_square_boxes(spec, expected):
    square = square_boxes(np.array([[110, 100, 210, 220]], np.float32), spec)
    assert square.dtype == np.float32
    np.testing.assert_allclose(square, [expected], atol=1e-3)


def test_a_face_is_turned_upright_by_its_landmarks():
    image, landmarks = astronaut(), 100 * ALIGNED_LANDMARKS + np.array([60, 40], np.float32)
    expected = image[25:155, 45:175]  # a side of 100, and 15 % around it
    np.testing.assert_array_equal(align(image, landmarks, 1.3), expected)
    turned = np.stack([landmarks[:, 1], image.shape[1] - 1 - landmarks[:, 0]], 1)  # by a quarter, and twice as large
    large = cv2.resize(np.rot90(image), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    found = align(large, 2 * turned + 0.5, 1.3)
    assert found is not None and found.shape == (260, 260, 3)
    assert np.abs(found[::2, ::2].astype(int) - expected).mean() < 2
    spec = ClipSpec(side_px=130, crop_scale=1.3, aligned=True)
    frames = Frames(np.stack([image] * 2), times(2))
    np.testing.assert_array_equal(crop(frames, track_of([(0, 0, 9, 9)], landmarks), spec).data[0], expected)
    in_one_place = crop(frames, track_of([(60, 40, 160, 140)]), dataclasses.replace(spec, crop_shift=(0, 0)))
    np.testing.assert_array_equal(in_one_place.data[0], expected)  # then the box is what there is


def test_a_box_of_the_wanted_size_is_cut_without_resampling():
    image = astronaut()
    np.testing.assert_array_equal(crop_square(image, (30, 50, 130, 150), 100), image[50:150, 30:130])


def test_shrinking_averages_all_that_becomes_a_pixel():
    image = astronaut()[:256, :128]
    expected = image.reshape(64, 4, 64, 2, 3).mean((1, 3))  # as high as four times the side, as wide as two
    assert np.abs(crop_square(image, (0, 0, 128, 256), 64) - expected).max() <= 0.5
    expected = image.reshape(128, 2, 128, 3).mean(1)  # only as high as two
    assert np.abs(crop_square(image, (0, 0, 128, 256), 128) - expected).max() <= 0.5


@pytest.mark.parametrize("corner", [(-20, -30), (480, 500), (-5, 490), (490, -5), (490, 99), (99, 490)])
def test_the_edge_is_repeated_outside(corner):
    image = astronaut()
    padded = cv2.copyMakeBorder(image, 64, 64, 64, 64, cv2.BORDER_REPLICATE)
    left, top = corner
    found = crop_square(image, (left, top, left + 40, top + 40), 40)
    np.testing.assert_array_equal(found, padded[top + 64 : top + 104, left + 64 : left + 104])


@pytest.mark.parametrize(
    "box",
    [(10.2, 10.2, 10.3, 10.3), (-500, -500, -400, -400), (9000, 10, 9050, 60), (-100, -100, 700, 700)],
    ids=["below a pixel", "all outside", "far right", "around the picture"],
)
def test_any_box_gives_a_square(box):
    found = crop_square(astronaut(), box, 32)
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8


def test_crop_follows_the_face_through_its_own_frames():
    images = [np.zeros_like(astronaut()), *(np.roll(astronaut(), 10 * step, 1) for step in range(3))]
    window = Frames(np.stack(images), times(4) + 2.88)
    clip = crop(window, track_of([(180 + 10 * step, 60, 270 + 10 * step, 170) for step in range(3)]), SPEC)
    assert clip.data.shape == (3, 64, 64, 3)
    assert clip.track_id == 7
    np.testing.assert_array_equal(clip.seconds, [3.0, 3.12, 3.24])
    np.testing.assert_allclose(clip.xyxy[1] - clip.xyxy[0], [10, 0, 10, 0], atol=1e-3)
    for later in clip.data[1:]:  # the frames move as the boxes do: the face stands still
        np.testing.assert_array_equal(later, clip.data[0])


def test_crop_takes_no_more_frames_than_a_clip_holds():
    assert len(crop(window_of(*[astronaut()] * 8), track_of([(180, 60, 270, 170)] * 7), SPEC).data) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"data": np.zeros((0, 64, 64, 3), np.uint8)},
        {"data": np.zeros((2, 64, 32, 3), np.uint8)},
        {"data": np.zeros((2, 64, 64, 3), np.float32)},
        {"data": np.zeros((64, 64, 3), np.uint8)},
        {"seconds": np.zeros(3)},
        {"xyxy": np.zeros((2, 2), np.float32)},
    ],
)
def test_a_clip_of_wrong_shape_is_refused(change):
    with pytest.raises(ValueError, match=r"must be|seconds"):
        dataclasses.replace(clip_of(2), **change)


def test_short_clips_are_padded_and_masked():
    batch = to_input([clip_of(2), clip_of(4)], SPEC)
    assert batch.data.shape == (2, 4, 3, 64, 64)
    assert batch.data.dtype == torch.float32
    assert batch.mask.dtype == torch.bool
    assert batch.mask.tolist() == [[True, True, False, False], [True] * 4]
    assert not batch.data[0, 2:].any()


def test_normalised_as_imagenet():
    batch = to_input([clip_of(1, value=(255, 0, 128))], SPEC)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (128 / 255 - 0.406) / 0.225]
    np.testing.assert_allclose(batch.data[0, 0, :, 5, 9], expected, rtol=1e-5)


def test_a_clip_does_not_depend_on_its_neighbours():
    one, two = clip_of(3), clip_of(4)
    together = to_input([one, two], SPEC)
    for row, clip in enumerate([one, two]):
        (alone,) = to_input([clip], SPEC).data
        assert torch.equal(together.data[row, : len(alone)], alone)
        assert len(alone) == len(clip.data)


def test_clips_that_do_not_fit_and_specs_that_make_no_sense_are_refused():
    for clips in ([], [clip_of(5)], [clip_of(2, side_px=32)]):
        with pytest.raises(ValueError, match=r"^no clips$|^a clip of"):
            to_input(clips, SPEC)
    wrong = [("frames_per_clip", 0), ("side_px", 0), ("frame_stride_seconds", 0.0), ("crop_scale", -1.0)]
    for name, value in [*wrong, ("crop_scale", 0.0), ("std", (1, 0, 1))]:
        with pytest.raises(ValueError, match=r"^frame.* must be (at least 1|positive)$"):
            ClipSpec(**{name: value})  # type: ignore[arg-type]


def test_recompression_is_mild_and_leaves_times_and_place():
    """A photograph: noise would not survive even a mild one."""
    face = cv2.resize(astronaut()[40:260, 120:320], (160, 160), interpolation=cv2.INTER_AREA)
    clip = FaceClip(np.stack([face] * 3), times(3), 7, np.zeros((3, 4), np.float32))
    again = recompressed(clip)
    difference = np.abs(again.data.astype(int) - clip.data)
    assert 0.5 < difference.mean() < 5
    assert again.data.shape == clip.data.shape
    assert again.track_id == 7 and np.array_equal(again.seconds, clip.seconds)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 70]
    once = cv2.imdecode(cv2.imencode(".jpg", np.ascontiguousarray(face[..., ::-1]), quality)[1], cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(again.data[0], once[..., ::-1])
