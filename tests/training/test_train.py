"""Tests of training: every recipe runs, a killed run resumes exactly, two processes equal one of the doubled batch."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from tests.training import fourth  # noqa: F401 - adds a recipe
from tests.training.faces import face
from tests.untrained import SMALL_VIT
from training.data.augment import resize
from training.data.shards import write_clips
from training.fit import trainer
from training.fit.estimate import estimate
from training.fit.predict import compare_true_fakes
from training.fit.recipes import RECIPES
from training.fit.run_folder import RunFolder
from training.fit.torch_dataset import as_face_clip, decode
from training.fit.training_clips import read_training_clips
from training.train import Request, main, train
from unmask.models import torch_model
from unmask.models.architectures import ARCHITECTURES
from unmask.models.configs import ResNextLstmConfig, VitLinearConfig

ROOT = Path(__file__).resolve().parents[2]
PAIRS = 16


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Stills and a few moving clips of the same portrait, with fakes of some."""
    folder = tmp_path_factory.mktemp("material")
    stills = [face(f"r{index}", shift=index) for index in range(PAIRS)]
    fakes = [face(f"f{index}", source=f"r{index}", shift=index + 20) for index in range(0, PAIRS, 2)]
    held = [face("v0", split="val"), face("v1", source="v0", split="val", shift=9)]
    write_clips(folder, [*stills, *fakes, *held])
    return folder


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moving")
    write_clips(
        folder, [face("m", frames=8), face("n", source="x", frames=6), face("w", frames=8, split="val", shift=5)]
    )
    return folder


def request(recipe, stage, data, out, **changes):
    config = RECIPES[recipe]
    small = replace(config.stage(stage), epochs=1, pairs_per_batch=4)
    if isinstance(config.model, ResNextLstmConfig):
        config = replace(config, model=ResNextLstmConfig(hidden=16))
    if isinstance(config.model, VitLinearConfig):
        config = replace(config, model=SMALL_VIT)
    config = replace(config, **{stage: small}, clip=replace(config.clip, side_px=64))
    defaults = {"start": None, "scratch": True, "teacher": None, "workers": 0, "precision": "no"}
    defaults |= {"only_estimate": False, "limit": None, "validation_limit": None, "save_seconds": 300}
    return Request(config=config, stage=stage, data=[(folder, 1) for folder in data], out=out, **defaults | changes)


def run(wanted):
    return train(wanted, Accelerator(log_with="tensorboard", project_dir=str(wanted.out)))


@pytest.mark.parametrize("recipe", ["mobilenet-gru", "meso-transformer", "resnext-lstm", "vit-linear", "patch-mean"])
def test_each_recipe_goes_from_faces_to_a_model_that_unmask_loads(recipe, material, moving, tmp_path):
    run(request(recipe, "frames", [material], tmp_path / "frames"))
    done = run(request(recipe, "clips", [material, moving], tmp_path / "clips", start=tmp_path / "frames", limit=4))
    assert done.epochs()[0].true_auc is not None
    assert {path.name for path in done.path.iterdir()} >= {"train.json", "log.jsonl", "curves.png", "state"}
    model = torch_model.load(str(done.model))
    frames = resize(decode(face("q", frames=3)), model.spec.side_px)
    assert model.logits([as_face_clip(frames, model.spec)]).shape == (1,)


def test_a_frozen_backbone_does_not_change(material, tmp_path):
    first = run(request("mobilenet-gru", "frames", [material], tmp_path / "frames"))
    wanted = request("mobilenet-gru", "clips", [material], tmp_path / "clips", start=tmp_path / "frames")
    second = run(wanted)
    before, after = (load_file(done.model / "model.safetensors") for done in (first, second))
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert "backbone" not in moved


def test_of_a_large_tower_only_the_layer_norms_are_tuned(material, tmp_path):
    wanted = request("vit-linear", "frames", [material], tmp_path / "run")
    started = request("vit-linear", "frames", [material], tmp_path / "start")
    still = replace(started.config.frames, learning_rate=0.0)
    before, after = (
        load_file(run(each).model / "model.safetensors")
        for each in (replace(started, config=replace(started.config, frames=still)), wanted)
    )
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in before if "norm" in name or name.startswith("head.")} == moved


