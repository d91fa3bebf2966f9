"""Models in ONNX Runtime say what they say in torch, and need no torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.media import astronaut
from training.fit.recipes import RECIPES
from unmask import compute
from unmask.compute import Backend
from unmask.errors import ModelUnavailable
from unmask.faces.clips import ClipSpec, FaceClip, crop_square
from unmask.graphs.session import manifest
from unmask.models import bundled, checkpoint, inference, torch_model
from unmask.models.architectures import ARCHITECTURES
from unmask.models.configs import MobileNetGruConfig
from unmask.models.onnx_model import OnnxModel
from unmask.models.saliency import heatmap
from unmask.models.torch_model import IntegratedGradients
from unmask.verdict import Calibration, Policy


def save(folder, architecture, size, side_px):
    """A model whose weights, statistics of norms included, are random."""
    torch.manual_seed(0)
    module = ARCHITECTURES[architecture](size)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor += 0.05 * (torch.rand_like(tensor) if name.endswith("running_var") else torch.randn_like(tensor))
    spec = ClipSpec(side_px=side_px)
    config = checkpoint.ModelConfigFile("random", architecture, size, spec, Calibration(), Policy(), "random weights")
    checkpoint.save(folder, module, config)
    return str(folder)


def clip_of(frames, side_px):
    """A face that moves a little."""
    cuts = [(140 + 3 * index, 40, 310 + 3 * index, 210) for index in range(frames)]
    data = np.stack([crop_square(astronaut(), cut, side_px) for cut in cuts])
    return FaceClip(data, np.arange(frames) * 0.12, 0, np.array(cuts, np.float32))


@pytest.mark.parametrize("architecture", [name for name in manifest() if name in RECIPES])
def test_logits_are_those_of_torch(architecture, tmp_path):
    folder = save(tmp_path, architecture, RECIPES[architecture].model, 96)
    ours, theirs = inference.load(folder, Backend()), torch_model.load(folder, "cpu", "float32")
    assert isinstance(ours, OnnxModel)
    for side_px in (96, 160):
        one, other = (replace(model, spec=replace(model.spec, side_px=side_px)) for model in (ours, theirs))
        clips = [clip_of(frames, side_px) for frames in (1, 8)]
        expected = other.logits(clips)
        assert np.ptp(expected) > 1e-3
        np.testing.assert_allclose(one.logits(clips), expected, atol=1e-4)
    maps = np.random.default_rng(0).normal(size=(2, channels_of(ours), 5, 4)).astype(np.float32)
    expected = IntegratedGradients(theirs.module)(torch.from_numpy(maps)).numpy()
    np.testing.assert_allclose(ours.heat_graph(maps)[0], expected, atol=1e-3 * expected.max())


def channels_of(model):
    """Of its last feature maps."""
    return model.clip_graph(np.zeros((1, 3, 64, 64), np.float32))[2].shape[1]


@pytest.mark.parametrize("name", [name for name in bundled.names() if name in manifest()])
def test_bundled_models_say_and_show_what_they_do_in_torch(name):
    ours, theirs = inference.load(name, Backend()), torch_model.load(name, "cpu", "float32")
    assert (ours.backend.name, theirs.backend.name) == ("onnxruntime", "torch")
    clip = clip_of(3, ours.spec.side_px)
    np.testing.assert_allclose(ours.logits([clip]), theirs.logits([clip]), atol=1e-4)
    np.testing.assert_allclose(heatmap(ours, clip), heatmap(theirs, clip), atol=1e-4)


def test_a_model_without_a_graph_is_for_torch_and_says_so_where_it_is_not_installed(tmp_path, monkeypatch):
    folder = save(tmp_path, "mobilenet-gru", MobileNetGruConfig(hidden=16), 64)
    assert inference.load(folder, Backend()).backend.name == "torch"
    monkeypatch.setattr(inference, "has_torch", lambda: False)
    with pytest.raises(ModelUnavailable, match="pip install 'unmask"):
        inference.load(folder, Backend())
    assert compute.has_torch()


@pytest.mark.parametrize(
    ("is_there", "expected"), [(True, bundled.names()), (False, ["meso-transformer", "mobilenet-gru", "resnext-lstm"])]
)
def test_without_torch_only_models_with_a_graph_are_offered(monkeypatch, is_there, expected):
    monkeypatch.setattr(bundled, "has_torch", lambda: is_there)
    assert bundled.usable_names() == expected
