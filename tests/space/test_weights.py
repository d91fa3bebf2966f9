"""Weights: what is written is read back exactly, and nothing that does not fit is loaded."""

import json
import pickle

import numpy as np
import pytest
import torch

from unmask import weights
from unmask.clips import ClipSpec, FaceClip
from unmask.errors import ModelUnavailable
from unmask.models import MobileNetGru, MobileNetGruConfig
from unmask.verdict import Calibration, Policy

CPU = torch.device("cpu")
SPEC = ClipSpec(frames_per_clip=3, side_px=64)


def clip(seed, frames=3):
    data = np.random.default_rng(seed).integers(0, 255, (frames, 64, 64, 3), dtype=np.uint8)
    return FaceClip(data, np.arange(frames) * 0.1, 0, np.zeros((frames, 4), np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    size = MobileNetGruConfig(hidden=16)
    config = weights.ModelConfigFile(
        name="tiny",
        architecture="mobilenet-gru",
        model=size,
        clip=SPEC,
        calibration=Calibration(temperature=1.5, bias=-0.25),
        policy=Policy(real_below=0.3, fake_above=0.8),
        headline="random weights",
    )
    path = tmp_path_factory.mktemp("model")
    weights.save(path, MobileNetGru(size), config)
    return path


@pytest.fixture
def copied(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_saved_model_comes_back_with_all_that_belongs_to_it(folder):
    model = weights.load(str(folder), CPU)
    assert (model.name, model.spec) == ("tiny", SPEC)
    assert model.calibration == Calibration(temperature=1.5, bias=-0.25)
    assert (model.policy.real_below, model.policy.fake_above) == (0.3, 0.8)
    assert len(model.revision) == 12


def test_two_loads_give_equal_logits_and_a_second_save_equal_bytes(folder, tmp_path):
    clips = [clip(0), clip(1, frames=2)]
    first, second = (weights.load(str(folder), CPU) for _ in range(2))
    assert np.array_equal(weights.score(first, clips), weights.score(second, clips))
    weights.save(tmp_path, first.module, weights.read_config(folder))
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_scores_do_not_depend_on_how_clips_are_batched(folder):
    model = weights.load(str(folder), CPU)
    clips = [clip(seed) for seed in range(weights.CLIPS_PER_BATCH + 3)]
    together = weights.score(model, clips)
    assert together.shape == (len(clips),)
    assert np.allclose(together[-1], weights.score(model, clips[-1:])[0], atol=0.02)  # bfloat16 may be on
    assert weights.score(model, []).shape == (0,)


@pytest.mark.parametrize(
    "name",
    ["nonsense", "owner/name/too/deep", "../..", "", "http://example.org/model", "UPPER case/with space"],
)
def test_a_name_that_is_no_model_is_refused(name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelUnavailable):
        weights.load(name, CPU)


def edit_config(path, **changes):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


SPOILS = {
    "no config": lambda path: (path / "config.json").unlink(),
    "no weights": lambda path: (path / "model.safetensors").unlink(),
    "config is not JSON": lambda path: (path / "config.json").write_text("{"),
    "config is a list": lambda path: (path / "config.json").write_text("[]"),
    "unknown schema": lambda path: edit_config(path, schema="unmask.model/99"),
    "unknown architecture": lambda path: edit_config(path, architecture="vit"),
    "architecture of another shape": lambda path: edit_config(
        path, architecture="meso-transformer", model={}
    ),
    "another width": lambda path: edit_config(path, model={"hidden": 17, "dropout": 0.2}),
    "unknown field": lambda path: edit_config(path, model={"hidden": 16, "colour": "red"}),
    "impossible geometry": lambda path: edit_config(path, clip={"side_px": 0}),
    "truncated weights": lambda path: (path / "model.safetensors").write_bytes(
        (path / "model.safetensors").read_bytes()[:5000]
    ),
    "a pickle under the name": lambda path: (path / "model.safetensors").write_bytes(pickle.dumps({"a": 1})),
    "empty weights": lambda path: (path / "model.safetensors").write_bytes(b""),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_files_that_do_not_fit_are_refused(copied, spoil):
    spoil(copied)
    with pytest.raises(ModelUnavailable):
        weights.load(str(copied), CPU)


def test_the_bundled_default_is_listed_and_loads():
    infos = {info.name: info for info in weights.available()}
    default = weights.load("default", CPU)
    assert infos[default.name] == default.info
    assert default.info.size_bytes <= 12 * 2**20
    assert default.info.headline
