"""Weights: what is written is read back exactly, and nothing that does not fit is loaded."""

import contextlib
import json
import pickle
import sys
from dataclasses import replace

import huggingface_hub.constants
import numpy as np
import pytest
import torch

from tests.hub import Repository
from tests.untrained import SMALL_VIT
from unmask.errors import ModelUnavailable
from unmask.faces.clips import ClipSpec, FaceClip
from unmask.models import bundled as bundle
from unmask.models import checkpoint, inference, torch_model
from unmask.models.architectures import ARCHITECTURES, MobileNetGru
from unmask.models.configs import MobileNetGruConfig
from unmask.models.torch_model import to_input
from unmask.verdict import Calibration, Policy

SPEC = ClipSpec(frames_per_clip=3, side_px=64)


def clip(seed, frames=3):
    data = np.random.default_rng(seed).integers(0, 255, (frames, 64, 64, 3), dtype=np.uint8)
    return FaceClip(data, np.arange(frames) * 0.1, 0, np.zeros((frames, 4), np.float32))


@pytest.fixture(scope="module", params=[MobileNetGruConfig().hidden, 16], ids=["onnxruntime", "torch"])
def folder(tmp_path_factory, request):
    torch.manual_seed(0)
    size = MobileNetGruConfig(hidden=request.param)  # there is a graph of the first alone
    config = checkpoint.ModelConfigFile(
        name="tiny",
        architecture="mobilenet-gru",
        model=size,
        clip=SPEC,
        calibration=Calibration(temperature=1.5, bias=-0.25),
        policy=Policy(real_below=0.3, fake_above=0.8),
        headline="random weights",
    )
    path = tmp_path_factory.mktemp("model")
    checkpoint.save(path, MobileNetGru(size), config)
    return path


@pytest.fixture
def copied(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_saved_model_comes_back_with_all_that_belongs_to_it(folder):
    model = inference.load(str(folder))
    assert (model.name, model.spec) == ("tiny", SPEC)
    assert model.calibration == Calibration(temperature=1.5, bias=-0.25)
    assert (model.policy.real_below, model.policy.fake_above) == (0.3, 0.8)
    assert len(model.revision) == 12


def test_what_is_loaded_scores_as_what_was_saved_and_a_second_save_gives_equal_bytes(folder, tmp_path):
    checkpoint.save(tmp_path, checkpoint.restore(folder), checkpoint.read_config(folder))
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    model = torch_model.load(str(folder))
    batch = to_input([clip(0), clip(1, frames=2)], SPEC)
    saved = checkpoint.restore(folder).eval()
    with torch.inference_mode():
        assert torch.allclose(model.module(batch.data, batch.mask), saved(batch.data, batch.mask), atol=1e-4)
    assert model.info.parameters == sum(parameter.numel() for parameter in saved.parameters())


def test_scores_do_not_depend_on_how_clips_are_batched(folder, monkeypatch):
    model = torch_model.load(str(folder))
    clips = [clip(seed, frames=1 + seed % 3) for seed in range(5)]
    monkeypatch.setitem(torch_model.FRAMES_PER_BATCH, "cpu", 12)
    together = model.logits(clips)
    assert together.shape == (len(clips),)
    monkeypatch.setitem(torch_model.FRAMES_PER_BATCH, "cpu", 1)
    assert np.allclose(together, model.logits(clips), atol=0.02)  # bfloat16 may be on
    assert model.logits([]).shape == (0,)


@pytest.mark.parametrize(
    "name", ["nonsense", "owner/name/too/deep", "../..", "", "http://example.org/model", "UPPER case/with space"]
)
def test_a_name_that_is_no_model_is_refused(name, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable):
        inference.load(name)


@pytest.mark.parametrize(("free_gib", "fits"), [(0.001, False), (8, True), (None, True)])
def test_a_model_that_memory_cannot_hold_is_refused_before_it_is_read(free_gib, fits, folder, monkeypatch):
    free = None if free_gib is None else int(free_gib * 2**30)
    monkeypatch.setattr(checkpoint, "free_memory_bytes", lambda: free)
    said = r"GiB of memory .* 0\.0 GiB are free"
    context = contextlib.nullcontext() if fits else pytest.raises(ModelUnavailable, match=said)
    with context:
        checkpoint.read(str(folder))


def test_a_model_that_the_gpu_cannot_hold_is_refused(folder, monkeypatch):
    def full(module):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch_model, "channels_last", full)
    with pytest.raises(ModelUnavailable, match="do not fit into the GPU's memory"):
        torch_model.load(str(folder))


@pytest.mark.parametrize("missing", ["timm", "torch"])
def test_a_large_model_says_what_must_be_installed(missing, tmp_path, monkeypatch):
    config = checkpoint.ModelConfigFile("big", "vit-linear", SMALL_VIT, SPEC, Calibration(), Policy(), "")
    checkpoint.save(tmp_path, ARCHITECTURES["vit-linear"](SMALL_VIT), config)
    assert inference.load(str(tmp_path)).logits([clip(0)]).shape == (1,)
    if missing == "timm":
        monkeypatch.setitem(sys.modules, "timm", None)
    else:
        monkeypatch.setattr(inference, "has_torch", lambda: False)
    with pytest.raises(ModelUnavailable, match=r"pip install 'unmask\[large\]'"):
        inference.load(str(tmp_path))


def test_a_tower_comes_from_timm_by_a_plain_name():
    for tower in ("hf-hub:owner/name", "local-dir:/tmp", "no_such_tower"):
        with pytest.raises(ValueError, match="timm has no architecture"):
            ARCHITECTURES["vit-linear"](replace(SMALL_VIT, tower=tower))


def edit_config(path, **changes):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