def test_losses_on_the_sphere_are_those_of_their_definition():
    torch.manual_seed(0)
    vectors, labels = 5 * torch.randn(7, 3), torch.tensor([0, 1, 0, 1, 1, 0, 1])
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    squares = {(i, j): float((unit[i] - unit[j]).square().sum()) for i in range(7) for j in range(i)}
    same = [value for (i, j), value in squares.items() if labels[i] == labels[j]]
    alignment, uniformity = trainer.sphere_losses(vectors, labels)
    assert float(alignment) == pytest.approx(np.mean(same), rel=1e-4)
    assert float(uniformity) == pytest.approx(
        np.log(np.mean(np.exp([-2 * value for value in squares.values()]))), rel=1e-4
    )
    assert [float(value) for value in trainer.sphere_losses(vectors[:1], labels[:1])] == [0, 0]


def test_what_a_run_needs_is_said_before_weights_are_fetched(material, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit, match="cannot be had, --scratch starts without"):
        run(request("vit-linear", "frames", [material], tmp_path / "run", scratch=False))
    found = {}
    for pairs in (2, 4):
        wanted = request("vit-linear", "frames", [material], tmp_path / "run", scratch=False, only_estimate=True)
        small = replace(wanted.config.frames, pairs_per_batch=pairs)
        run(replace(wanted, config=replace(wanted.config, frames=small)))
        found[pairs] = capsys.readouterr().out
    assert "vit-linear: at least" in found[2] and "GiB of memory" in found[2]
    assert not (tmp_path / "run" / "model").exists()
    model = ARCHITECTURES["vit-linear"](SMALL_VIT)
    stage, here = RECIPES["vit-linear"].frames, torch.device("cpu")
    spec = replace(RECIPES["vit-linear"].clip, side_px=64, frames_per_clip=1)
    once, twice = (
        estimate(model, spec, replace(stage, pairs_per_batch=count), 3, here, contextlib.nullcontext)
        for count in (1, 2)
    )
    weights = sum(value.nbytes for value in model.parameters())
    norms = [part for part in model.modules() if isinstance(part, torch.nn.LayerNorm)]
    learned = sum(value.nbytes for part in [*norms, model.get_submodule("head")] for value in part.parameters())
    assert (once.weights_bytes, once.optimizer_bytes) == (2 * weights, 3 * learned)
    assert twice.activation_bytes == 2 * once.activation_bytes > 17 * 32 * 4 * 2  # more than one layer's tokens
    assert not replace(once, free_bytes=once.total_bytes - 1).fits


def test_fakes_may_be_missing(tmp_path):
    reals = [face(f"r{index}", shift=index) for index in range(8)]
    write_clips(tmp_path / "real", [*reals, face("v", split="val", shift=12)])
    done = run(request("patch-mean", "frames", [tmp_path / "real"], tmp_path / "run"))
    assert done.epochs()[0].true_auc is None
    assert 0 <= done.epochs()[0].blended_auc <= 1


def test_people_of_validation_are_not_trained_on(tmp_path, capsys):
    write_clips(tmp_path / "a", [face("r"), face("v", split="val", shift=4)])
    write_clips(tmp_path / "b", [face("q"), face("m", frames=3), face("f", "v", frames=3), face("g", "x", frames=3)])
    material = read_training_clips([(tmp_path / "a", 1), (tmp_path / "b", 2)], None, 0)
    assert [[clip.video_id for clip in part] for part in material.training] == [["r"], ["q", "q"], ["m", "g", "m", "g"]]
    assert {name: [clip.video_id for clip in clips] for name, clips in material.validation.items()} == {"a": ["v"]}
    assert capsys.readouterr().err.endswith("the same people: f\n")
    write_clips(tmp_path / "c", [face("f", "x")])
    with pytest.raises(ValueError, match="c holds no real clip to pair"):
        read_training_clips([(tmp_path / "c", 1)], None, 0)


def test_validation_takes_as_many_of_each_folder_and_label_as_is_asked(tmp_path):
    for folder in "ab":
        clips = [face(f"{folder}{i}", "x" if i % 3 else None, group=folder, split="val", shift=i) for i in range(12)]
        write_clips(tmp_path / folder, [face(f"{folder}r"), *clips])
    material = read_training_clips([(tmp_path / "a", 1), (tmp_path / "b", 1)], None, 0, validation_limit=2)
    assert [clip.fake for clips in material.validation.values() for clip in clips] == [False, False, True, True] * 2


