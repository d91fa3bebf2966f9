"""Weights at 8 bits: a fourth of the file, close to what they were, and nothing that does not fit is loaded."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from unmask.errors import ModelUnavailable
from unmask.faces.clips import ClipSpec, FaceClip
from unmask.models import checkpoint, inference, torch_model
from unmask.models.architectures import MobileNetGru
from unmask.models.configs import MobileNetGruConfig
from unmask.models.quantization import SCALE, dequantize, quantize
from unmask.verdict import Calibration, Policy

CONFIG = checkpoint.ModelConfigFile(
    "eight", "mobilenet-gru", MobileNetGruConfig(), ClipSpec(side_px=64), Calibration(), Policy(), "random weights"
)


def test_weights_move_by_half_a_step_of_their_channel_at_most():
    rng = np.random.default_rng(0)
    spread = np.geomspace(1e-4, 1e3, 5)[:, None, None, None]
    conv = (rng.normal(size=(5, 3, 3, 3)) * spread).astype(np.float32)
    tensors = {"conv": conv, "dead": np.zeros((2, 4), np.float32), "bias": rng.normal(size=5)}
    stored = quantize(tensors)
    assert {key: value.dtype.name for key, value in stored.items() if "conv" in key} == {
        "conv": "int8",
        "conv" + SCALE: "float32",
    }
    back = dequantize(stored)
    steps = np.abs(conv).max((1, 2, 3)) / 127
    assert np.all(np.abs(back["conv"] - conv).max((1, 2, 3)) <= 0.501 * steps)
    assert not back["dead"].any() and np.array_equal(back["bias"], tensors["bias"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same random model as it is and at 8 bits."""
    torch.manual_seed(0)
    module, paths = MobileNetGru(CONFIG.model), [tmp_path_factory.mktemp(name) for name in ("whole", "eight")]
    for path, int8 in zip(paths, (False, True), strict=True):
        checkpoint.save(path, module, CONFIG, int8=int8)
    return paths


def test_a_model_at_8_bits_scores_nearly_the_same_in_both_backends_and_saves_again_to_the_same_bytes(folders, tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    clips = [
        FaceClip(part, np.arange(len(part)) * 0.1, 0, np.zeros((len(part), 4), np.float32))
        for part in (frames, frames[:1])
    ]
    whole, eight = (inference.load(str(folder)) for folder in folders)
    assert eight.info.parameters == whole.info.parameters and eight.info.size_bytes < 0.6 * whole.info.size_bytes
    assert np.ptp(whole.logits(clips)) > 1e-3
    np.testing.assert_allclose(eight.logits(clips), whole.logits(clips), atol=0.02)
    in_torch = torch_model.load(str(folders[1]), "cpu", "float32")
    np.testing.assert_allclose(eight.logits(clips), in_torch.logits(clips), atol=1e-4)
    checkpoint.save(tmp_path, checkpoint.restore(folders[1]), CONFIG, int8=True)
    first, second = (load_file(folder / "model.safetensors") for folder in (folders[1], tmp_path))
    assert all(np.array_equal(first[key], second[key]) for key in first if first[key].dtype == np.int8)


@pytest.mark.parametrize(("name", "shape"), [("nothing" + SCALE, (3,)), ("backbone.0.0.weight" + SCALE, (3,))])
def test_scales_that_fit_no_tensor_are_refused(folders, tmp_path, name, shape):
    checkpoint.save(tmp_path, checkpoint.restore(folders[1]), CONFIG, int8=True)
    save_file(
        {**load_file(tmp_path / "model.safetensors"), name: np.ones(shape, np.float32)}, tmp_path / "model.safetensors"
    )
    for load in (inference.load, torch_model.load):
        with pytest.raises(ModelUnavailable):
            load(str(tmp_path))
