"""Parts of faces that training sees: of all faces of a batch the same, inside, and not enlarged."""

import pytest
import torch

from training.fit.trainer import random_part


@pytest.mark.parametrize(("part_px", "side_px"), [(0, 64), (32, 32), (64, 64), (80, 64)])
def test_a_part_is_a_piece_of_the_face(part_px, side_px):
    columns = torch.arange(64.0).expand(2, 1, 3, 64, 64)
    for _ in range(20):
        part = random_part(columns + 100 * columns.transpose(3, 4), part_px)
        assert part.shape == (2, 1, 3, side_px, side_px)
        assert torch.equal(part[0], part[1])
        assert (part[..., 0, 1] - part[..., 0, 0]).unique().tolist() == [1.0]
        assert (part[..., 1, 0] - part[..., 0, 0]).unique().tolist() == [100.0]
