"""Training starts from torchvision's weights; random ones stand in for those it would download."""

import pytest
import torch
from torch import nn

from tests.untrained import config_of
from training.fit import pretrained
from unmask.models.architectures import ARCHITECTURES

MODELS = pretrained.torchvision.models


@pytest.mark.parametrize(
    ("name", "build", "weights"),
    [
        ("resnext-lstm", "resnext50_32x4d", "ResNeXt50_32X4D_Weights.IMAGENET1K_V2"),
        ("mobilenet-gru", "mobilenet_v2", "MobileNet_V2_Weights.IMAGENET1K_V1"),
    ],
)
@torch.inference_mode()
def test_the_backbone_answers_as_torchvision_with_its_weights(name, build, weights, monkeypatch):
    torch.manual_seed(1)
    theirs = getattr(MODELS, build)()
    for norm in (layer for layer in theirs.modules() if isinstance(layer, nn.BatchNorm2d)):
        norm.momentum = 1.0  # takes the statistics of the next batch: else the maps are nearly 0, and so all alike
    theirs.train()(torch.randn(4, 3, 96, 96))
    theirs.eval()
    states = {weights: theirs.state_dict()}
    monkeypatch.setattr(MODELS.WeightsEnum, "get_state_dict", lambda member, **_: states[str(member)])
    monkeypatch.setattr(pretrained, "PACKAGED", "no_such_package")
    ours, images = ARCHITECTURES[name](config_of(name)).eval(), torch.randn(1, 3, 96, 96)
    maps = theirs.features if name == "mobilenet-gru" else nn.Sequential(*list(theirs.children())[:-2])
    expected = maps(images)
    assert expected.std() > 0.1
    assert pretrained.load_pretrained(ours)
    torch.testing.assert_close(ours.frame_features(images), expected)
