"""What a temporal head adds is nothing where it is only a mean, and something where order matters."""

import re

import numpy as np
import pytest
import torch

from tests.training.faces import face
from tests.training.fourth import PatchMean, PatchMeanConfig
from training.evaluation.eval_sets import ClipSet
from training.tools.temporal_ablation import compare, split
from unmask.faces.clips import ClipSpec, FaceClip
from unmask.models import checkpoint, inference
from unmask.verdict import Calibration, Policy


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(1)
    file = checkpoint.ModelConfigFile(
        "patch-mean",
        "patch-mean",
        PatchMeanConfig(),
        ClipSpec(side_px=32, frames_per_clip=3),
        Calibration(),
        Policy(),
        "",
    )
    folder = tmp_path_factory.mktemp("model")
    checkpoint.save(folder, PatchMean(PatchMeanConfig()), file)
    return inference.load(str(folder), torch.device("cpu"))


def test_a_clip_falls_into_its_frames():
    data = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    clip = FaceClip(data, np.array([0.0, 0.1, 0.2]), 7, np.zeros((3, 4), np.float32))
    parts = split(clip)
    assert np.array_equal(np.concatenate([part.data for part in parts]), data)
    assert [part.seconds.tolist() for part in parts] == [[0.0], [0.1], [0.2]]
    assert {part.track_id for part in parts} == {7}


def test_a_head_that_takes_the_mean_adds_nothing_to_the_mean(model):
    reals = [face(f"r{index}", split="test", shift=index, frames=3) for index in range(6)]
    fakes = [face(f"f{index}", source="x", group=f"g{index}", split="test", shift=20 + index) for index in range(6)]
    said = compare(model, ClipSet([*reals, *fakes]))
    assert re.search(r"difference [+-]0\.000 \([+-]0\.000 to [+-]0\.000\), 12 videos", said)
