"""Interpolation of weights: its ends are the two models, its middle lies between them."""

import pytest
import torch

from tests.untrained import untrained_model
from training.tools import interpolate_weights
from training.tools.interpolate_weights import interpolate
from unmask.models import checkpoint


@pytest.fixture
def runs(tmp_path):
    for seed, name in enumerate(("start", "tuned")):
        torch.manual_seed(seed)
        untrained_model(tmp_path / name / "model", "meso-transformer")
    weights = checkpoint.restore(tmp_path / "tuned" / "model")
    with torch.no_grad():
        for value in weights.parameters():
            value.add_(1.0)
    checkpoint.save(tmp_path / "tuned" / "model", weights, checkpoint.read_config(tmp_path / "tuned" / "model"))
    return tmp_path


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_lie_as_far_between_the_two_models_as_is_asked(runs, share):
    start, tuned = (checkpoint.restore(runs / name / "model") for name in ("start", "tuned"))
    before = {name: value.clone() for name, value in start.state_dict().items()}
    between = interpolate(start, tuned, share).state_dict()
    for name, end in tuned.state_dict().items():
        if end.is_floating_point():
            torch.testing.assert_close(between[name], before[name] + share * (end - before[name]), rtol=0, atol=2e-3)


def test_the_command_writes_a_run_that_can_be_calibrated(runs, monkeypatch):
    words = ["--start", runs / "start", "--tuned", runs / "tuned", "--share", "0.5", "--out", runs / "out"]
    monkeypatch.setattr("sys.argv", ["interpolate_weights", *map(str, words)])
    interpolate_weights.main()
    assert checkpoint.read_config(runs / "out" / "model").headline.startswith("0.5 of the tuned weights; ")
