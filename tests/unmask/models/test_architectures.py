"""The architectures: any length, padding without effect, one sign convention."""

import pytest
import torch

from tests.untrained import SMALL_VIT
from unmask.models.architectures import ARCHITECTURES
from unmask.models.configs import CONFIGS, MesoTransformerConfig, MobileNetGruConfig, ResNextLstmConfig

SMALL = {  # small versions: the code is the same, the time is not
    "mobilenet-gru": MobileNetGruConfig(hidden=16),
    "resnext-lstm": ResNextLstmConfig(hidden=8),
    "meso-transformer": MesoTransformerConfig(merged=32, feedforward=32),
    "vit-linear": SMALL_VIT,
}


def build(name):
    torch.manual_seed(0)
    return ARCHITECTURES[name](SMALL.get(name) or CONFIGS[name]()).eval()


@pytest.fixture(params=sorted(set(ARCHITECTURES) - {"patch-mean"}))  # which tests of training add
def model(request):
    return build(request.param)


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_any_number_of_frames_gives_one_logit_a_clip(model, frames):
    data = torch.randn(2, frames, 3, 64, 64)
    logits = model(data, torch.ones(2, frames, dtype=torch.bool))
    assert logits.shape == (2,)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


@torch.inference_mode()
def test_padding_changes_nothing(model):
    data = torch.randn(2, 5, 3, 64, 64)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    padded = model(data, mask)
    alone = model(data[1:, :3], mask[1:, :3])
    assert torch.allclose(padded[1], alone[0], atol=1e-5)
    data[1, 3:] = 1e3
    assert torch.allclose(model(data, mask), padded, atol=1e-5)


@torch.inference_mode()
def test_forward_is_temporal_of_frame_features(model):
    data, mask = torch.randn(2, 3, 3, 64, 64), torch.ones(2, 3, dtype=torch.bool)
    maps = model.frame_features(data.flatten(0, 1)).unflatten(0, (2, 3))
    assert torch.allclose(model.temporal(maps, mask), model(data, mask), atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("model", ["meso-transformer", "mobilenet-gru", "resnext-lstm"], indirect=True)
def test_the_order_of_frames_matters_to_a_temporal_head(model):
    width = model.frame_vectors(model.frame_features(torch.randn(1, 3, 64, 64))).shape[-1]
    vectors, mask = torch.randn(1, 6, width), torch.ones(1, 6, dtype=torch.bool)
    forward, backward = (model.sequence_logits(some, mask) for some in (vectors, vectors.flip(1)))
    assert (forward - backward).abs() > 1e-4


def test_every_parameter_learns(model):
    model.train()
    model(torch.randn(2, 3, 3, 64, 64), torch.ones(2, 3, dtype=torch.bool)).sum().backward()
    still = [name for name, value in model.named_parameters() if value.grad is None]
    assert still == []


def test_the_frame_parts_are_all_that_looks_at_a_picture(model):
    for name in model.frame_parts:
        getattr(model, name).requires_grad_(False)
    assert not model.frame_features(torch.randn(1, 3, 64, 64)).requires_grad
    moving = {name.split(".")[0] for name, value in model.named_parameters() if value.requires_grad}
    assert moving
    assert moving.isdisjoint(model.frame_parts)
