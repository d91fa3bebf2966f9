"""Swapped faces: the place, light and surroundings of the target, the looks of somebody else, stored as pairs."""

import sys
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch

from tests.training.faces import face, portrait
from training.data.shards import read_clips, write_clips
from training.fit.torch_dataset import decode
from training.synthesis import face_swap, landmarks
from training.synthesis.autoencoder import as_input
from training.tools import swap_faces

SIDE = 224
TINTS = (np.float32([1, 0.6, 0.6]), np.float32([0.6, 0.6, 1]))


@pytest.fixture(scope="module")
def image():
    return portrait(SIDE)


@pytest.fixture(scope="module")
def points(image):
    return landmarks.find(image)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("scale", "degrees", "shift"), [(1, 0, (0, 0)), (0.5, 0, (40, 9)), (1.3, 25, (-20, 5)), (1, -40, (3, 60))]
)
def test_a_face_is_aligned_wherever_it_is(points, scale, degrees, shift):
    moved = points @ cv2.getRotationMatrix2D((0, 0), degrees, scale)[:, :2].T + shift
    matrix = face_swap.alignment(moved.astype(np.float32))
    aligned = moved[list(face_swap.ALIGNED_ROWS)] @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(aligned / face_swap.SIDE_PX - face_swap.ALIGNED).max() < 0.08
    with pytest.raises(ValueError, match="one point"):
        face_swap.alignment(np.zeros_like(points))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (0.6, 40), (0.8, -15)])
def test_a_face_drawn_as_it_was_is_hardly_changed_whatever_its_colours_and_nothing_around_it(
    image, points, seed, gain, offset
):
    drawn = face_swap.align(image, points).astype(np.float32) * gain + offset
    pasted = face_swap.paste(np.clip(drawn, 0, 255).astype(np.uint8), image, points, rng(seed))
    mask = face_swap.face_mask(points, SIDE, rng(seed))
    assert 0.1 < (mask > 0.9).mean() < 0.8 and np.array_equal(pasted[mask == 0], image[mask == 0])
    difference = np.abs(pasted.astype(int) - image)[mask > 0.9]
    assert 0 < difference.mean() < 8


def test_pose_is_where_the_nose_points_at_any_scale(points):
    mirrored = points * (-1, 1)
    assert face_swap.pose(mirrored) == pytest.approx(face_swap.pose(points) * (-1, 1), abs=1e-5)
    assert face_swap.pose(2 * points + 7) == pytest.approx(face_swap.pose(points), abs=1e-5)


def test_a_swapper_learns_to_draw_the_person_it_is_told(image, points, monkeypatch):
    monkeypatch.setattr(swap_faces, "BATCH", 4)
    aligned = np.stack([(face_swap.align(image, points) * tint).astype(np.uint8) for tint in TINTS])
    faces = swap_faces.SwapFaces([], aligned, points[None], aligned, np.arange(2))
    torch.manual_seed(0)
    swapper, draws = face_swap.FaceSwapper(2), rng()
    optimizer = torch.optim.Adam(swapper.parameters(), swap_faces.LEARNING_RATE, betas=(0.5, 0.99))
    errors = [swap_faces.train_step(swapper, optimizer, faces, draws) for _ in range(30)]
    assert np.mean(errors[-5:]) < 0.6 * np.mean(errors[:5])
    with torch.inference_mode():
        red, blue = swapper(as_input(aligned[[0, 0]]), torch.arange(2)).mean((2, 3))
    assert (red - blue)[0] > 0.2 and (red - blue)[2] < -0.2


def test_the_command_pairs_each_real_training_face_with_a_swap_by_somebody_else(tmp_path, monkeypatch, capsys):
    people = [face(f"{name}{row}", group=name, shift=3 * row) for name in "ab" for row in range(2)]
    write_clips(tmp_path / "faces", [*people, face("v", split="val"), face("f", source="a0"), face("c", group="c")])
    folders = ["--data", str(tmp_path / "faces"), "--out", str(tmp_path / "pairs"), "--seconds", "0.5"]
    monkeypatch.setattr(sys, "argv", ["swap_faces", *folders, "--people", "2"])
    swap = Mock(wraps=face_swap.swap)
    monkeypatch.setattr(face_swap, "swap", swap)
    swap_faces.main()
    assert "grey levels" in capsys.readouterr().out
    assert [call.args[3] for call in swap.call_args_list] == [1, 1, 0, 0]  # never the person's own face
    made = read_clips(tmp_path / "pairs")
    reals, fakes = made[::2], made[1::2]
    assert [real.group for real in reals] == ["a", "a", "b", "b"]
    for real, fake in zip(reals, fakes, strict=True):
        assert (real.fake, fake.fake, fake.method) == (False, True, "autoencoder-swap")
        assert fake.original_id == real.original_id == real.video_id != fake.video_id
        before, after = decode(real).astype(int), decode(fake)
        assert before.shape == after.shape == (1, SIDE, SIDE, 3)
        assert np.abs(before - after)[:, :8, :8].max() < 25 < np.abs(before - after).max()
    monkeypatch.setattr(sys, "argv", ["swap_faces", *folders, "--people", "9"])
    with pytest.raises(ValueError, match="3 people"):
        swap_faces.main()
