"""Our two networks are torchvision's, and folding their norms changes no answer."""

import pytest
import torch
from torch import nn

from tests.untrained import config_of
from unmask.models.architectures import ARCHITECTURES
from unmask.models.backbones import fuse_conv_bn, mobilenet_v2, resnext50
from unmask.torch_compute import import_torchvision


def theirs(name):
    network = getattr(import_torchvision().models, name)()
    return network.features if name == "mobilenet_v2" else nn.Sequential(*list(network.children())[:-2])


def lived_in(module):
    """As if it had been trained: norms that change what they are given."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    return module.eval()


@pytest.mark.parametrize(("ours", "name"), [(mobilenet_v2, "mobilenet_v2"), (resnext50, "resnext50_32x4d")])
@torch.inference_mode()
def test_weights_and_answers_are_those_of_torchvision(ours, name):
    mine, reference = ours(), lived_in(theirs(name))
    mine.load_state_dict(reference.state_dict())  # strict: the same names, the same shapes
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(mine.eval()(images), reference(images))


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.inference_mode()
def test_folding_norms_changes_no_logit(name):
    model = lived_in(ARCHITECTURES[name](config_of(name)))
    data, mask = torch.randn(2, 3, 3, 96, 96), torch.ones(2, 3, dtype=torch.bool)
    before = model(data, mask)
    fuse_conv_bn(model)
    assert torch.allclose(model(data, mask), before, atol=1e-4)