DAMAGES = {
    "no config": lambda path: (path / "config.json").unlink(),
    "no weights": lambda path: (path / "model.safetensors").unlink(),
    "config is not JSON": lambda path: (path / "config.json").write_text("{"),
    "config is a list": lambda path: (path / "config.json").write_text("[]"),
    "unknown schema": lambda path: edit_config(path, schema="unmask.model/99"),
    "unknown architecture": lambda path: edit_config(path, architecture="vit"),
    "architecture of another shape": lambda path: edit_config(path, architecture="meso-transformer", model={}),
    "another width": lambda path: edit_config(path, model={"hidden": 17, "dropout": 0.2}),
    "unknown field": lambda path: edit_config(path, model={"hidden": 16, "colour": "red"}),
    "a width that is a word": lambda path: edit_config(path, model={"hidden": "many", "dropout": 0.2}),
    "a width below zero": lambda path: edit_config(path, model={"hidden": -3, "dropout": 0.2}),
    "a width beyond all memory": lambda path: edit_config(path, model={"hidden": 10**9, "dropout": 0.2}),
    "a width beyond all numbers": lambda path: edit_config(path, model={"hidden": 10**30, "dropout": 0.2}),
    "no width": lambda path: edit_config(path, model={"hidden": None, "dropout": 0.2}),
    "weights with a header of lies": lambda path: (path / "model.safetensors").write_bytes(
        (2**40).to_bytes(8, "little") + (path / "model.safetensors").read_bytes()[8:]
    ),
    "a flipped bit in the header": lambda path: (path / "model.safetensors").write_bytes(
        flipped((path / "model.safetensors").read_bytes(), 100)
    ),
    "a pickle beside it": lambda path: (path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1})),
    "a checkpoint beside it": lambda path: (path / "best.CKPT").write_bytes(b""),
    "code beside it": lambda path: (path / "modeling.py").write_text("print('hello')"),
    "impossible geometry": lambda path: edit_config(path, clip={"side_px": 0}),
    "truncated weights": lambda path: (path / "model.safetensors").write_bytes(
        (path / "model.safetensors").read_bytes()[:5000]
    ),
    "a pickle under the name": lambda path: (path / "model.safetensors").write_bytes(pickle.dumps({"a": 1})),
    "empty weights": lambda path: (path / "model.safetensors").write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_files_that_do_not_fit_are_refused(copied, damage):
    damage(copied)
    with pytest.raises(ModelUnavailable):
        inference.load(str(copied))


def test_the_bundled_default_is_listed_and_loads():
    infos = {info.name: info for info in checkpoint.available()}
    default = inference.load("default")
    assert infos[default.name] == default.info
    assert bundle.names() == list(infos)
    assert default.info.size_bytes <= 12 * 2**20
    assert default.info.headline


def test_a_damaged_bundled_model_is_left_out_of_the_list(copied, tmp_path_factory, monkeypatch, caplog):
    bundled = tmp_path_factory.mktemp("bundled")
    for name in ("whole", "damaged"):
        (bundled / name).mkdir()
        for path in copied.iterdir():
            (bundled / name / path.name).write_bytes(path.read_bytes())
    (bundled / "damaged" / "config.json").write_text("{")
    monkeypatch.setattr("unmask.models.bundled.FOLDER", bundled)
    assert [info.name for info in checkpoint.available()] == ["tiny"]
    assert "damaged" in caplog.text


class Unpickled:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return exec, (f"open({str(self.trace)!r}, 'w')",)


def test_no_pickle_is_ever_run(copied, tmp_path_factory):
    trace = tmp_path_factory.mktemp("trace") / "ran"
    for name in ("model.safetensors", "config.json", "pytorch_model.bin"):
        (copied / name).write_bytes(pickle.dumps(Unpickled(trace)))
    with pytest.raises(ModelUnavailable):
        inference.load(str(copied))
    assert not trace.exists()


FILES = ("config.json", "model.safetensors")


def publish(hub, folder, *more):
    """Put the folder's files, and more of any content, on the Hub as owner/tiny, in two commits."""
    made = hub.repositories["model/owner/tiny"] = Repository("owner/tiny")
    files = {name: (folder / name).read_bytes() for name in FILES} | dict.fromkeys(more, b"x")
    made.tags["v1"] = made.add("first", files).id
    made.add("second", files)
    return made


def test_a_hub_model_is_pinned_to_a_commit_that_is_shown(folder, hub):
    first, second = (commit.id for commit in publish(hub, folder).commits)
    for asked, commit in (("", second), ("@v1", first), (f"@{first}", first)):
        assert inference.load(f"owner/tiny{asked}").revision == commit


def test_without_the_hub_what_was_fetched_before_is_loaded(folder, hub, monkeypatch):
    publish(hub, folder)
    before = inference.load("owner/tiny").revision
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert inference.load("owner/tiny").revision == before
    with pytest.raises(ModelUnavailable, match="owner/other"):
        inference.load("owner/other")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "old/weights.PTH", "training_args.pkl", "modeling.py"])
def test_a_hub_repository_with_code_is_refused_before_anything_is_fetched(folder, hub, name):
    publish(hub, folder, name)
    with pytest.raises(ModelUnavailable, match="can carry code"):
        inference.load("owner/tiny")
    assert hub.calls and not any("/resolve/" in call for call in hub.calls)


def test_a_hub_model_with_damaged_weights_or_none_is_refused(folder, hub):
    publish(hub, folder)
    hub.on_the_way = lambda path, data: b"damaged" if path.endswith(".safetensors") else data
    with pytest.raises(ModelUnavailable):
        inference.load("owner/tiny")
    with pytest.raises(ModelUnavailable, match="owner/gone"):
        inference.load("owner/gone")
