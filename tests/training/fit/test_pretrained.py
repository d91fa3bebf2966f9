"""Backbones start from torchvision's ImageNet weights, where they can be had: the same maps come out."""

from unittest.mock import Mock

import pytest
import torch

from training.fit.pretrained import load_pretrained, torchvision
from unmask.models.architectures import MesoTransformer, MobileNetGru, ResNextLstm
from unmask.models.configs import MesoTransformerConfig, MobileNetGruConfig, ResNextLstmConfig


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(2, 3, 96, 96)


@torch.inference_mode()
def test_resnext_starts_from_torchvisions_network(images, monkeypatch):
    network = torchvision.models.resnext50_32x4d().eval()  # random weights stand for the download
    download = Mock(return_value=network)
    monkeypatch.setattr(torchvision.models, "resnext50_32x4d", download)
    whole = torch.nn.Sequential(*list(network.children())[:-2])
    ours = ResNextLstm(ResNextLstmConfig()).eval()
    assert not torch.allclose(ours.frame_features(images), whole(images), atol=1e-4)
    assert load_pretrained(ours)
    download.assert_called_once_with(weights=torchvision.models.ResNeXt50_32X4D_Weights.IMAGENET1K_V2)
    torch.testing.assert_close(ours.frame_features(images), whole(images), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_mobilenet_starts_from_the_file_that_a_package_carries(images, monkeypatch):
    network = torchvision.models.mobilenet_v2().eval()
    monkeypatch.setattr("training.fit.pretrained._packaged", network.state_dict)
    ours = MobileNetGru(MobileNetGruConfig()).eval()
    assert load_pretrained(ours)
    torch.testing.assert_close(ours.frame_features(images), network.features(images), atol=1e-4, rtol=1e-4)


def test_a_network_of_our_own_has_none():
    assert not load_pretrained(MesoTransformer(MesoTransformerConfig()))