def test_reals_stand_against_fakes_of_their_folder_or_of_all():
    logits, fake = np.array([-1.0, 2.0, 1.0, -3.0]), np.array([False, True, False, False])
    found = compare_true_fakes(logits, fake, ["own", "own", "none", "none"])
    assert found["true_by_folder"] == {"own": 1.0, "none": 1.0}
    assert found["reals_above_half"] == {"own": 0.0, "none": 0.5}
    assert found["true_auc"] == 1.0


def test_a_teacher_is_followed(material, tmp_path):
    teacher = run(request("patch-mean", "frames", [material], tmp_path / "teacher"))
    alone, distilled = (
        run(request("patch-mean", "frames", [material], tmp_path / name, teacher=given))
        for name, given in (("alone", None), ("distilled", str(teacher.model)))
    )
    assert alone.epochs()[0].loss != distilled.epochs()[0].loss


def command(material, out, *more, launch=(), recipe="patch-mean"):
    script = [str(ROOT / "tests/training/fourth.py"), recipe, "frames"]
    asked = ["--data", str(material), "--out", str(out), "--precision", "no", "--workers", "0", "--scratch"]
    return [sys.executable, *launch, *script, *asked, *more]


def run_here(command):
    """A command in this process, which has imported torch already: that takes longer than the training."""
    torch.set_num_threads(1)  # as the script does
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", command[1:])
        main()


def environment(**more):
    path = os.pathsep.join([str(ROOT), str(ROOT / "space")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def losses(out):
    return [epoch.loss for epoch in RunFolder(out).epochs()]


@pytest.mark.timeout(600)
def test_a_killed_run_goes_on_with_the_same_result(material, tmp_path):
    run_here(command(material, tmp_path / "whole"))
    progress = tmp_path / "killed" / trainer.STATE / "progress.json"
    saving = command(material, tmp_path / "killed", "--save-seconds", "0")  # after every batch
    running = subprocess.Popen(saving, env=environment())
    while running.poll() is None and not (progress.exists() and _step(progress) >= 6):
        time.sleep(0.01)
    assert running.poll() is None, "it ended before it could be killed"
    running.send_signal(signal.SIGKILL)
    running.wait()
    old = tmp_path / "killed" / f"{trainer.STATE}.old"
    old.mkdir(exist_ok=True)
    (old / "left").touch()  # as by a kill while the state before was being removed
    run_here(command(material, tmp_path / "killed"))
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    whole, killed = (load_file(tmp_path / name / "model/model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def _step(progress):
    try:
        return json.loads(progress.read_text())["step"]
    except FileNotFoundError:  # the folder is just being swapped
        return 0


# two processes: without MPI, `accelerate launch --cpu` starts one
PAIR = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]


@pytest.mark.timeout(600)
def test_two_processes_give_the_loss_of_one_with_the_doubled_batch(material, tmp_path):
    two = command(material, tmp_path / "two", "--pairs-per-batch", "2", launch=PAIR)
    subprocess.run(two, env=environment(ACCELERATE_USE_CPU="1"), check=True)
    run_here(command(material, tmp_path / "one", "--pairs-per-batch", "4"))
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    run_here(command(material, tmp_path / "sum", "--pairs-per-batch", "2", "--accumulate", "2"))
    assert losses(tmp_path / "sum") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


@pytest.mark.timeout(600)
def test_two_processes_tune_a_tower_as_one_that_adds_up_their_batches(material, tmp_path):
    short = ["--epochs", "1", "--pairs-per-batch", "2"]  # the losses on the sphere see each batch for itself
    two = command(material, tmp_path / "two", *short, launch=PAIR, recipe="small-vit")
    subprocess.run(two, env=environment(ACCELERATE_USE_CPU="1"), check=True)
    run_here(command(material, tmp_path / "one", *short, "--accumulate", "2", recipe="small-vit"))
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, both = (load_file(tmp_path / name / "model/model.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(both[name], value, rtol=0, atol=1e-5)
